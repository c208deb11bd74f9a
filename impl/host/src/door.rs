//! The way in: frames are held to their limits, decoded, sifted and verified.

use crate::codec;
use crate::frame::{ClientFrame, FrameError, FrameLimits, RefusalReason, ReplicaFrame};
use crate::surplus::SharedSurplus;
use pbft_core::crypto::{Verifier, verify};
use pbft_core::message::{Message, Request, Signed};
use pbft_core::surplus::Sifted;
use pbft_core::types::{ClientId, ReplicaId};
use pbft_core::{Input, Params, Rejection};
use std::sync::Arc;
use thiserror::Error;

/// Why a frame does not become an input.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unread {
    /// It is not a frame of its kind. Its sender is faulty, or of another version.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// It does not verify.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// A request that will not be worked on; `answer` tells its client.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: RefusalReason,
        /// The frame that says so.
        answer: Box<ReplicaFrame>,
    },
    /// The replica would refuse it whatever its signatures are, and nobody has looked at them. A correct replica's may
    /// come too late.
    #[error("not verified: {0}")]
    NotVerified(Rejection),
}

impl Unread {
    /// What kind it is, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Frame(FrameError::TooLarge { .. }) => "too-large",
            Self::Frame(FrameError::Codec(_)) => "malformed",
            Self::Rejected(rejection) | Self::NotVerified(rejection) => rejection.kind().as_str(),
            Self::Refused { reason, .. } => reason.kind(),
        }
    }
}

/// What a replica's frame came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Admitted {
    /// One input for the host.
    One(Input),
    /// Two: a vote that was set aside, and one that contradicts it.
    Two(Input, Input),
    /// A vote that nothing needs. It was set aside, and nobody has looked at its signature.
    SetAside,
}

impl IntoIterator for Admitted {
    type Item = Input;
    type IntoIter = std::iter::Flatten<std::array::IntoIter<Option<Input>, 2>>;

    fn into_iter(self) -> Self::IntoIter {
        let inputs = match self {
            Self::One(input) => [Some(input), None],
            Self::Two(earlier, input) => [Some(earlier), Some(input)],
            Self::SetAside => [None, None],
        };
        inputs.into_iter().flatten()
    }
}

/// Reads frames for one host. Any number of connections may ask it at a time.
#[derive(Clone)]
pub struct Door {
    params: Arc<Params>,
    verifier: Arc<dyn Verifier>,
    limits: FrameLimits,
    surplus: SharedSurplus,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Door {
    /// The door of a host that sets votes aside in `surplus`.
    pub fn new(params: Arc<Params>, verifier: Arc<dyn Verifier>, surplus: SharedSurplus) -> Self {
        let limits = FrameLimits::new(&params);
        Self { params, verifier, limits, surplus }
    }

    /// The sizes that frames are held to.
    pub fn limits(&self) -> &FrameLimits {
        &self.limits
    }

    /// How many votes are set aside.
    pub fn votes_set_aside(&self) -> usize {
        self.surplus.votes()
    }

    /// Reads a frame from `from`'s authenticated connection: an encoded [`Message`].
    pub fn peer_frame(&self, from: ReplicaId, frame: &[u8]) -> Result<Admitted, Unread> {
        let message = self.limits.decode_message(frame)?;
        if let Message::Batch(batch) = &message
            && !self.surplus.wants(batch)
        {
            return Err(Unread::NotVerified(Rejection::NotRequested));
        }
        let sifted = self.surplus.lock().sift(from, message);
        match sifted {
            Sifted::Needed(message) => Ok(Admitted::One(self.verified(from, message)?)),
            Sifted::Contradicts { earlier, message } => {
                Ok(Admitted::Two(self.verified(from, earlier)?, self.verified(from, message)?))
            }
            Sifted::Refused(rejection) => Err(Unread::NotVerified(rejection)),
            Sifted::Surplus => Ok(Admitted::SetAside),
        }
    }

    fn verified(&self, from: ReplicaId, message: Message) -> Result<Input, Unread> {
        let message = verify(&self.params, &*self.verifier, message)?;
        Ok(Input::Message { from, message })
    }

    /// Reads a frame from `client`'s authenticated connection. Nobody has looked at signatures then.
    pub fn client_frame(&self, client: ClientId, frame: &[u8]) -> Result<ClientFrame, Unread> {
        let (len, max) = (frame.len(), self.limits.client_frame());
        if len > max {
            return Err(FrameError::TooLarge { kind: "client frame", len, max }.into());
        }
        let frame = codec::decode(frame).map_err(FrameError::from)?;
        if let ClientFrame::Request(request) = &frame
            && request.body.client != client
        {
            return Err(Self::refused(&request.body, RefusalReason::NotYours));
        }
        Ok(frame)
    }

    /// Verifies a request.
    pub fn request(&self, request: &Arc<Signed<Request>>) -> Result<Input, Unread> {
        let message = Message::Request(Arc::clone(request));
        match verify(&self.params, &*self.verifier, message) {
            Ok(message) => Ok(Input::Request(message)),
            Err(rejection) => Err(match RefusalReason::of(&rejection) {
                Some(reason) => Self::refused(&request.body, reason),
                None => rejection.into(),
            }),
        }
    }

    /// Says that a request is refused.
    pub fn refused(request: &Request, reason: RefusalReason) -> Unread {
        Unread::Refused { reason, answer: Box::new(ReplicaFrame::refusal(request, reason)) }
    }
}
