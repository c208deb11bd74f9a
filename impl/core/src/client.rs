//! The client's side of §4.1 as a pure state machine: one request at a time per lane, f+1 matching replies.
//!
//! A client sends to the primary it believes in; on timeout it sends to all replicas, with doubling patience. It
//! learns the view from the replies that it accepts, never from fewer than f+1.
//!
//! A reply names the digest of the request that it answers, so the result of another request is never taken for this
//! one's, whoever else uses the client's key. Replicas whose lane has gone on without this request say so
//! ([`Spent`]); f+1 of them are believed.

use crate::membership::Membership;
use crate::message::{Reply, Request, Signed};
use crate::rejection::refuse_if;
use crate::types::{Digest, ReplicaId, Timestamp, View};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What happens to a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientInput {
    /// The user wants an operation executed. The request is signed and its timestamp above all earlier ones.
    Submit(Arc<Signed<Request>>),
    /// A reply, its signature checked.
    Reply(Signed<Reply>),
    /// A replica says, over its own channel, that a request's timestamp is spent.
    Spent {
        /// The replica.
        from: ReplicaId,
        /// The request's digest. Whoever else uses the client's key is told of its own requests in the same way.
        request: Digest,
        /// How it was spent.
        spent: Spent,
    },
    /// The timer ran out.
    Timeout,
}

/// Why a replica has no use for a request's timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// It has executed another request with this timestamp.
    ForAnother,
    /// The lane is at a later timestamp.
    Old {
        /// The lane's.
        last: Timestamp,
    },
}

/// What became of a request whose timestamp is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Another request was executed with its timestamp: it was not executed, and never will be. The operation may be
    /// asked for again.
    NeverExecuted,
    /// A later request of its lane was executed. Whether this one was, before that, nobody remembers.
    Unknown,
}

/// What a lane asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEffect {
    /// Send the request to one replica.
    Send {
        /// The believed primary.
        to: ReplicaId,
        /// The request.
        request: Arc<Signed<Request>>,
    },
    /// Send the request to all replicas. It has to be signed for that, whatever it was sent to the primary with: replicas
    /// hand on to each other what is signed, and nothing else (D24).
    Broadcast(Arc<Signed<Request>>),
    /// Start the timer again.
    SetTimer(Duration),
    /// Stop the timer.
    CancelTimer,
    /// f+1 replicas agree on the result.
    Done {
        /// The request's timestamp.
        timestamp: Timestamp,
        /// The result.
        result: Arc<[u8]>,
        /// The view that f+1 of them were in, at least.
        view: View,
    },
    /// f+1 replicas say that the timestamp is spent: somebody else uses this client's key, or it has used the
    /// timestamp before. The lane is idle again.
    Spent {
        /// The request's timestamp.
        timestamp: Timestamp,
        /// What became of it.
        fate: Fate,
        /// The lane's last timestamp, as far as f+1 replicas know; later ones can be used.
        last: Timestamp,
    },
}

/// Why a client ignores an input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientRejection {
    /// A request is outstanding on this lane.
    #[error("a request is outstanding on this lane")]
    Busy,
    /// The timestamp does not rise.
    #[error("timestamp {got} does not follow {last}")]
    OldTimestamp {
        /// The last one used.
        last: Timestamp,
        /// The request's.
        got: Timestamp,
    },
    /// Nothing is outstanding.
    #[error("nothing is outstanding")]
    Idle,
    /// The reply answers another request.
    #[error("reply to {got}, waiting for {expected}")]
    OtherRequest {
        /// Outstanding.
        expected: Timestamp,
        /// Answered.
        got: Timestamp,
    },
    /// What is said is about another request, of whoever else uses the client's key.
    #[error("about request {got}, waiting for {expected}")]
    AnotherRequest {
        /// Outstanding.
        expected: Digest,
        /// Answered.
        got: Digest,
    },
    /// The replica is not a member.
    #[error("{0} is not a member")]
    NotAMember(ReplicaId),
}

/// How long a client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Before it sends to all replicas.
    pub first: Duration,
    /// At the most, as it doubles.
    pub max: Duration,
}

/// One lane of a client.
#[derive(Clone, Debug)]
pub struct ClientLane {
    membership: Membership,
    patience: Patience,
    view: View,
    last: Timestamp,
    outstanding: Option<Outstanding>,
}

type Outcome = Result<Vec<ClientEffect>, ClientRejection>;

#[derive(Clone, Debug)]
struct Outstanding {
    request: Arc<Signed<Request>>,
    digest: Digest,
    wait: Duration,
    /// Whether all replicas were asked.
    everybody: bool,
    replies: BTreeMap<ReplicaId, (View, Arc<[u8]>)>,
    spent: BTreeMap<ReplicaId, Spent>,
}

impl ClientLane {
    /// A lane with nothing outstanding.
    pub fn new(membership: Membership, patience: Patience) -> Self {
        Self {
            membership,
            patience,
            view: View::default(),
            last: Timestamp::default(),
            outstanding: None,
        }
    }

    /// The view that the client believes in.
    pub fn view(&self) -> View {
        self.view
    }

    /// Believes in a view that f+1 replicas told another lane of the same client, if it is a later one.
    pub fn learn_view(&mut self, view: View) {
        self.view = self.view.max(view);
    }

    /// Whether a request is outstanding.
    pub fn is_busy(&self) -> bool {
        self.outstanding.is_some()
    }

    /// Handles one input. A rejected input changes nothing.
    pub fn step(&mut self, input: ClientInput) -> Result<Vec<ClientEffect>, ClientRejection> {
        match input {
            ClientInput::Submit(request) => self.on_submit(request),
            ClientInput::Reply(reply) => self.on_reply(reply.body),
            ClientInput::Spent { from, request, spent } => self.on_spent(from, request, spent),
            ClientInput::Timeout => self.on_timeout(),
        }
    }

    fn on_submit(&mut self, request: Arc<Signed<Request>>) -> Outcome {
        let (last, got) = (self.last, request.body.timestamp);
        refuse_if(self.is_busy(), ClientRejection::Busy)?;
        refuse_if(got <= self.last, ClientRejection::OldTimestamp { last, got })?;
        self.last = got;
        let wait = self.patience.first;
        let to = self.membership.primary(self.view);
        self.outstanding = Some(Outstanding {
            request: Arc::clone(&request),
            digest: request.body.digest(),
            wait,
            everybody: false,
            replies: BTreeMap::new(),
            spent: BTreeMap::new(),
        });
        Ok(vec![ClientEffect::Send { to, request }, ClientEffect::SetTimer(wait)])
    }

    /// §4.1: a result counts when f+1 replicas, each for itself, answer the same to this request.
    fn on_reply(&mut self, reply: Reply) -> Outcome {
        let needed = self.membership.weak();
        let is_member = self.membership.contains(reply.replica);
        refuse_if(!is_member, ClientRejection::NotAMember(reply.replica))?;
        let outstanding = self.outstanding.as_mut().ok_or(ClientRejection::Idle)?;
        let mine = &outstanding.request.body;
        let (expected, got) = (mine.timestamp, reply.timestamp);
        let is_other = (mine.client, mine.lane, expected) != (reply.client, reply.lane, got);
        refuse_if(is_other, ClientRejection::OtherRequest { expected, got })?;
        let (asked, got) = (outstanding.digest, reply.request);
        refuse_if(got != asked, ClientRejection::AnotherRequest { expected: asked, got })?;
        outstanding.replies.insert(reply.replica, (reply.view, Arc::clone(&reply.result)));
        let mut views: Vec<View> = outstanding
            .replies
            .values()
            .filter(|(_, result)| *result == reply.result)
            .map(|(view, _)| *view)
            .collect();
        if views.len() < needed {
            return Ok(Vec::new());
        }
        // The f+1st highest of the claimed views: some correct replica is in it or beyond.
        views.sort_unstable_by(|a, b| b.cmp(a));
        self.view = self.view.max(views[needed - 1]);
        self.outstanding = None;
        let view = self.view;
        let done = ClientEffect::Done { timestamp: expected, result: reply.result, view };
        Ok(vec![ClientEffect::CancelTimer, done])
    }

    /// One replica may lie, so the others are asked at once. f+1 that have executed another request with the timestamp
    /// settle it. f+1 that say anything else settle that there will be no result, but the others are waited for a
    /// while: the more say what their last timestamp is, the less can liars hold it down.
    fn on_spent(&mut self, from: ReplicaId, request: Digest, spent: Spent) -> Outcome {
        let (weak, correct) =
            (self.membership.weak(), self.membership.n() - self.membership.faults());
        refuse_if(!self.membership.contains(from), ClientRejection::NotAMember(from))?;
        let outstanding = self.outstanding.as_mut().ok_or(ClientRejection::Idle)?;
        let (expected, got) = (outstanding.digest, request);
        refuse_if(got != expected, ClientRejection::AnotherRequest { expected, got })?;
        outstanding.spent.insert(from, spent);
        let for_another = outstanding.spent.values().filter(|spent| **spent == Spent::ForAnother);
        if for_another.count() >= weak {
            return Ok(self.give_up(Fate::NeverExecuted));
        }
        if outstanding.spent.len() >= correct {
            return Ok(self.give_up(Fate::Unknown));
        }
        match std::mem::replace(&mut outstanding.everybody, true) {
            true => Ok(Vec::new()),
            false => Ok(vec![ClientEffect::Broadcast(Arc::clone(&outstanding.request))]),
        }
    }

    /// The outstanding request gets no result any more.
    fn give_up(&mut self, fate: Fate) -> Vec<ClientEffect> {
        let Some(outstanding) = self.outstanding.take() else { return Vec::new() };
        let timestamp = outstanding.request.body.timestamp;
        let of = |spent: &Spent| match spent {
            Spent::ForAnother => timestamp,
            Spent::Old { last } => (*last).clamp(timestamp, Timestamp::MAX),
        };
        // The f+1st highest of what is claimed: some correct replica is there or beyond.
        let mut claimed: Vec<Timestamp> = outstanding.spent.values().map(of).collect();
        claimed.sort_unstable_by(|a, b| b.cmp(a));
        let last = claimed.get(self.membership.weak() - 1).copied().unwrap_or(timestamp);
        self.last = self.last.max(last);
        vec![ClientEffect::CancelTimer, ClientEffect::Spent { timestamp, fate, last }]
    }

    fn on_timeout(&mut self) -> Outcome {
        let (max, weak) = (self.patience.max, self.membership.weak());
        let Some(outstanding) = &mut self.outstanding else { return Err(ClientRejection::Idle) };
        if outstanding.spent.len() >= weak {
            return Ok(self.give_up(Fate::Unknown));
        }
        outstanding.everybody = true;
        let request = Arc::clone(&outstanding.request);
        outstanding.wait = outstanding.wait.saturating_mul(2).min(max);
        let wait = outstanding.wait;
        Ok(vec![ClientEffect::Broadcast(request), ClientEffect::SetTimer(wait)])
    }
}
