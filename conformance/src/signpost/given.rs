//! What is given to a replica: each input has one handler in the core, and one rule in the model.

use super::{Handler, Rule, in_core, in_model};
use pbft_core::message::Message;

/// A sort of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Given {
    /// A client's request.
    Request,
    /// A request that a peer relays.
    Relayed,
    /// PRE-PREPARE.
    PrePrepare,
    /// PREPARE.
    Prepare,
    /// COMMIT.
    Commit,
    /// CHECKPOINT.
    Checkpoint,
    /// VIEW-CHANGE.
    ViewChange,
    /// NEW-VIEW.
    NewView,
    /// STATUS.
    Status,
    /// A commit certificate.
    Committed,
    /// The proof of a stable checkpoint.
    Stable,
    /// A question for a batch.
    FetchBatch,
    /// A batch that was asked for.
    Batch,
    /// A question for a part of a state.
    FetchState,
    /// A part of a state.
    StateData,
    /// The view-change timer.
    ViewTimer,
    /// The status timer.
    StatusTimer,
    /// The batch timer.
    BatchTimer,
    /// A suspicion from outside.
    Suspicion,
    /// A start from what is durable.
    Start,
    /// A reply, to a client.
    Reply,
}

/// What every input passes.
pub const STEP: Handler = in_core!("replica.rs", "Replica::step");
/// What a replica starts with.
pub const RECOVER: Handler = in_core!("recovery.rs", "Replica::recover");

const fn rule(section: &'static str, place: Handler) -> Rule {
    Rule { section, place: Some(place) }
}

const fn beyond(section: &'static str) -> Rule {
    Rule { section, place: None }
}

impl Given {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::Request,
        Self::Relayed,
        Self::PrePrepare,
        Self::Prepare,
        Self::Commit,
        Self::Checkpoint,
        Self::ViewChange,
        Self::NewView,
        Self::Status,
        Self::Committed,
        Self::Stable,
        Self::FetchBatch,
        Self::Batch,
        Self::FetchState,
        Self::StateData,
        Self::ViewTimer,
        Self::StatusTimer,
        Self::BatchTimer,
        Self::Suspicion,
        Self::Start,
        Self::Reply,
    ];

    /// The sort of a message from a peer.
    pub fn of_message(message: &Message) -> Self {
        match message {
            Message::Request(_) => Self::Relayed,
            Message::PrePrepare(_) => Self::PrePrepare,
            Message::Prepare(_) => Self::Prepare,
            Message::Commit(_) => Self::Commit,
            Message::Checkpoint(_) => Self::Checkpoint,
            Message::ViewChange(_) => Self::ViewChange,
            Message::NewView(_) => Self::NewView,
            Message::Status(_) => Self::Status,
            Message::Committed(_) => Self::Committed,
            Message::Stable(_) => Self::Stable,
            Message::FetchBatch(_) => Self::FetchBatch,
            Message::Batch(_) => Self::Batch,
            Message::FetchState(_) => Self::FetchState,
            Message::StateData(_) => Self::StateData,
        }
    }

    /// The function that handles it.
    pub const fn handler(self) -> Handler {
        match self {
            Self::Request | Self::Relayed => in_core!("normal_case.rs", "Replica::on_request"),
            Self::PrePrepare => in_core!("normal_case.rs", "Replica::on_pre_prepare"),
            Self::Prepare => in_core!("normal_case.rs", "Replica::on_prepare"),
            Self::Commit => in_core!("normal_case.rs", "Replica::on_commit"),
            Self::Checkpoint => in_core!("checkpoint.rs", "Replica::on_checkpoint"),
            Self::ViewChange => in_core!("view_change.rs", "Replica::on_view_change"),
            Self::NewView => in_core!("view_change.rs", "Replica::on_new_view"),
            Self::Status => in_core!("status.rs", "Replica::on_status"),
            Self::Committed => in_core!("normal_case.rs", "Replica::on_committed"),
            Self::Stable => in_core!("checkpoint.rs", "Replica::on_stable"),
            Self::FetchBatch => in_core!("fetching.rs", "Replica::on_fetch_batch"),
            Self::Batch => in_core!("fetching.rs", "Replica::on_batch"),
            Self::FetchState => in_core!("transfer.rs", "Replica::on_fetch_state"),
            Self::StateData => in_core!("transfer.rs", "StateTransfer::on_state_data"),
            Self::ViewTimer => in_core!("view_change.rs", "Replica::on_view_timer"),
            Self::StatusTimer => in_core!("status.rs", "Replica::on_status_timer"),
            Self::BatchTimer => in_core!("normal_case.rs", "Replica::on_batch_timer"),
            Self::Suspicion => in_core!("view_change.rs", "Replica::on_suspect"),
            Self::Start => RECOVER,
            Self::Reply => in_core!("client.rs", "ClientLane::on_reply"),
        }
    }

    /// The rule that says what it may lead to.
    pub const fn rule(self) -> Rule {
        match self {
            Self::Request | Self::Relayed => rule("4.1", in_model!("rules.rs", "orderable")),
            Self::PrePrepare => rule("4.2", in_model!("rules.rs", "accept")),
            Self::Prepare => rule("4.2", in_model!("rules.rs", "commit")),
            Self::Commit | Self::Committed => rule("4.2", in_model!("rules.rs", "execute")),
            Self::Checkpoint | Self::Stable => rule("4.3", in_model!("rules.rs", "stabilise")),
            Self::ViewChange => rule("4.4", in_model!("rules.rs", "join")),
            Self::NewView => rule("4.4", in_model!("rules.rs", "enter")),
            Self::FetchBatch | Self::Batch => {
                rule("4.4", in_model!("batches.rs", "Pbft::has_batch"))
            }
            Self::StateData | Self::FetchState => rule("4.3", in_model!("rules.rs", "transfer")),
            Self::ViewTimer | Self::Suspicion => rule("4.4", in_model!("rules.rs", "leave")),
            Self::BatchTimer => rule("4.2", in_model!("rules.rs", "order")),
            Self::Start => rule("2", in_model!("durability.rs", "Pbft::restarted")),
            Self::Status | Self::StatusTimer => beyond("2"),
            Self::Reply => beyond("4.1"),
        }
    }

    /// What makes the bytes that its signature is of, or its digests.
    pub const fn encoded(self) -> &'static [Handler] {
        const SIGNED: Handler = in_core!("canonical.rs", "Signed::encode");
        const LIST: Handler = in_core!("canonical.rs", "put_list");
        const STATEMENT: Handler = in_core!("crypto.rs", "Statement::bytes");
        const REQUEST: Handler = in_core!("canonical.rs", "Request::encode");
        const BYTES: Handler = in_core!("canonical.rs", "put_bytes");
        match self {
            Self::Request | Self::Relayed => &[REQUEST, BYTES, STATEMENT],
            Self::PrePrepare => {
                &[in_core!("canonical.rs", "PrePrepare::encode"), REQUEST, BYTES, STATEMENT]
            }
            Self::Prepare => &[in_core!("canonical.rs", "Prepare::encode"), STATEMENT],
            Self::Commit => &[in_core!("canonical.rs", "Commit::encode"), STATEMENT],
            Self::Checkpoint => &[in_core!("canonical.rs", "Checkpoint::encode"), STATEMENT],
            Self::ViewChange => {
                &[in_core!("canonical.rs", "ViewChange::encode"), LIST, SIGNED, STATEMENT]
            }
            Self::NewView => {
                &[in_core!("canonical.rs", "NewView::encode"), LIST, SIGNED, STATEMENT]
            }
            Self::Status => &[in_core!("canonical.rs", "Status::encode"), STATEMENT],
            Self::Committed => &[in_core!("canonical.rs", "Commit::encode"), REQUEST, STATEMENT],
            Self::Stable => &[in_core!("canonical.rs", "Checkpoint::encode"), STATEMENT],
            Self::Reply => &[in_core!("canonical.rs", "Reply::encode"), BYTES, STATEMENT],
            Self::Batch => &[REQUEST, BYTES, STATEMENT],
            Self::FetchBatch
            | Self::FetchState
            | Self::StateData
            | Self::ViewTimer
            | Self::StatusTimer
            | Self::BatchTimer
            | Self::Suspicion
            | Self::Start => &[STATEMENT],
        }
    }
}
