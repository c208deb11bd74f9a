//! The rows.

use super::{Row, Simulated, checks, plans};

/// All rows, in order.
pub const ROWS: &[Row] = &[
    Row {
        number: 1,
        fault: "a backup crashes",
        expected: "S L, no view change",
        simulated: Simulated::Runs {
            name: "crashed_backup",
            plans: plans::crashed_backup,
            demand: plans::changes_no_view,
        },
        real: &[("tests/e2e/crashes.rs", "replicas_are_restarted_one_after_the_other_under_load")],
    },
    Row {
        number: 2,
        fault: "the primary crashes",
        expected: "S L after a view change",
        simulated: Simulated::Runs {
            name: "crashed_primary",
            plans: plans::crashed_primary,
            demand: plans::changes_views,
        },
        real: &[(
            "tests/e2e/crashes.rs",
            "a_killed_primary_is_replaced_and_catches_up_from_its_disk",
        )],
    },
    Row {
        number: 3,
        fault: "crash and recovery with the disk, at every boundary between a write and the last message",
        expected: "S L, no vote is contradicted",
        simulated: Simulated::Runs {
            name: "crash_boundaries",
            plans: plans::crash_boundaries,
            demand: plans::nothing_more,
        },
        real: &[("tests/e2e/crashes.rs", "the_model_allows_a_run_under_kills_and_partitions")],
    },
    Row {
        number: 4,
        fault: "a disk is lost",
        expected: "S L with the rest; the replica refuses to start",
        simulated: Simulated::Runs {
            name: "one_disk_lost",
            plans: plans::one_disk_lost,
            demand: plans::stays_down_as_lost,
        },
        real: &[(
            "tests/e2e/catching_up.rs",
            "a_lost_or_damaged_disk_is_refused_and_the_others_go_on",
        )],
    },
    Row {
        number: 5,
        fault: "f+1 disks are lost",
        expected: "nothing is claimed; all of them refuse to start",
        simulated: Simulated::Runs {
            name: "two_disks_lost",
            plans: plans::two_disks_lost,
            demand: plans::both_refuse_and_nothing_goes_on,
        },
        real: &[],
    },
    Row {
        number: 6,
        fault: "the last write is torn",
        expected: "S L, the tail is cut off",
        simulated: Simulated::Runs {
            name: "torn_tails",
            plans: plans::torn_tails,
            demand: plans::nothing_more,
        },
        real: &[],
    },
    Row {
        number: 7,
        fault: "a bit of a disk changes",
        expected: "S L with the rest; the replica refuses to start",
        simulated: Simulated::Runs {
            name: "flipped_bits",
            plans: plans::flipped_bits,
            demand: plans::refuses_as_corrupt,
        },
        real: &[(
            "impl/node/src/store/tests.rs",
            "foreign_missing_and_damaged_stores_are_refused_and_left_alone",
        )],
    },
    Row {
        number: 8,
        fault: "a disk is full",
        expected: "S; the replica stops, and goes on when there is room",
        simulated: Simulated::Runs {
            name: "full_disks",
            plans: plans::full_disks,
            demand: plans::nothing_more,
        },
        real: &[],
    },
    Row {
        number: 9,
        fault: "fsync fails",
        expected: "S; the replica stops and never asks again",
        simulated: Simulated::Runs {
            name: "failing_syncs",
            plans: plans::failing_syncs,
            demand: plans::nothing_more,
        },
        real: &[("impl/node/tests/driver.rs", "nothing_leaves_when_the_disk_fails")],
    },
    Row {
        number: 10,
        fault: "fsync lies",
        expected: "S L; as a lost disk, counted in f",
        simulated: Simulated::Runs {
            name: "lying_disks",
            plans: plans::lying_disks,
            demand: plans::nothing_more,
        },
        real: &[],
    },
    Row {
        number: 11,
        fault: "the network is split in two",
        expected: "S; L where a quorum is, and for all afterwards",
        simulated: Simulated::Runs {
            name: "all_partitions",
            plans: plans::all_partitions,
            demand: plans::nothing_more,
        },
        real: &[("tests/e2e/crashes.rs", "the_model_allows_a_run_under_kills_and_partitions")],
    },
    Row {
        number: 12,
        fault: "links are cut in one direction, or in a ring",
        expected: "S L",
        simulated: Simulated::Runs {
            name: "one_way_cuts",
            plans: plans::one_way_cuts,
            demand: plans::nothing_more,
        },
        real: &[],
    },
    Row {
        number: 13,
        fault: "loss up to 60 %, duplicates, disorder, delay",
        expected: "S L",
        simulated: Simulated::Runs {
            name: "bad_networks",
            plans: plans::bad_networks,
            demand: plans::nothing_more,
        },
        real: &[],
    },
    Row {
        number: 14,
        fault: "nobody hears anybody for a minute",
        expected: "S, bounded memory, L afterwards",
        simulated: Simulated::Runs {
            name: "long_isolation",
            plans: plans::long_isolation,
            demand: plans::nothing_more,
        },
        real: &[],
    },
    Row {
        number: 15,
        fault: "clocks jump and run wrong; processes pause",
        expected: "S L",
        simulated: Simulated::Runs {
            name: "bad_clocks",
            plans: plans::bad_clocks,
            demand: plans::nothing_more,
        },
        real: &[("tests/e2e/crashes.rs", "a_frozen_primary_is_replaced_and_finds_its_way_back")],
    },
    Row {
        number: 16,
        fault: "the primary equivocates",
        expected: "S L",
        simulated: Simulated::Runs {
            name: "equivocating_primary",
            plans: plans::equivocating_primary,
            demand: plans::nothing_more,
        },
        real: &[("impl/node/tests/driver.rs", "contradictions_are_kept_as_evidence")],
    },
    Row {
        number: 17,
        fault: "the primary is silent",
        expected: "S L",
        simulated: Simulated::Runs {
            name: "silent_primary",
            plans: plans::silent_primary,
            demand: plans::changes_views,
        },
        real: &[("tests/e2e/crashes.rs", "a_frozen_primary_is_replaced_and_finds_its_way_back")],
    },
    Row {
        number: 18,
        fault: "the primary is slow, just under the timeout",
        expected: "S L",
        simulated: Simulated::Runs {
            name: "slow_primary",
            plans: plans::slow_primary,
            demand: plans::nothing_more,
        },
        real: &[],
    },
    Row {
        number: 19,
        fault: "the primary skips replicas, or a client",
        expected: "S L",
        simulated: Simulated::Runs {
            name: "selective_primary",
            plans: plans::selective_primary,
            demand: plans::nothing_more,
        },
        real: &[],
    },
    Row {
        number: 20,
        fault: "the primary proposes what is not acceptable",
        expected: "S L; refused",
        simulated: Simulated::Runs {
            name: "bad_batches",
            plans: plans::bad_batches,
            demand: plans::nothing_more,
        },
        real: &[],
    },
    Row {
        number: 21,
        fault: "a backup votes twice, for nothing, as another, one off",
        expected: "S L; at most one vote counts",
        simulated: Simulated::Runs {
            name: "bad_votes",
            plans: plans::bad_votes,
            demand: plans::changes_no_view,
        },
        real: &[("impl/node/tests/driver.rs", "contradictions_are_kept_as_evidence")],
    },
    Row {
        number: 22,
        fault: "a flood of bad signatures",
        expected: "S L",
        simulated: Simulated::Runs {
            name: "bad_signatures",
            plans: plans::bad_signatures,
            demand: plans::changes_no_view,
        },
        real: &[],
    },
    Row {
        number: 23,
        fault: "malformed, cut off and oversized frames",
        expected: "S L; refused",
        simulated: Simulated::Runs {
            name: "malformed_frames",
            plans: plans::malformed_frames,
            demand: plans::changes_no_view,
        },
        real: &[
            ("tests/e2e/junk.rs", "junk_on_the_wire_changes_nothing_for_the_others"),
            (
                "impl/node/tests/cluster/intruders.rs",
                "malformed_and_oversized_frames_end_the_connection",
            ),
        ],
    },
    Row {
        number: 24,
        fault: "views and sequence numbers at the end of the range",
        expected: "S L; memory stays",
        simulated: Simulated::Runs {
            name: "huge_numbers",
            plans: plans::huge_numbers,
            demand: plans::changes_no_view,
        },
        real: &[],
    },
    Row {
        number: 25,
        fault: "stale VIEW-CHANGEs",
        expected: "S L; such a NEW-VIEW is refused",
        simulated: Simulated::Runs {
            name: "stale_view_changes",
            plans: plans::stale_view_changes,
            demand: plans::nothing_more,
        },
        real: &[],
    },
    Row {
        number: 26,
        fault: "a storm of VIEW-CHANGEs",
        expected: "S L; nobody joins",
        simulated: Simulated::Runs {
            name: "view_change_storm",
            plans: plans::view_change_storm,
            demand: plans::changes_no_view,
        },
        real: &[],
    },
    Row {
        number: 27,
        fault: "NEW-VIEWs with a wrong O or V",
        expected: "S L; refused, the next view follows",
        simulated: Simulated::Runs {
            name: "fake_new_views",
            plans: plans::fake_new_views,
            demand: plans::nothing_more,
        },
        real: &[],
    },
    Row {
        number: 28,
        fault: "a NEW-VIEW reaches some only",
        expected: "S L",
        simulated: Simulated::Runs {
            name: "partial_new_views",
            plans: plans::partial_new_views,
            demand: plans::nothing_more,
        },
        real: &[],
    },
    Row {
        number: 29,
        fault: "wrong checkpoints",
        expected: "S L; others make them stable",
        simulated: Simulated::Runs {
            name: "bad_checkpoints",
            plans: plans::bad_checkpoints,
            demand: plans::changes_no_view,
        },
        real: &[],
    },
    Row {
        number: 30,
        fault: "a service that is not deterministic, at one replica or at f+1",
        expected: "one: S L, it stops itself; f+1: a stall at the high water mark",
        simulated: Simulated::Runs {
            name: "diverging_services",
            plans: plans::diverging_services,
            demand: plans::stops_or_stalls,
        },
        real: &[],
    },
    Row {
        number: 31,
        fault: "a source of state that lies",
        expected: "S L; refused, another source is asked",
        simulated: Simulated::Runs {
            name: "lying_sources",
            plans: plans::lying_sources,
            demand: plans::nothing_more,
        },
        real: &[],
    },
    Row {
        number: 32,
        fault: "crashes while state is fetched",
        expected: "S L",
        simulated: Simulated::Runs {
            name: "crashes_during_transfer",
            plans: plans::crashes_during_transfer,
            demand: plans::nothing_more,
        },
        real: &[(
            "impl/node/tests/driver.rs",
            "a_killed_primary_is_replaced_and_catches_up_by_state_transfer",
        )],
    },
    Row {
        number: 33,
        fault: "a client sends two operations with one timestamp",
        expected: "S L; one is executed",
        simulated: Simulated::Runs {
            name: "two_operations_at_one_timestamp",
            plans: plans::two_operations_at_one_timestamp,
            demand: plans::changes_no_view,
        },
        real: &[],
    },
    Row {
        number: 34,
        fault: "a client sends what is malformed, huge, or not its own",
        expected: "S L; refused, or a result that says so",
        simulated: Simulated::Runs {
            name: "unacceptable_operations",
            plans: plans::unacceptable_operations,
            demand: plans::changes_no_view,
        },
        real: &[("impl/node/tests/cluster/intruders.rs", "a_client_cannot_speak_for_another")],
    },
    Row {
        number: 35,
        fault: "a client's timestamps are the last ones, or fall",
        expected: "S L; it hurts itself only",
        simulated: Simulated::Runs {
            name: "odd_timestamps",
            plans: plans::odd_timestamps,
            demand: plans::nothing_more,
        },
        real: &[],
    },
    Row {
        number: 36,
        fault: "a client floods, another hears nothing",
        expected: "S L for others",
        simulated: Simulated::Runs {
            name: "flooding_and_deaf_clients",
            plans: plans::flooding_and_deaf_clients,
            demand: plans::nothing_more,
        },
        real: &[("impl/node/tests/driver.rs", "an_overloaded_replica_says_so")],
    },
    Row {
        number: 37,
        fault: "f+1 replicas lie",
        expected: "nothing is claimed; whoever sees two certificates stops",
        simulated: Simulated::Runs {
            name: "beyond_f",
            plans: plans::beyond_f,
            demand: plans::forks_are_noticed,
        },
        real: &[],
    },
    Row {
        number: 38,
        fault: "thousands of connections",
        expected: "the replicas' links stay",
        simulated: Simulated::Nothing("a limit of the transport; there are no connections here"),
        real: &[(
            "impl/node/tests/cluster/intruders.rs",
            "a_crowd_that_only_connects_keeps_nobody_out",
        )],
    },
    Row {
        number: 39,
        fault: "unknown and wrong keys",
        expected: "refused",
        simulated: Simulated::Nothing("the handshake is the transport's; there is none here"),
        real: &[(
            "impl/node/tests/cluster/intruders.rs",
            "unknown_keys_wrong_ids_and_other_clusters_are_refused",
        )],
    },
    Row {
        number: 40,
        fault: "messages of another cluster",
        expected: "refused",
        simulated: Simulated::Check { name: "another_cluster", check: checks::another_cluster },
        real: &[(
            "impl/node/tests/cluster/intruders.rs",
            "unknown_keys_wrong_ids_and_other_clusters_are_refused",
        )],
    },
    Row {
        number: 41,
        fault: "plain text, another version",
        expected: "refused",
        simulated: Simulated::Nothing("the handshake is the transport's; there is none here"),
        real: &[("impl/node/tests/cluster/intruders.rs", "plain_text_and_silence_get_nowhere")],
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
            ("tests/e2e/bad_input.rs", "every_wrong_file_is_refused_and_nothing_changes"),
        ],
    },
    Row {
        number: 43,
        fault: "two processes with one key",
        expected: "S L; as one faulty replica",
        simulated: Simulated::Runs {
            name: "twins",
            plans: plans::twins,
            demand: plans::nothing_more,
        },
        real: &[("impl/node/src/store/tests.rs", "a_store_is_opened_by_one_process_at_a_time")],
    },
    Row {
        number: 44,
        fault: "key files that others can read, or links",
        expected: "refused",
        simulated: Simulated::Nothing("there are no files here"),
        real: &[
            ("impl/node/src/keys.rs", "a_key_that_others_can_read_is_refused"),
            ("impl/node/src/keys.rs", "a_link_to_a_key_is_refused"),
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
        real: &[("tests/e2e/crashes.rs", "replicas_are_restarted_one_after_the_other_under_load")],
    },
    Row {
        number: 47,
        fault: "all replicas end at once, several times",
        expected: "S L",
        simulated: Simulated::Runs {
            name: "power_cuts",
            plans: plans::power_cuts,
            demand: plans::nothing_more,
        },
        real: &[(
            "tests/e2e/crashes.rs",
            "nothing_acknowledged_is_lost_when_all_are_killed_at_once",
        )],
    },
    Row {
        number: 48,
        fault: "strange Ed25519 signatures of a member",
        expected: "one verdict everywhere",
        simulated: Simulated::Check { name: "edge_signatures", check: checks::edge_signatures },
        real: &[
            ("impl/node/src/keys.rs", "keys_that_betray_signatures_are_refused"),
            ("impl/node/src/keys.rs", "a_good_key_shifted_by_a_torsion_point_is_refused"),
        ],
    },
];
