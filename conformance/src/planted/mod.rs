//! The teeth of conformance on the code's side: each bug on the lists beside core and node (`impl/*/bugs.txt`) must be
//! caught, by the replay on the core or through the node alone, and as its entry says.
//!
//! A bug is on in a process of its own: a planted build of this program, with the hidden command `hunt`.

pub mod command;
mod hunt;
mod leads;
pub mod mutants;

pub use hunt::{Found, Parts, hunt};
pub use leads::{Lead, Named};

use crate::job::in_parallel;
use pbft_checker::run::ExitCode;
use pbft_checker::run_args::usage;
use pbft_output::errln;
use pbft_plant::catalogue::Entry;
use pbft_plant::tool::{Planted, ToolError};
use pbft_plant::workspace::Kind;
use serde::Serialize;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

/// The seed that the entries were made with; with another one the same bug may show earlier elsewhere.
pub const RECORD_SEED: u64 = 1;

/// The crate and the program of which a planted build is made.
pub const PROGRAM: (&str, &str) = ("pbft-conformance", "pbft-conform");

/// What one might think of as bugs, and why they are none.
const EQUIVALENT: &[(&str, &str)] = &[
    (
        "verified signatures remembered without their signer",
        "every body names its signer, and the body is part of what is remembered",
    ),
    (
        "a timer that was cancelled runs out all the same",
        "the core refuses a timer that it does not wait for (timer-not-running)",
    ),
    (
        "messages of one group released in another order",
        "the protocol takes messages in any order; the order inside a peer's queue is checked as the transport's own",
    ),
];

/// Says why there is no planted build.
pub fn refused(error: &ToolError) -> ExitCode {
    match error.is_usage() {
        true => usage(error),
        false => {
            errln!("{error}");
            ExitCode::DataRefused
        }
    }
}

/// How a bug fared.
#[derive(Clone, Debug, Serialize)]
pub struct Hunt {
    /// The bug's name.
    pub bug: String,
    /// The files that it is in.
    pub place: String,
    /// The rule that it breaks.
    pub rule: String,
    /// What caught it when its entry was made.
    pub recorded: String,
    /// How near the report leads to it.
    pub lead: Lead,
    /// What catches it now.
    #[serde(flatten)]
    pub found: Found,
}

impl Hunt {
    fn new(entry: &Entry, found: Found) -> Self {
        let places = entry.hunks.iter().map(|hunk| hunk.path.display().to_string());
        let places: BTreeSet<String> = places.collect();
        Self {
            bug: entry.name.clone(),
            place: places.into_iter().collect::<Vec<_>>().join(" "),
            rule: entry.rule.clone(),
            recorded: entry.caught.clone(),
            lead: Lead::to(entry, &found.named),
            found,
        }
    }

    /// Whether the bug was caught, and as its entry says, as far as that can be compared.
    pub fn is_as_recorded(&self, seed: u64) -> bool {
        let caught = self.found.caught_by.as_ref();
        caught.is_some_and(|caught| seed != RECORD_SEED || *caught == self.recorded)
    }

    /// Whether the report leads to the file that the bug is in, and says what is pinned, as far as that can be compared.
    pub fn leads_there(&self, seed: u64) -> bool {
        seed != RECORD_SEED
            || (leads::is_as_recorded(&self.bug, self.lead)
                && leads::is_as_pinned(&self.bug, &self.found))
    }
}

/// The result of all hunts.
#[derive(Clone, Debug, Serialize)]
pub struct Teeth {
    /// Selects schedules and walks.
    pub seed: u64,
    /// What the same build shows with no bug on: nothing, or a bug could seem caught by what is wrong without it.
    pub without_bug: Found,
    /// Each bug, by name.
    pub hunts: Vec<Hunt>,
    /// Half of the bugs were caught in at most so many seconds.
    pub median_seconds: f64,
    /// So many reports at least must name the very function: a number for all bugs, and none for some of them.
    pub functions_min: usize,
}

impl Teeth {
    /// Whether every bug was caught as its entry says, by each of its probes, and nothing without a bug.
    pub fn hold(&self) -> bool {
        let bites = |hunt: &Hunt| {
            hunt.is_as_recorded(self.seed)
                && hunt.leads_there(self.seed)
                && hunt.found.toothless.is_empty()
        };
        let named_enough = self.leading(Lead::Function) >= self.functions_min;
        self.without_bug.caught_by.is_none()
            && !self.hunts.is_empty()
            && self.hunts.iter().all(bites)
            && named_enough
    }

    /// How many reports lead so near, or nearer.
    pub fn leading(&self, lead: Lead) -> usize {
        self.hunts.iter().filter(|hunt| hunt.lead >= lead).count()
    }
}

/// Hunts the bugs of these names, or all, and nothing; each in a process of its own, so many at a time.
pub fn hunt_all(
    names: &[String],
    seed: u64,
    threads: NonZeroUsize,
) -> Result<(Planted, Teeth), ToolError> {
    let planted = Planted::build(Kind::Bugs, PROGRAM.0, PROGRAM.1, names)?;
    let entries = planted.catalogue().entries();
    let chosen = |entry: &&Entry| names.is_empty() || names.contains(&entry.name);
    let entries: Vec<&Entry> = entries.iter().filter(chosen).collect();
    let found = Mutex::new(Vec::new());
    let lock = || found.lock().unwrap_or_else(PoisonError::into_inner);
    // Some hunts end by waiting in vain, which is no work.
    let threads = threads.saturating_mul(NonZeroUsize::MIN.saturating_add(1));
    in_parallel(
        threads,
        entries.len() + 1,
        |index| {
            let entry = index.checked_sub(1).map(|index| entries[index]);
            let bug = entry.map(|entry| &*entry.name);
            let seed = seed.to_string();
            let mut arguments = vec!["hunt", "--seed", &seed];
            if let Some(scenario) = entry.and_then(hunt::on_record) {
                arguments.extend(["--begin", scenario]);
            }
            let answer = planted.ask::<Found>(bug, arguments);
            if let Ok(Found { caught_by, seconds, .. }) = &answer {
                let caught = caught_by.as_deref().unwrap_or("nothing");
                errln!("{}: {caught}, {seconds:.1} s", bug.unwrap_or("without a bug"));
            }
            lock().push((entry, answer));
        },
        || {},
    );
    let (mut hunts, mut without_bug) = (Vec::new(), None);
    for (entry, answer) in found.into_inner().unwrap_or_else(PoisonError::into_inner) {
        match entry {
            Some(entry) => hunts.push(Hunt::new(entry, answer?)),
            None => without_bug = Some(answer?),
        }
    }
    hunts.sort_by(|one, other| one.bug.cmp(&other.bug));
    let mut seconds: Vec<f64> = hunts.iter().map(|hunt| hunt.found.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    let median_seconds = seconds.get(seconds.len() / 2).copied().unwrap_or_default();
    let without_bug = without_bug.unwrap_or_default();
    let is_whole = names.is_empty() && seed == RECORD_SEED;
    let functions_min = if is_whole { leads::FUNCTIONS_MIN } else { 0 };
    Ok((planted, Teeth { seed, without_bug, hunts, median_seconds, functions_min }))
}

/// The table.
pub fn to_text(teeth: &Teeth) -> String {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["bug", "in", "rule", "caught by", "leads to", "step", "edges", "seconds"]);
    for hunt in &teeth.hunts {
        let caught_by = match (&hunt.found.caught_by, hunt.is_as_recorded(teeth.seed)) {
            (Some(caught), true) => caught.clone(),
            (Some(caught), false) => format!("{caught} (on record: {})", hunt.recorded),
            (None, _) => "SURVIVES".to_owned(),
        };
        table.add_row([
            hunt.bug.clone(),
            hunt.place.clone(),
            hunt.rule.clone(),
            caught_by,
            leads_to(teeth, hunt),
            hunt.found.step.map_or(String::new(), |step| step.to_string()),
            hunt.found.edges.to_string(),
            format!("{:.1}", hunt.found.seconds),
        ]);
    }
    let mut text = format!("{table}\n");
    for (bug, reason) in EQUIVALENT {
        text.push_str(&format!("not planted, because it is none: {bug}: {reason}\n"));
    }
    if let Some(report) = &teeth.without_bug.report {
        text.push_str(&format!("without any bug:\n{report}\n"));
    }
    for hunt in &teeth.hunts {
        for probe in &hunt.found.toothless {
            text.push_str(&format!("a probe that does not fail with {}: {probe}\n", hunt.bug));
        }
    }
    let caught = teeth.hunts.iter().filter(|hunt| hunt.found.caught_by.is_some()).count();
    let (all, median) = (teeth.hunts.len(), teeth.median_seconds);
    text.push_str(&format!("{caught} of {all} planted bugs caught, median {median:.1} s\n"));
    let (files, functions) = (teeth.leading(Lead::File), teeth.leading(Lead::Function));
    text.push_str(&format!(
        "{files} of {all} reports name a function of the file that the bug is in, {functions} the very function\n"
    ));
    for (bug, reason) in leads::ELSEWHERE {
        text.push_str(&format!("leads elsewhere: {bug}: {reason}\n"));
    }
    if !teeth.hold() {
        text.push_str(
            "DOES NOT HOLD: a bug survives or is caught otherwise than on record, a probe does not fail, a report leads \
             elsewhere than on record, or the code differs without a bug\n",
        );
    }
    text
}

/// What the report leads to, marked where it should not.
fn leads_to(teeth: &Teeth, hunt: &Hunt) -> String {
    let lead = match hunt.lead {
        Lead::Nowhere => "elsewhere",
        Lead::File => "the file",
        Lead::Function => "the function",
    };
    match hunt.leads_there(teeth.seed) {
        true => lead.to_owned(),
        false => format!("{lead} (not on record)"),
    }
}
