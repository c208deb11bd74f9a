//! Results for people: tables and sentences.

use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

use crate::check::{CheckReport, PropertyResult, Verdict};
use crate::generated::{Fate, Report};
use crate::golden;
use crate::mutant_record::{RecordError, record};
use crate::mutants::MutantReport;
use crate::preset::{self, Preset};
use crate::report::look_at;
use crate::simulate::{Compared, SimulateReport};
use crate::trace::Trace;
use pbft_model::properties::PROPERTIES;
use pbft_model::witnesses::WITNESSES;
use pbft_model::{Config, Pbft};

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.iter().copied());
    table
}

/// A number with spaces between groups of three digits.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// One line for each configuration.
#[must_use]
pub fn check_table(reports: &[CheckReport]) -> Table {
    let mut table = table(&[
        "configuration",
        "states",
        "edges",
        "depth",
        "collision",
        "complete",
        "properties",
        "witnesses",
        "seconds",
    ]);
    for report in reports {
        let holding = report.properties_that(PropertyResult::Holds).count();
        let found = report.witnesses.values().filter(|found| **found).count();
        table.add_row([
            report.config.to_string(),
            grouped(report.unique_states),
            grouped(report.edges),
            report.depth.to_string(),
            format!("< {:.0e}", report.collision_bound),
            state_of(report).to_owned(),
            format!("{holding}/{}", report.properties.len()),
            format!("{found}/{}", report.witnesses.len()),
            format!("{:.1}", report.seconds),
        ]);
    }
    table
}

/// Whether every state was visited, and who else counted them.
fn state_of(report: &CheckReport) -> &'static str {
    match (report.complete, report.second_opinion.is_empty(), report.golden.is_some()) {
        _ if report.control && report.counterexample.is_some() => "broken, as it must",
        (false, _, _) => "NO",
        (true, true, false) => "yes",
        (true, true, true) => "yes, as recorded",
        (true, false, false) => "yes, counted thrice",
        (true, false, true) => "yes, as recorded, counted thrice",
    }
}

/// What is not as it should be in a report, with the shortest counterexample.
#[must_use]
pub fn check_details(report: &CheckReport) -> String {
    let mut text = String::new();
    if report.verdict == Verdict::Holds {
        return text;
    }
    for remark in &report.remarks {
        let _ = writeln!(text, "{}: {remark}", report.config);
    }
    for name in report.properties_that(PropertyResult::Violated) {
        let _ = writeln!(text, "{}: {name} is {}", report.config, PropertyResult::Violated);
    }
    for (name, _) in report.witnesses.iter().filter(|(_, found)| !**found) {
        let _ = writeln!(text, "{}: witness {name} was not reached", report.config);
    }
    if let Some(trace) = &report.counterexample
        && let Ok(model) = trace.model()
    {
        text += &trace_text(trace, &model);
    }
    text
}

/// What walks came to.
#[must_use]
pub fn simulate_text(report: &SimulateReport) -> String {
    let seen = report.witnesses.values().filter(|seen| **seen).count();
    let verdict = match report.verdict {
        Verdict::Violated => "VIOLATED",
        Verdict::Holds | Verdict::Inconclusive => "no violation, which proves nothing",
    };
    let mut text = format!(
        "{}: {verdict}; {} walks, {} states, longest {} steps, {seen} of {} things that can be seen, {:.1} s\n",
        report.config,
        grouped(report.walks),
        grouped(report.visits),
        report.depth,
        report.witnesses.len(),
        report.seconds,
    );
    if let Some(trace) = &report.counterexample
        && let Ok(model) = trace.model()
    {
        text += &trace_text(trace, &model);
    }
    if let Some(Compared { steps, taken, not_taken, difference }) = &report.theorem {
        let of = taken.len() + not_taken.len();
        let _ = write!(
            text,
            "  beside the theorem: {} steps compared, {} of its {of} kinds of steps taken",
            grouped(*steps),
            taken.len()
        );
        text += &if not_taken.is_empty() {
            "\n".to_owned()
        } else {
            format!(" (not {})\n", not_taken.join(", "))
        };
        if let Some(difference) = difference {
            let _ = writeln!(text, "  THEY DIFFER: {difference}");
        }
    }
    text
}

/// The last lines of a run: its seed, where its results are, and how to look at a counterexample again.
#[must_use]
pub fn closing(seed: Option<u64>, directory: &Path, counterexamples: &[PathBuf]) -> String {
    let mut text = seed.map_or(String::new(), |seed| format!("seed: {seed}\n"));
    let _ = writeln!(text, "run directory: {}", directory.display());
    for file in counterexamples {
        let [read, explore] = look_at(file).map(|command| command.line);
        let _ = writeln!(text, "again:   {read}\nexplore: {explore}");
    }
    text
}

/// A path step by step, with what its last state violates.
#[must_use]
pub fn trace_text(trace: &Trace, model: &Pbft) -> String {
    format!("{}\n{}", trace.headline(), trace.render(model))
}

/// The verdict on all configurations.
#[must_use]
pub fn check_summary(reports: &[CheckReport]) -> String {
    let states: u64 = reports.iter().map(|report| report.unique_states).sum();
    let edges: u64 = reports.iter().map(|report| report.edges).sum();
    let seconds: f64 = reports.iter().map(|report| report.seconds).sum();
    let bound: f64 = reports.iter().map(|report| report.collision_bound).sum();
    let memory = reports.iter().filter_map(|report| report.peak_memory_bytes).max();
    let memory = memory.map_or(String::new(), |bytes| format!(", peak memory {} MiB", bytes >> 20));
    let verdict = if reports.iter().any(|report| report.verdict == Verdict::Violated) {
        "VIOLATED"
    } else if reports.iter().any(|report| report.verdict == Verdict::Inconclusive) {
        "INCONCLUSIVE"
    } else {
        "holds"
    };
    format!(
        "{verdict}: {} configurations, {} states, {} edges in {seconds:.1} s \
         ({} states/s{memory}); chance of a hash collision below {bound:.1e}",
        reports.len(),
        grouped(states),
        grouped(edges),
        grouped((states as f64 / seconds.max(1e-9)) as u64),
    )
}

/// One line for each mutant.
#[must_use]
pub fn mutant_table(reports: &[MutantReport]) -> Table {
    let mut table =
        table(&["mutant", "rule broken", "fate", "configuration", "steps", "states", "s"]);
    for report in reports {
        let fate = match (&report.killed_by, report.equivalent) {
            (Some(property), _) => format!("killed by {property}"),
            (None, true) if report.as_recorded => "equivalent".to_owned(),
            (None, _) => "SURVIVES".to_owned(),
        };
        table.add_row([
            report.name.clone(),
            report.rule.clone(),
            fate,
            report.config.clone(),
            report.length.map_or(String::new(), |length| length.to_string()),
            grouped(report.states),
            format!("{:.1}", report.seconds),
        ]);
    }
    table
}

/// How many mutants were killed.
#[must_use]
pub fn mutant_summary(reports: &[MutantReport]) -> String {
    let killed = reports.iter().filter(|report| report.killed && !report.equivalent).count();
    let equivalent = reports.iter().filter(|report| report.equivalent).count();
    let odd = reports.iter().filter(|report| !report.as_recorded);
    let odd: Vec<_> = odd.map(|report| report.name.as_str()).collect();
    let odd = if odd.is_empty() {
        "all as recorded".to_owned()
    } else {
        format!("NOT AS RECORDED: {}", odd.join(", "))
    };
    format!("{killed} killed, {equivalent} equivalent; {odd}")
}

/// A line for each mutant made by rule that survives or is not as recorded.
#[must_use]
pub fn generated_table(reports: &[Report]) -> Table {
    let mut table = table(&["mutant", "what is different", "fate", "states"]);
    let shown = |report: &&Report| report.fate.reason().is_some() || !report.as_recorded;
    for report in reports.iter().filter(shown) {
        let odd = if report.as_recorded { "" } else { "NOT AS RECORDED: " };
        table.add_row([
            report.name.clone(),
            report.change.clone(),
            format!("{odd}{}", report.fate),
            grouped(report.states()),
        ]);
    }
    table
}

/// How many mutants made by rule met which fate.
#[must_use]
pub fn generated_summary(wanted: usize, reports: &[Report]) -> String {
    let count = |is: &dyn Fn(&Report) -> bool| reports.iter().filter(|report| is(report)).count();
    let killed = count(&|report| matches!(report.fate, Fate::Killed { .. }));
    let same = count(&|report| matches!(report.fate, Fate::SameStates { .. }));
    let other = count(&|report| matches!(report.fate, Fate::Survives { .. }));
    let refused = count(&|report| report.fate == Fate::Refused);
    let (odd, open) = (count(&|one| !one.as_recorded), count(&|one| one.fate.is_unexplained()));
    let missing = wanted.saturating_sub(reports.len());
    format!(
        "{wanted} mutants: {killed} killed, {same} survive with the same states, {other} with others, {refused} do not \
         compile, {missing} not searched; {open} survivors not explained, {odd} not as recorded"
    )
}

/// A name with what it stands for.
#[derive(Clone, Debug, Serialize)]
struct Entry {
    name: String,
    statement: String,
}

/// A configuration with what is on record about it, as a line.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Listed {
    config: Config,
    /// On record.
    states: Option<u64>,
    edges: Option<u64>,
    /// Whether it must break.
    control: bool,
}

impl Listed {
    /// A line for each configuration.
    #[must_use]
    pub fn all(entries: &[preset::Entry]) -> Vec<Self> {
        let listed = |entry: &preset::Entry| {
            let counts = golden::counts(&entry.config);
            Self {
                config: entry.config,
                states: counts.map(|(states, _)| states),
                edges: counts.map(|(_, edges)| edges),
                control: entry.property.is_some(),
            }
        };
        entries.iter().map(listed).collect()
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: Option<u64>| count.map_or("?".to_owned(), grouped);
        write!(f, "  {:<22} ", self.config.to_string())?;
        if self.control {
            return writeln!(f, "negative control: must break agreement");
        }
        writeln!(f, "{:>15} {:>15}", count(self.states), count(self.edges))
    }
}

/// Everything that has a name.
#[derive(Clone, Debug, Serialize)]
pub struct Catalogue {
    configurations: Vec<Listed>,
    properties: Vec<Entry>,
    witnesses: Vec<Entry>,
    mutants: Vec<Entry>,
}

impl Catalogue {
    /// The names of this version. An error if `mutants.txt` cannot be read.
    pub fn new(preset: Preset) -> Result<Self, RecordError> {
        let entry = |name: &str, statement: &str| Entry {
            name: name.to_owned(),
            statement: statement.to_owned(),
        };
        Ok(Self {
            configurations: Listed::all(&preset.entries()),
            properties: PROPERTIES.iter().map(|one| entry(one.name, one.statement)).collect(),
            witnesses: WITNESSES.iter().map(|one| entry(one.name, one.statement)).collect(),
            mutants: record()?.iter().map(|row| entry(&row.name, &row.rule)).collect(),
        })
    }
}

impl fmt::Display for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Configurations of the preset, with their states and edges on record:")?;
        self.configurations.iter().try_for_each(|line| write!(f, "{line}"))?;
        let sections = [
            ("Properties, in every state:", &self.properties),
            ("Witnesses, in some state where the bounds allow:", &self.witnesses),
            ("Mutants, with the rule that each breaks:", &self.mutants),
        ];
        for (title, entries) in sections {
            writeln!(f, "\n{title}")?;
            for entry in entries {
                writeln!(f, "  {:<32} {}", entry.name, entry.statement)?;
            }
        }
        Ok(())
    }
}
