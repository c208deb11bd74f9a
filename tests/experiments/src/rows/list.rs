//! Every row, with what shows it.

use super::run::Test;
use super::{Entry, Shown};

const fn e2e(name: &'static str) -> Shown {
    Shown::Test(Test { package: "pbft-tests", target: "e2e", name })
}

const fn wish(name: &'static str) -> Shown {
    Shown::Test(Test { package: "pbft-tests", target: "wishes", name })
}

const fn node(target: &'static str, name: &'static str) -> Shown {
    Shown::Test(Test { package: "pbft-node", target, name })
}

const fn cli(name: &'static str) -> Shown {
    Shown::Test(Test { package: "pbft-cli", target: "cli", name })
}

const fn ledger(name: &'static str) -> Shown {
    Shown::Test(Test { package: "pbft-ledger", target: "lib", name })
}

const fn core(target: &'static str, name: &'static str) -> Shown {
    Shown::Test(Test { package: "pbft-core", target, name })
}

const fn row(id: &'static str, title: &'static str, shown: &'static [Shown]) -> Entry {
    Entry { id, title, shown }
}

const EXPERIMENT: &[Shown] = &[Shown::Experiment];
const ELECTIONS: &[Shown] = &[Shown::Elections];
const LAB: &[Shown] = &[Shown::Lab];

/// All rows, in order.
pub const ENTRIES: &[Entry] = &[
    row("S0.1", "one command with the seven knobs", EXPERIMENT),
    row("S0.2", "what is measured, as CSV, JSON and plots", EXPERIMENT),
    row("S0.3", "five sizes without faults or delay", EXPERIMENT),
    row("S0.4", "the same with a Byzantine primary", EXPERIMENT),
    row("S0.5", "the same with Byzantine backups", EXPERIMENT),
    row("S0.6", "all fifteen with a delay of 0.05 s", EXPERIMENT),
    row("S0.7", "50 replicas, 70 clients", EXPERIMENT),
    row("S0.8", "every primary fails in turn", EXPERIMENT),
    row("S0.9", "more than f faulty replicas", EXPERIMENT),
    row("S0.10", "a verdict on safety and liveness, with the reason", EXPERIMENT),
    row("S0.11", "bounded messages and memory at every size", EXPERIMENT),
    row("S0.12", "2n(n-1) messages a request", EXPERIMENT),
    row("S0.13", "nine charts", EXPERIMENT),
    row("S1.1", "fewer than four replicas, fewer than a quorum", ELECTIONS),
    row("S1.2", "forged view changes and new views", ELECTIONS),
    row("S1.3", "replicas that call for a new view without need", ELECTIONS),
    row("S1.4", "the client asks for another primary", ELECTIONS),
    row("S1.5", "primaries are killed, and one returns", ELECTIONS),
    row("S1.6", "a replica that was away learns who leads", ELECTIONS),
    row("S1.7", "a laggard catches up; a stale primary undoes nothing", ELECTIONS),
    row("S1.8", "a backup forwards a request", ELECTIONS),
    row(
        "S1.9",
        "join and leave a running cluster",
        &[Shown::Planned(
            "reconfiguration as an ordered operation, with epochs in every signature",
        )],
    ),
    row("S1.10", "idle clusters, and view-change spam", ELECTIONS),
    row("S1.11", "coming from Raft", &[Shown::Page("docs/from-raft.md")]),
    row(
        "S2.1",
        "balance, deposit, withdraw, transfer, open, statement, audit from the command line",
        &[
            e2e("readme::up_bank_status_and_interrupt_do_what_the_readme_says"),
            e2e("operations::sessions_queries_statements_and_bundles"),
        ],
    ),
    row(
        "S2.2",
        "a transactional store at each replica, ledger and log in one transaction, readable offline",
        &[
            node("lib", "store::tests::what_is_committed_survives_and_nothing_else"),
            node("lib", "store::tests::the_service_state_returns_with_its_replies_and_checkpoints"),
            cli("a_store_is_inspected_and_left_alone"),
        ],
    ),
    row("S2.3", "loss, duplicates, reordering", &[Shown::Matrix(&[13])]),
    row("S2.4", "crash and recovery at any time", EXPERIMENT),
    row("S2.5", "1,000, 5,000 and 10,000 operations, ten runs each", EXPERIMENT),
    row(
        "S2.6",
        "every replica's accounts and digests side by side",
        &[e2e("operations::a_replica_that_differs_is_shown_and_halts_at_the_next_checkpoint")],
    ),
    row(
        "S2.7",
        "state outside of the checkpoint is noticed",
        &[node("cluster", "services::a_state_outside_of_the_checkpoints_is_noticed")],
    ),
    row(
        "S2.8",
        "nothing acknowledged is lost",
        &[e2e("crashes::nothing_acknowledged_is_lost_when_all_are_killed_at_once")],
    ),
    row(
        "S2.9",
        "any client bytes",
        &[
            ledger("tests::any_bytes_get_an_answer"),
            e2e("junk::junk_on_the_wire_changes_nothing_for_the_others"),
            Shown::Matrix(&[34]),
        ],
    ),
    row(
        "S2.10",
        "no view change where nothing is wrong",
        &[
            wish("fault_free::fault_free_simulations_have_no_view_change"),
            wish("fault_free::a_fault_free_run_of_processes_has_no_view_change"),
        ],
    ),
    row("S3.1", "deposit, all agree", LAB),
    row("S3.2", "one replica says different things; three votes suffice", LAB),
    row("S3.3", "two withhold prepare", LAB),
    row("S3.4", "two withhold commit", LAB),
    row("S3.5", "a backup crashes and recovers", LAB),
    row("S3.6", "every primary crashes in turn", LAB),
    row("S3.7", "checkpoint on demand, and its readable dump", LAB),
    row("S3.8", "practice 1", LAB),
    row("S3.9", "practice 2", LAB),
    row("S3.10", "list, status, quit, restart", LAB),
    row("S3.11", "six attacks that must fail", LAB),
    row("S4.1", "delay, loss, reordering, seed", EXPERIMENT),
    row("S4.2", "equivocating, silent and lying replicas", EXPERIMENT),
    row("S4.3", "ten replicas, 0 to 9 malicious", EXPERIMENT),
    row("S4.4", "latency and success over the number of malicious replicas", EXPERIMENT),
    row("S4.5", "latency as the bound on faults nears", EXPERIMENT),
    row("S4.6", "a Byzantine primary within f", EXPERIMENT),
    row("S4.7", "1, 2, 5 and 10 % loss", EXPERIMENT),
    row("S4.8", "the bound is sharp", EXPERIMENT),
    row(
        "I.1",
        "a lagging replica catches up without traffic",
        &[e2e("catching_up::a_laggard_catches_up_without_traffic")],
    ),
    row(
        "I.2",
        "and under saturating load, in bounded time and memory",
        &[wish(
            "simulated::i2_a_laggard_catches_up_under_saturating_load_in_bounded_time_and_memory",
        )],
    ),
    row(
        "I.3",
        "links that come up late",
        &[wish("simulated::i3_links_that_come_up_late_heal_by_themselves")],
    ),
    row(
        "I.4",
        "failure tests assert the final view and the number of view changes",
        &[wish("simulated::i4_every_failure_has_its_final_view_and_number_of_view_changes")],
    ),
    row(
        "I.5",
        "primary dead, the request first reaches one backup only",
        &[wish(
            "processes::i5_with_the_primary_dead_a_request_that_reached_one_backup_is_executed",
        )],
    ),
    row(
        "I.6",
        "SIGSTOP, then SIGCONT",
        &[wish("processes::i6_a_stopped_replica_and_a_stopped_primary_go_on_where_the_others_are")],
    ),
    row(
        "I.7",
        "a crash inside a view change",
        &[
            wish("simulated::i7_a_crash_inside_a_view_change_forgets_no_promise"),
            core("disorder", "a_restart_inside_a_view_change_keeps_the_promise"),
        ],
    ),
    row(
        "I.8",
        "a torn last record is dropped; a torn one before it refuses to vote",
        &[
            node(
                "lib",
                "store::damage_tests::a_last_commit_that_is_lost_after_it_was_acknowledged_is_noticed",
            ),
            node("lib", "store::damage_tests::a_damaged_byte_is_noticed_wherever_it_matters"),
            Shown::Matrix(&[6, 7]),
        ],
    ),
    row(
        "I.9",
        "the directory is synced after a rename",
        &[wish("files::i9_every_new_name_is_synced_with_its_directory")],
    ),
    row(
        "I.10",
        "state that diverged outside of the protocol is detected",
        &[e2e("operations::a_replica_that_differs_is_shown_and_halts_at_the_next_checkpoint")],
    ),
    row(
        "I.11",
        "a primary that censors one client is replaced",
        &[wish(
            "simulated::i11_a_primary_that_censors_one_client_is_replaced_though_it_serves_the_others",
        )],
    ),
    row(
        "I.12",
        "reads are linearizable",
        &[wish("simulated::i12_reads_are_linearizable_though_f_replicas_lie_and_others_lag")],
    ),
    row(
        "I.13",
        "duplicate and asynchronous calls with a dead replica",
        &[wish("clients::i13_duplicate_and_asynchronous_calls_with_a_dead_replica_execute_once")],
    ),
    row(
        "I.14",
        "two clusters on one host",
        &[wish("processes::i14_two_clusters_on_one_host_do_not_disturb_each_other")],
    ),
    row(
        "I.15",
        "a replicated register in at most 60 lines",
        &[wish("example::i15_a_replicated_register_takes_at_most_60_lines")],
    ),
];
