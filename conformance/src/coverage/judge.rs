//! The judgement: what was exercised how often, and what was not although nothing excuses it.

use super::clauses::{Clause, PAPER, clauses};
use super::excuses;
use super::measured::{Edges, Measured};
use super::recorded::Recorded;
use crate::door;
use crate::probe;
use crate::refinement::kind::ActionKind;
use crate::replay::carry::leftover::Leftover;
use crate::replay::landmark::Landmark;
use crate::subject::tally::{Phase, Role};
use pbft_checker::run::ExitCode;
use pbft_core::RejectionKind;
use serde::Serialize;
use std::collections::BTreeMap;

/// How often something was seen, and why it need not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Its name.
    pub name: String,
    /// How often.
    pub count: u64,
    /// Why zero is right, if it is.
    pub excuse: Option<&'static str>,
}

/// An action, by [`Phase`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActionRow {
    /// The action.
    pub action: ActionKind,
    /// In the replays, in the order of [`Phase::ALL`]; none where it is impossible.
    pub replayed: [Option<u64>; 3],
    /// The same in recorded runs, if there are any.
    pub recorded: Option<[Option<u64>; 3]>,
}

/// A clause of the paper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClauseRow {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its probes.
    pub probes: Vec<Counted>,
    /// The refusals and effects that show it.
    pub shows: Vec<Counted>,
}

/// A kind of step that the replay has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KindRow {
    /// The action.
    pub action: ActionKind,
    /// Who takes it.
    pub role: Role,
    /// The message or event that it is taken on.
    pub on: String,
    /// How often the replays took it.
    pub replayed: u64,
    /// How often recorded runs did.
    pub recorded: u64,
}

/// The judgement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CoverageReport {
    /// The graphs.
    pub edges: Vec<Edges>,
    /// The actions.
    pub actions: Vec<ActionRow>,
    /// The kinds of edges that the graphs must have.
    pub landmarks: Vec<Counted>,
    /// The kinds of what the walks leave over.
    pub leftovers: Vec<Counted>,
    /// The probes, reactions and frames.
    pub probes: Vec<Counted>,
    /// The reasons to refuse an input.
    pub rejections: Vec<Counted>,
    /// The clauses of the paper.
    pub clauses: Vec<ClauseRow>,
    /// Steps of recorded runs; none if there are no runs.
    pub recorded_steps: Option<u64>,
    /// The kinds of steps, if there are recorded runs.
    pub kinds: Vec<KindRow>,
    /// What was not exercised, in sentences.
    pub missing: Vec<String>,
}

impl CoverageReport {
    /// Whether everything that has a name was exercised.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// The exit status.
    pub fn exit_code(&self) -> ExitCode {
        match self.is_complete() {
            true => ExitCode::Holds,
            false => ExitCode::Finding,
        }
    }
}

/// Judges what was measured.
pub fn judge(measured: &Measured, recorded: Option<&Recorded>) -> CoverageReport {
    let mut report = CoverageReport {
        edges: measured.edges.clone(),
        actions: actions(measured, recorded),
        landmarks: all_of(Landmark::ALL.map(Landmark::name), &measured.landmarks),
        leftovers: all_of(Leftover::ALL.map(Leftover::name), &measured.leftovers),
        probes: all_of(probe::all_names().chain(door::names()), &measured.probes),
        rejections: rejections(measured),
        clauses: clauses(PAPER).iter().map(|clause| clause_row(clause, measured)).collect(),
        recorded_steps: recorded.map(|recorded| recorded.steps),
        kinds: recorded.map(|recorded| kinds(measured, recorded)).unwrap_or_default(),
        missing: Vec::new(),
    };
    report.missing = missing(&report);
    report
}

fn actions(measured: &Measured, recorded: Option<&Recorded>) -> Vec<ActionRow> {
    let row = |action: ActionKind| {
        let count = |count: &dyn Fn(Phase) -> u64| {
            let at = |phase| match (count(phase), excuses::impossible(action, phase)) {
                (0, Some(_)) => None,
                (count, _) => Some(count),
            };
            Phase::ALL.map(at)
        };
        ActionRow {
            action,
            replayed: count(&|phase| measured.seen.of(action, phase)),
            recorded: recorded.map(|recorded| count(&|phase| recorded.of(action, phase))),
        }
    };
    ActionKind::REPLAYED.into_iter().map(row).collect()
}

/// How often each of these was counted.
fn all_of(
    names: impl IntoIterator<Item = &'static str>,
    counts: &BTreeMap<String, u64>,
) -> Vec<Counted> {
    let row = |name: &str| Counted {
        name: name.to_owned(),
        count: counts.get(name).copied().unwrap_or_default(),
        excuse: None,
    };
    names.into_iter().map(row).collect()
}

fn rejections(measured: &Measured) -> Vec<Counted> {
    let row = |kind: &RejectionKind| Counted {
        name: kind.to_string(),
        count: measured.seen.rejections.get(kind.as_str()).copied().unwrap_or_default(),
        excuse: excuses::refusal(*kind),
    };
    RejectionKind::ALL.iter().map(row).collect()
}

fn clause_row(clause: &Clause, measured: &Measured) -> ClauseRow {
    let counted = |counts: &BTreeMap<String, u64>, name: &String, excuse| Counted {
        name: name.clone(),
        count: counts.get(name).copied().unwrap_or_default(),
        excuse,
    };
    let shown = |name: &String| match name.parse() {
        Ok(kind) => counted(&measured.seen.rejections, name, excuses::refusal(kind)),
        Err(_) => counted(&measured.seen.effects, name, excuses::effect(name)),
    };
    let by_action = excuses::BY_ACTION.iter().filter(|(id, _)| *id == clause.id);
    let by_action = by_action.map(|(_, action)| Counted {
        name: format!("{action} steps"),
        count: Phase::ALL.into_iter().map(|phase| measured.seen.of(*action, phase)).sum(),
        excuse: None,
    });
    ClauseRow {
        id: clause.id.clone(),
        title: clause.title.clone(),
        probes: clause.probes.iter().map(|name| counted(&measured.probes, name, None)).collect(),
        shows: clause.shows.iter().map(shown).chain(by_action).collect(),
    }
}

fn kinds(measured: &Measured, recorded: &Recorded) -> Vec<KindRow> {
    let mut rows: BTreeMap<(ActionKind, Role, String), (u64, u64)> = BTreeMap::new();
    for (kind, count) in &measured.seen.steps {
        let key = (kind.action, kind.role, kind.on.clone());
        rows.entry(key).or_default().0 += count;
    }
    for (kind, count) in &recorded.kinds {
        let key = (kind.action, kind.role, kind.on.clone());
        rows.entry(key).or_default().1 += count;
    }
    let rows = rows.into_iter().map(|((action, role, on), (replayed, recorded))| KindRow {
        action,
        role,
        on,
        replayed,
        recorded,
    });
    rows.collect()
}

/// All that is zero without an excuse.
fn missing(report: &CoverageReport) -> Vec<String> {
    let mut missing = Vec::new();
    if report.edges.iter().map(|edges| edges.replayed).sum::<u64>() == 0 {
        missing.push("no edge was replayed".to_owned());
    }
    for Edges { config, replayed, total } in &report.edges {
        if replayed != total || *total == 0 {
            missing.push(format!("{config}: {replayed} of {total} edges were replayed"));
        }
    }
    for row in &report.actions {
        for (phase, count) in Phase::ALL.iter().zip(row.replayed) {
            if count == Some(0) {
                missing.push(format!("no replica replayed {} in its {}", row.action, phase.name()));
            }
        }
        for (phase, count) in Phase::ALL.iter().zip(row.recorded.into_iter().flatten()) {
            if count == Some(0) {
                let (action, phase) = (row.action, phase.name());
                missing.push(format!("no recorded replica did {action} in its {phase}"));
            }
        }
    }
    let zero = |row: &&Counted| row.count == 0 && row.excuse.is_none();
    for row in report.landmarks.iter().filter(zero) {
        missing.push(format!("no edge of graphs and walks is {}", row.name));
    }
    for row in report.leftovers.iter().filter(zero) {
        missing.push(format!("never left over: {}", row.name));
    }
    for row in report.probes.iter().filter(zero) {
        missing.push(format!("never probed: {}", row.name));
    }
    for row in report.rejections.iter().filter(zero) {
        missing.push(format!("never refused as {}", row.name));
    }
    for clause in &report.clauses {
        missing.extend(missing_of_clause(clause));
    }
    for row in report.kinds.iter().filter(|row| row.replayed > 0 && row.recorded == 0) {
        let (role, on) = (row.role.name(), &row.on);
        missing.push(format!("no recorded run has {} by a {role} on {on}", row.action));
    }
    missing
}

fn missing_of_clause(clause: &ClauseRow) -> Vec<String> {
    let id = &clause.id;
    let all = || clause.probes.iter().chain(&clause.shows);
    let zero = all().filter(|row| row.count == 0 && row.excuse.is_none());
    let mut missing: Vec<_> = zero.map(|row| format!("clause {id}: never {}", row.name)).collect();
    let seen = all().any(|row| row.count > 0);
    if !seen && missing.is_empty() && !all().any(|row| row.excuse.is_some()) {
        missing.push(format!("clause {id}: nothing of it is exercised"));
    }
    missing
}
