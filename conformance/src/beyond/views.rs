//! View changes that overtake one another, and what is kept for them (§4.4).

use super::checkpoints::{LATE, one_is_cut_off};
use super::label::label;
use super::stage::{Letter, Outcome, Stage, expect, from};
use crate::divergence::{Difference, Kind};
use crate::refinement::action::Delivery;
use crate::subject::Observation;
use pbft_core::RejectionKind;
use pbft_core::message::Message;

fn view(stage: &Stage<'_>, at: u32) -> Outcome<(u64, bool)> {
    let status = stage.replica(at)?.status();
    Ok((status.view.0, status.active))
}

fn is_of_transfer(letter: &Letter) -> bool {
    matches!(letter.message, Message::FetchState(_) | Message::StateData(_))
}

fn view_change(to: u64) -> impl Fn(&Letter) -> bool {
    move |letter| matches!(&letter.message, Message::ViewChange(known) if known.body.view.0 == to)
}

fn said(seen: &Observation) -> Vec<String> {
    let sends = seen.sends.iter().map(|(_, message)| message);
    seen.broadcasts.iter().chain(sends).map(label).collect()
}

/// Who signed the VIEW-CHANGEs in the NEW-VIEW that a replica has sent for this view.
fn v_of(stage: &Stage<'_>, at: u32, view: u64) -> Vec<u32> {
    let said = stage.seen(at).broadcasts.iter();
    let mut new_views = said.filter_map(|message| match message {
        Message::NewView(known) if known.body.view.0 == view => Some(known),
        _ => None,
    });
    let senders = |known: &std::sync::Arc<
        pbft_core::message::Signed<pbft_core::message::NewView>,
    >| { known.body.view_changes.iter().map(|one| one.body.replica.0).collect() };
    new_views.next().map(senders).unwrap_or_default()
}

/// One replica is far behind, and the others have begun view 1. It has the NEW-VIEW, asks at once for the state that the
/// NEW-VIEW rests on, and waits.
fn waiting_for_state(stage: &mut Stage<'_>) -> Outcome {
    one_is_cut_off(stage)?;
    for at in 0..LATE {
        stage.demand(at, &Delivery::Suspect)?;
    }
    let lost = stage.settle(|letter| letter.to != LATE)?;
    let new_view = lost.iter().find(|letter| matches!(letter.message, Message::NewView(_)));
    let missing = || Difference::new(Kind::Harness, "view 1 did not begin");
    let new_view = new_view.map(|letter| from(letter.from, letter.message.clone()));
    let new_view = new_view.ok_or_else(missing)?;
    let seen = stage.demand(LATE, &new_view)?;
    expect("what is asked for", vec!["FETCH-STATE 8 Manifest".to_owned(); 2], said(&seen))?;
    expect("the view meanwhile", (0, true), view(stage, LATE)?)?;
    stage.refuse(LATE, &new_view, RejectionKind::Duplicate)
}

/// f+1 replicas want the view after the one that is waited for: it is not entered any more when its state comes.
pub(super) fn overtaken(stage: &mut Stage<'_>) -> Outcome {
    waiting_for_state(stage)?;
    let fetch = stage.lose_all();
    for at in [0, 2] {
        stage.demand(at, &Delivery::Suspect)?;
    }
    let lost = stage.lose_all();
    stage.release(&lost, |letter| letter.to == LATE)?;
    expect("the view that is joined", (2, false), view(stage, LATE)?)?;
    expect("VIEW-CHANGEs held", 3, stage.footprint(LATE)?.view_changes)?;
    stage.release(&fetch, is_of_transfer)?;
    stage.settle(is_of_transfer)?;
    expect("the state that came", 8, stage.replica(LATE)?.status().low_water_mark.0)?;
    expect("the view after that", (2, false), view(stage, LATE)?)
}

/// A replica that suspects the old primary meanwhile still enters the view that it waits for.
pub(super) fn waited_for(stage: &mut Stage<'_>) -> Outcome {
    waiting_for_state(stage)?;
    let seen = stage.demand(LATE, &Delivery::Suspect)?;
    expect("what is said", vec!["VIEW-CHANGE @1 of 3".to_owned()], said(&seen))?;
    expect("the view meanwhile", (1, false), view(stage, LATE)?)?;
    stage.settle(is_of_transfer)?;
    expect("the view when the state is here", (1, true), view(stage, LATE)?)?;
    expect("VIEW-CHANGEs held", 0, stage.footprint(LATE)?.view_changes)?;
    stage.ask(1, &stage.request(9, 1, 1))?;
    stage.settle(|_| true)?;
    for at in 0..4 {
        expect("the last batch executed", 9, stage.replica(at)?.status().last_executed.0)?;
    }
    Ok(())
}

/// A batch that O names and that is not here is asked for, again at each tick, and taken once.
pub(super) fn waits_for_a_batch(stage: &mut Stage<'_>) -> Outcome {
    stage.ask(0, &stage.request(0, 1, 1))?;
    stage.settle(|letter| letter.to != LATE && !matches!(letter.message, Message::Commit(_)))?;
    for at in 0..LATE {
        stage.demand(at, &Delivery::Suspect)?;
    }
    let lost = stage.settle(|letter| letter.to != LATE)?;
    stage.release(&lost, |letter| matches!(letter.message, Message::NewView(_)))?;
    expect("batches asked for", 1, stage.footprint(LATE)?.fetched)?;
    let asked = |letters: Vec<Letter>| {
        letters.iter().filter(|one| matches!(one.message, Message::FetchBatch(_))).count()
    };
    let questions = stage.lose_all();
    expect("who is asked", 3, asked(questions.clone()))?;
    stage.tick(LATE)?;
    expect("who is asked at a tick", 3, asked(stage.lose_all()))?;
    expect("the view meanwhile", (0, true), view(stage, LATE)?)?;
    stage.release(&questions, |letter| letter.to == 0)?;
    let batch = stage.settle(|_| false)?.into_iter().find(|letter| letter.to == LATE);
    let served = |missing: Option<Letter>| {
        missing.ok_or_else(|| Difference::new(Kind::Reaction, "the batch is not served"))
    };
    let batch = served(batch)?;
    let taken = from(batch.from, batch.message);
    let seen = stage.demand(LATE, &taken)?;
    expect("what is said then", vec!["PREPARE 1@1 of 3".to_owned()], said(&seen))?;
    expect("the view then", (1, true), view(stage, LATE)?)?;
    expect("batches asked for, then", 0, stage.footprint(LATE)?.fetched)?;
    stage.refuse(LATE, &taken, RejectionKind::NotRequested)
}

/// A primary that lacks the state of min-s hears a fourth VIEW-CHANGE while it fetches it: V holds exactly q, its own among
/// them.
pub(super) fn more_than_a_quorum(stage: &mut Stage<'_>) -> Outcome {
    one_is_cut_off(stage)?;
    // r3 leads view 3. The others pass by views 1 and 2.
    for at in 0..LATE {
        for _ in 0..3 {
            stage.demand(at, &Delivery::Suspect)?;
        }
    }
    let sent = stage.lose_all();
    let third =
        |of: u32| move |one: &Letter| one.to == LATE && one.from == of && view_change(3)(one);
    stage.release(&sent, third(0))?;
    expect("the view at one VIEW-CHANGE", (0, true), view(stage, LATE)?)?;
    stage.release(&sent, third(1))?;
    expect("the view at f+1 VIEW-CHANGEs", (3, false), view(stage, LATE)?)?;
    stage.release(&sent, third(2))?;
    expect("VIEW-CHANGEs held", 4, stage.footprint(LATE)?.view_changes)?;
    let lost = stage.settle(is_of_transfer)?;
    expect("the view when the state is here", (3, true), view(stage, LATE)?)?;
    expect("V", vec![0, 1, 3], v_of(stage, LATE, 3))?;
    stage.release(&lost, |_| true)?;
    stage.settle(|_| true)?;
    for at in 0..4 {
        expect("the view that all enter", (3, true), view(stage, at)?)?;
    }
    Ok(())
}

/// A VIEW-CHANGE for view 2 that came early is kept while view 1 begins, and counts when another one comes.
pub(super) fn later_view(stage: &mut Stage<'_>) -> Outcome {
    for _ in 0..2 {
        stage.demand(3, &Delivery::Suspect)?;
    }
    let early = stage.lose_all();
    stage.release(&early, |letter| letter.to == 2 && view_change(2)(letter))?;
    for at in 0..3 {
        stage.demand(at, &Delivery::Suspect)?;
    }
    stage.settle(|letter| letter.from != 3 && letter.to != 3)?;
    for (at, kept) in [(0, 0), (1, 0), (2, 1)] {
        expect("the view that begins", (1, true), view(stage, at)?)?;
        expect("VIEW-CHANGEs kept for a later one", kept, stage.footprint(at)?.view_changes)?;
    }
    stage.demand(0, &Delivery::Suspect)?;
    let sent = stage.lose_all();
    stage.release(&sent, |letter| letter.to != 3)?;
    expect("a replica that has one VIEW-CHANGE for view 2", (1, true), view(stage, 1)?)?;
    // r2 leads view 2, and with its own VIEW-CHANGE has three.
    expect("a replica that has two of them", (2, true), view(stage, 2)?)?;
    expect("V", vec![0, 2, 3], v_of(stage, 2, 2))
}

/// A view that has executed four batches of its own serves, and costs no patience; one with fewer doubles it, also if it
/// has executed what its NEW-VIEW ordered again. The first view is excused.
pub(super) fn patience(stage: &mut Stage<'_>) -> Outcome {
    let mut lane = 0;
    // r0 leads none of these views: it waits only for what it was asked itself.
    for (primary, own_batches, expected) in [(1, 3, 1), (2, 4, 2), (3, 3, 2)] {
        // Accepted and prepared everywhere, executed nowhere: the next NEW-VIEW orders it again.
        stage.ask(0, &stage.request(lane, 1, 1))?;
        if primary > 1 {
            stage.ask(primary - 1, &stage.request(lane, 1, 1))?;
        }
        stage.settle(|letter| !matches!(letter.message, Message::Commit(_)))?;
        for at in 0..4 {
            stage.demand(at, &Delivery::Suspect)?;
        }
        stage.settle(|_| true)?;
        expect("the view", (u64::from(primary), true), view(stage, 0)?)?;
        expect("patience in view timeouts", Some(expected), stage.patience(0)?)?;
        for _ in 0..own_batches {
            lane += 1;
            stage.ask(primary, &stage.request(lane, 1, 1))?;
            stage.settle(|_| true)?;
        }
        lane += 1;
    }
    Ok(())
}
