//! Why the model does not allow a recorded step.

use crate::statement::Statement;
use pbft_model::rules::Unmet;
use serde::Serialize;
use std::fmt;

/// What of the protocol a step contradicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "name")]
pub enum Reason {
    /// A guard of the model.
    Guard(Unmet),
    /// A property of the whole run.
    Property(Property),
    /// What the step says, wrote or did is not what its action says.
    Effect,
    /// A restart that is not the identity.
    Restart,
    /// It was heard and never said.
    NeverSaid,
    /// The model allows it, and the theorem's invariant does not hold afterwards.
    Invariant,
}

/// Properties that are looked at while logs are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Property {
    /// No two replicas execute differently at a sequence number.
    Agreement,
    /// No request is executed twice, and none is left out that was not answered.
    ExactlyOnce,
    /// Equal states have equal digests.
    CheckpointAgreement,
    /// At one view and sequence number a replica says one thing.
    OneStatement,
    /// Votes are for the view that the replica is in.
    VotesInItsView,
    /// One digest prepares in a view and sequence number.
    CertificateUniqueness,
    /// A replica stops by itself only if more than f are faulty.
    NoHalt,
}

impl Property {
    const fn section(self) -> &'static str {
        match self {
            Self::ExactlyOnce => "4.1",
            Self::Agreement | Self::OneStatement | Self::CertificateUniqueness => "4.2",
            Self::CheckpointAgreement => "4.3",
            Self::VotesInItsView => "4.4",
            Self::NoHalt => "3",
        }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Agreement => "no two correct replicas execute differently at a sequence number",
            Self::ExactlyOnce => "each request is executed once, and its reply is kept",
            Self::CheckpointAgreement => "checkpoints of one sequence number are equal",
            Self::OneStatement => "a replica says one thing at a view and sequence number",
            Self::VotesInItsView => "a replica votes in its current view, in none that it left",
            Self::CertificateUniqueness => "one digest prepares at a view and sequence number",
            Self::NoHalt => "a correct replica goes on as long as at most f are faulty",
        })
    }
}

/// A step that the model does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the replica did, in words.
    pub step: String,
    /// The rule.
    pub reason: Reason,
    /// What is so, and what would have to be.
    pub detail: String,
}

impl Refusal {
    pub(crate) fn guard(step: impl Into<String>, unmet: Unmet, detail: impl Into<String>) -> Self {
        Self { step: step.into(), reason: Reason::Guard(unmet), detail: detail.into() }
    }

    pub(crate) fn property(
        step: impl Into<String>,
        property: Property,
        detail: impl Into<String>,
    ) -> Self {
        Self { step: step.into(), reason: Reason::Property(property), detail: detail.into() }
    }

    pub(crate) fn effect(step: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { step: step.into(), reason: Reason::Effect, detail: detail.into() }
    }

    pub(crate) fn never_said(place: Statement, detail: impl Into<String>) -> Self {
        let step = format!("hears {place}");
        Self { step, reason: Reason::NeverSaid, detail: detail.into() }
    }

    /// The model allows the step, and the invariant is broken all the same.
    pub(crate) fn invariant(detail: impl Into<String>) -> Self {
        let step = "breaks the theorem's invariant".to_owned();
        Self { step, reason: Reason::Invariant, detail: detail.into() }
    }

    /// The rule in words.
    pub fn rule(&self) -> String {
        match self.reason {
            Reason::Guard(unmet) => unmet.to_string(),
            Reason::Property(property) => property.to_string(),
            Reason::Effect => "a step says, writes and does what its action says".to_owned(),
            Reason::Restart => {
                "a restart changes nothing: votes are durable before they are sent".to_owned()
            }
            Reason::NeverSaid => "nobody can forge what a correct replica signs".to_owned(),
            Reason::Invariant => "the theorem's invariant holds after each step".to_owned(),
        }
    }

    /// Where the paper has the rule.
    pub const fn section(&self) -> &'static str {
        match self.reason {
            Reason::Guard(unmet) => unmet.section(),
            Reason::Property(property) => property.section(),
            Reason::Effect | Reason::Invariant => "4.2",
            Reason::Restart | Reason::NeverSaid => "2",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (§{}); {}", self.step, self.rule(), self.section(), self.detail)
    }
}
