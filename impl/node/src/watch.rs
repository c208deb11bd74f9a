//! Sees every step of the host, for metrics, log and whoever else watches.

use crate::driver::Observer;
use crate::events::Cause;
use crate::lanes::Lanes;
use crate::meter::Meter;
use crate::store::Store;
use pbft_core::evidence::Contradiction;
use pbft_core::{Effect, Input, Rejection, Replica};
use pbft_host::{Served, ServicePanic, Watcher};

/// Who watches a driver's host.
pub(crate) struct Watch {
    pub(crate) observer: Option<Box<dyn Observer>>,
    pub(crate) meter: Meter,
    pub(crate) lanes: Lanes,
    /// What the step under way answers to, and the view in which it began.
    cause: Cause,
    view: u64,
    /// Its input, if somebody is to see it.
    input: Option<Input>,
}

impl Watch {
    pub(crate) fn new(observer: Option<Box<dyn Observer>>, meter: Meter, lanes: Lanes) -> Self {
        Self { observer, meter, lanes, cause: Cause::Here, view: 0, input: None }
    }
}

impl Watcher<Store> for Watch {
    fn before_step(&mut self, input: &Input, replica: &Replica, _disk: &Store) {
        self.cause = Cause::from(input);
        self.view = replica.status().view.0;
        self.input = self.observer.is_some().then(|| input.clone());
    }

    fn after_step(&mut self, outcome: &Result<Vec<Effect>, Rejection>, replica: &Replica) {
        let Self { view, cause, .. } = *self;
        let _step = tracing::debug_span!("step", view, %cause).entered();
        if let (Some(observer), Some(input)) = (&mut self.observer, self.input.take()) {
            observer.on_step(&input, outcome, replica);
        }
        self.meter.on_step(cause, outcome, replica);
        for effect in outcome.iter().flatten() {
            if let Effect::Reply(reply) = effect {
                self.lanes.answer(reply.body.client, reply.body.lane);
            }
        }
    }

    fn on_serve(&mut self, _replica: &Replica, served: Served) {
        let Served { to, seq, part, bytes } = served;
        if bytes.is_none() {
            tracing::debug!(%to, %seq, ?part, "state that was asked for is not here any more");
        }
    }

    fn on_evidence(&mut self, contradiction: &Contradiction) {
        let (replica, (view, seq)) = (contradiction.replica(), contradiction.place());
        self.meter.metrics().evidence.add(contradiction.kind());
        tracing::warn!(%replica, %view, %seq, "evidence of a fault: {contradiction}");
    }

    fn on_service_panic(&mut self, panic: &ServicePanic) {
        let ServicePanic { seq, client, request, message } = panic;
        tracing::error!(%seq, %client, %request, "the service panicked on an operation: {message}");
    }
}
