//! What the records on a disk come to: which batches of views that were left are kept, and how long.

use super::stage::{Outcome, Stage, expect};
use crate::refinement::layout::batch_digest;
use pbft_core::message::{
    Batch, Checkpoint, PrePrepare, Prepare, PreparedCertificate, Proposal, Signed,
    StableCertificate, ViewChange,
};
use pbft_core::types::{Digest, ReplicaId, SeqNum, View};
use pbft_core::{Durable, Record};
use pbft_model as model;
use std::sync::Arc;

/// As many batches of views that were left are kept at a number.
const KEPT: usize = 4;

fn primary(view: u64) -> u32 {
    (view % 4) as u32
}

/// A batch that is proposed in this view at this number, with one request.
fn proposal(stage: &Stage<'_>, view: u64, seq: u64) -> Arc<Proposal> {
    let request = Signed::clone(&stage.request(seq as u16, view + 1, 1));
    let batch = Arc::new(Batch { requests: vec![request] });
    let (digest, replica) = (batch_digest(&batch), ReplicaId(primary(view)));
    let body = PrePrepare { view: View(view), seq: SeqNum(seq), digest, replica };
    let pre_prepare = stage.vocabulary.sign_as(model::ReplicaId(primary(view) as u8), body);
    Arc::new(Proposal { pre_prepare, batch })
}

fn certificate(stage: &Stage<'_>, of: &Proposal) -> Record {
    let PrePrepare { view, seq, digest, replica } = of.pre_prepare.body;
    let others = (0..4).filter(|other| *other != replica.0).take(2);
    let prepares = others.map(|other| {
        let body = Prepare { view, seq, digest, replica: ReplicaId(other) };
        stage.vocabulary.sign_as(model::ReplicaId(other as u8), body)
    });
    let (pre_prepare, prepares) = (of.pre_prepare.clone(), prepares.collect());
    Record::Prepared(Arc::new(PreparedCertificate { pre_prepare, prepares }))
}

/// Replica 2 leaves its view for this one.
fn leaves_for(stage: &Stage<'_>, view: u64) -> Record {
    let (view, replica) = (View(view), ReplicaId(2));
    let stable = StableCertificate { checkpoints: Vec::new() };
    let (low_water_mark, prepared) = (SeqNum(0), Vec::new());
    let body = ViewChange { view, low_water_mark, stable, prepared, replica };
    Record::ViewChange(Arc::new(stage.vocabulary.sign_as(model::ReplicaId(2), body)))
}

fn stable(stage: &Stage<'_>, seq: u64) -> Record {
    let vote = |of: u8| {
        let (seq, digest, replica) = (SeqNum(seq), Digest([3; 32]), ReplicaId(u32::from(of)));
        stage.vocabulary.sign_as(model::ReplicaId(of), Checkpoint { seq, digest, replica })
    };
    Record::Stable(Arc::new(StableCertificate { checkpoints: (0..3).map(vote).collect() }))
}

/// Which of the batches proposed in views 0, 1, … at a number can be had.
fn had(stage: &Stage<'_>, durable: &Durable, views: u64, seq: u64) -> Vec<u64> {
    let digest = |view| proposal(stage, view, seq).pre_prepare.body.digest;
    (0..views).filter(|view| durable.batch(SeqNum(seq), digest(*view)).is_some()).collect()
}

/// Of the batches of seven views at one number the latest are kept, and the one that is certified, also if it is the oldest;
/// all of them until a stable checkpoint covers their number.
pub(super) fn keeps_bodies(stage: &mut Stage<'_>) -> Outcome {
    let mut durable = Durable::default();
    let mut expected: Vec<u64> = Vec::new();
    for view in 0..7 {
        for seq in 1..=2 {
            let proposed = proposal(stage, view, seq);
            durable.apply(&Record::Accepted(Arc::clone(&proposed)));
            if view == 1 && seq == 1 {
                durable.apply(&certificate(stage, &proposed));
            }
        }
        durable.apply(&leaves_for(stage, view + 1));
        expected.push(view);
        if expected.len() > KEPT {
            let spare = if expected[0] == 1 { 1 } else { 0 };
            expected.remove(spare);
        }
        let got = had(stage, &durable, 7, 1);
        expect(&format!("batches kept when view {view} is left"), expected.clone(), got)?;
    }
    expect("with no certificate the latest", vec![3, 4, 5, 6], had(stage, &durable, 7, 2))?;
    durable.apply(&stable(stage, 1));
    expect("of a number that a checkpoint covers", Vec::new(), had(stage, &durable, 7, 1))?;
    expect("of the next", vec![3, 4, 5, 6], had(stage, &durable, 7, 2))?;
    let held: Vec<u64> = durable.bodies.keys().map(|seq| seq.0).collect();
    expect("numbers with batches", vec![2], held)?;
    expect("certificates", 0, durable.prepared.len())
}
