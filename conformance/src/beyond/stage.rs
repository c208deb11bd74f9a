//! A small cluster whose network the scenario holds in its hands: it says which letter arrives, and when.

use super::label::label;
use crate::divergence::{Difference, Kind, Moment};
use crate::refinement::action::Delivery;
use crate::refinement::keys::SealKeys;
use crate::refinement::layout::batch_digest;
use crate::refinement::vocabulary::Vocabulary;
use crate::signpost::Fact;
use crate::signpost::deeds::{Deed, Field};
use crate::signpost::given::Given;
use crate::subject::host::CoreHost;
use crate::subject::node::keys::NodeKeys;
use crate::subject::node::{NodeHost, adjust};
use crate::subject::world::describe;
use crate::subject::{Observation, Subject};
use pbft_core::RejectionKind;
use pbft_core::message::{Batch, Message, PrePrepare, Proposal, Request, Signed, Status};
use pbft_core::types::{ClientId, Lane, ReplicaId, SeqNum, Session, Timestamp, View};
use pbft_core::{Durable, Footprint, Params, Rejection, Replica, Timer};
use pbft_model as model;
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// What comes of a scenario, or of a part of it.
pub(super) type Outcome<T = ()> = Result<T, Difference>;

/// A message on its way.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub from: u32,
    pub to: u32,
    pub message: Message,
}

/// What an honest replica's message may be refused for by another: it is late, or came already.
const LATE: &[RejectionKind] = &[
    RejectionKind::Duplicate,
    RejectionKind::WrongView,
    RejectionKind::ViewNotActive,
    RejectionKind::OutsideWindow,
    RejectionKind::NotRequested,
    RejectionKind::Unavailable,
    RejectionKind::OldTimestamp,
];

/// A replica of one of the two kinds.
enum Member<'r> {
    Core(Box<CoreHost>),
    Node(Box<NodeHost<'r>>),
}

impl Member<'_> {
    fn subject(&mut self) -> &mut dyn Subject {
        match self {
            Self::Core(host) => &mut **host,
            Self::Node(node) => &mut **node,
        }
    }
}

/// The cluster, on the core or in production nodes.
pub(super) struct Stage<'r> {
    pub vocabulary: Vocabulary,
    members: Vec<Member<'r>>,
    transit: VecDeque<Letter>,
    /// What each replica has done.
    seen: Vec<Observation>,
    /// What each was given last.
    given: Vec<Option<Given>>,
    /// The replica that was looked at last.
    looked_at: Cell<u32>,
    /// What was done so far.
    story: Vec<String>,
}

impl<'r> Stage<'r> {
    /// Four core replicas.
    pub(super) fn on_the_core(bounds: fn(&mut Params)) -> Outcome<Self> {
        Self::of(FOUR, bounds)
    }

    /// Core replicas, as many as the configuration has.
    pub(super) fn of(config: &str, bounds: fn(&mut Params)) -> Outcome<Self> {
        let vocabulary = Vocabulary::with_params(named(config)?, Arc::new(SealKeys), bounds);
        let host = |id| Member::Core(Box::new(CoreHost::new(&vocabulary, model::ReplicaId(id))));
        let members = (0..vocabulary.config.replicas()).map(host).collect();
        Ok(Self::with(vocabulary, members))
    }

    /// Four production nodes.
    pub(super) fn at_nodes(runtime: &'r Runtime, bounds: fn(&mut Params)) -> Outcome<Self> {
        let config = named(FOUR)?;
        let keys = Arc::new(NodeKeys::new(config.replicas()));
        let vocabulary = Vocabulary::with_params(config, keys, |params| {
            adjust(params);
            bounds(params);
        });
        let node = |id| {
            let node = NodeHost::new(runtime, &vocabulary, model::ReplicaId(id))?;
            Ok(Member::Node(Box::new(node)))
        };
        let members = (0..config.replicas()).map(node).collect::<Outcome<Vec<_>>>()?;
        Ok(Self::with(vocabulary, members))
    }

    fn with(vocabulary: Vocabulary, members: Vec<Member<'r>>) -> Self {
        let seen = members.iter().map(|_| Observation::default()).collect();
        let given = members.iter().map(|_| None).collect();
        let (transit, looked_at, story) = (VecDeque::new(), Cell::new(0), Vec::new());
        Self { vocabulary, members, transit, seen, given, looked_at, story }
    }

    /// Says of a difference when it was seen: at the replica that was looked at last, after all that was done.
    pub(super) fn tell(&self, difference: Difference) -> Difference {
        let replica = self.looked_at.get();
        let given = self.given.get(replica as usize).copied().flatten();
        let difference = match given {
            Some(given) => difference.given(given),
            None => difference,
        };
        let Some((action, path)) = self.story.split_last() else { return difference };
        difference.then(Moment {
            replica: replica as u8,
            step: self.story.len(),
            action: action.clone(),
            path: path.to_vec(),
        })
    }

    /// What a replica has done.
    pub(super) fn seen(&self, at: u32) -> &Observation {
        self.looked_at.set(at);
        &self.seen[at as usize]
    }

    fn note(&mut self, at: u32, given: Given, what: &str) {
        self.looked_at.set(at);
        self.given[at as usize] = Some(given);
        self.story.push(format!("replica {at}: {what}"));
    }

    /// The replica as it is now.
    pub(super) fn replica(&self, at: u32) -> Outcome<Replica> {
        self.looked_at.set(at);
        let known = match &self.members[at as usize] {
            Member::Core(host) => Some(host.replica().clone()),
            Member::Node(node) => node.replica(),
        };
        known.ok_or_else(|| Difference::new(Kind::Harness, "the node is down"))
    }

    /// How much it holds. A node sets votes aside that the replica has no use for: D25.
    pub(super) fn footprint(&self, at: u32) -> Outcome<Footprint> {
        let held = self.replica(at)?.footprint();
        let aside = match &self.members[at as usize] {
            Member::Core(_) => 0,
            Member::Node(node) => node.votes_set_aside(),
        };
        Ok(Footprint { votes: held.votes + aside, ..held })
    }

    /// Whether its view-change timer runs.
    pub(super) fn is_timed(&mut self, at: u32) -> bool {
        self.looked_at.set(at);
        self.members[at as usize].subject().is_timer_running()
    }

    /// In how many view timeouts its view-change timer runs out, if it was ever set.
    pub(super) fn patience(&mut self, at: u32) -> Outcome<Option<u64>> {
        let timeout = self.replica(at)?.params().view_timeout.as_nanos().max(1);
        let asked = self.members[at as usize].subject().timer().asked_for();
        Ok(asked.and_then(|patience| u64::try_from(patience.as_nanos() / timeout).ok()))
    }

    /// Crashes a replica and starts it again.
    pub(super) fn restart(&mut self, at: u32) -> Outcome {
        self.note(at, Given::Start, "a crash, and a start");
        match &mut self.members[at as usize] {
            Member::Core(host) => drop(host.restart()?),
            Member::Node(node) => drop(node.restart(&self.vocabulary)?),
        }
        Ok(())
    }

    /// Puts a replica in another one's place, that starts from what is said to be on its disk. On the core only.
    pub(super) fn replace(&mut self, at: u32, durable: Durable) -> Outcome {
        self.note(at, Given::Start, "a start from another disk");
        let host = CoreHost::from_disk(&self.vocabulary, model::ReplicaId(at as u8), durable)?;
        self.members[at as usize] = Member::Core(Box::new(host));
        self.seen[at as usize] = Observation::default();
        Ok(())
    }

    /// Delivers, posts what is said, and holds the replica to what always holds.
    pub(super) fn give(
        &mut self,
        at: u32,
        delivery: &Delivery,
    ) -> Outcome<Result<Observation, Rejection>> {
        let before = self.replica(at)?;
        self.note(at, Given::from(delivery), &in_words(delivery));
        let member = self.members[at as usize].subject();
        let outcome = member.deliver(&self.vocabulary, delivery)?;
        let after = self.replica(at)?;
        match &outcome {
            Ok(seen) => self.post(at, seen)?,
            Err(rejection) if before != after => {
                let what = "refused, but the replica changed";
                let difference = Difference::new(Kind::StateChanged, what);
                return Err(difference.with(Fact::Refused(rejection.kind())));
            }
            Err(_) => {}
        }
        let clients = usize::from(model::Value::MAX_CLIENTS);
        let most = Footprint::most(after.params(), clients);
        match after.footprint().beyond(&most) {
            None => Ok(outcome),
            Some((what, got, most)) => {
                let diff = vec![format!("- at most {most}"), format!("+ {got}")];
                let what = format!("replica {at} holds more {what} than it may");
                let difference = Difference::new(Kind::State, what).with_diff(diff);
                Err(difference.with(Fact::Field(Field::Held)))
            }
        }
    }

    fn post(&mut self, at: u32, seen: &Observation) -> Outcome {
        if let Some(message) = &seen.undurable {
            let what = format!("{} left before it was durable", message.kind());
            let difference = Difference::new(Kind::NotDurable, what);
            let deed = Deed::of_message(message).map(Fact::Undurable);
            return Err(deed.into_iter().fold(difference, Difference::with));
        }
        if let Some(reason) = &seen.halted {
            return Err(Difference::new(Kind::Halted, reason.clone()));
        }
        let others = || (0..self.members.len() as u32).filter(|other| *other != at);
        let mut letters = Vec::new();
        for message in &seen.broadcasts {
            let letter = |to| Letter { from: at, to, message: message.clone() };
            letters.extend(others().map(letter));
        }
        for (to, message) in &seen.sends {
            letters.push(Letter { from: at, to: to.0, message: message.clone() });
        }
        self.transit.extend(letters);
        self.seen[at as usize].extend(seen.clone());
        Ok(())
    }

    /// Delivers what must be taken.
    pub(super) fn demand(&mut self, at: u32, delivery: &Delivery) -> Outcome<Observation> {
        self.give(at, delivery)?.map_err(|rejection| {
            let diff = vec!["- taken".to_owned(), format!("+ {rejection}")];
            let what = format!("replica {at} refused {}", describe(delivery));
            let difference = Difference::new(Kind::Refused, what).with_diff(diff);
            difference.with(Fact::Refused(rejection.kind())).at(delivery)
        })
    }

    /// Delivers what must be refused for this reason.
    pub(super) fn refuse(&mut self, at: u32, delivery: &Delivery, kind: RejectionKind) -> Outcome {
        let refused = self.give(at, delivery)?.err().map(|rejection| rejection.kind());
        let what = format!("{} at replica {at}", describe(delivery));
        let got = refused.map_or("taken", RejectionKind::as_str);
        expect(&what, kind.as_str(), got).map_err(|difference| {
            let difference = difference.with(Fact::MustRefuse(kind)).at(delivery);
            refused.map(Fact::Refused).into_iter().fold(difference, Difference::with)
        })
    }

    /// A client asks this replica.
    pub(super) fn ask(&mut self, at: u32, request: &Arc<Signed<Request>>) -> Outcome<Observation> {
        self.demand(at, &Delivery::Client(Message::Request(Arc::clone(request))))
    }

    /// A replica's status timer runs out.
    pub(super) fn tick(&mut self, at: u32) -> Outcome<Observation> {
        self.demand(at, &Delivery::Timer(Timer::Status))
    }

    /// Delivers everything that is on its way, and all that follows; what must not arrive is handed back.
    pub(super) fn settle(&mut self, arrives: impl Fn(&Letter) -> bool) -> Outcome<Vec<Letter>> {
        let mut lost = Vec::new();
        while let Some(letter) = self.transit.pop_front() {
            match arrives(&letter) {
                true => self.hand_over(&letter)?,
                false => lost.push(letter),
            }
        }
        Ok(lost)
    }

    /// Delivers letters that were held back, but not what follows from them.
    pub(super) fn release(&mut self, lost: &[Letter], which: impl Fn(&Letter) -> bool) -> Outcome {
        lost.iter().filter(|letter| which(letter)).try_for_each(|letter| self.hand_over(letter))
    }

    fn hand_over(&mut self, letter: &Letter) -> Outcome {
        match self.give(letter.to, &from(letter.from, letter.message.clone()))? {
            Err(rejection) if !LATE.contains(&rejection.kind()) => {
                let what = format!("replica {}'s {}", letter.from, label(&letter.message));
                let diff = vec!["- taken".to_owned(), format!("+ {rejection}")];
                let difference = Difference::new(Kind::Refused, what).with_diff(diff);
                Err(difference.with(Fact::Refused(rejection.kind())))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// What is on its way is lost.
    pub(super) fn lose_all(&mut self) -> Vec<Letter> {
        std::mem::take(&mut self.transit).into()
    }

    /// A peer with this status is answered with exactly this, in this order.
    pub(super) fn answers(&mut self, at: u32, status: Status, expected: &[&str]) -> Outcome {
        let on_their_way = self.lose_all();
        self.tick(at)?;
        let what = format!("replica {at} answers {status:?}");
        let peer = status.replica;
        let signed = self.vocabulary.sign_as(model::ReplicaId(peer.0 as u8), status);
        let question = from(peer.0, Message::Status(signed));
        let seen = self.demand(at, &question)?;
        let said = seen.sends.iter().map(|(to, message)| match *to == peer {
            true => label(message),
            false => format!("{} to {to}", label(message)),
        });
        let expected: Vec<_> = expected.iter().map(|line| (*line).to_owned()).collect();
        expect(&what, expected, said.collect())?;
        expect("what is broadcast then", 0, seen.broadcasts.len())?;
        self.refuse(at, &question, RejectionKind::Duplicate)?;
        self.transit = on_their_way.into();
        Ok(())
    }

    /// A client's request, with an operation of so many bytes.
    pub(super) fn request(&self, lane: u16, timestamp: u64, bytes: usize) -> Arc<Signed<Request>> {
        let client = ClientId(1);
        let operation = vec![1; bytes];
        let body = Request {
            client,
            lane: Lane(lane),
            timestamp: Timestamp(timestamp),
            session: Session::default(),
            operation,
        };
        Arc::new(self.vocabulary.sign(body))
    }

    /// A PRE-PREPARE of view 0's primary, whether or not that replica has made it.
    pub(super) fn pre_prepare(&self, seq: u64, requests: &[Arc<Signed<Request>>]) -> Message {
        let requests = requests.iter().map(|request| Signed::clone(request)).collect();
        let batch = Arc::new(Batch { requests });
        let (seq, digest, replica) = (SeqNum(seq), batch_digest(&batch), ReplicaId(0));
        let body = PrePrepare { view: View(0), seq, digest, replica };
        let pre_prepare = self.vocabulary.sign_as(model::ReplicaId(0), body);
        Message::PrePrepare(Arc::new(Proposal { pre_prepare, batch }))
    }

    /// The lanes of each batch that this replica has ordered, by sequence number, in the order of its PRE-PREPAREs.
    pub(super) fn ordered(&self, at: u32) -> Vec<(u64, Vec<u16>)> {
        let said = self.seen(at).broadcasts.iter();
        let orders = said.filter_map(|message| match message {
            Message::PrePrepare(proposal) => Some(proposal),
            _ => None,
        });
        let lanes = |batch: &Batch| batch.requests.iter().map(|one| one.body.lane.0).collect();
        orders.map(|p| (p.pre_prepare.body.seq.0, lanes(&p.batch))).collect()
    }

    /// How many requests each batch had that this replica executed.
    pub(super) fn executed(&self, at: u32) -> Vec<(u64, usize)> {
        let executed = self.seen(at).executed.iter();
        executed.map(|(seq, applied)| (seq.0, applied.len())).collect()
    }

    /// Lane and timestamp of each reply.
    pub(super) fn replied(&self, at: u32) -> Vec<(u16, u64)> {
        let replies = self.seen(at).replies.iter();
        replies.map(|reply| (reply.body.lane.0, reply.body.timestamp.0)).collect()
    }
}

/// The configuration of most scenarios. Its bounds on views and slots do not bind them.
const FOUR: &str = "n4-bnone-v0-s1-d1";

fn named(config: &str) -> Outcome<model::Config> {
    let harness = |error: model::ConfigError| Difference::new(Kind::Harness, error.to_string());
    config.parse().map_err(harness)
}

/// A delivery, and what exactly is delivered.
fn in_words(delivery: &Delivery) -> String {
    match delivery {
        Delivery::Message { from, message } => format!("{} from {from}", label(message)),
        Delivery::Client(message) => format!("{} of a client", label(message)),
        Delivery::Timer(_) | Delivery::Suspect => describe(delivery),
    }
}

/// A message on a replica's channel.
pub(super) fn from(replica: u32, message: Message) -> Delivery {
    Delivery::Message { from: ReplicaId(replica), message }
}

/// Demands that two things are the same.
pub(super) fn expect<T: PartialEq + Debug>(what: &str, expected: T, got: T) -> Outcome {
    match expected == got {
        true => Ok(()),
        false => {
            let diff = vec![format!("- {expected:?}"), format!("+ {got:?}")];
            Err(Difference::new(Kind::Reaction, what).with_diff(diff))
        }
    }
}
