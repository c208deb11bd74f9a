//! What a replica, its node or a client owes: for each reaction, and for each probe whose guard its reason does not name, who
//! does it.

use super::{Handler, Rule, deeds, in_core, in_host, in_model, in_node};

/// Who does what a probe or a reaction is about.
#[derive(Clone, Copy, Debug)]
pub struct Owed {
    /// The functions, the one at which it shows first.
    pub places: &'static [Handler],
    /// What they do.
    pub why: &'static str,
    /// What says so.
    pub rule: Rule,
}

/// What the model leaves out.
const fn beyond(section: &'static str) -> Rule {
    Rule { section, place: None }
}

const fn rule(section: &'static str, place: Handler) -> Rule {
    Rule { section, place: Some(place) }
}

const ON_REQUEST: Handler = in_core!("normal_case.rs", "Replica::on_request");
const ON_STATUS: Handler = in_core!("status.rs", "Replica::on_status");
const HELP_WITH_VIEW: Handler = in_core!("status.rs", "Replica::help_with_view");
const HELP_WITH_STATE: Handler = in_core!("status.rs", "Replica::help_with_state");
const HELP_WITH_VOTES: Handler = in_core!("status.rs", "Replica::help_with_votes");
const ON_REPLY: Handler = in_core!("client.rs", "ClientLane::on_reply");
const CERTIFICATE: Handler = in_core!("crypto.rs", "Check::certificate");
const STABLE: Handler = in_core!("crypto.rs", "Check::stable");
const VIEW_CHANGE: Handler = in_core!("crypto.rs", "Check::view_change");
const NEW_VIEW: Handler = in_core!("crypto.rs", "Check::new_view");
const COMMITTED: Handler = in_core!("crypto.rs", "Check::committed");
const REQUEST: Handler = in_core!("crypto.rs", "Check::request");
const BATCH: Handler = in_core!("crypto.rs", "Check::batch");
const CERTIFIED_BATCH: Handler = in_core!("crypto.rs", "Check::certified_batch");
const ACCEPT: Handler = in_node!("transport/handshake.rs", "Acceptor::accept");
const VERIFY: Handler = in_node!("keyring.rs", "VerifiedCache::verify");

const SIGNS: &str = "looks at the signatures";
const HELPS: &str = "answers a STATUS";
const HEARS: &str = "hears replies";
const GREETS: &str = "decides who is let in";

type Row = (&'static str, Owed);

const fn row(name: &'static str, why: &'static str, rule: Rule, places: &'static [Handler]) -> Row {
    (name, Owed { places, why, rule })
}

/// By the probe's name.
const OWED: &[Row] = &[
    row(
        "an executed request is answered again",
        "answers again",
        beyond("4.1"),
        &[in_core!("execution.rs", "Execution::last_reply"), ON_REQUEST],
    ),
    row(
        "a client's request is relayed and timed",
        "relays and times a request",
        beyond("4.1"),
        &[ON_REQUEST, in_core!("timer.rs", "Replica::refresh_timer")],
    ),
    row("a relayed request goes no further", "relays a request", beyond("4.1"), &[ON_REQUEST]),
    row(
        "what is said again is what was said",
        HELPS,
        rule("4.2", in_model!("adversary.rs", "Pbft::repeats_votes")),
        &[HELP_WITH_VOTES, HELP_WITH_VIEW, HELP_WITH_STATE],
    ),
    row(
        "a final batch is handed on",
        HELPS,
        rule("4.2", in_model!("normal_case.rs", "Pbft::handed_on")),
        &[HELP_WITH_STATE],
    ),
    row("a NEW-VIEW is handed on", HELPS, beyond("4.4"), &[HELP_WITH_VIEW]),
    row(
        "VIEW-CHANGEs of others are handed on",
        HELPS,
        rule("4.4", in_model!("adversary.rs", "Pbft::repeats_view_change")),
        &[HELP_WITH_VIEW],
    ),
    row(
        "a tick says what the replica has",
        "tells what it has",
        beyond("2"),
        &[
            in_core!("status.rs", "Replica::on_status_timer"),
            in_core!("status.rs", "Replica::status"),
        ],
    ),
    row(
        "votes for what is not final are said again",
        HELPS,
        rule("4.2", in_model!("adversary.rs", "Pbft::repeats_votes")),
        &[HELP_WITH_VOTES, ON_STATUS],
    ),
    row(
        "the proof of a stable checkpoint is handed on",
        HELPS,
        rule("4.3", in_model!("adversary.rs", "Pbft::has_proof")),
        &[HELP_WITH_STATE],
    ),
    row("CHECKPOINTs are said again", HELPS, beyond("4.3"), &[HELP_WITH_STATE]),
    row(
        "a checkpoint's state is served",
        "serves a part of a state",
        beyond("4.3"),
        &[
            in_core!("transfer.rs", "Replica::on_fetch_state"),
            in_host!("perform.rs", "Host::serve"),
            in_host!("perform.rs", "Host::perform"),
            // After a restart it has those that the store kept.
            in_node!("store/transaction.rs", "Transaction::redo"),
        ],
    ),
    row(
        "an accepted batch is served",
        "serves a batch",
        rule("4.4", in_model!("batches.rs", "Pbft::keeps")),
        &[in_core!("fetching.rs", "Replica::on_fetch_batch")],
    ),
    row(
        "of several later views the earliest is joined",
        "chooses the view to join",
        rule("4.5.2", in_model!("rules.rs", "join")),
        &[
            in_core!("view.rs", "CurrentView::view_to_join"),
            in_core!("membership.rs", "Membership::weak"),
        ],
    ),
    row(
        "a NEW-VIEW that waits for state is followed",
        "follows a NEW-VIEW that waits",
        rule("4.4", in_model!("rules.rs", "has_state")),
        &[
            in_core!("transfer.rs", "Replica::on_installed"),
            in_core!("view_change.rs", "Replica::try_awaited"),
            in_core!("view_change.rs", "Replica::has_everything_for"),
        ],
    ),
    row(
        "a view that a quorum wants is timed",
        "times a view change",
        beyond("4.5.2"),
        &[
            in_core!("view.rs", "CurrentView::is_due"),
            in_core!("timer.rs", "Replica::refresh_timer"),
        ],
    ),
    row(
        "an older request is not executed",
        "leaves out what was executed",
        rule("4.1", in_model!("normal_case.rs", "Pbft::execute")),
        &[in_core!("execution.rs", "Execution::not_yet_executed")],
    ),
    row(
        "a client believes f+1 equal replies",
        HEARS,
        rule("4.1", in_model!("normal_case.rs", "Pbft::replies_needed")),
        &[ON_REPLY, in_core!("client.rs", "ClientLane::on_submit")],
    ),
    row("a client counts each replica once", HEARS, beyond("4.1"), &[ON_REPLY]),
    row("a client believes replies to its request", HEARS, beyond("4.1"), &[ON_REPLY]),
    row("a client believes members", HEARS, beyond("4.1"), &[ON_REPLY]),
    row(
        "a client follows the view of f+1 replicas",
        HEARS,
        beyond("4.1"),
        &[ON_REPLY, in_core!("client.rs", "ClientLane::learn_view")],
    ),
    row(
        "an impatient client asks everybody",
        "asks everybody",
        beyond("4.1"),
        &[in_core!("client.rs", "ClientLane::on_timeout")],
    ),
    row("no two honest votes are evidence", "says what is evidence", beyond("2"), deeds::EVIDENCE),
    row("a forged CHECKPOINT in a VIEW-CHANGE", SIGNS, beyond("2"), &[STABLE, VIEW_CHANGE]),
    row("a forged PRE-PREPARE in a VIEW-CHANGE", SIGNS, beyond("2"), &[CERTIFICATE, VIEW_CHANGE]),
    row("a forged PREPARE in a VIEW-CHANGE", SIGNS, beyond("2"), &[CERTIFICATE, VIEW_CHANGE]),
    row("a forged VIEW-CHANGE in a NEW-VIEW", SIGNS, beyond("2"), &[NEW_VIEW, VIEW_CHANGE]),
    row("a forged CHECKPOINT in a NEW-VIEW", SIGNS, beyond("2"), &[STABLE, VIEW_CHANGE, NEW_VIEW]),
    row(
        "a forged PRE-PREPARE in V of a NEW-VIEW",
        SIGNS,
        beyond("2"),
        &[CERTIFICATE, VIEW_CHANGE, NEW_VIEW],
    ),
    row(
        "a forged PREPARE in a NEW-VIEW",
        SIGNS,
        beyond("2"),
        &[CERTIFICATE, VIEW_CHANGE, NEW_VIEW],
    ),
    row("a forged PRE-PREPARE in O of a NEW-VIEW", SIGNS, beyond("2"), &[NEW_VIEW]),
    row("a forged CHECKPOINT in a stable certificate", SIGNS, beyond("2"), &[STABLE]),
    row("a forged COMMIT in a commit certificate", SIGNS, beyond("2"), &[COMMITTED]),
    row(
        "a forged request in a commit certificate",
        SIGNS,
        beyond("2"),
        &[CERTIFIED_BATCH, COMMITTED, REQUEST],
    ),
    row("a forged request in a PRE-PREPARE", SIGNS, beyond("2"), &[BATCH, REQUEST]),
    row(
        "a batch with a request that its client did not sign",
        SIGNS,
        beyond("2"),
        &[BATCH, REQUEST],
    ),
    row("a forged request in a batch", SIGNS, beyond("2"), &[CERTIFIED_BATCH, REQUEST]),
    row("a forged request, relayed", SIGNS, beyond("2"), &[REQUEST]),
    row(
        "a signature of other bytes",
        SIGNS,
        beyond("2"),
        &[VERIFY, in_core!("crypto.rs", "Check::signed")],
    ),
    row(
        "a statement under another one's signature",
        SIGNS,
        beyond("2"),
        &[VERIFY, in_core!("crypto.rs", "Check::signed")],
    ),
    row(
        "a message of another cluster",
        SIGNS,
        beyond("2"),
        &[VERIFY, in_core!("crypto.rs", "Statement::bytes"), in_core!("crypto.rs", "verify")],
    ),
    row(
        "a byte behind a message",
        "reads a frame",
        beyond("2"),
        &[in_host!("codec.rs", "decode"), in_host!("door.rs", "Door::peer_frame")],
    ),
    row(
        "a vote longer than votes are",
        "reads a frame",
        beyond("2"),
        &[in_host!("door.rs", "Door::peer_frame")],
    ),
    row(
        "another client's request",
        "reads a client's frame",
        beyond("4.1"),
        &[in_host!("door.rs", "Door::client_frame")],
    ),
    row(
        "an old request that its client is told of",
        "tells a client why",
        beyond("4.1"),
        &[in_host!("host.rs", "Host::step"), in_core!("execution.rs", "Execution::last_reply")],
    ),
    row(
        "a connection with a key that is nobody's",
        GREETS,
        beyond("2"),
        &[ACCEPT, in_node!("transport/tls.rs", "AnyKnownKey::verify_client_cert")],
    ),
    row(
        "a connection with a key that its holder only names",
        GREETS,
        beyond("2"),
        &[in_node!("transport/tls.rs", "AnyKnownKey::verify_tls13_signature"), ACCEPT],
    ),
    row(
        "a connection of another cluster",
        GREETS,
        beyond("2"),
        &[ACCEPT, in_node!("transport/handshake.rs", "read_hello")],
    ),
    row(
        "a replica that answers for another one",
        GREETS,
        beyond("2"),
        &[in_node!("transport/tls.rs", "PinnedKey::verify_server_cert")],
    ),
    row(
        "a vote on another replica's connection",
        "looks at what comes on a connection",
        beyond("4.2"),
        &[ACCEPT, in_core!("replica.rs", "check_vote_origin"), VERIFY],
    ),
];

/// What this probe is about, if its reason does not say so.
pub fn of(probe: &str) -> Option<Owed> {
    OWED.iter().find(|(name, _)| *name == probe).map(|(_, owed)| *owed)
}

/// The names of all that is listed.
pub fn names() -> impl Iterator<Item = &'static str> {
    OWED.iter().map(|(name, _)| *name)
}

/// All places that are listed.
pub fn all() -> impl Iterator<Item = Owed> {
    OWED.iter().map(|(_, owed)| *owed)
}
