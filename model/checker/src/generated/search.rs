//! What the process of one mutant does, and how it is started and heard.

use std::panic::{self, AssertUnwindSafe};
use std::process;
use std::thread;
use std::time::Duration;

use pbft_plant::tool::{Planted, ToolError};
use serde::{Deserialize, Serialize};

use super::ladder;
use crate::bfs::{self, Limits};
use crate::golden;
use crate::run::{Silent, say};
use crate::sweep::Sweep;
use pbft_model::properties::PROPERTIES;
use pbft_model::{Config, Pbft, Reductions};

/// The subcommand that does it.
pub const COMMAND: &str = "hunt-generated";

/// States for the configuration on record, whatever the budget is: the largest search that the record needs has fewer.
const RECORDED: u64 = 12_000_000;

/// A process that takes longer does not end: some rule goes on for ever. Many times what a budget takes.
const PATIENCE: Duration = Duration::from_secs(900);

/// The exit status of such a process.
const ENDLESS: i32 = 9;

/// What a search of one configuration came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Searched {
    /// The bounds.
    pub config: Config,
    /// Distinct states.
    pub states: u64,
    /// Successor states generated.
    pub edges: u64,
    /// How it ended.
    pub end: End,
}

/// How a search ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Every state was visited, and everything is as it should be.
    Whole,
    /// There are more states than it was to visit.
    Limited,
    /// A property is violated.
    Violated {
        /// The property.
        property: String,
        /// The length of a shortest path.
        steps: usize,
    },
    /// Every state was visited, and something that must happen did not.
    Lost {
        /// What.
        what: String,
    },
    /// The rules panicked.
    Panicked,
    /// The rules went on for ever.
    Endless,
}

impl Searched {
    /// Whether the configuration has as many states and edges without the mutant.
    #[must_use]
    pub fn is_as_without(&self) -> bool {
        self.end == End::Whole && golden::counts(&self.config) == Some((self.states, self.edges))
    }
}

/// Searches one configuration under the rules as they are in this process.
#[must_use]
pub fn here(config: Config, most: u64) -> Searched {
    let sweep = Sweep::new(Pbft::new(config).with_reductions(Reductions::ALL), None);
    let limits = Limits { max_states: most, ..Limits::default() };
    let visited = panic::catch_unwind(AssertUnwindSafe(|| {
        bfs::search(&sweep, limits, |sweep, state| !sweep.visit(state), &mut Silent)
    }));
    let Ok(search) = visited else {
        return Searched { config, states: 0, edges: 0, end: End::Panicked };
    };
    let (states, edges) = (search.unique_states, search.edges);
    let violated = PROPERTIES.iter().zip(sweep.violations()).find(|(_, violated)| *violated);
    let mut unseen = sweep.must_be_seen().into_iter().filter(|(_, seen)| !seen);
    let end = match (violated, search.found) {
        (Some((property, _)), Some(path)) => {
            End::Violated { property: property.name.to_owned(), steps: path.len() }
        }
        _ if !search.complete => End::Limited,
        _ => unseen.next().map_or(End::Whole, |(what, _)| End::Lost { what }),
    };
    Searched { config, states, edges, end }
}

/// Goes through the configurations until the mutant is found out or the budget does not suffice for the next, and prints
/// each result, a line of JSON. The configuration on record comes first.
pub fn print_all(budget: u64, first: Option<Config>) {
    thread::spawn(|| {
        thread::sleep(PATIENCE);
        process::exit(ENDLESS);
    });
    if let Some(config) = first {
        let searched = here(config, RECORDED);
        print(&searched);
        if !matches!(searched.end, End::Whole | End::Limited) {
            return;
        }
    }
    let mut left = budget;
    for config in ladder() {
        if golden::counts(&config).is_none_or(|(states, _)| states > left) {
            return;
        }
        let searched = here(config, left);
        print(&searched);
        if searched.end != End::Whole {
            return;
        }
        left = left.saturating_sub(searched.states);
    }
}

fn print(searched: &Searched) {
    // Each on its own, so that those before it are known if the process dies in the next.
    if let Ok(line) = serde_json::to_string(searched) {
        say(&format_args!("{line}\n"));
    }
}

/// Has a process with the mutant on do that, and reads its results. One that dies found the mutant out.
pub(super) fn elsewhere(
    planted: &Planted,
    mutant: &str,
    budget: u64,
    first: Option<Config>,
) -> Result<Vec<Searched>, ToolError> {
    let (budget, config) = (budget.to_string(), first.map(|config| config.to_string()));
    let mut arguments = vec![COMMAND, "--budget", &budget];
    arguments.extend(config.iter().flat_map(|config| ["--first", config.as_str()]));
    let output = planted.tell(Some(mutant), arguments, &[])?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut searched: Vec<Searched> =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let end = match output.status.code() {
        Some(0) if !searched.is_empty() => return Ok(searched),
        Some(ENDLESS) => End::Endless,
        // A signal: the stack or the memory ran out.
        None => End::Panicked,
        Some(_) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let (bug, end) = (Some(mutant.to_owned()), output.status.to_string());
            return Err(ToolError::Said { bug, end, said });
        }
    };
    let all = first.into_iter().chain(ladder());
    if let Some(config) = all.into_iter().nth(searched.len()) {
        searched.push(Searched { config, states: 0, edges: 0, end });
    }
    Ok(searched)
}
