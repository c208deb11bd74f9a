//! The rows.

use super::{Demand, Row, Simulated, checks, plans};
use crate::fault::Plan;

const fn runs(name: &'static str, plans: fn() -> Vec<Plan>, demand: Demand) -> Simulated {
    Simulated::Runs { name, plans, demand }
}

const CRASHES: &str = "tests/system/e2e/crashes.rs";
const DISKS: &str = "tests/system/chaos/disks.rs";
const DRIVER: &str = "impl/node/tests/driver.rs";
const INTRUDERS: &str = "impl/node/tests/cluster/intruders.rs";
const KEYS: &str = "impl/node/src/keys.rs";
const LIARS: &str = "tests/system/chaos/liars.rs";
const LINKS: &str = "tests/system/chaos/links.rs";
const STATE_TRANSFER: &str = "impl/core/tests/state_transfer.rs";
const STORE: &str = "impl/node/src/store/tests.rs";

/// All rows, in order.
pub const ROWS: &[Row] = &[
    Row {
        number: 1,
        fault: "a backup crashes",
        expected: "S L, no view change",
        simulated: runs("crashed_backup", plans::crashed_backup, plans::changes_no_view),
        real: &[(CRASHES, "replicas_are_restarted_one_after_the_other_under_load")],
    },
    Row {
        number: 2,
        fault: "the primary crashes",
        expected: "S L after a view change",
        simulated: runs("crashed_primary", plans::crashed_primary, plans::changes_views),
        real: &[(CRASHES, "a_killed_primary_is_replaced_and_catches_up_from_its_disk")],
    },
    Row {
        number: 3,
        fault: "crash and recovery with the disk, at every boundary between a write and the last message",
        expected: "S L, no vote is contradicted",
        simulated: runs("crash_boundaries", plans::crash_boundaries, plans::nothing_more),
        real: &[
            (CRASHES, "the_model_allows_a_run_under_kills_and_partitions"),
            ("tests/system/chaos/random.rs", "whatever_happens_clients_see_one_ledger"),
        ],
    },
    Row {
        number: 4,
        fault: "a disk is lost",
        expected: "S L with the rest; the replica refuses to start",
        simulated: runs("one_disk_lost", plans::one_disk_lost, plans::stays_down_as_lost),
        real: &[
            (
                "tests/system/e2e/catching_up.rs",
                "a_lost_or_damaged_disk_is_refused_and_the_others_go_on",
            ),
            (DISKS, "damaged_and_wiped_disks_are_refused_and_recovered"),
        ],
    },
    Row {
        number: 5,
        fault: "f+1 disks are lost",
        expected: "nothing is claimed; all of them refuse to start",
        simulated: runs(
            "two_disks_lost",
            plans::two_disks_lost,
            plans::both_refuse_and_nothing_goes_on,
        ),
        real: &[],
    },
    Row {
        number: 6,
        fault: "the last write is torn",
        expected: "S L, the tail is cut off",
        simulated: runs("torn_tails", plans::torn_tails, plans::nothing_more),
        real: &[],
    },
    Row {
        number: 7,
        fault: "a bit of a disk changes",
        expected: "S L with the rest; the replica refuses to start",
        simulated: runs("flipped_bits", plans::flipped_bits, plans::refuses_as_corrupt),
        real: &[
            (STORE, "foreign_missing_and_damaged_stores_are_refused_and_left_alone"),
            (DISKS, "damaged_and_wiped_disks_are_refused_and_recovered"),
        ],
    },
    Row {
        number: 8,
        fault: "a disk is full",
        expected: "S; the replica stops, and goes on when there is room",
        simulated: runs("full_disks", plans::full_disks, plans::nothing_more),
        real: &[(
            "impl/node/src/store/damage_tests.rs",
            "a_real_disk_that_is_full_loses_nothing_and_is_used_again",
        )],
    },
    Row {
        number: 9,
        fault: "fsync fails",
        expected: "S; the replica stops and never asks again",
        simulated: runs("failing_syncs", plans::failing_syncs, plans::nothing_more),
        real: &[(DRIVER, "nothing_leaves_when_the_disk_fails")],
    },
    Row {
        number: 10,
        fault: "fsync lies",
        expected: "S L; as a lost disk, counted in f",
        simulated: runs("lying_disks", plans::lying_disks, plans::nothing_more),
        real: &[],
    },
    Row {
        number: 11,
        fault: "the network is split in two",
        expected: "S; L where a quorum is, and for all afterwards",
        simulated: runs("all_partitions", plans::all_partitions, plans::nothing_more),
        real: &[
            (CRASHES, "the_model_allows_a_run_under_kills_and_partitions"),
            (LINKS, "links_are_cut_held_delayed_and_broken_under_load"),
        ],
    },
    Row {
        number: 12,
        fault: "links are cut in one direction, or in a ring",
        expected: "S L",
        simulated: runs("one_way_cuts", plans::one_way_cuts, plans::nothing_more),
        real: &[(LINKS, "links_are_cut_held_delayed_and_broken_under_load")],
    },
    Row {
        number: 13,
        fault: "loss up to 60 %, duplicates, disorder, delay",
        expected: "S L",
        simulated: runs("bad_networks", plans::bad_networks, plans::nothing_more),
        real: &[(LINKS, "links_are_cut_held_delayed_and_broken_under_load")],
    },
    Row {
        number: 14,
        fault: "nobody hears anybody for a minute",
        expected: "S, bounded memory, L afterwards",
        simulated: runs("long_isolation", plans::long_isolation, plans::nothing_more),
        real: &[],
    },
    Row {
        number: 15,
        fault: "clocks jump and run wrong; processes pause",
        expected: "S L",
        simulated: runs("bad_clocks", plans::bad_clocks, plans::nothing_more),
        real: &[(CRASHES, "a_frozen_primary_is_replaced_and_finds_its_way_back")],
    },
    Row {
        number: 16,
        fault: "the primary equivocates",
        expected: "S L",
        simulated: runs("equivocating_primary", plans::equivocating_primary, plans::nothing_more),
        real: &[
            (DRIVER, "contradictions_are_kept_as_evidence"),
            (LIARS, "a_lying_primary_with_a_real_key_stops_nobody"),
        ],
    },
    Row {
        number: 17,
        fault: "the primary is silent",
        expected: "S L",
        simulated: runs("silent_primary", plans::silent_primary, plans::changes_views),
        real: &[
            (CRASHES, "a_frozen_primary_is_replaced_and_finds_its_way_back"),
            (LIARS, "two_lying_primaries_of_seven_are_replaced"),
        ],
    },
    Row {
        number: 18,
        fault: "the primary is slow, just under the timeout",
        expected: "S L after a view change",
        simulated: runs("slow_primary", plans::slow_primary, plans::changes_views),
        real: &[(LIARS, "a_lying_primary_with_a_real_key_stops_nobody")],
    },
    Row {
        number: 19,
        fault: "the primary skips replicas, or a client",
        expected: "S L",
        simulated: runs("selective_primary", plans::selective_primary, plans::nothing_more),
        real: &[(LIARS, "a_lying_primary_with_a_real_key_stops_nobody")],
    },
    Row {
        number: 20,
        fault: "the primary proposes what is not acceptable",
        expected: "S L; refused",
        simulated: runs("bad_batches", plans::bad_batches, plans::nothing_more),
        real: &[(LIARS, "a_lying_primary_with_a_real_key_stops_nobody")],
    },
    Row {
        number: 21,
        fault: "a backup votes twice, for nothing, as another, one off",
        expected: "S L; at most one vote counts",
        simulated: runs("bad_votes", plans::bad_votes, plans::changes_no_view),
        real: &[
            (DRIVER, "contradictions_are_kept_as_evidence"),
            (LIARS, "a_lying_backup_with_a_real_key_stops_nobody_and_is_noticed"),
            (LIARS, "a_liars_signatures_are_kept_as_evidence_against_it_alone"),
        ],
    },
    Row {
        number: 22,
        fault: "a flood of bad signatures",
        expected: "S L",
        simulated: runs("bad_signatures", plans::bad_signatures, plans::changes_no_view),
        real: &[(LIARS, "a_lying_backup_with_a_real_key_stops_nobody_and_is_noticed")],
    },
    Row {
        number: 23,
        fault: "malformed, cut off and oversized frames",
        expected: "S L; refused",
        simulated: runs("malformed_frames", plans::malformed_frames, plans::changes_no_view),
        real: &[
            ("tests/system/e2e/junk.rs", "junk_on_the_wire_changes_nothing_for_the_others"),
            (INTRUDERS, "malformed_and_oversized_frames_end_the_connection"),
            (LIARS, "a_lying_backup_with_a_real_key_stops_nobody_and_is_noticed"),
        ],
    },
    Row {
        number: 24,
        fault: "views and sequence numbers at the end of the range",
        expected: "S L; memory stays",
        simulated: runs("huge_numbers", plans::huge_numbers, plans::changes_no_view),
        real: &[(LIARS, "a_lying_backup_with_a_real_key_stops_nobody_and_is_noticed")],
    },
    Row {
        number: 25,
        fault: "stale VIEW-CHANGEs",
        expected: "S L; such a NEW-VIEW is refused",
        simulated: runs("stale_view_changes", plans::stale_view_changes, plans::nothing_more),
        real: &[(LIARS, "two_lying_primaries_of_seven_are_replaced")],
    },
    Row {
        number: 26,
        fault: "a storm of VIEW-CHANGEs",
        expected: "S L; nobody joins",
        simulated: runs("view_change_storm", plans::view_change_storm, plans::changes_no_view),
        real: &[(LIARS, "a_lying_backup_with_a_real_key_stops_nobody_and_is_noticed")],
    },
    Row {
        number: 27,
        fault: "NEW-VIEWs with a wrong O or V",
        expected: "S L; refused, the next view follows",
        simulated: runs("fake_new_views", plans::fake_new_views, plans::nothing_more),
        real: &[(LIARS, "two_lying_primaries_of_seven_are_replaced")],
    },
    Row {
        number: 28,
        fault: "a NEW-VIEW reaches some only",
        expected: "S L",
        simulated: runs("partial_new_views", plans::partial_new_views, plans::nothing_more),
        real: &[],
    },
    Row {
        number: 29,
        fault: "wrong checkpoints",
        expected: "S L; others make them stable",
        simulated: runs("bad_checkpoints", plans::bad_checkpoints, plans::changes_no_view),
        real: &[(LIARS, "a_lying_backup_with_a_real_key_stops_nobody_and_is_noticed")],
    },
    Row {
        number: 30,
        fault: "a service that is not deterministic, at one replica or at f+1",
        expected: "one: S L, it stops itself; f+1: a stall at the high water mark",
        simulated: runs("diverging_services", plans::diverging_services, plans::stops_or_stalls),
        real: &[],
    },
    Row {
        number: 31,
        fault: "a source of state that lies",
        expected: "S L; refused, another source is asked",
        simulated: runs("lying_sources", plans::lying_sources, plans::nothing_more),
        real: &[(LIARS, "a_lying_backup_with_a_real_key_stops_nobody_and_is_noticed")],
    },
    Row {
        number: 32,
        fault: "crashes while state is fetched",
        expected: "S L",
        simulated: runs(
            "crashes_during_transfer",
            plans::crashes_during_transfer,
            plans::nothing_more,
        ),
        real: &[(DRIVER, "a_killed_primary_is_replaced_and_catches_up_by_state_transfer")],
    },
    Row {
        number: 33,
        fault: "a client sends two operations with one timestamp",
        expected: "S L; one is executed",
        simulated: runs(
            "two_operations_at_one_timestamp",
            plans::two_operations_at_one_timestamp,
            plans::changes_no_view,
        ),
        real: &[],
    },
    Row {
        number: 34,
        fault: "a client sends what is malformed, huge, or not its own",
        expected: "S L; refused, or a result that says so",
        simulated: runs(
            "unacceptable_operations",
            plans::unacceptable_operations,
            plans::changes_no_view,
        ),
        real: &[(INTRUDERS, "a_client_cannot_speak_for_another")],
    },
    Row {
        number: 35,
        fault: "a client's timestamps are the last ones, or fall",
        expected: "S L; it hurts itself only",
        simulated: runs("odd_timestamps", plans::odd_timestamps, plans::nothing_more),
        real: &[],
    },
    Row {
        number: 36,
        fault: "a client floods, or repeats a request; another hears nothing",
        expected: "S L for others, no view change",
        simulated: runs(
            "flooding_and_deaf_clients",
            plans::flooding_and_deaf_clients,
            plans::changes_no_view,
        ),
        real: &[(DRIVER, "an_overloaded_replica_says_so")],
    },
    Row {
        number: 37,
        fault: "f+1 replicas lie",
        expected: "nothing is claimed; whoever sees two certificates stops",
        simulated: runs("beyond_f", plans::beyond_f, plans::forks_are_noticed),
        real: &[],
    },
    Row {
        number: 38,
        fault: "thousands of connections",
        expected: "the replicas' links stay",
        simulated: Simulated::Nothing("a limit of the transport; there are no connections here"),
        real: &[(INTRUDERS, "a_crowd_that_only_connects_keeps_nobody_out")],
    },
    Row {
        number: 39,
        fault: "unknown and wrong keys",
        expected: "refused",
        simulated: Simulated::Nothing("the handshake is the transport's; there is none here"),
        real: &[(INTRUDERS, "unknown_keys_wrong_ids_and_other_clusters_are_refused")],
    },
    Row {
        number: 40,
        fault: "messages of another cluster",
        expected: "refused",
        simulated: Simulated::Check { name: "another_cluster", check: checks::another_cluster },
        real: &[(INTRUDERS, "unknown_keys_wrong_ids_and_other_clusters_are_refused")],
    },
    Row {
        number: 41,
        fault: "plain text, another version",
        expected: "refused",
        simulated: Simulated::Nothing("the handshake is the transport's; there is none here"),
        real: &[(INTRUDERS, "plain_text_and_silence_get_nowhere")],
    },
    Row {
        number: 42,
        fault: "impossible configurations",
        expected: "refused",
        simulated: Simulated::Check {
            name: "impossible_configurations",
            check: checks::impossible_configurations,
        },
        real: &[
            ("impl/node/src/config/tests.rs", "every_mistake_is_named_with_its_field_and_a_remedy"),
            ("tests/system/e2e/bad_input.rs", "every_wrong_file_is_refused_and_nothing_changes"),
        ],
    },
    Row {
        number: 43,
        fault: "two processes with one key",
        expected: "S L; as one faulty replica",
        simulated: runs("twins", plans::twins, plans::nothing_more),
        real: &[(STORE, "a_store_is_opened_by_one_process_at_a_time")],
    },
    Row {
        number: 44,
        fault: "key files that others can read, or links",
        expected: "refused",
        simulated: Simulated::Nothing("there are no files here"),
        real: &[
            (KEYS, "a_key_that_others_can_read_is_refused"),
            (KEYS, "a_link_to_a_key_is_refused"),
        ],
    },
    Row {
        number: 45,
        fault: "no memory, no file descriptors",
        expected: "as a crash",
        simulated: Simulated::Nothing("a process that ends is a crash: rows 1 to 3"),
        real: &[],
    },
    Row {
        number: 46,
        fault: "a rolling restart",
        expected: "S L",
        simulated: Simulated::Nothing("the versions of two builds cannot run in one process"),
        real: &[(CRASHES, "replicas_are_restarted_one_after_the_other_under_load")],
    },
    Row {
        number: 47,
        fault: "all replicas end at once, several times",
        expected: "S L",
        simulated: runs("power_cuts", plans::power_cuts, plans::nothing_more),
        real: &[
            (CRASHES, "nothing_acknowledged_is_lost_when_all_are_killed_at_once"),
            (DISKS, "seven_replicas_lose_two_at_a_time_and_then_all"),
        ],
    },
    Row {
        number: 48,
        fault: "strange Ed25519 signatures of a member",
        expected: "one verdict everywhere",
        simulated: Simulated::Check { name: "edge_signatures", check: checks::edge_signatures },
        real: &[
            (KEYS, "keys_that_betray_signatures_are_refused"),
            (KEYS, "a_good_key_shifted_by_a_torsion_point_is_refused"),
        ],
    },
    Row {
        number: 49,
        fault: "a client whose authenticators convince some replicas only",
        expected: "S L, one view change a primary at the most",
        simulated: runs(
            "poisoned_requests",
            plans::poisoned_requests,
            plans::poisons_each_primary_once,
        ),
        real: &[("impl/node/tests/cluster/macs.rs", "a_poisoned_request_costs_one_view_change")],
    },
    Row {
        number: 50,
        fault: "a backup spoils the authenticators that it hands on",
        expected: "S L, no view change",
        simulated: runs("spoiled_relays", plans::spoiled_relays, plans::changes_no_view),
        real: &[],
    },
    Row {
        number: 51,
        fault: "a primary spoils the authenticators in its proposals",
        expected: "S L after a view change",
        simulated: runs("spoiled_proposals", plans::spoiled_proposals, plans::changes_views),
        real: &[],
    },
    Row {
        number: 52,
        fault: "a source of state that serves nothing, or each part as late as it may",
        expected: "S L, the others serve what it does not; no view change",
        simulated: runs("slow_sources", plans::slow_sources, plans::changes_no_view),
        real: &[(
            STATE_TRANSFER,
            "a_source_that_serves_nothing_delays_a_transfer_by_its_patience_at_most",
        )],
    },
    Row {
        number: 53,
        fault: "a checkpoint becomes stable more often than a part of a state can be fetched",
        expected: "S L; what is fetched counts for later checkpoints, too",
        simulated: runs(
            "overtaking_checkpoints",
            plans::overtaking_checkpoints,
            plans::nothing_more,
        ),
        real: &[(STATE_TRANSFER, "a_laggard_installs_a_state_while_checkpoints_overtake_it")],
    },
];
