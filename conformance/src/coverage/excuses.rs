//! What stays at zero, and why it must.

use crate::refinement::kind::ActionKind;
use crate::subject::tally::Phase;
use pbft_core::RejectionKind;

/// Actions that a replica cannot take in a phase.
pub const IMPOSSIBLE: &[(ActionKind, Phase, &str)] = &[
    (
        ActionKind::PrePrepare,
        Phase::BetweenViews,
        "the primary orders nothing before its NEW-VIEW (§4.4)",
    ),
    (
        ActionKind::Prepare,
        Phase::BetweenViews,
        "a replica accepts nothing in a view that it left (§4.4)",
    ),
    (
        ActionKind::Commit,
        Phase::BetweenViews,
        "a replica votes for nothing in a view that it left (§4.4)",
    ),
    (
        ActionKind::NewView,
        Phase::FirstView,
        "the primary of a view sends VIEW-CHANGE before it (§4.4)",
    ),
    (
        ActionKind::NewView,
        Phase::LaterView,
        "the primary of a view sends VIEW-CHANGE before it (§4.4)",
    ),
];

/// Reasons for a refusal that no replay meets.
pub const REJECTIONS: &[(RejectionKind, &str)] = &[
    (
        RejectionKind::LastView,
        "it takes 2^64 views; `there_is_a_last_view` in impl/core/tests begins there",
    ),
    (
        RejectionKind::BadAuthenticator,
        "clients sign in the clusters that are replayed; impl/core/tests/poison.rs has clients that do not",
    ),
    (
        RejectionKind::NotSigned,
        "clients sign in the clusters that are replayed; impl/core/tests/poison.rs has clients that do not",
    ),
    (
        RejectionKind::UnexpectedCompletion,
        "completions come from a replica's own service, which answers once and in order here; \
         `completions_answer_what_was_asked_for` in impl/core/tests gives others",
    ),
    (
        RejectionKind::AnotherWaits,
        "a client of the model asks for one thing; `two_requests_with_one_timestamp_do_not_wait_together` in \
         impl/core/tests has one that asks for two",
    ),
    (
        RejectionKind::TimestampTooHigh,
        "the model's timestamps are small; `the_last_timestamps_are_refused` in impl/core/tests has large ones",
    ),
    (
        RejectionKind::OverBudget,
        "what a replay asks for is small; the scenario `a peer that was given enough` asks for more than its share",
    ),
    (
        RejectionKind::Halted,
        "a replica that stops is a divergence, so none is asked for more; \
         `two_certificates_for_one_sequence_number_stop_the_replica` in impl/core/tests asks one",
    ),
    (
        RejectionKind::UnreadableStateData,
        "what a proven digest stands for can be read, unless f+1 replicas lied together; \
         `chunk_zero_is_a_reply_table` in impl/core/tests has such a proof",
    ),
];

/// Effects that no replay has.
pub const EFFECTS: &[(&str, &str)] =
    &[("halt", "a replica that stops is a divergence; impl/core/tests/paper stops some")];

/// Clauses that no refusal and no effect of their own shows, and the action at whose every step what they say is compared.
pub const BY_ACTION: &[(&str, ActionKind)] =
    &[("W2", ActionKind::NewView), ("W3", ActionKind::NewView)];

/// Why no replay is refused for this reason.
pub fn refusal(kind: RejectionKind) -> Option<&'static str> {
    REJECTIONS.iter().find(|(listed, _)| *listed == kind).map(|(_, reason)| *reason)
}

/// Why no replay has this effect.
pub fn effect(name: &str) -> Option<&'static str> {
    EFFECTS.iter().find(|(listed, _)| *listed == name).map(|(_, reason)| *reason)
}

/// Why an action cannot be taken in a phase.
pub fn impossible(action: ActionKind, phase: Phase) -> Option<&'static str> {
    let is_it = |(listed, at, _): &&(ActionKind, Phase, &str)| *listed == action && *at == phase;
    IMPOSSIBLE.iter().find(is_it).map(|(_, _, reason)| *reason)
}
