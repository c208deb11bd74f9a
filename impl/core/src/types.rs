//! The paper's quantities as types that cannot be mixed up.

use crate::octets;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

number!(
    /// A replica's position in the cluster, 0 to n−1 (§4: replicas are numbered).
    ReplicaId(u32), "r"
);
number!(
    /// A view; its primary is the replica `view mod n` (§4).
    View(u64), "v"
);
number!(
    /// A sequence number. 0 is the initial state; the first batch is ordered at 1 (§4.2).
    SeqNum(u64), "#"
);
number!(
    /// A client on the cluster's allow-list (§4.1).
    ClientId(u32), "c"
);
number!(
    /// One of a client's independent request streams. A lane has at most one request outstanding, so a
    /// client pipelines over several lanes.
    Lane(u16), "lane"
);
number!(
    /// A client's request number within its lane; rises with each request (§4.1).
    Timestamp(u64), "t"
);

number!(
    /// What a process that uses a client's key draws at random when it begins. It is part of each of its requests, so
    /// two processes that use one key by mistake never take each other's answers for their own, even if they ask for
    /// the same at the same timestamp.
    Session(u64), "session"
);

impl Timestamp {
    /// The highest timestamp that a request may have. After it nothing can be asked on its lane any more, so it lies
    /// where no clock comes (the year 294,000 in microseconds) and sums of timestamps do not overflow.
    pub const MAX: Self = Self(i64::MAX as u64);
}

impl View {
    /// The view after this one; `None` at the end of the number range.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl SeqNum {
    /// The sequence number after this one. Sequence numbers inside a window never reach the end of the
    /// range; the addition saturates so that a hostile value cannot wrap.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A SHA-256 digest, D(m) in the paper.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Digest(#[serde(with = "octets::array")] pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..6].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An Ed25519 signature, its two halves apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Signature {
    /// The encoded point R.
    #[serde(with = "octets::array")]
    pub r: [u8; 32],
    /// The scalar s, little-endian.
    #[serde(with = "octets::array")]
    pub s: [u8; 32],
}

impl Signature {
    /// How an authenticator ends that stands in the place of a signature (D24). No signature does: as a number its second
    /// half is below 2^253.
    pub const AUTHENTICATOR_MARK: [u8; 8] = [0xff; 8];

    /// Whether these are message authentication codes, and no signature.
    pub fn is_authenticator(&self) -> bool {
        self.s.ends_with(&Self::AUTHENTICATOR_MARK)
    }

    /// Joins the halves.
    pub fn to_bytes(self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.r);
        bytes[32..].copy_from_slice(&self.s);
        bytes
    }

    /// Splits the 64 bytes of an encoded signature.
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        let mut signature = Self::default();
        signature.r.copy_from_slice(&bytes[..32]);
        signature.s.copy_from_slice(&bytes[32..]);
        signature
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sig:{:02x}{:02x}", self.r[0], self.r[1])
    }
}

/// Who signs: a replica or a client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
pub enum Principal {
    /// A replica, by position.
    Replica(ReplicaId),
    /// A client, by its id in the allow-list.
    Client(ClientId),
}
