//! What the host shows of a group: passed on to the recorder, the oracle and the counts.

use super::disk::Disk;
use super::memory::Memory;
use super::watch::Watch;
use pbft_core::evidence::{Contradiction, SignedVote};
use pbft_core::message::{Request, Signed};
use pbft_core::{Effect, Input, Rejection, Replica};
use pbft_host::{Served, Watcher};
use pbft_node::driver::Observer as _;
use pbft_node::trace::Recorder;
use std::sync::Arc;

/// Sees one group of steps.
pub(super) struct Sight<'a, 'w> {
    watch: &'a mut Watch<'w>,
    recorder: Option<&'a mut Recorder<Memory>>,
    /// What convicts somebody, and must be on the disk when the group has ended.
    pub(super) contradictions: Vec<Contradiction>,
    /// The input of the step under way, and the replica before it if that is to be compared.
    step: Option<(Input, Option<Replica>)>,
    /// The batch that is executed.
    executing: Vec<Arc<Signed<Request>>>,
}

impl<'a, 'w> Sight<'a, 'w> {
    pub(super) fn new(
        watch: &'a mut Watch<'w>,
        recorder: Option<&'a mut Recorder<Memory>>,
    ) -> Self {
        let (contradictions, executing) = (Vec::new(), Vec::new());
        Self { watch, recorder, contradictions, step: None, executing }
    }
}

impl Watcher<Disk> for Sight<'_, '_> {
    fn before_step(&mut self, input: &Input, replica: &Replica, disk: &Disk) {
        match input {
            Input::Executed { seq, results, .. } => {
                let requests = std::mem::take(&mut self.executing);
                let state = disk.image().state_fingerprint();
                self.watch.on_execute(replica, *seq, &requests, results, state);
            }
            Input::Installed { seq, .. } => {
                self.watch.on_install(*seq, disk.image().state_fingerprint());
            }
            _ => {}
        }
        let before = self.watch.wants_copy().then(|| replica.clone());
        self.step = Some((input.clone(), before));
    }

    fn after_step(&mut self, outcome: &Result<Vec<Effect>, Rejection>, replica: &Replica) {
        let Some((input, before)) = self.step.take() else { return };
        if let Some(recorder) = &mut self.recorder {
            recorder.on_step(&input, outcome, replica);
        }
        self.watch.on_step(&input, outcome, before.as_ref(), replica);
        if let Err(Rejection::Equivocation { .. }) = outcome {
            let vote = SignedVote::in_input(&input);
            self.contradictions.extend(vote.and_then(|vote| replica.contradiction(vote)));
        }
    }

    fn on_effect(&mut self, effect: &Effect, _: &Disk) {
        self.watch.on_effect(effect);
        if let Effect::Execute { requests, .. } = effect {
            self.executing.clone_from(requests);
        }
    }

    fn on_serve(&mut self, replica: &Replica, served: Served) {
        if let Some(bytes) = served.bytes {
            self.watch.on_serve(replica, served.to, bytes);
        }
    }
}
