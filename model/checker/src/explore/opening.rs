//! Where the Explorer opens: at the start, at a saved path, or at the shortest counterexample.

use std::fmt;

use crate::mutant_record::{active, row, unsound};
use crate::run::Progress;
use crate::shortest;
use crate::trace::{NotEnabled, Trace, end};
use pbft_model::reduction::Reductions;
use pbft_model::{Action, Config, Pbft, properties};

/// A model and the path to open it at.
#[derive(Clone, Debug)]
pub struct Opening {
    pub(super) model: Pbft,
    pub(super) actions: Vec<Action>,
    pub(super) what: What,
}

/// What the path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The initial state.
    Start,
    /// A path that was saved.
    Trace,
    /// The shortest path to a violation.
    Counterexample,
    /// The initial state, since the search for a violation was exhausted.
    NoCounterexample,
    /// The initial state, since the search for a violation was given up.
    NoCounterexampleYet,
}

impl What {
    /// Its name on the page.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Start | Self::NoCounterexample | Self::NoCounterexampleYet => "Start",
            Self::Trace => "Saved trace",
            Self::Counterexample => "Counterexample",
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "the initial state",
            Self::Trace => "the end of the saved trace",
            Self::Counterexample => "the end of the shortest counterexample",
            Self::NoCounterexample => {
                "the initial state, for no reachable state violates a property"
            }
            Self::NoCounterexampleYet => {
                "the initial state, for the search found no violation before its limit"
            }
        })
    }
}

impl Opening {
    /// Opens at the initial state.
    #[must_use]
    pub const fn at_start(config: Config) -> Self {
        let model = Pbft::new(config);
        Self { model, actions: Vec::new(), what: What::Start }
    }

    /// Opens at the last step of a path that was saved. It is not searched for again, but it must be one.
    pub fn at_trace(model: &Pbft, trace: &Trace) -> Result<Self, NotEnabled> {
        trace.states(model)?;
        Ok(Self {
            model: model.clone().with_reductions(Reductions::NONE),
            actions: trace.actions.clone(),
            what: What::Trace,
        })
    }

    /// Opens at the last step of a shortest counterexample to a property, or to any: the one that a check finds under the
    /// same rules. At the start where the search finds none.
    #[must_use]
    pub fn at_counterexample(
        config: Config,
        property: Option<&str>,
        progress: &mut dyn Progress,
    ) -> Self {
        let start = Self::at_start(config);
        let reduced = start.model.clone().with_reductions(Reductions::ALL.without(unsound()));
        let what = property.unwrap_or("any property");
        progress.begin(&format!("searching {config} for a violation of {what}"));
        let found = shortest::violation(&reduced, property, progress);
        progress.end();
        match found.found {
            None if found.complete => Self { what: What::NoCounterexample, ..start },
            None => Self { what: What::NoCounterexampleYet, ..start },
            Some(path) => Self {
                actions: Trace::new(&reduced, &path).actions,
                what: What::Counterexample,
                ..start
            },
        }
    }

    /// The properties that the state it opens at violates.
    #[must_use]
    pub fn violates(&self) -> Vec<&'static str> {
        let last = end(&self.model, &self.actions);
        last.map_or_else(Vec::new, |state| properties::violated(&self.model, &state))
    }

    /// The configuration on record for a mutant: the smallest in which it is found out.
    #[must_use]
    pub fn recorded_config(mutant: &str) -> Option<Config> {
        row(mutant).ok().flatten().map(|row| *row.fate.config())
    }

    /// The model, without reductions.
    #[must_use]
    pub const fn model(&self) -> &Pbft {
        &self.model
    }

    /// What it opens at.
    #[must_use]
    pub const fn what(&self) -> What {
        self.what
    }

    /// The steps that lead to where it opens.
    #[must_use]
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// The part of the link after the address: where the page shows the path.
    #[must_use]
    pub fn fragment(&self) -> String {
        fragment(&self.model, &self.actions)
    }
}

/// Where the page shows a path.
pub(super) fn fragment(model: &Pbft, actions: &[Action]) -> String {
    let trace = Trace {
        config: model.config().to_string(),
        mutant: active().map(str::to_owned),
        shows: Vec::new(),
        actions: actions.to_vec(),
    };
    trace.explorer_fragment(model)
}
