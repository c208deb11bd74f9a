//! What went wrong in other systems, and does not here: one scenario each, on the production core or node. In a planted
//! build the same scenario must fail with the bug on (`cargo plant test`).
//!
//! `docs/past-bugs.md` is the table of [`PAST_BUGS`] for readers; a test compares the two.

mod lab;
mod scenarios;

use lab::{Lab, Verdict};
use pbft_conformance::refinement::vocabulary::replayable;
use pbft_conformance::replay::core::{Counters, Replay};
use pbft_conformance::replay::corpus;
use pbft_conformance::replay::node::{self, NodeReport};
use pbft_conformance::replay::shrink::shrink;
use pbft_conformance::walk::Trace;
use pbft_plant::switch::active_bug;
use pbft_plant::tool::catalogue;
use pbft_plant::workspace::Kind;
use scenarios as s;

/// How a past bug is looked for.
#[derive(Clone, Copy)]
enum Scenario {
    /// Message by message.
    Lab(&'static str, fn(&mut Lab) -> Verdict),
    /// The corpus' trace to where a mutant of the model leaves the protocol, on the core.
    Core(&'static str),
    /// The same through the production node, with its frames, keys, queues and disk.
    Node(&'static str),
}

/// A bug of another system.
struct PastBug {
    system: &'static str,
    reference: &'static str,
    what: &'static str,
    scenario: Scenario,
    planted: &'static str,
}

const fn past(
    system: &'static str,
    reference: &'static str,
    what: &'static str,
    scenario: Scenario,
    planted: &'static str,
) -> PastBug {
    PastBug { system, reference, what, scenario, planted }
}

macro_rules! lab {
    ($scenario:ident) => {
        Scenario::Lab(stringify!($scenario), s::$scenario)
    };
}

/// A trace is followed with each of these: other quorums, and other probes along the way.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=20;

const FRAMES: Scenario = Scenario::Node("commit-quorum-one-short");

#[rustfmt::skip]
const PAST_BUGS: &[PastBug] = &[
    past("sawtooth-pbft", "commit 180ceed", "the primary's PREPARE counted, and replicas committed differently", lab!(the_primarys_prepare_prepares_nothing), "primary-prepare-counted"),
    past("sawtooth-pbft", "commit e7b4ba2", "a message's signer was not compared with the key that signed it", lab!(a_vote_counts_for_its_signer_only), "vote-of-another-channel"),
    past("sawtooth-pbft", "commit eabb82b", "messages of replicas that are no members were taken", lab!(strangers_move_nobody), "view-change-of-non-member"),
    past("sawtooth-pbft", "commits beb1bc2, 6d2fdac", "a certificate mixed votes for different blocks", lab!(votes_for_different_batches_commit_nothing), "certificate-votes-mixed"),
    past("sawtooth-pbft", "commits 91b1507, 014efac", "a replica that is not the primary moved others with its NEW-VIEW", lab!(only_the_primary_begins_a_view), "new-view-from-non-primary"),
    past("sawtooth-pbft", "commit 6cf9e38", "a replica that caught up during a view change stayed in it", Scenario::Core("low-water-mark-ignored"), "inactive-after-transfer"),
    past("Fabric obc-pbft", "pull request 1111", "the new view began at the wrong checkpoint, and views changed for ever", Scenario::Core("min-s-ignored"), "min-s-ignored"),
    past("libbyz (CCF)", "Node.cpp, by reading", "a frame larger than possible was noted and handled all the same", FRAMES, "frame-size-unchecked"),
    past("libbyz (CCF)", "issue 860", "a request that reached one replica only led to needless view changes", lab!(a_backup_relays_a_request), "request-not-relayed"),
    past("BFT-SMaRt", "issue 62", "a replica that caught up believed the last message, not a quorum", lab!(one_replicas_word_is_no_checkpoint), "checkpoint-stable-at-one"),
    past("concord-bft", "pull request 50", "an invalid certificate in one VIEW-CHANGE hid the valid ones of others", lab!(a_bad_certificate_hides_no_good_one), "p-not-verified"),
    past("concord-bft", "issue 704", "VIEW-CHANGEs were not handed on, and a replica never entered the view", lab!(view_changes_are_handed_on), "view-changes-not-handed-on"),
    past("concord-bft", "issue 805", "a restart during a view change brought back another view", lab!(a_view_that_was_left_stays_left), "restart-forgets-view-change"),
    past("concord-bft", "issue 927", "the last f replicas never caught up once traffic stopped", lab!(a_replica_that_is_behind_is_brought_up), "committed-not-handed-on"),
    past("FISCO-BCOS", "issue 2211", "one node with a huge view dragged all others along", lab!(one_huge_view_moves_nobody), "join-on-one"),
    past("FISCO-BCOS", "issue 2448", "a view change could be altered after it was signed", FRAMES, "signatures-unchecked"),
    past("FISCO-BCOS", "issue 2307", "the leader's digest was believed, not computed", lab!(the_digest_is_computed_not_believed), "batch-digest-unchecked"),
    past("CometBFT", "ASA-2025-001, ASA-2024-008", "one peer could poison a replica that caught up", lab!(a_lying_source_is_noticed), "state-transfer-unverified"),
    past("Tendermint", "issues 247, 249, 3089", "a validator signed twice after a restart", lab!(no_second_vote_after_a_restart), "restart-forgets-accepted"),
    past("Tendermint", "Jepsen 2017", "the log lost what had been acknowledged", FRAMES, "fsync-dropped"),
    past("Telcoin, aptos-core", "issues 934, 18298", "votes left before they were durable", FRAMES, "send-before-persist"),
    past("SmartBFT", "issue 149", "a view change was not in the log that a restart reads", lab!(a_restart_repeats_the_same_view_change), "restart-sends-another-view-change"),
    past("heidihoward/pbft-tlaplus", "GetDigest, by reading", "O took any certificate, not the one with the highest view", Scenario::Core("new-view-takes-lowest-view"), "new-view-takes-lowest-view"),
    past("heidihoward/pbft-tlaplus", "V, by reading", "VIEW-CHANGEs were counted, not their senders", lab!(one_sender_is_one_view_change), "view-change-sender-counted-twice"),
    past("themis-pbft", "view_change.rs, by reading", "votes were counted, not their senders", lab!(one_voter_is_one_vote), "certificate-signer-counted-twice"),
    past("themis-pbft", "handle_new_view, by reading", "state changed before a NEW-VIEW was found wrong", lab!(a_refused_new_view_leaves_nothing_behind), "new-view-kept-before-checked"),
    past("Istanbul BFT, version 1", "arXiv 1901.07160", "a round change carried no proof of what had prepared", lab!(a_view_change_carries_what_prepared), "p-omitted"),
    past("beacon-kit, massa", "issues 840, 4979", "a signature for one chain or purpose counted for another", FRAMES, "cluster-not-signed"),
];

fn trace(mutant: &str) -> Trace {
    let traces = corpus::committed().expect("a corpus");
    let origin = format!("mutant {mutant}");
    traces.into_iter().find(|trace| trace.origin == origin).expect("a trace of this mutant")
}

impl Scenario {
    /// Runs it.
    fn run(self) -> Verdict {
        match self {
            Self::Lab(_, scenario) => scenario(&mut Lab::new()),
            Self::Core(mutant) => {
                let trace = trace(mutant);
                let config = replayable(&trace.config).expect("a replayable configuration");
                SEEDS.into_iter().try_for_each(|seed| {
                    let followed = Replay::new(config, seed).follow(&trace.actions);
                    followed.map(drop).map_err(|divergence| divergence.to_string())
                })
            }
            Self::Node(mutant) => {
                let runtime = node::runtime().expect("a runtime");
                let (trace, mut report) = (trace(mutant), NodeReport::default());
                SEEDS.into_iter().try_for_each(|seed| {
                    let divergence = node::replay(&runtime, &trace, seed, &mut report);
                    divergence.map_or(Ok(()), |divergence| Err(divergence.to_string()))
                })
            }
        }
    }

    /// As the document calls it.
    fn name(self) -> String {
        match self {
            Self::Lab(name, _) => format!("`{name}`"),
            Self::Core(mutant) => format!("the corpus' trace `mutant {mutant}`, on the core"),
            Self::Node(mutant) => format!("the corpus' trace `mutant {mutant}`, through the node"),
        }
    }
}

/// None of them is here; and with one of the bugs on, each scenario that is about it fails.
#[test]
fn a_scenario_holds_unless_its_rule_is_broken() {
    assert!(PAST_BUGS.len() >= 20);
    let on = active_bug().expect("a build that can have it");
    for PastBug { system, reference, scenario, planted, .. } in PAST_BUGS {
        match on.as_deref() {
            None => assert_eq!(scenario.run(), Ok(()), "{system}, {reference}"),
            Some(bug) if bug == *planted => {
                assert!(scenario.run().is_err(), "{system}, {reference}: {bug} is not noticed");
            }
            Some(_) => {}
        }
    }
}

/// The worked example of docs/conformance.md is what the replay prints in a planted build with this bug on.
#[test]
fn the_worked_example_is_what_a_broken_rule_shows() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/conformance.md");
    let document = std::fs::read_to_string(path).expect("docs/conformance.md");
    let config = replayable("n4-b3-v1-s1-d1").expect("a replayable configuration");
    let shown = match active_bug().expect("a build that can have it").as_deref() {
        None => format!("cargo conform replay --config {config} --planted p-omitted\n"),
        Some("p-omitted") => {
            let (_, divergence) = Replay::new(config, 1).run(&Counters::default());
            format!("```text\n{}\n```", shrink(&divergence.expect("the bug shows")))
        }
        Some(_) => return,
    };
    assert!(document.contains(&shown), "the page must show:\n{shown}");
}

#[test]
fn each_of_them_can_be_planted() {
    let bugs = catalogue(Kind::Bugs).expect("a catalogue");
    for PastBug { system, reference, planted, .. } in PAST_BUGS {
        assert!(bugs.entry(planted).is_some(), "{system}, {reference}: {planted}");
    }
}

#[test]
fn the_document_has_the_table() {
    let table: String = PAST_BUGS
        .iter()
        .map(|PastBug { system, reference, what, scenario, planted }| {
            let scenario = scenario.name();
            format!("| {system} | {reference} | {what} | {scenario} | `{planted}` |\n")
        })
        .collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/past-bugs.md");
    let document = std::fs::read_to_string(path).expect("docs/past-bugs.md");
    assert!(document.contains(&table), "docs/past-bugs.md must have this table:\n{table}");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(path).expect("README.md");
    let says = format!("{} bugs of other systems", PAST_BUGS.len());
    assert!(readme.contains(&says), "README.md must say: {says}");
}
