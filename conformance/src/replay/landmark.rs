//! What a replayed graph can lack although it has every action: the edges on which rules meet that smaller graphs have
//! apart. Each is counted; none of a kind is a failure.

use pbft_model as model;
use std::collections::BTreeMap;

/// A kind of edge that the graphs must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Landmark {
    /// Somebody has ordered at slot 2.
    TwoSlots,
    /// A correct primary orders at slot 2.
    SecondPrePrepare,
    /// A correct primary's NEW-VIEW fills a gap.
    NullInNewView,
    /// A NEW-VIEW that fills a gap is followed.
    NullEntered,
    /// A filled gap is executed.
    NullExecuted,
    /// A VIEW-CHANGE has certificates for two slots.
    TwoCertificates,
    /// A VIEW-CHANGE has a certificate above a stable checkpoint.
    CertificateAboveCheckpoint,
    /// A correct primary's NEW-VIEW orders above a stable checkpoint.
    OrderAboveCheckpoint,
    /// A NEW-VIEW that orders above a stable checkpoint is followed.
    OrderAboveCheckpointEntered,
    /// A replica that was just started again acts while two slots are in use.
    Restart,
    /// Both requests of a client are executed.
    BothTimestamps,
    /// A request is final that its client's table of replies has passed: nothing is applied.
    AnsweredBefore,
}

impl Landmark {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::TwoSlots,
        Self::SecondPrePrepare,
        Self::NullInNewView,
        Self::NullEntered,
        Self::NullExecuted,
        Self::TwoCertificates,
        Self::CertificateAboveCheckpoint,
        Self::OrderAboveCheckpoint,
        Self::OrderAboveCheckpointEntered,
        Self::Restart,
        Self::BothTimestamps,
        Self::AnsweredBefore,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TwoSlots => "two slots in use",
            Self::SecondPrePrepare => "an honest PRE-PREPARE at slot 2",
            Self::NullInNewView => "a null in a NEW-VIEW",
            Self::NullEntered => "a NEW-VIEW with a null, followed",
            Self::NullExecuted => "a null executed",
            Self::TwoCertificates => "a VIEW-CHANGE with two certificates",
            Self::CertificateAboveCheckpoint => "P above a stable checkpoint",
            Self::OrderAboveCheckpoint => "O above min-s",
            Self::OrderAboveCheckpointEntered => "a NEW-VIEW with O above min-s, followed",
            Self::Restart => "a step after a restart with two slots in use",
            Self::BothTimestamps => "both requests of a client executed",
            Self::AnsweredBefore => "a request executed that was answered before",
        }
    }

    /// Whether the edge is one.
    fn is_at(self, edge: &Edge<'_>) -> bool {
        match self {
            Self::TwoSlots => edge.uses_two_slots(),
            Self::Restart => edge.restarted && edge.uses_two_slots(),
            Self::SecondPrePrepare => {
                matches!(edge.action, model::Action::PrePrepare { slot: model::Slot(2), .. })
            }
            Self::NullInNewView => edge.begins().is_some_and(has_null),
            Self::NullEntered => edge.enters().is_some_and(has_null),
            Self::OrderAboveCheckpoint => edge.begins().is_some_and(is_above_checkpoint),
            Self::OrderAboveCheckpointEntered => edge.enters().is_some_and(is_above_checkpoint),
            Self::TwoCertificates => edge.leaves().is_some_and(|one| certificates(one) >= 2),
            Self::CertificateAboveCheckpoint => edge.leaves().is_some_and(|one| {
                one.low_water_mark > model::Slot::GENESIS && certificates(one) > 0
            }),
            Self::NullExecuted => edge.executes() == Some(model::Value::NULL),
            Self::BothTimestamps => edge.executes().is_some_and(|value| {
                let first = value.client().map(model::Value::request);
                let applied = |value| edge.after().applied.iter().any(|other| other == value);
                value.number() == 2 && applied(value) && first.is_some_and(applied)
            }),
            Self::AnsweredBefore => edge.executes().is_some_and(|value| {
                value.is_request() && edge.before.replica(edge.own()).served.contains(value)
            }),
        }
    }
}

/// An edge, as a replay takes it.
#[derive(Clone, Copy)]
pub struct Edge<'a> {
    /// The state that it leaves.
    pub before: &'a model::State,
    /// The action.
    pub action: &'a model::Action,
    /// The state that it leads to.
    pub after: &'a model::State,
    /// Whether the replica was started again before it acted.
    pub restarted: bool,
}

impl Edge<'_> {
    /// Counts what the edge is.
    pub fn count(&self, counts: &mut BTreeMap<&'static str, u64>) {
        for landmark in Landmark::ALL.into_iter().filter(|landmark| landmark.is_at(self)) {
            *counts.entry(landmark.name()).or_default() += 1;
        }
    }

    fn own(&self) -> model::ReplicaId {
        self.action.replica()
    }

    fn after(&self) -> &model::ReplicaState {
        self.after.replica(self.own())
    }

    fn uses_two_slots(&self) -> bool {
        let second = model::Slot(2).index();
        let orders = |one: &model::ReplicaState| {
            one.sent.prepares.iter().any(|slots| !slots[second].is_empty())
        };
        self.after.replicas.iter().any(orders)
    }

    /// The NEW-VIEW that a correct primary sends.
    fn begins(&self) -> Option<model::NewView> {
        match *self.action {
            model::Action::NewView { outcome, .. } => Some(outcome),
            _ => None,
        }
    }

    /// The NEW-VIEW that a backup follows.
    fn enters(&self) -> Option<model::NewView> {
        match *self.action {
            model::Action::EnterView { outcome, .. } => Some(outcome),
            _ => None,
        }
    }

    /// The VIEW-CHANGE that is sent.
    fn leaves(&self) -> Option<model::ViewChange> {
        match *self.action {
            model::Action::StartViewChange { to, .. } => self.after().sent.view_changes[to.index()],
            _ => None,
        }
    }

    fn executes(&self) -> Option<model::Value> {
        match *self.action {
            model::Action::Execute { value, .. } => Some(value),
            _ => None,
        }
    }
}

fn has_null(outcome: model::NewView) -> bool {
    let mut slots = outcome.min_s.until(outcome.max_s);
    slots.any(|slot| outcome.order[slot.index()] == model::Value::NULL)
}

fn is_above_checkpoint(outcome: model::NewView) -> bool {
    model::Slot::GENESIS < outcome.min_s && outcome.min_s < outcome.max_s
}

fn certificates(message: model::ViewChange) -> usize {
    message.prepared.iter().flatten().count()
}
