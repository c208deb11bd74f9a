//! CHECKPOINTs above the window, and what is fetched because of them (§4.3): of replicas that are far behind the model has
//! one step, the transfer.

use super::label::{about, label};
use super::stage::{Letter, Outcome, Stage, expect, from};
use crate::divergence::{Difference, Kind};
use crate::probe::evidence;
use pbft_core::RejectionKind;
use pbft_core::message::{
    Checkpoint, FetchState, Message, StableCertificate, StateData, StatePart,
};
use pbft_core::replies::ReplyTable;
use pbft_core::types::{Digest, ReplicaId, SeqNum};
use pbft_core::{Input, Replica};
use pbft_model as model;
use std::collections::BTreeSet;

/// The replica that is cut off.
pub(super) const LATE: u32 = 3;

/// Three replicas execute eight batches; what they say to the fourth is held back.
pub(super) fn one_is_cut_off(stage: &mut Stage<'_>) -> Outcome<Vec<Letter>> {
    for lane in 0..8 {
        stage.ask(0, &stage.request(lane, 1, 1))?;
    }
    let lost = stage.settle(|letter| letter.to != LATE)?;
    for at in 0..LATE {
        let status = stage.replica(at)?.status();
        let reached = (status.last_executed.0, status.low_water_mark.0);
        expect("what three replicas execute, and make stable", (8, 8), reached)?;
    }
    Ok(lost)
}

fn checkpoint(seq: u64, of: u32) -> impl Fn(&Letter) -> bool {
    move |letter| {
        let Message::Checkpoint(vote) = &letter.message else { return false };
        (vote.body.seq.0, letter.from) == (seq, of)
    }
}

fn one(lost: &[Letter], seq: u64, of: u32) -> Outcome<&Message> {
    let found = lost.iter().find(|letter| checkpoint(seq, of)(letter));
    let missing = || Difference::new(Kind::Harness, format!("no CHECKPOINT {seq} of {of}"));
    found.map(|letter| &letter.message).ok_or_else(missing)
}

/// Of each replica the highest CHECKPOINT above the window is kept; it counts when the window has come so far.
pub(super) fn beyond_the_window(stage: &mut Stage<'_>) -> Outcome {
    let lost = one_is_cut_off(stage)?;
    let votes = |stage: &Stage<'_>| Ok::<_, Difference>(stage.footprint(LATE)?.checkpoint_votes);
    for (seq, of, held) in [(6, 0, 1), (6, 1, 2), (8, 0, 2)] {
        stage.demand(LATE, &from(of, one(&lost, seq, of)?.clone()))?;
        expect("CHECKPOINTs of two replicas above the window", held, votes(stage)?)?;
    }
    for (seq, of) in [(8, 0), (6, 0), (6, 1)] {
        stage.refuse(LATE, &from(of, one(&lost, seq, of)?.clone()), RejectionKind::Duplicate)?;
    }
    // 1 and 2 arrive after all, and the CHECKPOINTs for them.
    let early = |letter: &Letter| about(&letter.message).is_some_and(|seq| seq <= 2);
    stage.release(&lost, |letter| early(letter) && !is_checkpoint(letter))?;
    expect("CHECKPOINTs with the own one", 3, votes(stage)?)?;
    stage.release(&lost, |letter| early(letter) && is_checkpoint(letter))?;
    let status = stage.replica(LATE)?.status();
    expect("executed, and stable", (2, 2), (status.last_executed.0, status.low_water_mark.0))?;
    // 6 is in the window now, 8 is not.
    expect("CHECKPOINTs when the window has moved", 2, votes(stage)?)?;
    for (seq, of) in [(6, 1), (8, 0)] {
        stage.refuse(LATE, &from(of, one(&lost, seq, of)?.clone()), RejectionKind::Duplicate)?;
    }
    contradiction(stage, one(&lost, 6, 1)?)?;
    stage.tick(LATE)?;
    expect("what is asked for on two CHECKPOINTs", "", asked(stage).as_str())?;
    // Two more make 6 a proof.
    for of in [0, 2] {
        stage.demand(LATE, &from(of, one(&lost, 6, of)?.clone()))?;
    }
    expect("CHECKPOINTs of 6, and one beyond", 4, votes(stage)?)?;
    stage.tick(LATE)?;
    expect("what is asked for", [MANIFEST_OF_6; 2].join(", "), asked(stage))?;
    // Three beyond the window prove a later one. The state of 6 is served until there is one after that.
    for of in [1, 2] {
        stage.demand(LATE, &from(of, one(&lost, 8, of)?.clone()))?;
    }
    expect("what is asked for then", "", asked(stage).as_str())?;
    // What was asked for is lost, so it is asked of another when the sources have had their time.
    for _ in 0..PATIENCE {
        stage.tick(LATE)?;
        expect("what is asked for meanwhile", "", asked(stage).as_str())?;
    }
    stage.tick(LATE)?;
    stage.settle(|_| true)?;
    is_level(stage, 2)
}

/// How many ticks a source has.
const PATIENCE: usize = 4;

const MANIFEST_OF_6: &str = "FETCH-STATE 6 Manifest";

fn is_checkpoint(letter: &Letter) -> bool {
    matches!(letter.message, Message::Checkpoint(_))
}

/// What the late replica asks others for, among what is on its way; which is lost.
fn asked(stage: &mut Stage<'_>) -> String {
    let fetches = |letter: &Letter| match &letter.message {
        Message::FetchState(_) => Some(label(&letter.message)),
        _ => None,
    };
    let sent = stage.lose_all();
    sent.iter().filter_map(fetches).collect::<Vec<_>>().join(", ")
}

/// §4.3: the late replica is where the others are, and can serve so many states.
fn is_level(stage: &Stage<'_>, states: usize) -> Outcome {
    let (ours, theirs) = (stage.replica(LATE)?.summary(), stage.replica(0)?.summary());
    expect("the last batch executed", theirs.last_executed, ours.last_executed)?;
    expect("the low water mark", theirs.low_water_mark, ours.low_water_mark)?;
    expect("the reply table", theirs.replies, ours.replies)?;
    let held = stage.footprint(LATE)?;
    expect("slots, CHECKPOINTs and states held", (0, 0, states), {
        (held.slots, held.checkpoint_votes, held.manifests)
    })
}

/// A replica that signs two CHECKPOINTs for one number is refused, and shown to be a liar.
fn contradiction(stage: &mut Stage<'_>, known: &Message) -> Outcome {
    let Message::Checkpoint(known) = known else { return Ok(()) };
    let body = Checkpoint { digest: Digest([0xbd; 32]), ..known.body.clone() };
    let liar = model::ReplicaId(body.replica.0 as u8);
    let second = Message::Checkpoint(stage.vocabulary.sign_as(liar, body));
    let second = from(u32::from(liar.0), second);
    stage.refuse(LATE, &second, RejectionKind::Equivocation)?;
    evidence::check(&stage.vocabulary, &stage.replica(LATE)?, &second)
}

/// A replica that executes what it was about to fetch needs no transfer, and the proof it was given makes its own checkpoint
/// stable.
pub(super) fn execution_comes_first(stage: &mut Stage<'_>) -> Outcome {
    let lost = one_is_cut_off(stage)?;
    let votes = (0..LATE).map(|of| match one(&lost, 2, of)? {
        Message::Checkpoint(vote) => Ok(vote.clone()),
        other => Err(Difference::new(Kind::Harness, other.kind())),
    });
    let proof = StableCertificate { checkpoints: votes.collect::<Outcome<_>>()? };
    stage.demand(LATE, &from(0, Message::Stable(proof.into())))?;
    let reached = |stage: &Stage<'_>| {
        let status = stage.replica(LATE)?.status();
        Ok::<_, Difference>((status.last_executed.0, status.low_water_mark.0))
    };
    expect("executed, and stable, before", (0, 0), reached(stage)?)?;
    let early = |letter: &Letter| about(&letter.message).is_some_and(|seq| seq <= 2);
    stage.release(&lost, |letter| early(letter) && !is_checkpoint(letter))?;
    expect("executed, and stable", (2, 2), reached(stage)?)?;
    stage.lose_all();
    stage.tick(LATE)?;
    expect("what is asked for", "", asked(stage).as_str())
}

/// §6.2 of the journal version: a transfer begins at a tick, asks f+1 signers of the proof and then others, believes only
/// what the proof covers, and is over when everything is here, not before.
pub(super) fn a_transfer(stage: &mut Stage<'_>) -> Outcome {
    let lost = one_is_cut_off(stage)?;
    for of in 0..LATE {
        stage.demand(LATE, &from(of, one(&lost, 8, of)?.clone()))?;
    }
    expect("what is asked for before a tick", "", asked(stage).as_str())?;
    installed_is_refused(stage)?;
    let mut sources = BTreeSet::new();
    for _ in 0..2 * PATIENCE {
        let seen = stage.tick(LATE)?;
        let asked = seen.sends.iter().map(|(to, message)| (to.0, label(message)));
        sources.extend(asked);
    }
    let expected = (0..LATE).map(|of| (of, "FETCH-STATE 8 Manifest".to_owned())).collect();
    expect("whom the ticks ask, and for what", expected, sources)?;
    stage.lose_all();
    let part = |stage: &mut Stage<'_>, seq, part| {
        let fetch = FetchState { seq: SeqNum(seq), part };
        let seen = stage.demand(0, &from(LATE, Message::FetchState(fetch)))?;
        let sent = seen.sends.first().map(|(_, message)| message.clone());
        sent.ok_or_else(|| Difference::new(Kind::Reaction, format!("{part:?} of {seq} not served")))
    };
    let manifest = part(stage, 8, StatePart::Manifest)?;
    stage.refuse(LATE, &from(0, of_another_checkpoint(&manifest)), RejectionKind::NotRequested)?;
    let (first, second) =
        (part(stage, 8, StatePart::Chunk(0))?, part(stage, 8, StatePart::Chunk(1))?);
    stage.refuse(LATE, &from(0, first.clone()), RejectionKind::NotRequested)?;
    stage.lose_all();
    let seen = stage.demand(LATE, &from(0, manifest.clone()))?;
    let asked: Vec<_> = seen.sends.iter().map(|(_, message)| label(message)).collect();
    expect("what a manifest asks for", vec![chunk(0), chunk(1)], asked)?;
    stage.refuse(LATE, &from(0, manifest), RejectionKind::Duplicate)?;
    installed_is_refused(stage)?;
    let mut other_way_round = stage.replica(LATE)?;
    take(stage, &mut other_way_round, &first)?;
    is_incomplete(&other_way_round)?;
    let seen = stage.demand(LATE, &from(2, second.clone()))?;
    expect("what is asked for again", 0, seen.sends.len())?;
    stage.refuse(LATE, &from(0, second), RejectionKind::Duplicate)?;
    installed_is_refused(stage)?;
    // Whoever has nothing else to do is asked for what another has been asked for two ticks ago.
    stage.lose_all();
    for expected in [vec![], vec![chunk(0)]] {
        let seen = stage.tick(LATE)?;
        let asked: Vec<_> = seen.sends.iter().map(|(_, message)| label(message)).collect();
        expect("what a tick asks for", expected, asked)?;
    }
    stage.refuse(LATE, &from(0, of_other_bytes(&first)), RejectionKind::WrongStateData)?;
    let seen = stage.demand(LATE, &from(1, first))?;
    expect("what is installed", Some(SeqNum(8)), seen.installed)?;
    stage.lose_all();
    is_level(stage, 1)
}

fn chunk(index: u32) -> String {
    format!("FETCH-STATE 8 {:?}", StatePart::Chunk(index))
}

fn of_another_checkpoint(data: &Message) -> Message {
    let Message::StateData(data) = data else { return data.clone() };
    Message::StateData(StateData { seq: SeqNum(6), ..StateData::clone(data) }.into())
}

fn of_other_bytes(data: &Message) -> Message {
    let Message::StateData(data) = data else { return data.clone() };
    Message::StateData(StateData { bytes: [0].into(), ..StateData::clone(data) }.into())
}

/// A service that claims to have installed what is not here yet.
fn installed_is_refused(stage: &Stage<'_>) -> Outcome {
    is_incomplete(&stage.replica(LATE)?)
}

fn is_incomplete(replica: &Replica) -> Outcome {
    let mut copy = replica.clone();
    let refused = copy
        .step(Input::Installed { seq: SeqNum(8), replies: ReplyTable::default() })
        .map_err(|why| why.kind());
    expect("a state that is not here", Some(RejectionKind::UnexpectedCompletion), refused.err())?;
    expect("the replica after that", true, copy == *replica)
}

/// Gives a copy of a replica what it must take.
fn take(stage: &Stage<'_>, replica: &mut Replica, message: &Message) -> Outcome {
    let verified = stage.vocabulary.verify(message.clone());
    let taken =
        verified.and_then(|message| replica.step(Input::Message { from: ReplicaId(0), message }));
    taken.map(|_| ()).map_err(|why| Difference::new(Kind::Refused, why.to_string()))
}
