//! What exactly a replica says again to a peer that says what it has (§2, and retransmission in docs/deviations.md), and
//! how much it holds meanwhile. The model's network never loses anything.

use super::label::about;
use super::stage::{Letter, Outcome, Stage, expect, from};
use crate::refinement::action::Delivery;
use crate::refinement::layout::batch_digest;
use pbft_core::RejectionKind;
use pbft_core::message::{Message, Status};
use pbft_core::types::{ReplicaId, SeqNum, View};
use pbft_core::{Footprint, Params};

/// A checkpoint every two batches, in a window of four.
pub(super) fn bounds(params: &mut Params) {
    (params.checkpoint_interval, params.window, params.pipeline) = (2, 4, 4);
    (params.batch_requests_max, params.lanes_max) = (1, 16);
}

fn status(replica: u32, view: u64, active: bool, low: u64, executed: u64) -> Status {
    let (low_water_mark, last_executed) = (SeqNum(low), SeqNum(executed));
    Status { replica: ReplicaId(replica), view: View(view), active, low_water_mark, last_executed }
}

/// 1 and 2 are executed, 3 is prepared, 4 is accepted, and no checkpoint is stable.
fn four_stages(stage: &mut Stage<'_>) -> Outcome<Vec<Letter>> {
    for lane in 0..4 {
        stage.ask(0, &stage.request(lane, 1, 1))?;
    }
    stage.settle(|Letter { message, .. }| match message {
        Message::Prepare(_) => about(message) < Some(4),
        Message::Commit(_) => about(message) < Some(3),
        Message::Checkpoint(_) => false,
        _ => true,
    })
}

const CHECKPOINT: &str = "CHECKPOINT 2 of 2";
const THIRD: [&str; 3] = ["PRE-PREPARE 3@0 of 0", "PREPARE 3@0 of 2", "COMMIT 3@0 of 2"];
const FOURTH: [&str; 2] = ["PRE-PREPARE 4@0 of 0", "PREPARE 4@0 of 2"];

/// What is final, as a certificate; the own votes for what is not; nothing that the peer has.
pub(super) fn lacks_in_a_view(stage: &mut Stage<'_>) -> Outcome {
    four_stages(stage)?;
    let open = [THIRD.as_slice(), &FOURTH].concat();
    let final_too = ["COMMITTED 1", "COMMITTED 2", CHECKPOINT];
    stage.answers(2, status(3, 0, true, 0, 0), &[final_too.as_slice(), &open].concat())?;
    stage.answers(2, status(3, 0, true, 0, 1), &[&final_too[1..], &open].concat())?;
    stage.answers(2, status(3, 0, true, 0, 2), &[&[CHECKPOINT], open.as_slice()].concat())?;
    // A peer whose h is 2 has the checkpoint; one that is ahead can prove what it has executed.
    stage.answers(2, status(3, 0, true, 2, 2), &open)?;
    stage.answers(2, status(3, 0, true, 2, 3), &FOURTH)?;
    stage.answers(2, status(3, 0, true, 2, 4), &[])?;
    // The primary has sent the pre-prepares itself.
    let votes = [&THIRD[1..], &FOURTH[1..]].concat();
    stage.answers(2, status(0, 0, true, 2, 2), &votes)?;
    // A peer that is not active in this view is given votes without pre-prepares.
    stage.answers(2, status(3, 0, false, 2, 2), &votes)?;
    // A peer in a later view has no use for votes of this one.
    stage.answers(2, status(3, 1, true, 2, 2), &[])?;
    stage.answers(2, status(3, 1, false, 0, 1), &["COMMITTED 2", CHECKPOINT])?;
    // The primary itself.
    let own = ["PRE-PREPARE 3@0 of 0", "COMMIT 3@0 of 0", "PRE-PREPARE 4@0 of 0"];
    stage.answers(0, status(3, 0, true, 2, 2), &own)
}

/// As [`bounds`], and a peer is given no more than one message of each kind between two ticks, and what is small.
pub(super) fn sparing(params: &mut Params) {
    bounds(params);
    params.help_bytes_max = 1;
}

/// Whoever asks for more than its share until the next tick is refused by name, and of an answer it gets a part.
pub(super) fn given_enough(stage: &mut Stage<'_>) -> Outcome {
    four_stages(stage)?;
    let open = [THIRD.as_slice(), &FOURTH[1..]].concat();
    let all = [["COMMITTED 1", CHECKPOINT].as_slice(), &open].concat();
    stage.answers(2, status(3, 0, true, 0, 0), &all)?;
    stage.answers(
        2,
        status(3, 0, true, 0, 1),
        &[["COMMITTED 2", CHECKPOINT].as_slice(), &open].concat(),
    )?;
    let mut proposals = stage.seen(0).broadcasts.iter().filter_map(|message| match message {
        Message::PrePrepare(proposal) => Some(batch_digest(&proposal.batch)),
        _ => None,
    });
    let Some(digest) = proposals.next_back() else { return Ok(()) };
    let fetch = from(3, Message::FetchBatch(digest));
    for _ in 0..2 {
        let seen = stage.demand(2, &fetch)?;
        expect("what is served", 1, seen.sends.len())?;
        stage.refuse(2, &fetch, RejectionKind::OverBudget)?;
        stage.demand(2, &from(1, Message::FetchBatch(digest)))?;
        stage.tick(2)?;
    }
    Ok(())
}

/// Batches of a kilobyte, and a share between two ticks into which one of them fits, and not two.
pub(super) fn large(params: &mut Params) {
    (params.checkpoint_interval, params.window, params.pipeline) = (100, 200, 4);
    params.batch_requests_max = 1;
    params.help_bytes_max = 3000;
}

/// The batch beside a commit certificate counts like any other bytes.
pub(super) fn large_certificates(stage: &mut Stage<'_>) -> Outcome {
    for lane in 0..4 {
        stage.ask(0, &stage.request(lane, 1, 1000))?;
    }
    stage.settle(|_| true)?;
    // A certificate has three COMMITs of 148 bytes, and a request of some 1,100: two of them fit, the third does not.
    let two = ["COMMITTED 1", "COMMITTED 2"];
    stage.answers(2, status(3, 0, true, 0, 0), &two)?;
    stage.answers(2, status(3, 0, true, 0, 2), &["COMMITTED 3", "COMMITTED 4"])
}

/// What is held of the four stages, piece by piece.
pub(super) fn held_in_a_view(stage: &mut Stage<'_>) -> Outcome {
    let lost = four_stages(stage)?;
    let nothing = Footprint::default();
    // 3 PREPAREs and 4 COMMITs of 1 and 2; 3 PREPAREs and the own COMMIT of 3; the own PREPARE of 4.
    let votes = 2 * (3 + 4) + (3 + 1) + 1;
    let held =
        Footprint { slots: 4, votes, replies: 2, checkpoint_votes: 1, manifests: 1, ..nothing };
    expect("what a backup holds", held, stage.footprint(2)?)?;
    // The primary sends no PREPARE, and has two requests that wait.
    let primary = Footprint { votes: votes - 1, pending: 2, ..held };
    expect("what the primary holds", primary, stage.footprint(0)?)?;
    stage.answers(2, status(3, 0, true, 2, 2), &[THIRD.as_slice(), &FOURTH].concat())?;
    // The answer to 3, its bytes, and the report of 3; and since the tick how long each of the three others has waited
    // ahead.
    let told = Footprint { reports: 3 + 3, ..held };
    expect("what a backup holds that heard a STATUS", told, stage.footprint(2)?)?;
    // After a restart: the own votes, and no one else's; the PREPARE of each number, the COMMIT of three.
    stage.restart(2)?;
    let own = Footprint { votes: 4 + 3, ..held };
    expect("what a backup holds after a restart", own, stage.footprint(2)?)?;
    stage.restart(0)?;
    let own = Footprint { votes: 3, ..held };
    expect("what the primary holds after a restart", own, stage.footprint(0)?)?;
    // A CHECKPOINT more, then the third: 2 is stable, and what it covers is forgotten.
    stage.release(&lost, |letter| letter.to == 1 && is_checkpoint_of(letter, 0))?;
    let more = Footprint { checkpoint_votes: 2, ..held };
    expect("what a backup holds with another CHECKPOINT", more, stage.footprint(1)?)?;
    stage.release(&lost, |letter| letter.to == 1 && is_checkpoint_of(letter, 2))?;
    let stable = Footprint { slots: 2, votes: 5, checkpoint_votes: 0, ..held };
    expect("what a backup holds above a stable checkpoint", stable, stage.footprint(1)?)
}

fn is_checkpoint_of(letter: &Letter, sender: u32) -> bool {
    letter.from == sender && matches!(letter.message, Message::Checkpoint(_))
}

/// A restart forgets the votes of others, and nothing that proves what is final.
pub(super) fn lacks_after_a_restart(stage: &mut Stage<'_>) -> Outcome {
    four_stages(stage)?;
    stage.restart(2)?;
    let open = [THIRD.as_slice(), &FOURTH].concat();
    let final_too = ["COMMITTED 1", "COMMITTED 2", CHECKPOINT];
    stage.answers(2, status(3, 0, true, 2, 2), &open)?;
    stage.answers(2, status(3, 0, true, 2, 1), &[&["COMMITTED 2"], open.as_slice()].concat())?;
    stage.answers(2, status(1, 0, true, 0, 0), &[final_too.as_slice(), &open].concat())?;
    // In whichever view the peer is.
    stage.answers(2, status(1, 1, false, 0, 0), &final_too)?;
    stage.answers(2, status(3, 0, true, 2, 4), &[])
}

/// Between views and in a later one: VIEW-CHANGEs to whoever is behind, then the NEW-VIEW, and nothing to who has it.
pub(super) fn lacks_of_a_view(stage: &mut Stage<'_>) -> Outcome {
    four_stages(stage)?;
    for at in [0, 2] {
        stage.demand(at, &Delivery::Suspect)?;
    }
    // r2 has VIEW-CHANGEs of r0 and of itself.
    let held_back = stage.settle(|letter| letter.to == 2 && letter.from == 0)?;
    let (own, other) = ("VIEW-CHANGE @1 of 2", "VIEW-CHANGE @1 of 0");
    stage.answers(2, status(3, 0, true, 2, 2), &[other, own])?;
    stage.answers(2, status(0, 0, true, 2, 2), &[own])?;
    stage.answers(2, status(3, 1, false, 2, 2), &[other, own])?;
    stage.answers(2, status(3, 1, true, 2, 2), &[])?;
    stage.answers(2, status(3, 2, false, 2, 2), &[])?;
    let both = Footprint { view_changes: 2, ..Footprint::default() };
    expect("VIEW-CHANGEs held", both.view_changes, stage.footprint(2)?.view_changes)?;
    stage.release(&held_back, |_| true)?;
    let is_vote = |message: &Message| matches!(message, Message::Prepare(_) | Message::Commit(_));
    stage.settle(|letter| !is_vote(&letter.message) && about(&letter.message).is_none())?;
    for at in 0..4 {
        let status = stage.replica(at)?.status();
        expect("the new view", (1, true), (status.view.0, status.active))?;
        expect("VIEW-CHANGEs held in it", 0, stage.footprint(at)?.view_changes)?;
    }
    in_the_next_view(stage)?;
    // A restart in view 1 brings back the votes of view 1 only.
    stage.restart(2)?;
    in_the_next_view(stage)
}

/// O orders 1 to 3 anew, and r2 has accepted them; none is prepared yet. 4 was not prepared, so O ends before it.
fn in_the_next_view(stage: &mut Stage<'_>) -> Outcome {
    let (new_view, third) = ("NEW-VIEW @1", "PREPARE 3@1 of 2");
    stage.answers(2, status(3, 1, true, 2, 2), &["PRE-PREPARE 3@1 of 1", third])?;
    stage.answers(2, status(1, 1, true, 2, 2), &[third])?;
    stage.answers(2, status(3, 1, false, 2, 2), &[new_view, third])?;
    stage.answers(2, status(3, 0, true, 2, 2), &[new_view])?;
    stage.answers(2, status(3, 0, false, 2, 2), &[new_view])?;
    stage.answers(2, status(3, 2, false, 2, 2), &[])?;
    stage.answers(2, status(3, 2, true, 2, 2), &[])
}
