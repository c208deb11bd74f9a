//! Retransmission. Loss is normal: each replica says from time to time what it has, and its peers send what it
//! lacks. The paper's channel retransmits until received (§2); this is how.

use crate::effect::Effect;
use crate::input::Timer;
use crate::message::{Message, Status};
use crate::replica::{Outcome, Replica, check_vote_origin};
use crate::types::{ReplicaId, SeqNum};
use std::sync::Arc;

/// The most sequence numbers that one STATUS is answered for: a replica that lacks more asks again.
const SLOTS_PER_ANSWER: usize = 16;

/// The most waiting requests that a backup relays again at a tick.
const RELAYS_PER_TICK: usize = 16;

impl Replica {
    /// Says what this replica has, and asks again for what it waits for.
    pub(crate) fn on_status_timer(&mut self) -> Outcome {
        self.peers.tick();
        self.must_sign.tick();
        let mut effects =
            vec![Effect::SetTimer { timer: Timer::Status, after: self.params.status_interval }];
        self.judge_view(&mut effects);
        effects.push(Effect::Broadcast(Message::Status(self.signed(self.status()))));
        if !self.view.is_active()
            && let Some(own) = self.view.own_view_change()
        {
            effects.push(Effect::Broadcast(Message::ViewChange(Arc::clone(own))));
        }
        self.fetching.ask_again(&mut effects);
        if self.view.is_active_backup() {
            // The relay of a request may have been lost, or have gone to the primary of an earlier view.
            let waiting = self.pending.longest_waiting(RELAYS_PER_TICK).cloned();
            effects.extend(waiting.map(|request| self.relay(request)));
        }
        self.transfer.tick(&self.params, &mut effects);
        // What a NEW-VIEW waits for may have come by another way than its own fetch.
        self.try_awaited(&mut effects);
        self.try_new_view(&mut effects);
        Ok(effects)
    }

    /// Answers a peer's STATUS with what it lacks, and with no more than its budget allows: [`crate::budget`].
    pub(crate) fn on_status(&mut self, from: ReplicaId, status: &Status) -> Outcome {
        check_vote_origin(from, status.replica)?;
        self.peers.note_status(status)?;
        let mut messages = Vec::new();
        self.help_with_state(status, &mut messages);
        self.help_with_view(status, &mut messages);
        self.help_with_votes(status, &mut messages);
        let messages = self.peers.budget.fit(from, messages);
        let send = |message| Effect::Send { to: from, message };
        Ok(messages.into_iter().map(send).collect())
    }

    /// Batches that are final here and in the peer's window, or the proof of a checkpoint beyond its reach.
    fn help_with_state(&self, status: &Status, messages: &mut Vec<Message>) {
        if status.low_water_mark < self.log.low() {
            messages.push(Message::Stable(Arc::clone(self.checkpoints.stable())));
        }
        // What is above its window it cannot use.
        let high = SeqNum(status.low_water_mark.0.saturating_add(self.params.window));
        let lacks = self.log.slots();
        let lacks = lacks.filter(|(seq, _)| *seq > status.last_executed && *seq <= high);
        let final_here = lacks.filter_map(|(_, slot)| slot.committed.as_ref());
        messages.extend(final_here.take(SLOTS_PER_ANSWER).cloned().map(Message::Committed));
        let own = self.checkpoints.own_votes();
        let own = own.filter(|vote| vote.body.seq > status.low_water_mark);
        messages.extend(own.take(SLOTS_PER_ANSWER).cloned().map(Message::Checkpoint));
    }

    /// The NEW-VIEW of a view that the peer is not active in, or the VIEW-CHANGEs for it.
    fn help_with_view(&self, status: &Status, messages: &mut Vec<Message>) {
        let behind = status.view < self.view.number()
            || (status.view == self.view.number() && !status.active);
        if !behind {
            return;
        }
        match self.view.new_view() {
            Some(new_view) if self.view.is_active() => {
                messages.push(Message::NewView(Arc::clone(new_view)));
            }
            Some(_) | None => {
                let known = self.view.view_changes();
                let others = known.filter(|known| known.body.replica != status.replica);
                messages.extend(others.cloned().map(Message::ViewChange));
            }
        }
    }

    /// Pre-prepares, and the own votes, of what is not final yet.
    fn help_with_votes(&self, status: &Status, messages: &mut Vec<Message>) {
        if status.view != self.view.number() || !self.view.is_active() {
            return;
        }
        let own = self.params.replica;
        // Of those that the peer has not executed. What is final is handed on as such.
        let lacking = self.log.slots().filter(|(seq, _)| *seq > status.last_executed);
        let open = lacking.filter(|(_, slot)| slot.committed.is_none() && slot.proposal.is_some());
        for (_, slot) in open.take(SLOTS_PER_ANSWER) {
            if status.active {
                // O's pre-prepares reach an inactive peer inside its NEW-VIEW.
                let proposal = slot.proposal.iter().filter(|proposal| {
                    let proposer = proposal.pre_prepare.body.replica;
                    proposer != status.replica && !proposal.batch.is_null()
                });
                messages.extend(proposal.cloned().map(Message::PrePrepare));
            }
            messages.extend(slot.prepares.get(&own).cloned().map(Message::Prepare));
            messages.extend(slot.commits.get(&own).cloned().map(Message::Commit));
        }
    }

    /// How many messages were left out of answers to STATUS since the start, because their peer had been given as much
    /// as it may have until the next tick.
    pub fn help_withheld(&self) -> u64 {
        self.peers.budget.withheld()
    }

    /// What this replica has, as its STATUS says it.
    pub fn status(&self) -> Status {
        Status {
            replica: self.params.replica,
            view: self.view.number(),
            active: self.view.is_active(),
            low_water_mark: self.log.low(),
            last_executed: self.execution.last_executed(),
        }
    }
}
