//! The simulator's teeth: bugs that core, host and node can be built with, and how soon a run finds each.

use super::campaign::Task;
use super::judge::{Judging, judge};
use super::oracle::Rule;
use super::twins;
use pbft_conformance::job::in_parallel;
use pbft_output::errln;
use pbft_plant::catalogue::Entry;
use pbft_plant::tool::{Planted, ToolError};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// What the simulator has of the node. What it has not, it cannot find bugs in.
const OF_THE_NODE: [&str; 4] = ["keyring.rs", "state", "store", "trace"];

/// Bugs elsewhere that the simulator cannot find, and why.
pub const OUT_OF_REACH: &[(&str, &str)] = &[
    ("o-unsigned", "breaks no rule: who begins the view has signed O with the rest"),
    ("pre-prepare-sent-before-durable", "the host makes up for it: a group's records come first"),
    ("prepare-sent-before-durable", "the host makes up for it: a group's records come first"),
    ("view-change-sent-before-durable", "the host makes up for it: a group's records come first"),
    (
        "commits-matched-without-digest",
        "breaks no rule: COMMITs of a correct majority match anyway",
    ),
];

/// Bugs that the simulator could find, and did not within 600 runs of each kind: it takes a lie or a coincidence that its liars
/// and its chance do not come to. Conformance finds them all. They are hunted with `--all`.
pub const NOT_SEEN: &[&str] = &[
    "another-batch-served",
    "certificate-from-future",
    "checkpoint-between-intervals",
    "checkpoint-sent-before-durable",
    "checkpoints-not-repeated",
    "client-believes-highest-view",
    "client-reuses-timestamp",
    "client-takes-strangers",
    "committed-batch-unchecked",
    "duplicate-is-a-lie",
    "inactive-after-transfer",
    "lists-unbounded",
    "lock-not-released",
    "low-water-mark-ignored",
    "new-view-from-non-primary",
    "no-join",
    "old-timestamp-answered",
    "old-view-change-kept",
    "operations-unbounded",
    "own-message-taken",
    "patience-not-doubled",
    "patience-not-restored",
    "prepares-matched-without-view",
    "quota-is-no-full-disk",
    "request-not-relayed",
    "request-signature-unchecked",
    "restart-forgets-votes",
    "said-without-commit",
    "second-vote-taken",
    "stopped-timer-runs-out",
    "timer-not-started-in-new-view",
    "timer-not-stopped-by-execution",
    "unasked-batch-taken",
    "unknown-part-served",
    "unknown-state-served",
    "view-change-of-non-member",
    "view-changes-not-handed-on",
    "vote-of-another-channel",
];

/// Bugs that nobody has hunted with the simulator yet: most are about bytes that none of its liars makes use of, or in the
/// node's driver and store, most of which it does without. Conformance finds them all. They are hunted with `--all`, too.
pub const NOT_HUNTED: &[&str] = &[
    "another-reason-told",
    "backup-takes-authenticators",
    "batch-digest-of-the-first-request",
    "batch-digest-without-operations",
    "bodies-on-disk-for-ever",
    "c-in-v-unsigned",
    "c-not-signed",
    "certificate-signers-in-any-order",
    "certificate-weighs-nothing",
    "certified-body-dropped",
    "checkpoint-as-long-as-a-vote",
    "checkpoints-in-proofs-unsigned",
    "chunk-before-not-changed",
    "commit-certificate-of-two-numbers",
    "commit-certificate-of-two-views",
    "commits-counted-anew",
    "commits-in-proofs-unsigned",
    "committed-requests-unsigned",
    "divergence-unnoticed-in-new-view",
    "end-not-recorded",
    "enters-a-view-while-it-abstains",
    "evidence-half-signed",
    "fetched-requests-unsigned",
    "first-request-only-checked",
    "former-values-forgotten-early",
    "h-below-its-proof",
    "h-zero-with-a-proof",
    "half-a-contradiction",
    "halt-released-with-its-group",
    "journal-not-written-to-the-database",
    "kept-checkpoints-not-redone",
    "last-group-not-recorded",
    "last-prepare-in-p-unsigned",
    "last-record-decides",
    "later-value-kept",
    "later-view-change-in-v",
    "limits-of-the-pipeline",
    "lists-without-length",
    "longest-client-frame-refused",
    "longest-message-refused",
    "longest-reply-refused",
    "manifest-digest-without-number",
    "manifest-digest-without-replies",
    "memory-made-up",
    "neighbour-accused",
    "never-executed-on-one-word",
    "o-not-signed",
    "o-of-another-signer",
    "o-of-another-view",
    "o-with-more-than-follows",
    "p-in-v-unsigned",
    "panic-not-undone",
    "patience-without-a-floor",
    "peers-as-far-are-ahead",
    "pre-prepares-in-p-unsigned",
    "prepared-certificate-of-two-numbers",
    "prepared-certificate-of-two-views",
    "prepared-not-recorded",
    "prepares-in-p-unsigned",
    "prepares-n-minus-two",
    "prepares-two-f",
    "promises-above-h-contradict",
    "query-of-any-size",
    "quorum-n-minus-f",
    "readers-of-a-closed-store",
    "replies-not-redone",
    "request-digests-not-in-the-state",
    "restart-forgets-bodies",
    "restart-keeps-the-outbox",
    "result-bound-one-less",
    "resumes-at-checkpoint",
    "second-fastest-primary-is-asked-for",
    "second-view-change-kept",
    "session-not-signed",
    "set-aside-outlives-its-view",
    "shed-in-silence",
    "signature-not-asked-for",
    "signatures-not-hashed",
    "source-budget-never-renewed",
    "stable-certificate-of-two-numbers",
    "staged-chunks-forgotten",
    "staged-remembered-after-it-was-let-go",
    "status-unsigned",
    "strings-without-length",
    "suspected-twice",
    "too-large-is-malformed",
    "undone-too-far",
    "used-timestamp-unknown",
    "view-changes-in-v-unsigned",
    "view-of-commits-not-signed",
    "votes-of-two-kinds-contradict",
    "votes-of-two-views-contradict",
    "waits-of-the-whole-view",
    "weak-n-minus-q-plus-one",
    "write-put-off-again",
    "write-put-off-for-ever",
    "write-put-off-too-long",
];

/// The run that gave a bug away.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Found {
    /// Which.
    pub task: Task,
    /// How many runs there were until then.
    pub runs: u64,
    /// The rule that it broke.
    pub rule: Rule,
    /// The first line of what was found.
    pub detail: String,
}

/// How a bug fared.
#[derive(Clone, Debug, Serialize)]
pub struct Hunt {
    /// The bug.
    pub bug: String,
    /// Whether the simulator must find it.
    pub is_expected: bool,
    /// What found it.
    pub found: Option<Found>,
    /// Wall time in seconds.
    pub seconds: f64,
}

impl Hunt {
    /// Whether it was found, or is known to be hard or impossible to find.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.found.is_some() || !self.is_expected
    }
}

/// Whether the simulator must find this bug.
#[must_use]
pub fn is_expected(entry: &Entry) -> bool {
    let bug = &*entry.name;
    !NOT_SEEN.contains(&bug) && !NOT_HUNTED.contains(&bug) && !is_out_of_reach(entry)
}

fn is_out_of_reach(entry: &Entry) -> bool {
    let is_absent = |path: &Path| {
        let of_the_node = path.strip_prefix("impl/node/src");
        of_the_node.is_ok_and(|path| OF_THE_NODE.iter().all(|part| !path.starts_with(part)))
    };
    OUT_OF_REACH.iter().any(|(name, _)| *name == entry.name)
        || entry.hunks.iter().any(|hunk| is_absent(&hunk.path))
}

/// So many kinds of runs take turns.
const KINDS: u64 = 3;

/// After so many runs come two of another kind.
const ROUND: u64 = 15;

/// The runs in which bugs are looked for, in turns: a seed at four replicas, a single lie, a scenario of twins. Now and then
/// come a seed at six replicas, where a quorum is more than 2f+1, and one with the signatures and the store of
/// production.
fn task(number: u64, seeds: u64) -> Task {
    let (round, place) = (number / (ROUND + 2), number % (ROUND + 2));
    let usual = round * ROUND + place;
    match (place, usual % KINDS, usual / KINDS) {
        (ROUND, ..) => Task::Seed { n: 6, seed: 1 + round },
        (place, ..) if place > ROUND => Task::Production { seed: 1 + round },
        (_, 0, turn) => Task::Seed { n: 4, seed: 1 + turn },
        (_, 1, turn) => Task::Lie { number: turn },
        (_, _, turn) => Task::Twins { scenario: twins::spread(turn, seeds) },
    }
}

/// Looks for the bug that is on in this process.
#[must_use]
pub fn hunt(seeds: u64) -> Option<Found> {
    (0..KINDS * seeds * (ROUND + 2) / ROUND).find_map(|number| {
        let task = task(number, seeds);
        let violation = judge(&task.plan(), Judging { model: true, keep: false }).violation?;
        let detail = violation.detail.lines().take(2).collect::<Vec<_>>().join(" ");
        Some(Found { task, runs: number + 1, rule: violation.rule, detail })
    })
}

/// Hunts the bugs, each with the same runs, in a process of its own.
pub fn hunt_all(
    planted: &Planted,
    bugs: &[&Entry],
    seeds: u64,
    threads: NonZeroUsize,
) -> Result<Vec<Hunt>, ToolError> {
    let hunts = Mutex::new(Vec::new());
    in_parallel(
        threads,
        bugs.len(),
        |index| {
            let (entry, begun) = (bugs[index], Instant::now());
            let (bug, is_expected) = (&*entry.name, is_expected(entry));
            let arguments = ["look-for-bug", "--seeds", &seeds.to_string()];
            let hunt = planted.ask::<Option<Found>>(Some(bug), arguments).map(|found| {
                let seconds = begun.elapsed().as_secs_f64();
                let end = found.as_ref().map_or("not found", |found| found.rule.name());
                errln!("{bug}: {end}, {seconds:.1} s");
                Hunt { bug: bug.to_owned(), is_expected, found, seconds }
            });
            hunts.lock().unwrap_or_else(PoisonError::into_inner).push(hunt);
        },
        || {},
    );
    let hunts = hunts.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut hunts = hunts.into_iter().collect::<Result<Vec<_>, _>>()?;
    hunts.sort_by(|one, other| one.bug.cmp(&other.bug));
    Ok(hunts)
}

/// The table.
#[must_use]
pub fn to_text(hunts: &[Hunt], all: &[Entry]) -> String {
    let mut text =
        String::from("| bug | broken rule | runs | seconds | shown by |\n|---|---|---|---|---|\n");
    for Hunt { bug, found, seconds, .. } in hunts {
        let _ = match found {
            Some(found) => {
                let (rule, runs) = (found.rule.name(), found.runs);
                let run = match found.task {
                    Task::Seed { n: 4, seed } => format!("seed {seed}"),
                    Task::Seed { n, seed } => format!("seed {seed} at {n}"),
                    Task::Production { seed } => format!("seed {seed}, production"),
                    Task::Twins { scenario } => format!("twins {scenario}"),
                    Task::Lie { number } => format!("lie {number}"),
                };
                writeln!(text, "| `{bug}` | `{rule}` | {runs} | {seconds:.1} | {run} |")
            }
            None => writeln!(text, "| `{bug}` | – | | {seconds:.1} | not found |"),
        };
    }
    let found = hunts.iter().filter(|hunt| hunt.found.is_some()).count();
    let _ = writeln!(
        text,
        "\n{found} of {} planted bugs found; of all {}, {} are out of reach, {} were not seen and {} not hunted",
        hunts.len(),
        all.len(),
        all.iter().filter(|entry| is_out_of_reach(entry)).count(),
        NOT_SEEN.len(),
        NOT_HUNTED.len()
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_plant::tool::catalogue;
    use pbft_plant::workspace::Kind;

    #[test]
    fn the_lists_name_bugs_that_exist_once() {
        let out = OUT_OF_REACH.iter().map(|(bug, _)| *bug);
        let hunted = out.chain(NOT_SEEN.iter().copied());
        let listed: Vec<&str> = hunted.chain(NOT_HUNTED.iter().copied()).collect();
        let bugs = catalogue(Kind::Bugs).expect("a catalogue");
        for bug in &listed {
            assert!(bugs.entry(bug).is_some(), "{bug}");
            assert_eq!(listed.iter().filter(|other| *other == bug).count(), 1, "{bug}");
        }
        for bug in NOT_SEEN.iter().chain(NOT_HUNTED) {
            assert!(!bugs.entry(bug).is_some_and(is_out_of_reach), "{bug} need not be listed");
        }
    }

    #[test]
    fn the_documents_say_how_many_are_hunted() {
        let bugs = catalogue(Kind::Bugs).expect("a catalogue");
        let hunted = bugs.entries().iter().filter(|entry| is_expected(entry)).count();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (path, says) in [
            ("README.md", format!("{hunted} of these bugs")),
            ("docs/claims.md", format!("{hunted} of these bugs are hunted")),
            ("docs/reliability.md", format!("find {hunted} of them")),
        ] {
            let page = std::fs::read_to_string(root.join(path)).expect("a page");
            let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(page.contains(&says), "{path}: {says}");
        }
    }
}
