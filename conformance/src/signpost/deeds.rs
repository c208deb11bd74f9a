//! What a replica does and what it keeps: who decides on it, who makes it, who sets it.

use super::{Handler, Rule, in_core, in_host, in_model, in_node};
use crate::statement::{Statement, StatementKind};
use pbft_core::Summary;
use pbft_core::message::Message;
use pbft_model as model;
use std::fmt;

/// Something that a replica does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Deed {
    /// It sends what it signs.
    Says(StatementKind),
    /// It executes a batch.
    Execute,
    /// It answers a client.
    Reply,
    /// It asks for the state of a checkpoint, or installs it.
    Fetch,
    /// It sets or stops its view-change timer.
    Timer,
    /// It chooses how long its view-change timer runs.
    Patience,
    /// It stops for good.
    Halt,
}

/// What a new view's O is.
const PLAN: Handler = in_core!("new_view.rs", "plan");
const QUORUM: Handler = in_core!("membership.rs", "Membership::quorum");
const BEGIN_VIEW: Handler = in_core!("view_change.rs", "Replica::begin_view");
const PROPOSE: Handler = in_core!("normal_case.rs", "Replica::propose");
const RESTORE_LOG: Handler = in_core!("recovery.rs", "Replica::restore_log");
const START_VIEW_CHANGE: Handler = in_core!("view_change.rs", "Replica::start_view_change");
const REFRESH_TIMER: Handler = in_core!("timer.rs", "Replica::refresh_timer");
const STABILISE: Handler = in_core!("checkpoint.rs", "Replica::stabilise");
const TRY_STABILISE: Handler = in_core!("checkpoint.rs", "Replica::try_stabilise");
const ON_EXECUTED: Handler = in_core!("execution.rs", "Replica::on_executed");
const ON_INSTALLED: Handler = in_core!("transfer.rs", "Replica::on_installed");
const APPEND: Handler = in_node!("store/transaction.rs", "Transaction::append");
const EXECUTED: Handler = in_node!("store/transaction.rs", "Transaction::record_execution");
const COLLECT_COMMITS: Handler = in_core!("normal_case.rs", "Replica::collect_commits");
const PERFORM_ALL: Handler = in_host!("host.rs", "Host::perform_all");
const ADVANCE: Handler = in_core!("normal_case.rs", "Replica::advance");

/// What brings a replica back.
pub const RECOVERY: &[Handler] = &[
    RESTORE_LOG,
    in_core!("recovery.rs", "Replica::restart_effects"),
    in_core!("view.rs", "CurrentView::restored"),
    in_core!("checkpoint.rs", "Checkpoints::restored"),
];
/// What a node syncs, and when.
pub const SYNC: &[Handler] = &[
    in_host!("host.rs", "Host::end_group"),
    in_host!("host.rs", "Host::commit"),
    in_node!("store/journal.rs", "Journal::append"),
];
/// The digest of a batch.
pub const BATCH_DIGEST: &[Handler] = &[in_core!("canonical.rs", "Batch::digest")];
/// What is evidence.
pub const EVIDENCE: &[Handler] = &[
    in_core!("evidence.rs", "Contradiction::is_proof"),
    in_core!("evidence.rs", "Contradiction::contradicts"),
    in_core!("evidence.rs", "lacks"),
];
/// The queues of peers.
pub const QUEUES: &[Handler] = &[
    in_node!("transport/mod.rs", "TcpNetwork::broadcast"),
    in_node!("transport/queue.rs", "FrameQueue::hold"),
];
/// What a host does for an effect.
pub const PERFORM: &[Handler] = &[in_host!("perform.rs", "Host::perform")];
/// What does all that a step asks for.
pub const IN_ORDER: &[Handler] = &[PERFORM_ALL];
/// What keeps evidence.
pub const KEEP_EVIDENCE: &[Handler] = &[
    in_host!("host.rs", "Host::step"),
    in_host!("evidence.rs", "Evidence::keep"),
    in_node!("store/transaction.rs", "Transaction::add_evidence"),
];
/// What keeps the service's state.
pub const STORE_SERVICE: &[Handler] = &[
    EXECUTED,
    in_node!("store/transaction.rs", "Transaction::with_state"),
    in_host!("perform.rs", "Host::execute"),
];
/// What stands between a node's wire and its core.
pub const ON_THE_WAY: &[Handler] =
    &[in_host!("door.rs", "Door::peer_frame"), in_host!("perform.rs", "Host::perform")];
/// What a host adds to an execution.
pub const BY_THE_HOST: &[Handler] =
    &[in_host!("perform.rs", "Host::execute"), in_host!("perform.rs", "execute_one")];

impl Deed {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Says(StatementKind::PrePrepare),
        Self::Says(StatementKind::Prepare),
        Self::Says(StatementKind::Commit),
        Self::Says(StatementKind::Checkpoint),
        Self::Says(StatementKind::ViewChange),
        Self::Says(StatementKind::NewView),
        Self::Execute,
        Self::Reply,
        Self::Fetch,
        Self::Timer,
        Self::Patience,
        Self::Halt,
    ];

    /// What a replica does by sending this; none for a message that binds nobody.
    pub fn of_message(message: &Message) -> Option<Self> {
        match message {
            Message::FetchState(_) => Some(Self::Fetch),
            other => Statement::of_message(other).map(|statement| Self::Says(statement.kind)),
        }
    }

    /// Who decides whether, and for what, it is done.
    pub const fn decided(self) -> &'static [Handler] {
        match self {
            Self::Says(StatementKind::PrePrepare) => &[PROPOSE, BEGIN_VIEW, RESTORE_LOG],
            Self::Says(StatementKind::Prepare) => &[in_core!("normal_case.rs", "Replica::accept")],
            Self::Says(StatementKind::Commit) => &[
                ADVANCE,
                in_core!("log.rs", "Slot::matching_prepares"),
                in_core!("membership.rs", "Membership::prepares"),
            ],
            Self::Says(StatementKind::Checkpoint) => {
                &[in_core!("checkpoint.rs", "Replica::take_checkpoint")]
            }
            Self::Says(StatementKind::ViewChange) => &[
                in_core!("view.rs", "CurrentView::view_to_join"),
                START_VIEW_CHANGE,
                in_core!("membership.rs", "Membership::weak"),
            ],
            Self::Says(StatementKind::NewView) => {
                &[in_core!("view_change.rs", "Replica::try_new_view"), QUORUM]
            }
            Self::Execute => &[
                COLLECT_COMMITS,
                in_core!("log.rs", "Slot::matching_commits"),
                in_core!("execution.rs", "Replica::execute_next"),
                in_core!("execution.rs", "Execution::not_yet_executed"),
            ],
            Self::Reply => &[ON_EXECUTED, in_core!("execution.rs", "Replica::reply")],
            Self::Fetch => &[
                TRY_STABILISE,
                in_core!("checkpoint.rs", "Checkpoints::certificate"),
                in_core!("transfer.rs", "StateTransfer::plan"),
            ],
            Self::Timer => &[
                REFRESH_TIMER,
                in_core!("timer.rs", "ViewTimer::waits_for_execution"),
                in_core!("view.rs", "CurrentView::is_due"),
            ],
            Self::Patience => &[
                in_core!("timer.rs", "ViewTimer::on_view_change"),
                in_core!("timer.rs", "ViewTimer::on_served"),
                in_core!("timer.rs", "ViewTimer::on_stable"),
            ],
            Self::Halt => &[
                in_core!("checkpoint.rs", "Replica::halt_if_diverged"),
                in_core!("view_change.rs", "Replica::has_everything_for"),
                in_core!("normal_case.rs", "Replica::commit"),
            ],
        }
    }

    /// Who makes what is sent.
    pub const fn made(self) -> &'static [Handler] {
        match self {
            Self::Says(StatementKind::PrePrepare) => &[PROPOSE, BEGIN_VIEW, RESTORE_LOG],
            Self::Says(StatementKind::Prepare) => &[in_core!("normal_case.rs", "Replica::accept")],
            Self::Says(StatementKind::Commit) => &[in_core!("normal_case.rs", "Replica::prepare")],
            Self::Says(StatementKind::Checkpoint) => &[
                in_core!("checkpoint.rs", "Replica::take_checkpoint"),
                in_core!("manifest.rs", "Manifest::digest"),
                in_core!("replies.rs", "put_entry"),
            ],
            Self::Says(StatementKind::ViewChange) => {
                &[in_core!("view_change.rs", "Replica::make_view_change")]
            }
            Self::Says(StatementKind::NewView) => {
                &[PLAN, BEGIN_VIEW, in_core!("view_change.rs", "Replica::choose_view_changes")]
            }
            Self::Execute => self.decided(),
            Self::Reply => &[in_core!("execution.rs", "Replica::reply")],
            Self::Fetch | Self::Timer | Self::Patience | Self::Halt => self.decided(),
        }
    }

    /// Who writes the record, and sends.
    pub const fn sent(self) -> &'static [Handler] {
        match self {
            Self::Says(StatementKind::PrePrepare) => &[PROPOSE],
            Self::Says(StatementKind::Prepare) => &[
                in_core!("normal_case.rs", "Replica::on_pre_prepare"),
                in_core!("view_change.rs", "Replica::follow_awaited"),
            ],
            Self::Says(StatementKind::Commit) => &[in_core!("normal_case.rs", "Replica::prepare")],
            Self::Says(StatementKind::Checkpoint) => {
                &[in_core!("checkpoint.rs", "Replica::take_checkpoint")]
            }
            Self::Says(StatementKind::ViewChange) => &[START_VIEW_CHANGE],
            Self::Says(StatementKind::NewView) => &[BEGIN_VIEW],
            Self::Execute
            | Self::Reply
            | Self::Fetch
            | Self::Timer
            | Self::Patience
            | Self::Halt => self.decided(),
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Says(kind) => return kind.fmt(f),
            Self::Execute => "an execution",
            Self::Reply => "a reply",
            Self::Fetch => "a state transfer",
            Self::Timer => "the view-change timer",
            Self::Patience => "the patience of the view-change timer",
            Self::Halt => "a halt",
        })
    }
}

/// The function that takes a step of the model, and the model's rule for it.
pub const fn taken_by(action: &model::Action) -> (Handler, Rule) {
    const fn rule(section: &'static str, place: Handler) -> Rule {
        Rule { section, place: Some(place) }
    }
    match action {
        model::Action::PrePrepare { .. } => (PROPOSE, rule("4.2", in_model!("rules.rs", "order"))),
        model::Action::Prepare { .. } => (
            in_core!("normal_case.rs", "Replica::on_pre_prepare"),
            rule("4.2", in_model!("rules.rs", "accept")),
        ),
        model::Action::Commit { .. } => (
            in_core!("normal_case.rs", "Replica::prepare"),
            rule("4.2", in_model!("rules.rs", "commit")),
        ),
        model::Action::Execute { .. } => (
            in_core!("execution.rs", "Replica::execute_next"),
            rule("4.2", in_model!("rules.rs", "execute")),
        ),
        model::Action::Stabilise { .. } => {
            (STABILISE, rule("4.3", in_model!("rules.rs", "stabilise")))
        }
        model::Action::StateTransfer { .. } => {
            (ON_INSTALLED, rule("4.3", in_model!("rules.rs", "transfer")))
        }
        model::Action::StartViewChange { .. } => {
            (START_VIEW_CHANGE, rule("4.4", in_model!("rules.rs", "leave")))
        }
        model::Action::NewView { .. } => (BEGIN_VIEW, rule("4.4", in_model!("rules.rs", "begin"))),
        model::Action::EnterView { .. } => (
            in_core!("view_change.rs", "Replica::follow_awaited"),
            rule("4.4", in_model!("rules.rs", "enter")),
        ),
        model::Action::Flush { .. } | model::Action::Restart { .. } => {
            (super::given::RECOVER, rule("2", in_model!("durability.rs", "Pbft::restarted")))
        }
    }
}

/// A part of a replica's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The view, and whether it is active.
    View,
    /// h.
    LowWaterMark,
    /// The last batch that was executed.
    LastExecuted,
    /// What was accepted in this view.
    Accepted,
    /// What has prepared.
    Prepared,
    /// What is final.
    Committed,
    /// The own CHECKPOINTs.
    Checkpoints,
    /// The last reply of each lane.
    Replies,
    /// What the service applied.
    Applied,
    /// How much is held.
    Held,
    /// The VIEW-CHANGE that is repeated.
    OwnViewChange,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::View,
        Self::LowWaterMark,
        Self::LastExecuted,
        Self::Accepted,
        Self::Prepared,
        Self::Committed,
        Self::Checkpoints,
        Self::Replies,
        Self::Applied,
        Self::Held,
        Self::OwnViewChange,
    ];

    /// Those in which two states differ.
    pub fn between(one: &Summary, other: &Summary) -> Vec<Self> {
        let pairs = [
            (Self::View, (one.view, one.active) != (other.view, other.active)),
            (Self::LowWaterMark, one.low_water_mark != other.low_water_mark),
            (Self::LastExecuted, one.last_executed != other.last_executed),
            (Self::Accepted, one.accepted != other.accepted),
            (Self::Prepared, one.prepared != other.prepared),
            (Self::Committed, one.committed != other.committed),
            (Self::Checkpoints, one.checkpoints != other.checkpoints),
            (Self::Replies, one.replies != other.replies),
        ];
        pairs.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field).collect()
    }

    /// Who sets it while the replica runs.
    pub const fn set(self) -> &'static [Handler] {
        const ENTER_VIEW: Handler = in_core!("view_change.rs", "Replica::enter_view");
        match self {
            Self::View => &[
                START_VIEW_CHANGE,
                in_core!("view_change.rs", "Replica::follow_awaited"),
                ENTER_VIEW,
            ],
            Self::LowWaterMark => &[STABILISE, TRY_STABILISE, ON_INSTALLED],
            Self::LastExecuted => &[ON_EXECUTED, ON_INSTALLED],
            Self::Accepted => &[
                in_core!("normal_case.rs", "Replica::accept"),
                PROPOSE,
                BEGIN_VIEW,
                in_core!("log.rs", "Log::leave_view"),
            ],
            Self::Prepared => &[in_core!("normal_case.rs", "Replica::prepare")],
            Self::Committed => &[in_core!("normal_case.rs", "Replica::commit"), COLLECT_COMMITS],
            Self::Checkpoints => &[
                in_core!("checkpoint.rs", "Replica::take_checkpoint"),
                in_core!("checkpoint.rs", "Checkpoints::truncate"),
            ],
            Self::Replies | Self::Applied => &[ON_EXECUTED, ON_INSTALLED],
            Self::Held => &[
                in_core!("footprint.rs", "Replica::footprint"),
                in_core!("durable.rs", "Durable::apply_stable"),
            ],
            Self::OwnViewChange => &[START_VIEW_CHANGE],
        }
    }

    /// Who brings it back after a crash.
    pub const fn recovered(self) -> &'static [Handler] {
        const RECOVER: Handler = super::given::RECOVER;
        match self {
            Self::View => &[in_core!("view.rs", "CurrentView::restored"), RECOVER],
            Self::LastExecuted | Self::Replies | Self::Applied | Self::Held => &[RECOVER],
            Self::LowWaterMark | Self::Accepted | Self::Prepared | Self::Committed => {
                &[RECOVER, RESTORE_LOG]
            }
            Self::Checkpoints => &[in_core!("checkpoint.rs", "Checkpoints::restored")],
            Self::OwnViewChange => &[RECOVER, in_core!("recovery.rs", "Replica::restart_effects")],
        }
    }

    /// Who keeps it on a node's disk.
    pub const fn stored(self) -> &'static [Handler] {
        const FOLD: Handler = in_node!("store/transaction.rs", "Transaction::fold");
        const REPLACE: Handler = in_node!("store/transaction.rs", "Transaction::replace_replies");
        match self {
            Self::LastExecuted | Self::Replies | Self::Applied => &[EXECUTED, REPLACE],
            _ => &[APPEND, FOLD, PERFORM_ALL],
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::View => "view",
            Self::LowWaterMark => "low water mark",
            Self::LastExecuted => "number of the last batch executed",
            Self::Accepted => "accepted batches",
            Self::Prepared => "prepared certificates",
            Self::Committed => "commit certificates",
            Self::Checkpoints => "own CHECKPOINTs",
            Self::Replies => "reply table",
            Self::Applied => "service's history",
            Self::Held => "amount that is held",
            Self::OwnViewChange => "own VIEW-CHANGE",
        })
    }
}
