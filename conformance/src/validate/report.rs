//! What a validation came to, for people and programs.

use super::coverage::Coverage;
use super::narrate;
use super::recording::Placed;
use super::refusal::{Reason, Refusal};
use super::theorem::Evaluated;
use crate::refinement::kind::ActionKind;
use crate::subject::tally::Phase;
use pbft_checker::report::{Case, Command, Outcome, Report, Suite};
use pbft_checker::run::ExitCode;
use pbft_proof::run::Breach;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// Whether the model allows a recorded run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Validity {
    /// The model allows it.
    Valid,
    /// The model does not allow it.
    Divergence,
    /// Something is missing.
    Inconclusive,
}

/// The first step that the model does not allow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Divergence {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: u64,
    /// The replica.
    pub replica: u32,
    /// The step as it is recorded, in words.
    pub step: String,
    /// The rule that it breaks.
    pub reason: Option<Reason>,
    /// The part of the step that breaks it.
    pub act: String,
    /// The rule in words.
    pub rule: String,
    /// Its section of the paper.
    pub section: String,
    /// What is so, and what would have to be.
    pub detail: String,
    /// Where the replica stands, and what the model would allow it there.
    pub allowed: Vec<String>,
    /// The replica's last steps before this one.
    pub history: Vec<String>,
    /// The conjuncts of the theorem's invariant that do not hold after it.
    pub broken: Vec<Breach>,
}

impl Divergence {
    pub(super) fn new<'a>(
        (path, line): (PathBuf, u64),
        replica: u32,
        step: Option<&Placed>,
        refusal: &Refusal,
        history: impl Iterator<Item = &'a Placed>,
        allowed: Vec<String>,
    ) -> Self {
        Self {
            path,
            line,
            replica,
            step: step.map_or_else(|| "a start".to_owned(), |p| narrate::step(&p.step)),
            reason: Some(refusal.reason),
            act: refusal.step.clone(),
            rule: refusal.rule(),
            section: refusal.section().to_owned(),
            detail: refusal.detail.clone(),
            allowed,
            history: history.map(|placed| narrate::step(&placed.step)).collect(),
            broken: Vec::new(),
        }
    }

    /// Whether it says only that something is nowhere to be found.
    pub(super) fn is_about_what_is_missing(&self) -> bool {
        self.reason == Some(Reason::NeverSaid)
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, replica, act, rule, section, detail, .. } = self;
        writeln!(f, "{}:{line}: replica {replica} {act}", path.display())?;
        if self.reason != Some(Reason::Invariant) {
            writeln!(f, "  the model does not allow it: {rule} (§{section})")?;
            writeln!(f, "  {detail}")?;
        }
        self.broken.iter().try_for_each(|breach| write!(f, "  {breach}"))?;
        writeln!(f, "\nthe step\n{}", self.step)?;
        writeln!(f, "\nthe replica there")?;
        for (position, allowed) in self.allowed.iter().enumerate() {
            let lead = if position == 0 { "" } else { "the model would allow: " };
            writeln!(f, "       {lead}{allowed}")?;
        }
        writeln!(f, "\nits last steps before")?;
        self.history.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

/// What a validation came to.
#[derive(Clone, Debug, Serialize)]
pub struct Validation {
    /// The verdict.
    pub verdict: Validity,
    /// The number of replicas, n.
    pub replicas: u32,
    /// Those whose logs were read.
    pub recorded: Vec<u32>,
    /// Those that may have said anything.
    pub byzantine: Vec<u32>,
    /// Steps that the model allows.
    pub steps: u64,
    /// The most statements that were remembered at a time.
    pub remembered: usize,
    /// Wall time.
    pub seconds: f64,
    /// Why nothing can be said.
    pub doubts: Vec<String>,
    /// The first step that the model does not allow.
    pub divergence: Option<Divergence>,
    /// What the run has exercised.
    pub coverage: Coverage,
    /// What was evaluated of the theorem's invariant.
    pub theorem: Evaluated,
}

impl Validation {
    /// The exit status.
    pub const fn exit_code(&self) -> ExitCode {
        match self.verdict {
            Validity::Valid => ExitCode::Holds,
            Validity::Divergence => ExitCode::Finding,
            Validity::Inconclusive => ExitCode::Inconclusive,
        }
    }

    /// The report for continuous integration.
    pub fn to_report(&self, command: String) -> Report {
        let outcome = match (&self.divergence, self.doubts.first()) {
            (Some(found), _) => Outcome::Failed {
                message: format!("{}: {}", found.act, found.rule),
                detail: found.to_string(),
            },
            (None, Some(doubt)) => Outcome::Inconclusive { message: doubt.clone() },
            (None, None) => Outcome::Passed,
        };
        let name = "the model allows the recorded run".to_owned();
        let count = |action: ActionKind| {
            (format!("action {}", action.hyphenated()), self.coverage.of(action).to_string())
        };
        let mut properties = vec![("steps".to_owned(), self.steps.to_string())];
        properties.extend(ActionKind::recorded().map(count));
        let conjuncts = self.theorem.conjuncts.iter();
        properties.extend(conjuncts.map(|(name, n)| (format!("theorem {name}"), n.to_string())));
        Report {
            title: "Recorded run".to_owned(),
            seed: None,
            directory: PathBuf::from("."),
            suites: vec![Suite {
                name: "validate".to_owned(),
                seconds: self.seconds,
                properties,
                cases: vec![Case { name, outcome, seconds: self.seconds, facts: Vec::new() }],
            }],
            commands: vec![Command { purpose: "the same again".to_owned(), line: command }],
        }
    }
}

impl fmt::Display for Validation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Coverage { executed, applied, skipped, view, .. } = &self.coverage;
        writeln!(
            f,
            "{} of {} replicas recorded, {} steps; {executed} batches with {applied} requests executed, {skipped} \
             skipped as answered; views up to {view}",
            self.recorded.len(),
            self.replicas,
            self.steps
        )?;
        let [first, between, later] = Phase::ALL.map(Phase::name);
        writeln!(f, "\n {:<18} {first:>12} {between:>14} {later:>12}", "action")?;
        for action in ActionKind::recorded() {
            let [first, between, later] =
                self.coverage.actions.get(&action).copied().unwrap_or_default();
            writeln!(f, " {:<18} {first:>12} {between:>14} {later:>12}", action.hyphenated())?;
        }
        let kinds = self.coverage.rejections.iter();
        let kinds: Vec<_> = kinds.map(|(kind, count)| format!("{kind} {count}")).collect();
        let kinds = if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") };
        writeln!(f, " refused inputs: {kinds}\n")?;
        writeln!(f, "{}\n", self.theorem)?;
        self.doubts.iter().try_for_each(|doubt| writeln!(f, "{doubt}"))?;
        match (&self.divergence, self.verdict) {
            (Some(divergence), _) => write!(f, "{divergence}\nDIVERGENCE"),
            (None, Validity::Inconclusive) => write!(f, "INCONCLUSIVE"),
            (None, _) => write!(f, "VALID: the model allows this run"),
        }?;
        writeln!(f)
    }
}
