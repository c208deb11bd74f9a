//! `pbft-sim replay` and `shrink`: one run, shown and made small.

use super::seeds::name;
use super::{Common, Which, usage};
use pbft_checker::run::{ExitCode, RunDir, RunRecord};
use pbft_core::Membership;
use pbft_output::errln;
use pbft_plant::switch::{self, active_bug};
use pbft_sim::campaign::{Failure, Task};
use pbft_sim::event::Event;
use pbft_sim::fault::Plan;
use pbft_sim::judge::{Judged, Judging, judge};
use pbft_sim::oracle::{Rule, Violation};
use pbft_sim::render::{Row, rows, table};
use pbft_sim::shrink::{self, Patience, Shrunk};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::Path;

/// The longest case file that is read.
const CASE_BYTES_MAX: u64 = 64 << 20;

/// A run that was made small, as a file.
#[derive(Debug, Serialize, Deserialize)]
struct Case {
    /// The bug that was on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    planted: Option<String>,
    /// The cluster and, if there are no events, everything that happens to it.
    plan: Plan,
    /// What happens after the start.
    events: Vec<Event>,
    /// The rule that it breaks.
    violation: Violation,
}

/// What is shown of a run.
#[derive(Debug, Default, Serialize)]
struct Shown {
    rows: Vec<Row>,
    violation: Option<Violation>,
    operations: u64,
    answered: u64,
    converged_ms: Option<u64>,
    trailing: Option<String>,
    #[serde(skip)]
    table: String,
}

fn plan_of(common: &Common, which: &Which) -> Result<Plan, String> {
    Membership::new(which.replicas).map_err(|error| error.to_string())?;
    let mut plan = Plan::draw(which.seed.unwrap_or_default(), which.replicas);
    (plan.scheme, plan.stored) = (common.signatures, common.store);
    Ok(plan)
}

pub(super) fn replay(common: &Common, which: &Which) -> ExitCode {
    if let Some(path) = &which.case {
        return replay_case(common, path);
    }
    match plan_of(common, which) {
        Ok(plan) => show(common, &plan),
        Err(message) => usage(&message),
    }
}

pub(super) fn task(common: &Common, task: Task) -> ExitCode {
    show(common, &task.plan())
}

/// Shows a whole run.
fn show(common: &Common, plan: &Plan) -> ExitCode {
    let judged = judge(plan, Judging { model: true, keep: true });
    let events: Vec<_> =
        judged.events.iter().map(|(at, event)| (Some(*at), event.clone())).collect();
    let rows = rows(plan, &events, false);
    let table = format!("{}{}", heading(plan), table(plan, &rows));
    let shown = Shown {
        rows,
        violation: judged.violation.clone(),
        operations: judged.operations,
        answered: judged.answered,
        converged_ms: judged.converged.map(|after| after.as_millis() as u64),
        trailing: judged.trailing.clone(),
        table,
    };
    common.run.print(&shown, |shown| format!("{}\n{}", shown.table, ending(&judged)));
    verdict(judged.violation.as_ref())
}

fn verdict(violation: Option<&Violation>) -> ExitCode {
    match violation {
        Some(_) => ExitCode::Finding,
        None => ExitCode::Holds,
    }
}

/// What the plan of a run says.
fn heading(plan: &Plan) -> String {
    let mut text = format!("seed {}, {} replicas, K = {}\n", plan.seed, plan.n, plan.interval);
    for (host, behaviours) in &plan.liars {
        let names: Vec<_> = behaviours.iter().map(|one| one.name()).collect();
        let _ = writeln!(text, "r{host} lies: {}", names.join(", "));
    }
    for (client, lies) in &plan.lying_clients {
        let names: Vec<_> = lies.iter().map(|one| one.name()).collect();
        let _ = writeln!(text, "c{client} lies: {}", names.join(", "));
    }
    for fault in &plan.faults {
        let (from, until) = (fault.from.as_millis(), fault.until.as_millis());
        let _ = writeln!(text, "{from:>6} to {until:>6} ms  {:?}", fault.kind);
    }
    let _ = writeln!(text, "{:>6} ms            everything is healed\n", plan.heal_at.as_millis());
    text
}

fn ending(judged: &Judged) -> String {
    match &judged.violation {
        Some(violation) => format!("BROKEN {violation}\n"),
        None => format!(
            "HOLDS: {} of {} operations answered, views up to {}, {}\n",
            judged.answered,
            judged.operations,
            judged.view,
            end(judged)
        ),
    }
}

fn end(judged: &Judged) -> String {
    match (&judged.trailing, judged.converged) {
        (Some(obstacle), _) => {
            format!("kept up and never level, as clients do not stop: {obstacle}")
        }
        (None, Some(after)) => {
            format!("converged {:.2} s after everything was healed", after.as_secs_f64())
        }
        (None, None) => "not converged, which nobody claims here".to_owned(),
    }
}

fn read_case(path: &Path) -> Result<Case, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > CASE_BYTES_MAX {
        return Err(format!("{size} bytes, at most {CASE_BYTES_MAX}"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| format!("not a case: {error}"))
}

/// The bug that a case was made with, if that can be read. What cannot is refused when the case is replayed.
pub(super) fn bug_of(path: &Path) -> Option<String> {
    read_case(path).ok()?.planted
}

fn replay_case(common: &Common, path: &Path) -> ExitCode {
    let case = match read_case(path) {
        Ok(case) => case,
        Err(problem) => {
            errln!("error: {}: {problem}; `shrink` writes case files", path.display());
            return ExitCode::DataRefused;
        }
    };
    if case.events.is_empty() {
        return show(common, &case.plan);
    }
    let again = shrink::replay(&case.plan, &case.events, case.violation.rule);
    let shown = small(&case.plan, &again.happened, again.violation.as_ref());
    common.run.print(&shown, |shown| shown.table.clone());
    verdict(again.violation.as_ref())
}

/// A list of events with its verdict.
fn small(plan: &Plan, events: &[Event], violation: Option<&Violation>) -> Shown {
    let events: Vec<_> = events.iter().map(|event| (None, event.clone())).collect();
    let rows = rows(plan, &events, true);
    let end = violation.map_or("HOLDS\n".to_owned(), |violation| format!("BROKEN {violation}\n"));
    let table = format!("{}\n{end}", table(plan, &rows));
    Shown { rows, violation: violation.cloned(), table, ..Shown::default() }
}

pub(super) fn shrink(common: &Common, which: &Which) -> ExitCode {
    let plan = match plan_of(common, which) {
        Ok(plan) => plan,
        Err(message) => return usage(&message),
    };
    let Some(shrunk) = make_small(&plan) else {
        errln!("the run breaks no rule; there is nothing to make small");
        return ExitCode::Holds;
    };
    let shown = show_small(&shrunk);
    common.run.print(&shown, |shown| shown.table.clone());
    match RunDir::create(&common.run.runs, "sim") {
        Ok(directory) => keep(&shrunk, &directory, "case.json"),
        Err(error) => errln!("no run directory: {error}; choose another with --runs DIR"),
    }
    ExitCode::Finding
}

fn make_small(plan: &Plan) -> Option<Shrunk> {
    let first = judge(plan, Judging { model: false, keep: true });
    let judged = match first.violation {
        Some(_) => first,
        None => judge(plan, Judging { model: true, keep: true }),
    };
    let violation = judged.violation?;
    errln!("{} events break a rule; leaving out what is not needed", judged.events.len());
    let events: Vec<Event> = judged.events.into_iter().map(|(_, event)| event).collect();
    Some(shrink::shrink(plan, &events, &violation, Patience::default()))
}

fn show_small(shrunk: &Shrunk) -> Shown {
    let mut shown = match shrunk.violation.rule {
        Rule::Progress => {
            let judged = judge(&shrunk.plan, Judging { model: false, keep: false });
            let table = format!("{}{}", heading(&shrunk.plan), ending(&judged));
            let violation = judged.violation;
            Shown { rows: Vec::new(), violation, table, ..Shown::default() }
        }
        _ => small(&shrunk.plan, &shrunk.events, Some(&shrunk.violation)),
    };
    let _ = writeln!(
        shown.table,
        "{} events after the start, {} runs tried",
        shrunk.events.len(),
        shrunk.tried
    );
    shown
}

fn keep(shrunk: &Shrunk, directory: &RunDir, file: &str) {
    let case = Case {
        planted: active_bug().ok().flatten(),
        plan: shrunk.plan.clone(),
        events: shrunk.events.clone(),
        violation: shrunk.violation.clone(),
    };
    match directory.write_json(file, &case) {
        Ok(path) => {
            errln!("again: cargo sim replay --case {}", path.display());
        }
        Err(error) => errln!("the case cannot be kept: {error}"),
    }
}

/// Says everything about a failing run: the seed, the commit, the command, and the run made small.
pub(super) fn explain_failure(failure: &Failure, directory: &RunDir) {
    let commit = RunRecord::new(Vec::new(), None, (), true).commit;
    let commit = commit.unwrap_or_else(|| "unknown".to_owned());
    errln!("\n{:?} at commit {commit}: {}", failure.task, failure.violation);
    errln!("again: {}{}", failure.task.command(), switch::option());
    explain_plan(&failure.task.plan(), directory, &format!("case-{}.json", name(failure.task)));
}

/// Makes a list of events that breaks a rule small, and keeps it.
pub(super) fn explain_events(
    (plan, events): (&Plan, &[Event]),
    violation: &Violation,
    directory: &RunDir,
    file: &str,
) {
    errln!("{} events break a rule; leaving out what is not needed", events.len());
    let shrunk = shrink::shrink(plan, events, violation, Patience::default());
    errln!("{}", show_small(&shrunk).table);
    keep(&shrunk, directory, file);
}

/// Makes a failing run small, and keeps it.
pub(super) fn explain_plan(plan: &Plan, directory: &RunDir, file: &str) {
    let Some(shrunk) = make_small(plan) else {
        errln!("it does not fail again: something in it is not determined by the seed");
        return;
    };
    errln!("{}", show_small(&shrunk).table);
    keep(&shrunk, directory, file);
}
