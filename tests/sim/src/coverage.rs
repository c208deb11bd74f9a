//! What runs have exercised, counted by name, so that a preset in which something never happened can say so.

use super::behaviour::Behaviour;
use super::client::ClientLie;
use super::fault::FaultKind;
use pbft_core::RejectionKind;
use pbft_core::message::Message;
use pbft_core::{Effect, Rejection};
use pbft_host::Said;
use pbft_host::frame::RefusalReason;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counts by name.
pub type Counts = BTreeMap<String, u64>;

/// What runs have exercised.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Steps of replicas.
    pub steps: u64,
    /// Frames that were handed over.
    pub deliveries: u64,
    /// Kinds of fault that were injected.
    pub faults: Counts,
    /// Strategies of Byzantine replicas that sent something of their own making.
    pub behaviours: Counts,
    /// Reasons for which correct replicas refused something.
    pub rejections: Counts,
    /// Effects that correct replicas asked for.
    pub effects: Counts,
    /// Kinds of message that correct replicas sent.
    pub messages: Counts,
    /// Executions that clients may have been told of, and a crash made their replica forget (D26).
    pub forgotten: u64,
    /// Requests of copied clients whose timestamps others had used.
    #[serde(default)]
    pub spent: u64,
    /// Of these, those whose clients were told that a later request has overtaken them: nobody remembers whether they were
    /// executed, and they get no answer.
    #[serde(default)]
    pub overtaken: u64,
    /// Starts of processes whose replicas had halted.
    #[serde(default)]
    pub halted_starts: u64,
    /// Votes that contradict what their replica had promised.
    #[serde(default)]
    pub evidence: u64,
    /// Votes that nobody looked at, since nothing needed them (D25).
    #[serde(default)]
    pub votes_sifted: u64,
    /// Replies that left before what their execution wrote was durable (D26).
    #[serde(default)]
    pub early_replies: u64,
    /// Groups whose writes were left to a later one (D26).
    #[serde(default)]
    pub put_off: u64,
}

fn count(counts: &mut Counts, name: &str, by: u64) {
    match counts.get_mut(name) {
        Some(known) => *known += by,
        None => drop(counts.insert(name.to_owned(), by)),
    }
}

/// Rejections that no run can show, and why.
pub const UNREACHABLE: [(RejectionKind, &str); 4] = [
    (
        RejectionKind::NotAMember,
        "a stranger's signature is bad before it is a stranger's; impl/core/tests/paper has strangers with good ones",
    ),
    (
        RejectionKind::LastView,
        "it takes 2^64 view changes; impl/core/tests/paper/view_change.rs starts from the last view",
    ),
    (
        RejectionKind::UnexpectedCompletion,
        "the host answers what it was asked; impl/core/tests/properties.rs answers at random",
    ),
    (
        RejectionKind::Halted,
        "the host ends a process whose core has halted; impl/core/tests/paper/normal_case.rs steps it again",
    ),
];

/// The effects of the core, by the names that [`Coverage::effect`] gives them.
pub const EFFECTS: [&str; 13] = [
    "persist",
    "send",
    "broadcast",
    "execute",
    "store-checkpoint",
    "reply",
    "set-timer",
    "cancel-timer",
    "serve-state",
    "stage-chunk",
    "retain-staged",
    "install",
    "halt",
];

const fn effect_name(effect: &Effect) -> &'static str {
    match effect {
        Effect::Persist(_) => "persist",
        Effect::Send { .. } => "send",
        Effect::Broadcast(_) => "broadcast",
        Effect::Execute { .. } => "execute",
        Effect::StoreCheckpoint { .. } => "store-checkpoint",
        Effect::Reply(_) => "reply",
        Effect::SetTimer { .. } => "set-timer",
        Effect::CancelTimer(_) => "cancel-timer",
        Effect::ServeState { .. } => "serve-state",
        Effect::StageChunk { .. } => "stage-chunk",
        Effect::RetainStaged { .. } => "retain-staged",
        Effect::Install { .. } => "install",
        Effect::Halt(_) => "halt",
    }
}

/// Kinds of message between replicas, as [`Message::kind`] calls them.
pub const MESSAGES: [&str; 14] = [
    "request",
    "pre-prepare",
    "prepare",
    "commit",
    "checkpoint",
    "view-change",
    "new-view",
    "status",
    "committed",
    "stable",
    "fetch-batch",
    "batch",
    "fetch-state",
    "state-data",
];

impl Coverage {
    /// A correct replica refused an input.
    pub fn rejected(&mut self, rejection: &Rejection) {
        count(&mut self.rejections, rejection.kind().as_str(), 1);
    }

    /// A correct replica refused a request before it was an input.
    pub fn refused(&mut self, reason: RefusalReason) {
        // Of a request that is not its sender's the core knows nothing.
        if reason != RefusalReason::NotYours {
            count(&mut self.rejections, reason.kind(), 1);
        }
    }

    /// A correct replica asked for this.
    pub fn effect(&mut self, effect: &Effect) {
        count(&mut self.effects, effect_name(effect), 1);
    }

    /// A correct replica said this.
    pub fn said(&mut self, said: &Said) {
        if let Said::All(message) | Said::To(_, message) = said {
            self.message(message);
        }
    }

    fn message(&mut self, message: &Message) {
        count(&mut self.messages, message.kind(), 1);
    }

    /// A fault was injected.
    pub fn fault(&mut self, kind: &FaultKind) {
        count(&mut self.faults, kind.name(), 1);
    }

    /// A Byzantine replica did something of this kind.
    pub fn behaviour(&mut self, behaviour: Behaviour, times: u64) {
        count(&mut self.behaviours, behaviour.name(), times);
    }

    /// Adds what another run has exercised.
    pub fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.deliveries += other.deliveries;
        self.forgotten += other.forgotten;
        self.spent += other.spent;
        self.overtaken += other.overtaken;
        self.halted_starts += other.halted_starts;
        self.evidence += other.evidence;
        self.votes_sifted += other.votes_sifted;
        self.early_replies += other.early_replies;
        self.put_off += other.put_off;
        let pairs = [
            (&mut self.faults, &other.faults),
            (&mut self.behaviours, &other.behaviours),
            (&mut self.rejections, &other.rejections),
            (&mut self.effects, &other.effects),
            (&mut self.messages, &other.messages),
        ];
        for (mine, theirs) in pairs {
            theirs.iter().for_each(|(name, times)| count(mine, name, *times));
        }
    }

    /// What never happened, of all that can.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let faults: Vec<_> = FaultKind::NAMES.to_vec();
        let drawn_apart = [Behaviour::SpoilTags, Behaviour::Trickle];
        let replicas = Behaviour::ALL.iter().chain(&drawn_apart).map(|one| one.name());
        let clients = ClientLie::ALL.iter().chain(ClientLie::APART).map(|lie| lie.name());
        let behaviours: Vec<_> = replicas.chain(clients).collect();
        let possible = |kind: &&RejectionKind| UNREACHABLE.iter().all(|(one, _)| one != *kind);
        let rejections = RejectionKind::ALL.iter().filter(possible).map(|kind| kind.as_str());
        let rejections: Vec<_> = rejections.collect();
        let lists: [(&str, &Counts, &[&str]); 5] = [
            ("fault", &self.faults, &faults),
            ("behaviour", &self.behaviours, &behaviours),
            ("rejection", &self.rejections, &rejections),
            ("effect", &self.effects, &EFFECTS),
            ("message", &self.messages, &MESSAGES),
        ];
        let mut missing = Vec::new();
        for (what, counts, names) in lists {
            let absent = names.iter().filter(|name| !counts.contains_key(**name));
            missing.extend(absent.map(|name| format!("{what} {name}")));
        }
        let events = [
            (self.forgotten, "execution that a crash made its replica forget"),
            (self.spent, "copied client whose timestamps were used"),
            (self.evidence, "evidence of a broken promise"),
            (self.halted_starts, "start of a replica that had halted"),
            (self.votes_sifted, "vote that nothing needed"),
            (self.early_replies, "reply before its write"),
            (self.put_off, "write that was put off"),
        ];
        let never = events.iter().filter(|(times, _)| *times == 0);
        missing.extend(never.map(|(_, what)| (*what).to_owned()));
        missing
    }
}
