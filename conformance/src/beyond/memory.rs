//! A replica that lost its memory (`docs/amnesia.md`), what a service may claim to have done, and the most that is held.

use super::label::{about, label};
use super::stage::{Outcome, Stage, expect};
use crate::divergence::{Difference, Kind};
use crate::refinement::action::Delivery;
use crate::refinement::layout::batch_digest;
use crate::refinement::vocabulary::Vocabulary;
use crate::signpost::Fact;
use crate::signpost::deeds::Deed;
use crate::signpost::given::Given;
use pbft_core::RejectionKind;
use pbft_core::amnesia::AmnesiaError;
use pbft_core::manifest::ChunkId;
use pbft_core::message::{
    Batch, Checkpoint, Commit, CommitCertificate, Message, NewView, Signed, StableCertificate,
    ViewChange,
};
use pbft_core::types::{Digest, ReplicaId, SeqNum, View};
use pbft_core::{
    Durable, Effect, Footprint, HaltReason, Input, Params, Position, Record, Rejection, Replica,
    Timer,
};
use pbft_model as model;
use std::sync::Arc;

/// The replica without memory.
const LOST: u32 = 3;

fn starts_from(params: &Params, heard: &[(u32, u64, u64)]) -> Result<Durable, AmnesiaError> {
    let position = |&(of, view, executed): &(u32, u64, u64)| {
        let (view, last_executed) = (View(view), SeqNum(executed));
        (ReplicaId(of), Position { view, last_executed, ..Position::default() })
    };
    Durable::after_amnesia(params, &heard.iter().map(position).collect())
}

/// n−2 others must say how far they are; the replica starts behind all of them, and abstains for a window.
fn beginning(params: &Params) -> Outcome {
    let too_few = |got| Some(AmnesiaError::TooFewAnswers { needed: 2, got });
    let refused = |heard: &[_]| starts_from(params, heard).err();
    expect("no answer", too_few(0), refused(&[]))?;
    expect("one answer", too_few(1), refused(&[(0, 0, 4)]))?;
    expect("one answer and its own", too_few(1), refused(&[(0, 0, 4), (LOST, 0, 4)]))?;
    expect("one answer and a stranger's", too_few(1), refused(&[(0, 0, 4), (4, 0, 4)]))?;
    let last = Some(AmnesiaError::LastView { replica: ReplicaId(1) });
    expect("the last view", last, refused(&[(0, 0, 4), (1, u64::MAX, 4)]))?;
    let heard = [(0, 2, 3), (1, 0, 9), (LOST, 7, 70), (4, 8, 80)];
    let expected = Durable {
        view: View(3),
        changing: true,
        abstains: Some(SeqNum(9 + 4)),
        ..Durable::default()
    };
    expect("where it starts", Ok(expected), starts_from(params, &heard))
}

/// Everybody says what it has, and what is lacking is sent; twice, as a transfer begins at the second tick.
fn catch_up(stage: &mut Stage<'_>, arrives: impl Fn(&Message) -> bool) -> Outcome {
    for _ in 0..3 {
        for at in 0..4 {
            stage.tick(at)?;
        }
        stage.settle(|letter| arrives(&letter.message))?;
    }
    Ok(())
}

/// With a timeout of so many ticks that the others do not come to a replica that waits in the next view.
pub(super) fn bounds(params: &mut Params) {
    super::lacks::bounds(params);
    params.view_timeout = params.view_timeout_max;
}

/// It has promised nothing, and says nothing that binds it.
fn is_silent(stage: &Stage<'_>) -> Outcome {
    let seen = stage.seen(LOST);
    let sends = seen.sends.iter().map(|(_, message)| message);
    let binding = |message: &&Message| !crate::statement::is_retransmission(message);
    let own = format!("of {LOST}");
    let said = seen.broadcasts.iter().chain(sends).filter(binding).map(label);
    expect("votes and promises", Vec::new(), said.filter(|said| said.ends_with(&own)).collect())
}

fn abstains(stage: &mut Stage<'_>, executed: u64) -> Outcome {
    let replica = stage.replica(LOST)?;
    expect("until where it abstains", Some(SeqNum(8)), replica.abstains())?;
    let status = replica.status();
    expect("its view", (1, false), (status.view.0, status.active))?;
    expect("the last batch executed", executed, status.last_executed.0)?;
    stage.refuse(LOST, &Delivery::Suspect, RejectionKind::ViewNotActive)?;
    stage.refuse(LOST, &Delivery::Timer(Timer::ViewChange), RejectionKind::TimerNotRunning)?;
    is_silent(stage)
}

/// It learns and executes, but votes only when a stable checkpoint covers all that it may have voted for.
pub(super) fn lost(stage: &mut Stage<'_>) -> Outcome {
    for lane in 0..4 {
        stage.ask(0, &stage.request(lane, 1, 1))?;
    }
    stage.settle(|_| true)?;
    let params = stage.replica(LOST)?.params().clone();
    beginning(&params)?;
    let durable = starts_from(&params, &[(0, 0, 4), (1, 0, 4)]);
    let durable = durable.map_err(|why| Difference::new(Kind::Refused, why.to_string()))?;
    stage.replace(LOST, durable)?;
    abstains(stage, 0)?;
    catch_up(stage, |_| true)?;
    abstains(stage, 4)?;
    // Certificates make it execute 5 and 6; the checkpoint of 6 is kept, and not signed.
    for lane in 4..6 {
        stage.ask(0, &stage.request(lane, 1, 1))?;
    }
    catch_up(stage, |message| !matches!(message, Message::Checkpoint(_)))?;
    abstains(stage, 6)?;
    expect("what it executed", vec![(5, 1), (6, 1)], stage.executed(LOST))?;
    expect("what it answered", vec![(4, 1), (5, 1)], stage.replied(LOST))?;
    let held = stage.footprint(LOST)?;
    expect("states and CHECKPOINTs held", (2, 0), (held.manifests, held.checkpoint_votes))?;
    catch_up(stage, |_| true)?;
    expect("what is stable", 6, stage.replica(LOST)?.status().low_water_mark.0)?;
    stage.restart(LOST)?;
    abstains(stage, 6)?;
    for lane in 6..8 {
        stage.ask(0, &stage.request(lane, 1, 1))?;
    }
    catch_up(stage, |_| true)?;
    is_silent(stage)?;
    expect("until where it abstains", None, stage.replica(LOST)?.abstains())?;
    stage.restart(LOST)?;
    expect("until where it abstains, restarted", None, stage.replica(LOST)?.abstains())?;
    votes_again(stage)
}

/// A view begins while it abstains: it hears of it, and does not enter.
pub(super) fn a_view_begins(stage: &mut Stage<'_>) -> Outcome {
    for lane in 0..4 {
        stage.ask(0, &stage.request(lane, 1, 1))?;
    }
    stage.settle(|_| true)?;
    let params = stage.replica(LOST)?.params().clone();
    let durable = starts_from(&params, &[(0, 0, 4), (1, 0, 4)]);
    let durable = durable.map_err(|why| Difference::new(Kind::Refused, why.to_string()))?;
    stage.replace(LOST, durable)?;
    catch_up(stage, |_| true)?;
    abstains(stage, 4)?;
    for at in 0..LOST {
        stage.demand(at, &Delivery::Suspect)?;
    }
    stage.settle(|_| true)?;
    expect("the view of another", (1, true), {
        let status = stage.replica(0)?.status();
        (status.view.0, status.active)
    })?;
    catch_up(stage, |_| true)?;
    abstains(stage, 4)?;
    // It executes what is final there, and still says nothing that binds it.
    stage.ask(1, &stage.request(4, 1, 1))?;
    catch_up(stage, |_| true)?;
    abstains(stage, 5)
}

/// The next view begins with it. It counts itself among those that want the view: it may have said so before.
fn votes_again(stage: &mut Stage<'_>) -> Outcome {
    for at in 0..LOST {
        stage.demand(at, &Delivery::Suspect)?;
    }
    let sent = stage.lose_all();
    stage.release(&sent, |letter| letter.to == LOST && letter.from == 0)?;
    expect("the timer while two want the view", false, stage.is_timed(LOST))?;
    stage.release(&sent, |letter| letter.to == LOST && letter.from == 1)?;
    expect("the timer when a quorum wants it", true, stage.is_timed(LOST))?;
    stage.release(&sent, |letter| letter.to != LOST)?;
    stage.settle(|_| true)?;
    stage.ask(1, &stage.request(8, 1, 1))?;
    stage.settle(|_| true)?;
    for at in 0..4 {
        let status = stage.replica(at)?.status();
        let reached = (status.view.0, status.active, status.last_executed.0);
        expect("view, and last batch executed", (1, true, 9), reached)?;
    }
    let votes = stage.seen(LOST).broadcasts.iter().map(label);
    let votes = votes.filter(|said| said.contains(" 9@1 ")).collect::<Vec<_>>();
    expect("its votes", vec!["PREPARE 9@1 of 3".to_owned(), "COMMIT 9@1 of 3".to_owned()], votes)
}

/// What a step asks the service for.
fn executes(effects: &[Effect]) -> Vec<(u64, usize, bool)> {
    let asked = effects.iter().filter_map(|effect| match effect {
        Effect::Execute { seq, requests, checkpoint } => Some((seq.0, requests.len(), *checkpoint)),
        _ => None,
    });
    asked.collect()
}

fn completion(seq: u64, results: usize, chunks: Option<Vec<ChunkId>>) -> Input {
    Input::Executed { seq: SeqNum(seq), results: vec![Arc::from([7]); results], chunks }
}

fn is_refused(replica: &Replica, what: &str, input: Input) -> Outcome {
    let mut copy = replica.clone();
    let refused = copy.step(input).map_err(|why| why.kind()).err();
    expect(what, Some(RejectionKind::UnexpectedCompletion), refused)?;
    expect(what, true, copy == *replica)
}

fn taken(outcome: Result<Vec<Effect>, Rejection>) -> Outcome<Vec<Effect>> {
    outcome.map_err(|why| Difference::new(Kind::Refused, why.to_string()))
}

fn commits(
    vocabulary: &Vocabulary,
    replica: &mut Replica,
    sent: &[(u32, Message)],
) -> Outcome<Vec<Effect>> {
    let mut effects = Vec::new();
    for (from, message) in sent {
        let message = taken_message(vocabulary, message)?;
        effects.extend(taken(replica.step(Input::Message { from: ReplicaId(*from), message }))?);
    }
    Ok(effects)
}

fn taken_message(
    vocabulary: &Vocabulary,
    message: &Message,
) -> Outcome<pbft_core::crypto::Verified<Message>> {
    let verified = vocabulary.verify(message.clone());
    verified.map_err(|why| Difference::new(Kind::Harness, why.to_string()))
}

/// The service completes what it was asked for, in order and in full; nothing else is taken for it.
pub(super) fn completions(stage: &mut Stage<'_>) -> Outcome {
    for lane in 0..2 {
        stage.ask(0, &stage.request(lane, 1, 1))?;
    }
    let lost = stage.settle(|letter| !matches!(letter.message, Message::Commit(_)))?;
    let of = |seq| {
        let to_one = lost.iter().filter(move |one| one.to == 2 && about(&one.message) == Some(seq));
        to_one.take(2).map(|one| (one.from, one.message.clone())).collect::<Vec<_>>()
    };
    let mut replica = stage.replica(2)?;
    is_refused(&replica, "a completion of nothing", completion(1, 1, None))?;
    // The second batch is final first: it waits for the first.
    let effects = commits(&stage.vocabulary, &mut replica, &of(2))?;
    expect("what is executed out of order", Vec::new(), executes(&effects))?;
    let effects = commits(&stage.vocabulary, &mut replica, &of(1))?;
    expect("what is executed first", vec![(1, 1, false)], executes(&effects))?;
    is_refused(&replica, "no result", completion(1, 0, None))?;
    is_refused(&replica, "a result too many", completion(1, 2, None))?;
    is_refused(&replica, "a later batch", completion(2, 1, Some(Vec::new())))?;
    is_refused(&replica, "an earlier batch", completion(0, 1, None))?;
    let effects = taken(replica.step(completion(1, 1, None)))?;
    expect("what is executed next", vec![(2, 1, true)], executes(&effects))?;
    is_refused(&replica, "the first batch again", completion(1, 1, None))?;
    is_refused(&replica, "a checkpoint without a state", completion(2, 1, None))?;
    is_refused(&replica, "a checkpoint without a result", completion(2, 0, Some(Vec::new())))?;
    let effects = taken(replica.step(completion(2, 1, Some(Vec::new()))))?;
    let said = effects.iter().filter_map(|effect| match effect {
        Effect::Broadcast(message) => Some(label(message)),
        _ => None,
    });
    expect("what is said then", vec!["CHECKPOINT 2 of 2".to_owned()], said.collect())?;
    // What is final stays proven by what made it so: a COMMIT more changes nothing.
    let certificate = replica.commit_certificate(SeqNum(1)).cloned();
    let late = lost.iter().filter(|one| one.to == 2 && about(&one.message) == Some(1)).skip(2);
    let late: Vec<_> = late.map(|one| (one.from, one.message.clone())).collect();
    expect("a late COMMIT", 1, late.len())?;
    let effects = commits(&stage.vocabulary, &mut replica, &late)?;
    expect("what a late COMMIT leads to", Vec::<Effect>::new(), effects)?;
    expect("the proof", certificate, replica.commit_certificate(SeqNum(1)).cloned())
}

/// Its own state after the second batch is not the one that V proves: it stops, and does not enter the view.
pub(super) fn diverged(stage: &mut Stage<'_>) -> Outcome {
    for lane in 0..2 {
        stage.ask(0, &stage.request(lane, 1, 1))?;
    }
    stage.settle(|letter| !matches!(letter.message, Message::Checkpoint(_)))?;
    let mut replica = stage.replica(LOST)?;
    expect("what it executed", 2, replica.status().last_executed.0)?;
    let sign = |of: u32| model::ReplicaId(of as u8);
    let vote = |of: u32| {
        let (seq, digest, replica) = (SeqNum(2), Digest([0xd1; 32]), ReplicaId(of));
        stage.vocabulary.sign_as(sign(of), Checkpoint { seq, digest, replica })
    };
    let stable = StableCertificate { checkpoints: (0..3).map(vote).collect() };
    let view_change = |of: u32| {
        let (view, low_water_mark, prepared) = (View(1), SeqNum(2), Vec::new());
        let (stable, replica) = (stable.clone(), ReplicaId(of));
        let body = ViewChange { view, low_water_mark, stable, prepared, replica };
        Arc::new(stage.vocabulary.sign_as(sign(of), body))
    };
    let (view_changes, pre_prepares) = ((0..3).map(view_change).collect(), Vec::new());
    let body = NewView { view: View(1), view_changes, pre_prepares, replica: ReplicaId(1) };
    let new_view = Message::NewView(Arc::new(stage.vocabulary.sign_as(sign(1), body)));
    let effects = commits(&stage.vocabulary, &mut replica, &[(1, new_view)])?;
    let stops = effects
        .iter()
        .any(|effect| matches!(effect, Effect::Halt(HaltReason::StateDiverged { .. })));
    let enters = effects.iter().any(|effect| matches!(effect, Effect::Persist(Record::NewView(_))));
    let ends = expect("a replica that has another state halts", true, stops)
        .and_then(|()| expect("it enters the view", false, enters));
    ends.map_err(|wrong| wrong.with(Fact::Lacks(Deed::Halt)).given(Given::NewView))
}

type Field = fn(&mut Footprint) -> &mut usize;

/// The bounds that hold after every step of every scenario, worked out by hand for K = 2 and L = 4 with three clients of
/// sixteen lanes.
pub(super) fn most(stage: &mut Stage<'_>) -> Outcome {
    let most = Footprint::most(stage.replica(0)?.params(), 3);
    let expected = Footprint {
        slots: 4,
        // PREPARE and COMMIT of four replicas.
        votes: 4 * 2 * 4,
        pending: 48,
        must_sign: 3,
        replies: 48,
        // At 2 and at 4 of four replicas, and one beyond of each.
        checkpoint_votes: 3 * 4,
        view_changes: 4,
        // Of four views a number.
        bodies: 4 * 4,
        // What four VIEW-CHANGEs may name.
        fetched: 4 * 4,
        // At the checkpoint before h, h, h+2 and h+4.
        manifests: 4,
        // Answers, what was given, reports, who waits ahead, and the pace of primaries.
        reports: 5 * 4,
    };
    expect("the most that is held", expected, most)?;
    expect("what is beyond the most", None, most.beyond(&most))?;
    let cases: [(&str, Field); 11] = [
        ("slots", |held| &mut held.slots),
        ("votes", |held| &mut held.votes),
        ("pending", |held| &mut held.pending),
        ("clients that must sign", |held| &mut held.must_sign),
        ("replies", |held| &mut held.replies),
        ("checkpoint votes", |held| &mut held.checkpoint_votes),
        ("view changes", |held| &mut held.view_changes),
        ("bodies", |held| &mut held.bodies),
        ("fetched", |held| &mut held.fetched),
        ("manifests", |held| &mut held.manifests),
        ("reports", |held| &mut held.reports),
    ];
    for (name, field) in cases {
        let (mut held, mut bound) = (most, most);
        *field(&mut held) += 1;
        let limit = *field(&mut bound);
        expect("what is beyond the most", Some((name, limit + 1, limit)), held.beyond(&most))?;
    }
    Ok(())
}

/// More than f liars, as two certificates for one number show: the replica stops, and says nothing more.
pub(super) fn conflicting_certificates(stage: &mut Stage<'_>) -> Outcome {
    let certificate = |stage: &Stage<'_>, lane| {
        let requests = vec![Signed::clone(&stage.request(lane, 1, 1))];
        let batch = Arc::new(Batch { requests });
        let vote = |of: u8| {
            let (view, seq, replica) = (View(0), SeqNum(2), ReplicaId(u32::from(of)));
            let body = Commit { view, seq, digest: batch_digest(&batch), replica };
            stage.vocabulary.sign_as(model::ReplicaId(of), body)
        };
        let commits = (0..3).map(vote).collect();
        (0, Message::Committed(Arc::new(CommitCertificate { commits, batch })))
    };
    let mut replica = stage.replica(LOST)?;
    let effects = commits(&stage.vocabulary, &mut replica, &[certificate(stage, 0)])?;
    expect("what one certificate ahead leads to", Vec::<Effect>::new(), effects)?;
    let effects = commits(&stage.vocabulary, &mut replica, &[certificate(stage, 1)])?;
    let halts = matches!(
        effects.as_slice(),
        [
            Effect::Persist(Record::Halted(_)),
            Effect::Halt(HaltReason::ConflictingCertificates { seq: SeqNum(2), .. })
        ]
    );
    let ends = expect("a replica with two certificates halts", true, halts);
    ends.map_err(|wrong| wrong.with(Fact::Lacks(Deed::Halt)).given(Given::Committed))?;
    let refused = replica.step(Input::Timer(Timer::Status)).map_err(|why| why.kind()).err();
    expect("what is refused then", Some(RejectionKind::Halted), refused)
}
