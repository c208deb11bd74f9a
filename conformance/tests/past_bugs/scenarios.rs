//! The scenarios on the core: each says what must not happen.

use crate::lab::{FIRST, Lab, OTHER, SLOT, VIEW, Verdict, ensure, never_says, replica};
use pbft_conformance::refinement::layout;
use pbft_conformance::subject::Subject as _;
use pbft_core::Summary;
use pbft_core::message::{FetchState, Message, Proposal, StableCertificate, StateData, StatePart};
use pbft_core::types::View;
use pbft_model as model;
use std::sync::Arc;

fn summary(lab: &Lab, id: u8) -> Summary {
    lab.host(id).summary()
}

fn stays_in_view_0(lab: &Lab, id: u8) -> Verdict {
    let summary = summary(lab, id);
    ensure(summary.view == View(0) && summary.active, "the replica left view 0")
}

pub(crate) fn the_primarys_prepare_prepares_nothing(lab: &mut Lab) -> Verdict {
    lab.propose(2, FIRST).expect("the first proposal");
    let vote = lab.source().make_prepare(replica(0), VIEW, SLOT, FIRST);
    never_says(&lab.deliver(2, 0, Message::Prepare(vote)), "commit")
}

pub(crate) fn a_vote_counts_for_its_signer_only(lab: &mut Lab) -> Verdict {
    lab.propose(2, FIRST).expect("the first proposal");
    let vote = lab.source().make_prepare(replica(1), VIEW, SLOT, FIRST);
    never_says(&lab.deliver(2, 3, Message::Prepare(vote)), "commit")
}

pub(crate) fn strangers_move_nobody(lab: &mut Lab) -> Verdict {
    for (channel, sender) in [(3, 4), (3, 3)] {
        let view_change = lab.view_change(sender, 2, Vec::new());
        let _ = lab.deliver(2, channel, Message::ViewChange(view_change));
    }
    stays_in_view_0(lab, 2)
}

pub(crate) fn votes_for_different_batches_commit_nothing(lab: &mut Lab) -> Verdict {
    let certificate = lab.certificate(&[(0, FIRST), (1, FIRST), (3, OTHER)]);
    let _ = lab.deliver(2, 3, certificate);
    ensure(lab.host(2).history().is_empty(), "the batch was executed")
}

pub(crate) fn one_voter_is_one_vote(lab: &mut Lab) -> Verdict {
    let certificate = lab.certificate(&[(0, FIRST), (3, FIRST), (3, FIRST)]);
    let _ = lab.deliver(2, 3, certificate);
    ensure(lab.host(2).history().is_empty(), "the batch was executed")
}

pub(crate) fn only_the_primary_begins_a_view(lab: &mut Lab) -> Verdict {
    let new_view = lab.new_view(2, &[0, 1, 2], &[]);
    let _ = lab.deliver(3, 2, new_view);
    stays_in_view_0(lab, 3)
}

pub(crate) fn one_sender_is_one_view_change(lab: &mut Lab) -> Verdict {
    let new_view = lab.new_view(1, &[0, 2, 2], &[]);
    let _ = lab.deliver(3, 1, new_view);
    stays_in_view_0(lab, 3)
}

pub(crate) fn a_refused_new_view_leaves_nothing_behind(lab: &mut Lab) -> Verdict {
    (0..2).for_each(|_| drop(lab.suspect(3)));
    let before = lab.host(3).replica().clone();
    let new_view = lab.new_view(1, &[0, 1, 2], &[]);
    let outcome = lab.deliver(3, 1, new_view);
    ensure(outcome.is_err(), "a NEW-VIEW of a view that was left was taken")?;
    ensure(*lab.host(3).replica() == before, "the refused NEW-VIEW changed the replica")
}

pub(crate) fn a_backup_relays_a_request(lab: &mut Lab) -> Verdict {
    let seen = lab.request(2, FIRST);
    let relayed = |message: &Message| matches!(message, Message::Request(_));
    let to_primary = seen.sends.iter().any(|(to, message)| to.0 == 0 && relayed(message));
    ensure(to_primary, "the primary never hears of the request")
}

pub(crate) fn one_replicas_word_is_no_checkpoint(lab: &mut Lab) -> Verdict {
    let state = state_after(FIRST);
    let vote = lab.source().make_checkpoint(replica(1), SLOT, &state);
    lab.deliver(2, 1, Message::Checkpoint(vote)).expect("a vote");
    let seen = lab.tick(2);
    let fetches = |message: &Message| matches!(message, Message::FetchState(_));
    let fetching = seen.sends.iter().any(|(_, message)| fetches(message));
    ensure(!fetching, "state was fetched on one replica's word")
}

/// The bad one comes first, and is of the replica with the lowest id.
pub(crate) fn a_bad_certificate_hides_no_good_one(lab: &mut Lab) -> Verdict {
    lab.suspect(1);
    let bad = lab.view_change(0, 1, vec![lab.prepared(OTHER, &[3])]);
    let good = lab.view_change(2, 1, vec![lab.prepared(FIRST, &[2, 3])]);
    let empty = lab.view_change(3, 1, Vec::new());
    let mut said = Vec::new();
    for (from, view_change) in [(0, bad), (2, good), (3, empty)] {
        let outcome = lab.deliver(1, from, Message::ViewChange(view_change));
        ensure(
            outcome.is_err() == (from == 0),
            "a bad VIEW-CHANGE is taken, or a good one is not",
        )?;
        said.extend(outcome.into_iter().flat_map(|seen| seen.broadcasts));
    }
    let batch = Message::Batch(lab.vocabulary().batch(FIRST));
    let outcome = lab.deliver(1, 2, batch);
    said.extend(outcome.into_iter().flat_map(|seen| seen.broadcasts));
    let orders_it = said.iter().any(|message| match message {
        Message::NewView(new_view) => {
            let order = new_view.body.pre_prepares.iter().map(|order| order.body.digest);
            order.eq([lab.vocabulary().digest(FIRST)])
        }
        _ => false,
    });
    ensure(orders_it, "no NEW-VIEW with the batch that prepared")
}

pub(crate) fn view_changes_are_handed_on(lab: &mut Lab) -> Verdict {
    lab.suspect(2);
    let view_change = Message::ViewChange(lab.view_change(3, 1, Vec::new()));
    lab.deliver(2, 3, view_change.clone()).expect("a VIEW-CHANGE");
    let answers = lab.answers(2, 1, 1, false);
    ensure(answers.contains(&view_change), "the VIEW-CHANGE is not handed on")
}

pub(crate) fn a_view_that_was_left_stays_left(lab: &mut Lab) -> Verdict {
    lab.suspect(2);
    lab.restart(2);
    never_says(&lab.propose(2, FIRST), "prepare")
}

pub(crate) fn a_restart_repeats_the_same_view_change(lab: &mut Lab) -> Verdict {
    lab.prepare(2);
    let first = lab.suspect(2).broadcasts;
    let again = lab.restart(2).broadcasts;
    ensure(again == first, "the VIEW-CHANGE after the restart is another one")
}

pub(crate) fn a_replica_that_is_behind_is_brought_up(lab: &mut Lab) -> Verdict {
    let certificate = lab.certificate(&[(0, FIRST), (1, FIRST), (3, FIRST)]);
    lab.deliver(2, 1, certificate).expect("a certificate");
    let committed = |message: &Message| matches!(message, Message::Committed(_));
    let answers = lab.answers(2, 3, 0, true);
    ensure(answers.iter().any(committed), "the final batch is not handed on")
}

pub(crate) fn one_huge_view_moves_nobody(lab: &mut Lab) -> Verdict {
    let view_change = lab.view_change(3, u64::MAX, Vec::new());
    let _ = lab.deliver(2, 3, Message::ViewChange(view_change));
    stays_in_view_0(lab, 2)
}

pub(crate) fn the_digest_is_computed_not_believed(lab: &mut Lab) -> Verdict {
    let pre_prepare = lab.source().pre_prepare(replica(0), VIEW, SLOT, FIRST);
    let batch = lab.vocabulary().batch(OTHER);
    let proposal = Message::PrePrepare(Arc::new(Proposal { pre_prepare, batch }));
    never_says(&lab.deliver(2, 0, proposal), "prepare")
}

pub(crate) fn no_second_vote_after_a_restart(lab: &mut Lab) -> Verdict {
    lab.propose(2, FIRST).expect("the first proposal");
    lab.restart(2);
    never_says(&lab.propose(2, OTHER), "prepare")
}

pub(crate) fn a_view_change_carries_what_prepared(lab: &mut Lab) -> Verdict {
    lab.prepare(2);
    let seen = lab.suspect(2);
    let carries = seen.broadcasts.iter().any(|message| match message {
        Message::ViewChange(own) => own.body.prepared.len() == 1,
        _ => false,
    });
    ensure(carries, "the VIEW-CHANGE carries no proof of what prepared")
}

fn state_after(value: model::Value) -> model::StateDigest {
    let mut applied = model::Applied::default();
    applied.push(value);
    let mut served = model::ValueSet::EMPTY;
    served.insert(value);
    model::StateDigest { applied, served }
}

/// A quorum has one state, whoever is asked serves another one.
pub(crate) fn a_lying_source_is_noticed(lab: &mut Lab) -> Verdict {
    let (right, wrong) = (state_after(FIRST), state_after(OTHER));
    let vote = |id| lab.source().make_checkpoint(replica(id), SLOT, &right);
    let stable = StableCertificate { checkpoints: [0, 1, 3].map(vote).to_vec() };
    lab.deliver(2, 1, Message::Stable(Arc::new(stable))).expect("a proof");
    let layout::State { manifest, chunks } = lab.vocabulary().state(SLOT, &wrong);
    let mut asked = lab.tick(2).sends;
    ensure(!asked.is_empty(), "nobody was asked for the state")?;
    while let Some((source, message)) = asked.pop() {
        let Message::FetchState(FetchState { seq, part }) = message else { continue };
        let bytes = match part {
            StatePart::Manifest => manifest.clone(),
            StatePart::Chunk(index) => chunks[index as usize].clone(),
        };
        let data = StateData { seq, part, bytes: bytes.into() };
        let answer = Message::StateData(Arc::new(data));
        asked
            .extend(lab.deliver(2, source.0 as u8, answer).into_iter().flat_map(|seen| seen.sends));
    }
    ensure(lab.host(2).history().is_empty(), "another state than the quorum's was installed")
}
