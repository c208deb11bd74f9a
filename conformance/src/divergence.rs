//! A difference between the model and the code, told so that one can act on it.

use crate::signpost::deeds::Deed;
use crate::signpost::given::Given;
use crate::signpost::{Arm, Fact, Signpost};
use crate::walk::Trace;
use pbft_model as model;
use serde::Serialize;
use std::fmt;

/// What kind of difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The code did something before the last message that the model's step needs.
    Early,
    /// The code refused what the model allows.
    Refused,
    /// The code accepted what the model forbids.
    Accepted,
    /// The code refused for another reason than the rule says.
    WrongRejection,
    /// A rejection, or a message that is no step of the model, changed the replica.
    StateChanged,
    /// The messages differ.
    Messages,
    /// The executed operations or the replies differ.
    Execution,
    /// The states differ.
    State,
    /// Something left the machine before it was durable.
    NotDurable,
    /// A restart changed the replica.
    Restart,
    /// The code owes others something that is no step of the model.
    Reaction,
    /// The view-change timer runs when it must not, or does not run when it must.
    Timer,
    /// The replica stopped.
    Halted,
    /// The code panicked.
    Panicked,
    /// The replay could not build a message that the model counts on.
    Harness,
}

/// A step at which model and code differ, without its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What kind.
    pub kind: Kind,
    /// One sentence.
    pub what: String,
    /// `-` what the model says, `+` what the code says.
    pub diff: Vec<String>,
    /// The probe, frame or reaction that showed it, if it was none of the model's steps.
    pub probe: Option<&'static str>,
    /// What was given to the replica last.
    pub given: Option<Given>,
    /// What was seen, for a signpost.
    pub facts: Vec<Fact>,
    /// When it was seen, if at no step of the model.
    pub moment: Option<Box<Moment>>,
}

/// A step of a story that is none of the model's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// At which replica.
    pub replica: u8,
    /// The number of the step, from 1.
    pub step: usize,
    /// What was done then.
    pub action: String,
    /// The steps before.
    pub path: Vec<String>,
}

impl Difference {
    /// A difference without a diff.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        let (diff, facts) = (Vec::new(), Vec::new());
        Self { kind, what: what.into(), diff, probe: None, given: None, facts, moment: None }
    }

    /// Says what was given to the replica last, unless that is known.
    #[must_use]
    pub fn given(self, given: Given) -> Self {
        Self { given: self.given.or(Some(given)), ..self }
    }

    /// The same of a delivery.
    #[must_use]
    pub fn at(self, delivery: impl Into<Given>) -> Self {
        self.given(delivery.into())
    }

    /// Where it leads, if it was seen at, or after, a step of the model; or at none.
    pub fn signpost(&self, arm: Arm, action: Option<&model::Action>) -> Signpost {
        Signpost::of(arm, action, self.probe, self.given, &self.facts)
    }

    /// Adds something that was seen.
    #[must_use]
    pub fn with(mut self, fact: Fact) -> Self {
        self.facts.push(fact);
        self
    }

    /// Says when it was seen, unless that is known.
    #[must_use]
    pub fn then(self, moment: Moment) -> Self {
        Self { moment: self.moment.or(Some(Box::new(moment))), ..self }
    }

    /// Adds what was done.
    #[must_use]
    pub fn with_deeds(mut self, deeds: impl IntoIterator<Item = Deed>) -> Self {
        self.facts.extend(deeds.into_iter().map(Fact::Did));
        self
    }

    /// Says which probe showed it.
    #[must_use]
    pub fn by_probe(self, sort: &str, name: &'static str) -> Self {
        Self { what: format!("{sort} {name}: {}", self.what), probe: Some(name), ..self }
    }

    /// Adds the lines of a diff.
    #[must_use]
    pub fn with_diff(mut self, diff: Vec<String>) -> Self {
        self.diff = diff;
        self
    }
}

/// The first difference on a path, with all that is needed to see it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Divergence {
    /// Which replay: `core` or `node`.
    pub arm: &'static str,
    /// The configuration.
    pub config: String,
    /// The seed of the schedules.
    pub seed: u64,
    /// The number of the step, from 1.
    pub step: usize,
    /// The replica.
    pub replica: u8,
    /// The model's action, or the probe.
    pub action: String,
    /// What kind of difference.
    pub kind: Kind,
    /// One sentence.
    pub what: String,
    /// `-` what the model says, `+` what the code says.
    pub diff: Vec<String>,
    /// The handler at which it was seen, the rule, and what else to look at.
    #[serde(flatten)]
    pub signpost: Signpost,
    /// The probe, frame or reaction that showed it, if it was none of the model's steps.
    pub probe: Option<&'static str>,
    /// The steps that led here.
    pub path: Vec<String>,
    /// The same steps, to be read by a program.
    #[serde(skip)]
    pub actions: Vec<model::Action>,
    /// How many steps it took before it was made shorter, if it was.
    pub shrunk_from: Option<usize>,
    /// The command that shows it again.
    pub reproduce: String,
    /// The command that shows the way here in the Explorer.
    pub explore: String,
}

impl Divergence {
    /// One that a scenario found: no step of the model led to it.
    pub fn in_scenario(
        arm: Arm,
        difference: Difference,
        signpost: Signpost,
        moment: Moment,
        reproduce: String,
    ) -> Box<Self> {
        let Moment { replica, step, action, path } = moment;
        Box::new(Self {
            arm: arm.name(),
            config: "n4".to_owned(),
            seed: 0,
            step,
            replica,
            action,
            kind: difference.kind,
            what: difference.what,
            diff: difference.diff,
            signpost,
            probe: difference.probe,
            path,
            actions: Vec::new(),
            shrunk_from: None,
            reproduce,
            explore: "beyond the model".to_owned(),
        })
    }

    /// What noticed the difference, in one line: the arm, and the probe or what was compared at which kind of step.
    pub fn catcher(&self) -> String {
        let Self { arm, kind, probe, .. } = self;
        match (probe, self.actions.last()) {
            (Some(probe), _) => format!("{arm}, {probe}: {kind:?}"),
            (None, Some(action)) => format!("{arm}, {}: {kind:?}", action.name()),
            (None, None) => format!("{arm}: {kind:?}"),
        }
    }

    /// The way to the difference, as a trace that can be replayed.
    pub fn trace(&self) -> Trace {
        Trace {
            config: self.config.clone(),
            origin: format!("divergence {:?}", self.kind),
            actions: self.actions.clone(),
        }
    }
}

/// The command that opens the Explorer where a path ends, and the address to look at.
pub fn explore(config: &str, actions: &[model::Action]) -> String {
    let command = format!("cargo explore --config {config}");
    let trace = pbft_checker::trace::Trace {
        config: config.to_owned(),
        mutant: None,
        shows: Vec::new(),
        actions: actions.to_vec(),
    };
    match trace.model() {
        Ok(pbft) => {
            let fragment = trace.explorer_fragment(&pbft);
            format!("{command}, then http://127.0.0.1:3000/{fragment}")
        }
        Err(_) => command,
    }
}

/// How many steps before the difference are shown.
const CONTEXT: usize = 5;

/// What a difference says that was seen by the replay itself.
const CANNOT_GO_ON: &str =
    "the replay cannot go on: the code does not do what it waits for, or it is wrong itself";

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { arm, config, step, replica, action, kind, what, .. } = self;
        writeln!(
            f,
            "DIVERGENCE ({kind:?}) between the model and the {arm}, {config}, step {step}"
        )?;
        if let Some(steps) = self.shrunk_from {
            writeln!(f, "  shrunk from {steps} steps: no other step can be left out")?;
        }
        let skipped = self.path.len().saturating_sub(CONTEXT);
        if skipped > 0 {
            writeln!(f, "   … {skipped} steps before")?;
        }
        for (index, action) in self.path.iter().enumerate().skip(skipped) {
            writeln!(f, "  {:>3}. {action}", index + 1)?;
        }
        writeln!(f, "→ {step:>3}. {action}")?;
        writeln!(f, "  replica {replica}: {what}")?;
        for line in &self.diff {
            writeln!(f, "    {line}")?;
        }
        writeln!(f, "{}", self.signpost)?;
        if *kind == Kind::Harness {
            writeln!(f, "  {CANNOT_GO_ON}")?;
        }
        writeln!(f, "  seed {}; again: {}", self.seed, self.reproduce)?;
        write!(f, "  the way here in the model: {}", self.explore)
    }
}
