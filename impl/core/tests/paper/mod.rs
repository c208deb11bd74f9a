//! The paper as tests: one test a rule of §4.1 to §4.4, and one a guard. Each sets one replica up, acts as everybody
//! else, and checks. The test cluster demands of every refusal that the replica is exactly as before.

mod checkpoint;
mod client;
mod normal_case;
mod transfer;
mod view_change;

use crate::common::Cluster;
use pbft_core::RejectionKind;
use pbft_core::types::{Digest, ReplicaId, SeqNum, View};
use pbft_core::{Effect, Rejection};
use std::cell::RefCell;
use std::collections::BTreeSet;

thread_local! {
    static REFUSED: RefCell<BTreeSet<RejectionKind>> = const { RefCell::new(BTreeSet::new()) };
}

/// A cluster of four in which only replica `id` runs; the test speaks for all others.
fn alone(id: u32) -> Cluster {
    let mut cluster = Cluster::new(4);
    cluster.ids().filter(|other| *other != id).for_each(|other| cluster.corrupt(other));
    cluster
}

/// The input was refused, and for this reason.
#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, Rejection>, expected: Rejection) {
    REFUSED.with_borrow_mut(|kinds| kinds.insert(expected.kind()));
    assert_eq!(outcome.expect_err("refused"), expected);
}

/// What leaves the replica and what it writes, in order, as words.
fn words(effects: &[Effect]) -> Vec<&'static str> {
    let word = |effect: &Effect| match effect {
        Effect::Persist(_) => "persist",
        Effect::Send { message, .. } | Effect::Broadcast(message) => message.kind(),
        Effect::Execute { .. } => "execute",
        Effect::StoreCheckpoint { .. } => "store",
        Effect::Reply(_) => "reply",
        Effect::SetTimer { .. } => "set-timer",
        Effect::CancelTimer(_) => "cancel-timer",
        Effect::ServeState { .. } => "serve",
        Effect::RetainStaged { .. } => "retain",
        Effect::StageChunk { .. } => "stage",
        Effect::Install { .. } => "install",
        Effect::Halt(_) => "halt",
    };
    effects.iter().map(word).collect()
}

fn outside(seq: u64, low: u64, high: u64) -> Rejection {
    Rejection::OutsideWindow { seq: SeqNum(seq), low: SeqNum(low), high: SeqNum(high) }
}

fn wrong_view(expected: u64, got: u64) -> Rejection {
    Rejection::WrongView { expected: View(expected), got: View(got) }
}

fn not_primary(expected: u32, got: u32) -> Rejection {
    Rejection::NotPrimary { expected: ReplicaId(expected), got: ReplicaId(got) }
}

fn equivocation(replica: u32, view: u64, seq: u64, first: Digest, second: Digest) -> Rejection {
    let (replica, view, seq) = (ReplicaId(replica), View(view), SeqNum(seq));
    Rejection::Equivocation { replica, view, seq, first, second }
}

/// No guard without a test: every kind of rejection that the core has is provoked by one of the tests of guards.
#[test]
fn every_kind_of_rejection_is_provoked() {
    let tests: &[fn()] = &[
        client::a_request_needs_its_clients_signature,
        client::a_waiting_lane_takes_no_earlier_request,
        client::lanes_are_bounded,
        client::two_requests_with_one_timestamp_do_not_wait_together,
        client::a_used_timestamp_is_refused_by_name,
        client::the_last_timestamps_are_refused,
        client::a_backup_takes_no_authenticator,
        normal_case::a_message_comes_from_another_member,
        normal_case::a_pre_prepare_is_of_the_active_view_and_its_primary,
        normal_case::a_pre_prepare_is_in_the_window,
        normal_case::a_pre_prepare_names_the_digest_of_its_batch,
        normal_case::the_first_pre_prepare_counts,
        normal_case::certified_batches_are_taken_without_their_tags,
        normal_case::prepares_are_the_backups_own_votes_of_the_view_in_the_window,
        normal_case::a_commit_certificate_is_q_equal_commits_with_their_batch,
        normal_case::a_peer_is_given_enough_until_the_next_tick,
        normal_case::two_certificates_for_one_sequence_number_stop_the_replica,
        checkpoint::checkpoints_are_at_multiples_of_k_above_h,
        view_change::the_timer_must_be_running,
        view_change::there_is_a_last_view,
        view_change::h_is_proven_in_a_view_change,
        view_change::p_holds_prepared_certificates_of_earlier_views_in_rising_order,
        view_change::o_is_recomputed_bit_for_bit,
        transfer::only_what_was_asked_for_is_taken,
        transfer::what_is_not_here_is_not_served,
        transfer::completions_answer_what_was_asked_for,
    ];
    tests.iter().for_each(|test| test());
    let seen = REFUSED.with_borrow(Clone::clone);
    let kinds = RejectionKind::ALL.iter();
    let missing: Vec<_> = kinds.filter(|kind| !seen.contains(kind)).collect();
    assert!(missing.is_empty(), "never provoked: {missing:?}");
}
