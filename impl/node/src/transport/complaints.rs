//! What is logged of others' mistakes: the first at once, what follows within a minute in one line. A crowd that
//! connects with garbage must not fill the disk with warnings, nor hide in them what matters.

use pbft_core::types::{ClientId, ReplicaId};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long complaints about one source are gathered.
pub(super) const GATHERED: Duration = Duration::from_secs(60);

/// How often [`Complaints::tell`] is to be called.
pub(super) const TOLD_EVERY: Duration = Duration::from_secs(10);

/// So many sources are told apart; bounds memory and lines a minute.
const SOURCES_MAX: usize = 64;

/// About whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// This machine.
    Here,
    /// Who has not said who it is. Of IPv6 addresses the network, since one machine has as many as it likes.
    Address(IpAddr),
    /// A client that is let in.
    Client(ClientId),
    /// The key of a replica.
    Key(ReplicaId),
    /// The connection that a replica dialed.
    From(ReplicaId),
    /// The connection that is dialed to a replica.
    To(ReplicaId),
    /// Those beyond [`SOURCES_MAX`].
    Others,
}

impl Source {
    pub(super) fn address(address: IpAddr) -> Self {
        Self::Address(match address {
            IpAddr::V6(six) if six.to_ipv4_mapped().is_none() => {
                let network = u128::from(six) & !u128::from(u64::MAX);
                IpAddr::V6(network.into())
            }
            other => other.to_canonical(),
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here => f.write_str("this machine"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Client(id) => write!(f, "client {id}"),
            Self::Key(id) => write!(f, "key of {id}"),
            Self::From(id) => write!(f, "from {id}"),
            Self::To(id) => write!(f, "to {id}"),
            Self::Others => f.write_str("other addresses"),
        }
    }
}

/// What came after the first complaint about a source.
#[derive(Debug)]
struct Gathered {
    since: Instant,
    reasons: BTreeMap<&'static str, u64>,
    last: String,
}

impl Gathered {
    fn new(since: Instant) -> Self {
        Self { since, reasons: BTreeMap::new(), last: String::new() }
    }

    fn to_line(&self) -> String {
        let total: u64 = self.reasons.values().sum();
        let reasons: Vec<_> =
            self.reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        format!("{total} more like it ({}); the last: {}", reasons.join(", "), self.last)
    }
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<BTreeMap<Source, Gathered>>);

impl Complaints {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Source, Gathered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something went wrong; whether this is to be logged at once.
    pub(super) fn is_first(&self, source: Source, reason: &'static str, what: &str) -> bool {
        let mut table = self.lock();
        let known = table.contains_key(&source) || table.len() < SOURCES_MAX;
        let source = if known { source } else { Source::Others };
        if let Some(gathered) = table.get_mut(&source) {
            *gathered.reasons.entry(reason).or_default() += 1;
            what.clone_into(&mut gathered.last);
            return false;
        }
        table.insert(source, Gathered::new(Instant::now()));
        true
    }

    /// What was gathered for long enough, in a line a source.
    fn due(&self) -> Vec<(Source, String)> {
        let now = Instant::now();
        let mut lines = Vec::new();
        self.lock().retain(|source, gathered| {
            if now.duration_since(gathered.since) < GATHERED {
                return true;
            }
            let goes_on = !gathered.reasons.is_empty();
            if goes_on {
                lines.push((*source, gathered.to_line()));
                *gathered = Gathered::new(now);
            }
            goes_on
        });
        lines
    }

    /// Logs what was gathered for long enough.
    pub(super) fn tell(&self) {
        for (source, line) in self.due() {
            tracing::warn!(%source, "{line}");
        }
    }

    /// A warning about `source`, now or with others like it.
    pub(super) fn warn(&self, source: Source, reason: &'static str, what: &str) {
        if self.is_first(source, reason, what) {
            tracing::warn!(%source, "{what}");
        }
    }

    /// The same for what is no mistake, but may be repeated.
    pub(super) fn inform(&self, source: Source, reason: &'static str, what: &str) {
        if self.is_first(source, reason, what) {
            tracing::info!(%source, "{what}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(last: u8) -> Source {
        Source::address(IpAddr::from([10, 0, 0, last]))
    }

    #[tokio::test(start_paused = true)]
    async fn repeated_complaints_are_one_line_a_minute() {
        let complaints = Complaints::default();
        assert!(complaints.is_first(from(1), "tls", "bad"));
        for _ in 0..29_000 {
            assert!(!complaints.is_first(from(1), "tls", "bad"));
        }
        assert!(!complaints.is_first(from(1), "io", "worse"));
        assert!(complaints.is_first(from(2), "tls", "bad"), "another address");
        assert!(complaints.due().is_empty(), "not yet");
        tokio::time::advance(GATHERED).await;
        let line = "29001 more like it (io 1, tls 29000); the last: worse".to_owned();
        assert_eq!(complaints.due(), [(from(1), line)]);
        assert!(!complaints.is_first(from(1), "tls", "bad"), "it goes on");
        tokio::time::advance(GATHERED).await;
        assert_eq!(complaints.due().len(), 1);
        tokio::time::advance(GATHERED).await;
        assert!(complaints.due().is_empty());
        assert!(complaints.lock().is_empty(), "nothing is kept of who is quiet");
        assert!(complaints.is_first(from(1), "tls", "bad"));
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_are_bounded() {
        let complaints = Complaints::default();
        let told = (0..10_000_u32).filter(|number| {
            let address = IpAddr::from(number.to_be_bytes());
            complaints.is_first(Source::address(address), "tls", "bad")
        });
        assert_eq!(told.count(), SOURCES_MAX + 1);
        assert_eq!(complaints.lock().len(), SOURCES_MAX + 1);
        tokio::time::advance(GATHERED).await;
        assert_eq!(complaints.due().len(), 1, "all others in one line");
        let six = |host: u16| Source::address(IpAddr::from([0x2001, 0xdb8, 0, 1, 9, 9, 9, host]));
        assert_eq!(six(1), six(2), "one network");
        assert_eq!(six(1).to_string(), "2001:db8:0:1::");
    }
}
