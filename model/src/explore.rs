//! The model in a browser, by Stateright's Explorer.
//!
//! The ticks that the Explorer shows beside each property come from its background search, not from the state in
//! view. So each step is shown with what it changes and the properties evaluated on the very state that it leads to.

use std::fmt::Write;
use std::net::{SocketAddr, TcpListener};

use stateright::{Model, Path};

use crate::action::Action;
use crate::config::Config;
use crate::mutant::Mutant;
use crate::properties::PROPERTIES;
use crate::state::State;
use crate::witnesses::{self, WITNESSES};
use crate::{Pbft, svg, trace};

/// The model as the Explorer shows it.
#[derive(Clone, Debug)]
pub struct Explorable {
    model: Pbft,
}

impl Explorable {
    /// Shows the plain model: a canonical state may carry other names than the one before it.
    #[must_use]
    pub const fn new(model: Pbft) -> Self {
        Self { model }
    }
}

impl Model for Explorable {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        self.model.init_states()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.model.actions(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.model.next_state(state, action)
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }

    fn format_step(&self, state: &State, action: Action) -> Option<String> {
        let next = self.model.next_state(state, action)?;
        let mut text = String::new();
        for line in trace::diff(&self.model, state, &next) {
            let _ = writeln!(text, "{line}");
        }
        let _ = writeln!(text, "\nIn this state:");
        for property in PROPERTIES {
            let holds = (property.holds)(&self.model, &next);
            let mark = if holds { "holds   " } else { "VIOLATED" };
            let _ = writeln!(text, "{mark} {}", property.name);
        }
        for shown in witnesses::shown(&self.model, &next) {
            let _ = writeln!(text, "shows    {shown}");
        }
        Some(text)
    }

    fn as_svg(&self, path: Path<State, Action>) -> Option<String> {
        Some(svg::swim_lanes(&self.model, &path.into_actions()))
    }

    fn properties(&self) -> Vec<stateright::Property<Self>> {
        // Property conditions are plain functions, so each one is picked out of the table by a constant.
        fn holds<const AT: usize>(explorable: &Explorable, state: &State) -> bool {
            (PROPERTIES[AT].holds)(&explorable.model, state)
        }
        let conditions: [fn(&Self, &State) -> bool; PROPERTIES.len()] = [
            holds::<0>, holds::<1>, holds::<2>, holds::<3>, holds::<4>, holds::<5>, holds::<6>,
            holds::<7>, holds::<8>,
        ];
        let always = PROPERTIES.iter().zip(conditions);
        always.map(|(one, holds)| stateright::Property::always(one.name, holds)).collect()
    }
}

/// Serves the Explorer until the process ends.
pub fn serve(config: &Config, mutant: Option<Mutant>, address: SocketAddr) -> Result<(), String> {
    // The Explorer panics on an address that it cannot have, so look first.
    TcpListener::bind(address).map_err(|error| format!("listening on {address}: {error}"))?;
    let model = Pbft::new(*config).with_mutant(mutant);
    eprintln!("Explorer of {config} on http://{address}/ (end with ^C)");
    let names: Vec<_> =
        WITNESSES.iter().filter(|one| (one.applicable)(config)).map(|one| one.name).collect();
    eprintln!("Witnesses to look for: {}", names.join(", "));
    Explorable::new(model).checker().serve(address);
    Ok(())
}
