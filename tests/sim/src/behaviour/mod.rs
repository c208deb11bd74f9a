//! Byzantine replicas: strategies over a real key.
//!
//! A liar runs the production core like everybody else, and a set of strategies speaks for it: each sees what the machine
//! wants to say, to whom, and may change, delay, drop or add. So a liar is always plausible, and its lies concern what
//! goes on. It signs with its own key and with no other; it may hand on, repeat and rearrange whatever it has heard.

mod hand;
mod noise;
mod views;
mod votes;

pub use hand::Hand;
pub(crate) use hand::keep_last;
pub use noise::ELSEWHERE;

use super::rng::Rng;
use core::time::Duration;
use pbft_core::Params;
use pbft_core::crypto::Signer;
use pbft_core::message::{Message, Reply, Signed, StateData};
use pbft_core::types::{ClientId, ReplicaId};
use pbft_host::frame::ReplicaFrame;
use pbft_host::{Said, codec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

macro_rules! behaviours {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)* | $($(#[$own:meta])* $asked:ident = $word:literal,)*) => {
        /// A strategy of a Byzantine replica.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Behaviour {
            $($(#[$doc])* $name,)*
            $($(#[$own])* $asked,)*
        }

        impl Behaviour {
            /// Those that chance may choose.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
            /// Those that are there when somebody asks for them.
            pub const ASKED: &'static [Self] = &[$(Self::$asked),*];

            /// The one of this name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().chain(Self::ASKED).find(|one| one.name() == name).copied()
            }

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* $(Self::$asked => $word,)* }
            }
        }
    };
}

behaviours! {
    /// As primary, it proposes different batches to different replicas.
    Equivocate = "equivocate",
    /// It says nothing.
    Silent = "silent",
    /// It proposes just before the others lose patience.
    Slow = "slow",
    /// It never talks to f of the others.
    SkipReplicas = "skip-replicas",
    /// It does not hear one client.
    SkipClient = "skip-client",
    /// It votes for two digests.
    DoubleVote = "double-vote",
    /// It votes for a digest of nothing.
    WrongDigest = "wrong-digest",
    /// It votes in other replicas' names, and over its channel with their votes.
    VoteAsOther = "vote-as-other",
    /// It prepares and commits whatever it hears of, in every view.
    SupportAll = "support-all",
    /// Its VIEW-CHANGEs hold certificates that are none.
    ForgeCertificates = "forge-certificates",
    /// Its VIEW-CHANGEs hide what has prepared.
    HideCertificates = "hide-certificates",
    /// Its VIEW-CHANGEs hold the oldest certificates that it can put together.
    StaleCertificates = "stale-certificates",
    /// It proposes to some when the others' patience ends, shows every certificate that it can put together, and serves
    /// neither batches nor state.
    WithholdBodies = "withhold-bodies",
    /// Its VIEW-CHANGEs claim checkpoints without a proof.
    UnprovenCheckpoint = "unproven-checkpoint",
    /// Its NEW-VIEWs order something else than V says.
    WrongNewView = "wrong-new-view",
    /// Its NEW-VIEWs rest on too few, doubled or stale VIEW-CHANGEs, or begin views of others.
    FakeNewView = "fake-new-view",
    /// Its NEW-VIEWs reach some only.
    PartialNewView = "partial-new-view",
    /// It asks for one view after the other.
    ViewChangeStorm = "view-change-storm",
    /// It names views and sequence numbers at the end of the range.
    HugeNumbers = "huge-numbers",
    /// Its checkpoints have wrong digests and numbers.
    BadCheckpoints = "bad-checkpoints",
    /// It serves wrong, cut off and endless state, or none.
    LyingSource = "lying-source",
    /// It floods the others with bad signatures.
    BadSignatures = "bad-signatures",
    /// It sends frames that are none.
    Malformed = "malformed",
    /// Its votes are one off in view or sequence number.
    OffByOne = "off-by-one",
    /// It repeats what it and others said before.
    Replay = "replay",
    /// As primary, it proposes batches that are not acceptable.
    BadBatches = "bad-batches",
    /// It hands out final batches and stable checkpoints that are neither.
    FakeProofs = "fake-proofs",
    /// It asks for everything that it has heard of, again and again.
    AskWithoutEnd = "ask-without-end",
    /// It answers clients with wrong results.
    LieToClients = "lie-to-clients",
    /// It says anything.
    Random = "random",
    |
    /// It spoils the authenticators of requests that it proposes and hands on. There are some only where clients do not
    /// sign.
    SpoilTags = "spoil-tags",
    /// It serves what it has of a state, each part just before whoever asked for it loses patience.
    Trickle = "trickle",
    /// With others of its kind it leads two halves of the cluster to different decisions: as primary it proposes another
    /// batch to each, and it votes in each half for that half's batch. It takes more than f of them.
    Collude = "collude",
}

/// A frame that a liar sends.
#[derive(Clone, Debug)]
pub struct Utterance {
    /// To whom.
    pub to: Addressee,
    /// How much later than now.
    pub after: Duration,
    /// The bytes.
    pub frame: Arc<[u8]>,
}

/// Whom a liar talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressee {
    /// A replica.
    Replica(ReplicaId),
    /// A client.
    Client(ClientId),
}

/// What a strategy is about to send.
type Draft = Vec<(Duration, Message)>;

/// A Byzantine replica's mind.
pub struct Liar {
    behaviours: Vec<Behaviour>,
    hand: Hand,
    /// How often each behaviour did something of its own.
    pub acted: BTreeMap<Behaviour, u64>,
    ticks: u64,
}

impl std::fmt::Debug for Liar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Liar").field("behaviours", &self.behaviours).finish_non_exhaustive()
    }
}

impl Liar {
    /// A liar with these strategies.
    #[must_use]
    pub fn new(
        behaviours: Vec<Behaviour>,
        params: Arc<Params>,
        signer: Arc<dyn Signer>,
        rng: Rng,
    ) -> Self {
        Self { behaviours, hand: Hand::new(params, signer, rng), acted: BTreeMap::new(), ticks: 0 }
    }

    /// It tells all to whom it lies about a slot the same.
    pub fn steady(mut self) -> Self {
        self.hand.steady = true;
        self
    }

    /// It has other strategies from now on; with none it says what its machine says.
    pub fn set_behaviours(&mut self, behaviours: Vec<Behaviour>) {
        self.behaviours = behaviours;
    }

    fn has(&self, behaviour: Behaviour) -> bool {
        self.behaviours.contains(&behaviour)
    }

    fn act(&mut self, behaviour: Behaviour) {
        *self.acted.entry(behaviour).or_default() += 1;
    }

    /// A message reached it. False if it pretends that it did not.
    pub fn hear(&mut self, message: &Message) -> bool {
        self.hand.hear(message);
        if self.has(Behaviour::SkipClient)
            && let Message::Request(request) = message
            && request.body.client.0 == 0
        {
            self.act(Behaviour::SkipClient);
            return false;
        }
        true
    }

    /// What it makes of what its machine says.
    pub fn say(&mut self, said: Said) -> Vec<Utterance> {
        match said {
            Said::All(message) => {
                self.hand.hear(&message);
                let others: Vec<_> = self.hand.params.membership.others(self.hand.id).collect();
                others.into_iter().flat_map(|to| self.say_to(to, &message)).collect()
            }
            Said::To(to, message) => self.say_to(to, &message),
            Said::Client(_, ReplicaFrame::Reply(reply)) => self.answer(reply).into_iter().collect(),
            Said::Client(client, frame) => {
                let frame = codec::encode(&frame).unwrap_or_default().into();
                vec![Utterance { to: Addressee::Client(client), after: Duration::ZERO, frame }]
            }
        }
    }

    fn say_to(&mut self, to: ReplicaId, message: &Message) -> Vec<Utterance> {
        let mut draft: Draft = vec![(Duration::ZERO, message.clone())];
        for behaviour in self.behaviours.clone() {
            let before = draft.clone();
            draft = self.revise(behaviour, to, draft);
            if draft != before {
                self.act(behaviour);
            }
        }
        let utterance = |(after, message): (Duration, Message)| {
            Some(Utterance {
                to: Addressee::Replica(to),
                after,
                frame: codec::encode(&message).ok()?.into(),
            })
        };
        draft.into_iter().filter_map(utterance).collect()
    }

    fn revise(&mut self, behaviour: Behaviour, to: ReplicaId, draft: Draft) -> Draft {
        let hand = &mut self.hand;
        match behaviour {
            Behaviour::Equivocate => votes::equivocate(hand, to, draft),
            Behaviour::Collude => votes::two_faced(hand, to, draft),
            Behaviour::Silent => Draft::new(),
            Behaviour::Slow => votes::slow(hand, draft),
            Behaviour::SkipReplicas => votes::skip_replicas(hand, to, draft),
            Behaviour::DoubleVote => votes::double(hand, draft),
            Behaviour::WrongDigest => votes::wrong_digest(hand, draft),
            Behaviour::OffByOne => votes::off_by_one(hand, draft),
            Behaviour::BadCheckpoints => votes::bad_checkpoints(hand, draft),
            Behaviour::BadBatches => votes::bad_batches(hand, draft),
            Behaviour::SpoilTags => votes::spoil_tags(hand, draft),
            Behaviour::ForgeCertificates => views::forge(hand, draft),
            Behaviour::HideCertificates => views::hide(hand, draft),
            Behaviour::StaleCertificates => views::stale(hand, draft),
            Behaviour::WithholdBodies => views::withhold(hand, to, draft),
            Behaviour::UnprovenCheckpoint => views::unproven(hand, draft),
            Behaviour::WrongNewView => views::wrong_order(hand, to, draft),
            Behaviour::FakeNewView => views::fake(hand, draft),
            Behaviour::PartialNewView => views::partial(hand, to, draft),
            Behaviour::LyingSource => lying_source(hand, draft),
            Behaviour::Trickle => trickle(hand, draft),
            Behaviour::SkipClient
            | Behaviour::VoteAsOther
            | Behaviour::SupportAll
            | Behaviour::ViewChangeStorm
            | Behaviour::HugeNumbers
            | Behaviour::BadSignatures
            | Behaviour::Malformed
            | Behaviour::Replay
            | Behaviour::FakeProofs
            | Behaviour::AskWithoutEnd
            | Behaviour::LieToClients
            | Behaviour::Random => draft,
        }
    }

    fn answer(&mut self, reply: Signed<Reply>) -> Option<Utterance> {
        if self.has(Behaviour::Silent) {
            return None;
        }
        let mut reply = reply;
        if self.has(Behaviour::LieToClients) {
            let result: Arc<[u8]> = 77u64.to_le_bytes().into();
            reply = self.hand.sign(Reply { result, ..reply.body });
            self.act(Behaviour::LieToClients);
        }
        let to = Addressee::Client(reply.body.client);
        let frame = codec::encode(&ReplicaFrame::Reply(reply)).ok()?.into();
        Some(Utterance { to, after: Duration::ZERO, frame })
    }

    /// What it says of its own accord: after each message that it hears, and at each of its ticks.
    pub fn speak_up(&mut self, heard: Option<&Message>) -> Vec<Utterance> {
        if heard.is_none() {
            self.ticks += 1;
        }
        let mut all = Vec::new();
        for behaviour in self.behaviours.clone() {
            let hand = &mut self.hand;
            if let (Behaviour::Collude, Some(message)) = (behaviour, heard) {
                let votes = votes::for_a_half(hand, message);
                all.extend(votes.iter().flat_map(|(to, vote)| self.to_one(*to, vote)));
                continue;
            }
            let messages = match (behaviour, heard) {
                (Behaviour::SupportAll, Some(message)) => votes::support(hand, message),
                (Behaviour::SpoilTags, Some(message)) => votes::hand_on_spoiled(hand, message),
                (Behaviour::VoteAsOther, Some(message)) => votes::as_other(hand, message),
                (Behaviour::ViewChangeStorm, None) => views::storm(hand, self.ticks),
                (Behaviour::FakeNewView, None) => views::usurp(hand),
                (Behaviour::HugeNumbers, None) => noise::huge(hand),
                (Behaviour::BadSignatures, None) => noise::bad_signatures(hand),
                (Behaviour::Replay, None) => noise::replay(hand),
                (Behaviour::FakeProofs, None) => noise::fake_proofs(hand),
                (Behaviour::AskWithoutEnd, None) => noise::questions(hand),
                (Behaviour::Random, None) => noise::random(hand),
                (Behaviour::LyingSource, None) => vec![noise::unasked_state(hand)],
                (Behaviour::Malformed, None) => {
                    all.extend(noise::malformed(hand));
                    self.act(behaviour);
                    continue;
                }
                _ => continue,
            };
            if !messages.is_empty() {
                self.act(behaviour);
            }
            all.extend(self.to_all(&messages));
        }
        all
    }

    fn to_one(&self, to: ReplicaId, message: &Message) -> Option<Utterance> {
        let frame = codec::encode(message).ok()?.into();
        Some(Utterance { to: Addressee::Replica(to), after: Duration::ZERO, frame })
    }

    fn to_all(&self, messages: &[Message]) -> Vec<Utterance> {
        let frames = messages.iter().filter_map(|message| codec::encode(message).ok());
        let others = || self.hand.params.membership.others(self.hand.id);
        let utterance = |frame: Arc<[u8]>| {
            others().map(move |to| Utterance {
                to: Addressee::Replica(to),
                after: Duration::ZERO,
                frame: Arc::clone(&frame),
            })
        };
        frames.map(Arc::from).flat_map(utterance).collect()
    }
}

/// State comes as late as it may without being asked of another source: nearly four ticks.
fn trickle(hand: &Hand, draft: Draft) -> Draft {
    let wait = hand.params.status_interval * 39 / 10;
    let delay = |(after, message): (Duration, Message)| match message {
        Message::StateData(_) => (after + wait, message),
        _ => (after, message),
    };
    draft.into_iter().map(delay).collect()
}

/// Wrong bytes, too few, too many, or none at all.
fn lying_source(hand: &mut Hand, draft: Draft) -> Draft {
    let lie = |(after, message): (Duration, Message)| {
        let Message::StateData(data) = &message else { return Some((after, message)) };
        let mut bytes = data.bytes.to_vec();
        match hand.rng.below(5) {
            0 => return None,
            1 => bytes.truncate(bytes.len() / 2),
            2 => bytes.extend([0; 4096]),
            3 => bytes.iter_mut().take(1).for_each(|byte| *byte ^= 1),
            _ => return Some((after, message)),
        }
        let data = StateData { bytes: bytes.into(), ..StateData::clone(data) };
        Some((after, Message::StateData(Arc::new(data))))
    };
    draft.into_iter().filter_map(lie).collect()
}
