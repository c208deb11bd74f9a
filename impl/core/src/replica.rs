//! The replica.
use crate::crypto::Signer;
use crate::{Durable, Effect, Input, Params, Rejection, ServiceState};
use std::sync::Arc;

/// A replica (§4).
#[derive(Clone)]
pub struct Replica {
    pub(crate) params: Arc<Params>,
    pub(crate) signer: Arc<dyn Signer>,
}

impl Replica {
    /// A replica as its durable log and its service left it; both are default at the very first start. The
    /// effects start its timers and say again what it had said.
    pub fn recover(
        params: Arc<Params>,
        signer: Arc<dyn Signer>,
        _durable: Durable,
        _service: ServiceState,
    ) -> (Self, Vec<Effect>) {
        (Self { params, signer }, Vec::new())
    }

    /// Handles one input: the effects, in order, or the reason why nothing happened.
    pub fn step(&mut self, _input: Input) -> Result<Vec<Effect>, Rejection> {
        Ok(Vec::new())
    }
}
