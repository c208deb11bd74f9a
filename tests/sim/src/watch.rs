//! What is seen of one process: handed to the oracle if the process is correct, and counted.

use super::coverage::Coverage;
use super::disk::Image;
use super::hunt::seen::Sightings;
use super::oracle::Oracle;
use pbft_core::evidence::Contradiction;
use pbft_core::message::{Request, Signed};
use pbft_core::types::{ReplicaId, SeqNum};
use pbft_core::{Effect, HaltReason, Input, Rejection, Replica};
use pbft_host::Said;
use std::sync::Arc;

/// One in so many steps is compared with a copy of the replica from before, to see that a rejection changes nothing.
const COPY_EVERY: u64 = 61;

/// Looks at one process during one event.
pub struct Watch<'a> {
    /// `None` for a process that may do anything.
    pub oracle: Option<&'a mut Oracle>,
    /// What the run has exercised.
    pub coverage: &'a mut Coverage,
    /// What a guided search sees of it.
    pub sightings: Option<&'a mut Sightings>,
}

impl Watch<'_> {
    /// Whether the next step is to be compared with the replica before it.
    #[must_use]
    pub fn wants_copy(&self) -> bool {
        self.oracle.is_some() && self.coverage.steps.is_multiple_of(COPY_EVERY)
    }

    /// The process has started.
    pub fn on_start(&mut self, replica: &Replica) {
        if let Some(oracle) = &mut self.oracle {
            oracle.on_start(replica);
        }
    }

    /// The replica made a step.
    pub fn on_step(
        &mut self,
        input: &Input,
        outcome: &Result<Vec<Effect>, Rejection>,
        before: Option<&Replica>,
        replica: &Replica,
    ) {
        self.coverage.steps += 1;
        let Some(oracle) = &mut self.oracle else { return };
        if let Some(sightings) = &mut self.sightings {
            sightings.on_step(input, outcome, replica);
        }
        if let Err(rejection) = outcome {
            self.coverage.rejected(rejection);
            if before.is_some_and(|before| before != replica) {
                oracle.on_changed_by_rejection(replica, input, rejection);
            }
        }
        if let Ok(effects) = outcome {
            oracle.on_help(replica, input, effects);
        }
        oracle.on_state(replica);
    }

    /// A part of a state is served.
    pub fn on_serve(&mut self, replica: &Replica, to: ReplicaId, bytes: usize) {
        if let Some(oracle) = &mut self.oracle {
            oracle.on_serve(replica, to, bytes);
        }
    }

    /// An effect is performed.
    pub fn on_effect(&mut self, effect: &Effect) {
        // Who halts is not correct any more, or never was.
        if self.oracle.is_some() || matches!(effect, Effect::Halt(_)) {
            self.coverage.effect(effect);
        }
    }

    /// A batch was executed.
    pub fn on_execute(
        &mut self,
        replica: &Replica,
        seq: SeqNum,
        requests: &[Arc<Signed<Request>>],
        results: &[Arc<[u8]>],
        state: u64,
    ) {
        if let Some(oracle) = &mut self.oracle {
            oracle.on_execute(replica, seq, requests, results, state);
        }
    }

    /// What was executed is on the disk, or may be told.
    pub fn on_kept(&mut self) {
        if let Some(oracle) = &mut self.oracle {
            oracle.on_kept();
        }
    }

    /// A fetched state was installed.
    pub fn on_install(&mut self, seq: SeqNum, state: u64) {
        if let Some(oracle) = &mut self.oracle {
            oracle.on_install(seq, state);
        }
    }

    /// Whether this is a vote that was never said before.
    #[must_use]
    pub fn is_news(&self, said: &Said) -> bool {
        self.oracle.as_ref().is_some_and(|oracle| oracle.is_news(said))
    }

    /// Something leaves the process, whose disk says `image`.
    pub fn on_said(&mut self, said: &Said, image: &Image) {
        if let Some(oracle) = &mut self.oracle {
            self.coverage.said(said);
            oracle.on_said(said, image);
        }
    }

    /// A group has ended whose writes are committed, or left to the next group; replies leave before that.
    pub fn on_group(&mut self, is_behind: bool, must_commit: bool, early: u64) {
        if self.oracle.is_some() && is_behind {
            self.coverage.early_replies += early;
            self.coverage.put_off += u64::from(!must_commit);
        }
    }

    /// In a group the replica has noticed that others contradicted themselves. Its disk says `image`.
    pub fn on_evidence_owed(&mut self, contradictions: &[Contradiction], image: &Image) {
        if let Some(oracle) = &mut self.oracle {
            oracle.on_evidence_owed(contradictions, image);
        }
    }

    /// The host cannot go on.
    pub fn on_failure(&mut self, why: &dyn std::error::Error) {
        if let Some(oracle) = &mut self.oracle {
            oracle.on_failure(why);
        }
    }

    /// The core asked for a write that its own disk does not allow.
    pub fn on_impossible_write(&mut self) {
        if let Some(oracle) = &mut self.oracle {
            oracle.on_impossible_write();
        }
    }

    /// The core stopped the replica.
    pub fn on_halt(&mut self, reason: &HaltReason) {
        if let Some(oracle) = &mut self.oracle {
            oracle.on_halt(reason);
        }
    }
}
