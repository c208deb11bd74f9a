//! What a group of steps asks for: its writes, and what is said.

use super::disk::Write;
use super::process::Said;
use pbft_core::message::{Message, Request};
use pbft_core::{HaltReason, Input, Rejection};
use pbft_node::frame::{RefusalReason, ReplicaFrame};

/// What a group of steps asks for.
#[derive(Default)]
pub(super) struct Group {
    pub(super) writes: Vec<Write>,
    /// What is said, and whether some write comes before it.
    said: Vec<(bool, Said)>,
    pub(super) halt: Option<HaltReason>,
    /// A write that the disk's state does not allow.
    pub(super) impossible: bool,
}

/// What a group says, by when it may leave.
#[derive(Default)]
pub(super) struct Says {
    /// At once.
    pub(super) early: Vec<Said>,
    /// After the group's writes.
    pub(super) held: Vec<Said>,
    /// Whether anything but replies is said: then the group's writes are not put off.
    pub(super) must_commit: bool,
}

impl Group {
    pub(super) fn say(&mut self, said: Said) {
        self.said.push((!self.writes.is_empty(), said));
    }

    /// Whether something is written that must be durable before anything that follows from it leaves: all but what
    /// execution writes (D26).
    pub(super) fn is_binding(&self) -> bool {
        self.writes.iter().any(|write| match write {
            Write::Record(record) => record.is_binding(),
            Write::Executed { .. } => false,
            Write::Checkpoint { .. } | Write::Stage { .. } | Write::Install { .. } => true,
            Write::RetainStaged(_) | Write::Snapshot(_) => true,
        })
    }

    /// Takes what is said. Replies need not wait for what execution writes, if nothing else is written.
    pub(super) fn take_said(&mut self, is_binding: bool) -> Says {
        let mut says = Says::default();
        for (after_write, said) in std::mem::take(&mut self.said) {
            says.must_commit |= !matches!(said, Said::Reply(_));
            let waits = after_write && (is_binding || !matches!(said, Said::Reply(_)));
            if waits { says.held.push(said) } else { says.early.push(said) }
        }
        says
    }

    /// The rejections that a client is told of, as the node does.
    pub(super) fn say_refusal(&mut self, input: &Input, rejection: &Rejection) {
        let Input::Request(message) = input else { return };
        let Message::Request(request) = message.get() else { return };
        let Some(reason) = RefusalReason::of(rejection) else { return };
        self.say(Said::Refused(request.body.client, refused(&request.body, reason)));
    }
}

pub(super) fn refused(request: &Request, reason: RefusalReason) -> ReplicaFrame {
    ReplicaFrame::refusal(request, reason)
}
