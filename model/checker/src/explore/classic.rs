//! Stateright's own Explorer.
//!
//! It shows a state as Rust prints it, and the steps that follow. It is told of no properties: the ticks beside them come from
//! its search in the background and not from the state in view, so that it could say that a property holds where it is
//! violated. What a step violates stands with what it changes instead.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use stateright::Model;

use super::{ExploreError, Opening};
use crate::trace;
use pbft_model::action::Action;
use pbft_model::reduction::Reductions;
use pbft_model::state::State;
use pbft_model::{Pbft, properties};

/// How often to look whether it listens.
const BETWEEN_TRIES: Duration = Duration::from_millis(5);

/// The model as Stateright's Explorer serves it, at an address that was free a moment ago.
#[derive(Clone, Debug)]
pub struct Classic {
    model: Served,
    address: SocketAddr,
    fragment: String,
}

/// The plain model.
#[derive(Clone, Debug)]
struct Served(Pbft);

impl Classic {
    /// Finds an address; port 0 takes one that is free. Stateright panics on one that it cannot have, so it is tried here.
    pub fn at(opening: &Opening, address: SocketAddr) -> Result<Self, ExploreError> {
        let failed = |source| ExploreError::listening(address, source);
        let listener = TcpListener::bind(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let model = Served(opening.model().clone().with_reductions(Reductions::NONE));
        Ok(Self { model, address, fragment: opening.fragment() })
    }

    /// Serves until the process ends, and tells the link as soon as somebody listens there.
    pub fn run(self, ready: impl FnOnce(&str)) -> Result<(), ExploreError> {
        let Self { model, address, fragment } = self;
        let server = thread::spawn(move || {
            model.checker().serve(address);
        });
        while let Err(source) = TcpStream::connect(address) {
            if server.is_finished() {
                return Err(ExploreError::listening(address, source));
            }
            thread::sleep(BETWEEN_TRIES);
        }
        ready(&format!("http://{address}/{fragment}"));
        let _ = server.join();
        Ok(())
    }
}

impl Model for Served {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        self.0.init_states()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.0.actions(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.0.next_state(state, action)
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }

    fn format_step(&self, state: &State, action: Action) -> Option<String> {
        let next = self.0.next_state(state, action)?;
        let mut lines = trace::diff(&self.0, state, &next);
        let violated = properties::violated(&self.0, &next);
        lines.extend(violated.into_iter().map(|name| format!("VIOLATES {name}")));
        Some(lines.join("\n"))
    }
}
