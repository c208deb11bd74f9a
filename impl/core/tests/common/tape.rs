//! Messages and inputs made from arbitrary bytes: fields near the interesting values and at the extremes, certificates
//! that are mostly valid, and every signature good.

use super::craft;
use super::keys::{checked, signed};
use pbft_core::manifest::{ChunkId, Manifest};
use pbft_core::message::{
    Batch, Checkpoint, Commit, FetchState, Message, NewView, PrePrepare, Prepare,
    PreparedCertificate, Proposal, Request, Signed, StableCertificate, StateData, StatePart,
    Status, ViewChange,
};
use pbft_core::replies::ReplyTable;
use pbft_core::types::{Digest, ReplicaId, SeqNum, View};
use pbft_core::{Input, Timer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A sequence of choices; shrinks towards the first choice everywhere. At its end it chooses the first, too.
pub struct Tape<'a>(std::slice::Iter<'a, u8>);

impl<'a> Tape<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.iter())
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % bound
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    pub fn view(&mut self) -> View {
        View(self.pick(&[0, 0, 1, 1, 2, 3, 4, 5, u64::MAX - 1, u64::MAX]))
    }

    pub fn seq(&mut self) -> SeqNum {
        SeqNum(self.pick(&[1, 2, 1, 2, 3, 4, 8, 0, 9, 10, 12, u64::MAX - 1, u64::MAX]))
    }

    pub fn replica(&mut self) -> ReplicaId {
        ReplicaId(self.pick(&[0, 2, 3, 0, 2, 3, 1, 4, u32::MAX]))
    }

    pub fn request(&mut self) -> Arc<Signed<Request>> {
        let client = self.pick(&[1, 2, 3]);
        let lane = self.pick(&[0, 0, 1, 15, 16, u16::MAX]);
        craft::request_on(client, lane, self.pick(&[1, 2, 3, 0, u64::MAX]), b"op")
    }

    pub fn batch(&mut self) -> Arc<Batch> {
        match self.below(4) {
            0 => craft::batch(1),
            1 => craft::batch(2),
            2 => Arc::default(),
            _ => craft::batch_of(&[self.request(), self.request()]),
        }
    }

    pub fn digest(&mut self) -> Digest {
        match self.below(8) {
            0..=2 => craft::batch(1).digest(),
            3 => craft::batch(2).digest(),
            4 => Batch::default().digest(),
            5 => manifest().digest(),
            6 => Digest::default(),
            _ => self.batch().digest(),
        }
    }

    pub fn pre_prepare(&mut self) -> Signed<PrePrepare> {
        let (view, seq, digest) = (self.view(), self.seq(), self.digest());
        let replica =
            if self.below(4) == 3 { self.replica() } else { ReplicaId((view.0 % 4) as u32) };
        signed(PrePrepare { view, seq, digest, replica })
    }

    pub fn prepare(&mut self) -> Signed<Prepare> {
        let (view, seq, digest, replica) = (self.view(), self.seq(), self.digest(), self.replica());
        signed(Prepare { view, seq, digest, replica })
    }

    pub fn commit(&mut self) -> Signed<Commit> {
        let (view, seq, digest, replica) = (self.view(), self.seq(), self.digest(), self.replica());
        signed(Commit { view, seq, digest, replica })
    }

    pub fn checkpoint(&mut self) -> Signed<Checkpoint> {
        let (seq, digest, replica) = (self.seq(), self.digest(), self.replica());
        signed(Checkpoint { seq, digest, replica })
    }

    /// Mostly as many as a quorum and different, so that much of what is made here is valid.
    pub fn signers(&mut self) -> Vec<u32> {
        self.pick::<&[u32]>(&[&[0, 2, 3], &[0, 1, 2], &[1, 2, 3], &[2, 3], &[0, 0, 1], &[], &[9]])
            .to_vec()
    }

    pub fn stable(&mut self) -> StableCertificate {
        if self.below(8) == 7 {
            return StableCertificate { checkpoints: vec![self.checkpoint(), self.checkpoint()] };
        }
        let seq = if self.below(2) == 0 { SeqNum(4) } else { self.seq() };
        let digest = if self.below(2) == 0 { manifest().digest() } else { self.digest() };
        craft::stable(seq.0, digest, &self.signers())
    }

    pub fn prepared(&mut self) -> PreparedCertificate {
        let pre_prepare = self.pre_prepare();
        if self.below(8) == 7 {
            return PreparedCertificate { pre_prepare, prepares: vec![self.prepare(); 2] };
        }
        let PrePrepare { view, seq, digest, replica } = pre_prepare.body.clone();
        let backups = (0..4).filter(|id| *id != replica.0).take(2);
        let prepares = backups.map(|id| craft::signed_prepare(view.0, seq.0, digest, id)).collect();
        PreparedCertificate { pre_prepare, prepares }
    }

    pub fn view_change(&mut self, view: View) -> Arc<Signed<ViewChange>> {
        let replica = self.replica();
        let prepared = (0..self.below(3)).map(|_| self.prepared()).collect();
        let stable = if self.below(3) == 0 { self.stable() } else { StableCertificate::default() };
        let proven = stable.checkpoints.first().map_or(SeqNum(0), |first| first.body.seq);
        let low_water_mark = if self.below(8) == 7 { self.seq() } else { proven };
        Arc::new(signed(ViewChange { view, low_water_mark, stable, prepared, replica }))
    }

    pub fn new_view(&mut self) -> Message {
        let view = self.view();
        let primary = ReplicaId((view.0 % 4) as u32);
        let replica = if self.below(8) == 7 { self.replica() } else { primary };
        let mut view_changes = BTreeMap::new();
        for _ in 0..6 {
            let inner = if self.below(8) == 7 { self.view() } else { view };
            let known = self.view_change(inner);
            view_changes.insert(known.body.replica, known);
        }
        let view_changes: Vec<_> = view_changes.into_values().take(3).collect();
        let certificates = || view_changes.iter().flat_map(|known| &known.body.prepared);
        let top = certificates().map(|c| c.pre_prepare.body.seq.0.min(10)).max().unwrap_or(0);
        let low = view_changes.iter().map(|known| known.body.low_water_mark.0).max().unwrap_or(0);
        let best = |seq| {
            let claims = certificates().map(|c| &c.pre_prepare.body).filter(|c| c.seq.0 == seq);
            claims.max_by_key(|c| c.view).map_or(Batch::default().digest(), |c| c.digest)
        };
        let order: Vec<_> = (low.min(20) + 1..=top).map(|seq| (seq, best(seq))).collect();
        let pre_prepares =
            order.iter().map(|(seq, d)| craft::pre_prepare(view.0, *seq, *d, primary.0)).collect();
        Message::NewView(Arc::new(signed(NewView { view, view_changes, pre_prepares, replica })))
    }

    pub fn state_data(&mut self) -> Message {
        let (part, bytes) = match self.below(5) {
            0 => (StatePart::Manifest, manifest().encode()),
            1 => (StatePart::Chunk(0), Vec::new()),
            2 => (StatePart::Chunk(1), Vec::new()),
            3 => (StatePart::Chunk(u32::MAX), Vec::new()),
            _ => (StatePart::Manifest, vec![1; self.below(99)]),
        };
        let seq = if self.below(2) == 0 { SeqNum(4) } else { self.seq() };
        Message::StateData(Arc::new(StateData { seq, part, bytes: bytes.into() }))
    }

    pub fn message(&mut self) -> Message {
        match self.below(18) {
            0 => Message::Request(self.request()),
            1 | 2 => {
                let (view, seq, batch) = (self.view(), self.seq(), self.batch());
                let digest = if self.below(8) == 7 { self.digest() } else { batch.digest() };
                let pre_prepare = craft::pre_prepare(view.0, seq.0, digest, (view.0 % 4) as u32);
                Message::PrePrepare(Arc::new(Proposal { pre_prepare, batch }))
            }
            3 => Message::Prepare(self.prepare()),
            4 => Message::Commit(self.commit()),
            5 => Message::Checkpoint(self.checkpoint()),
            6 | 7 => {
                let view = self.view();
                Message::ViewChange(self.view_change(view))
            }
            8 | 9 => self.new_view(),
            10 => {
                let (replica, view, active) = (self.replica(), self.view(), self.below(2) == 0);
                let (low_water_mark, last_executed) = (self.seq(), self.seq());
                Message::Status(signed(Status {
                    replica,
                    view,
                    active,
                    low_water_mark,
                    last_executed,
                }))
            }
            11 => {
                let (view, seq, batch, signers) =
                    (self.view(), self.seq(), self.batch(), self.signers());
                craft::committed(view.0, seq.0, &batch, &signers)
            }
            12 => Message::Stable(Arc::new(self.stable())),
            13 if self.below(2) == 0 => Message::FetchBatch(self.digest()),
            13 => Message::Batch(self.batch()),
            14 => {
                let part = if self.below(2) == 0 {
                    StatePart::Manifest
                } else {
                    StatePart::Chunk(self.below(9) as u32)
                };
                Message::FetchState(FetchState { seq: SeqNum(self.pick(&[4, 2, 4, 9])), part })
            }
            _ => self.state_data(),
        }
    }

    /// An input, and whether it could come from outside.
    pub fn input(&mut self, params: &pbft_core::Params) -> Option<Input> {
        let kind = self.below(24);
        Some(match kind {
            0 => Input::Timer(Timer::ViewChange),
            1 => Input::Timer(Timer::Status),
            2 if self.below(3) == 0 => Input::Suspect,
            3 => Input::Executed { seq: self.seq(), results: Vec::new(), chunks: None },
            4 => Input::Installed { seq: self.seq(), replies: ReplyTable::default() },
            5 | 6 => Input::Request(checked(params, Message::Request(self.request())).ok()?),
            7 => Input::Request(checked(params, self.message()).ok()?),
            _ => {
                let message = self.message();
                let signer = match &message {
                    Message::Prepare(vote) => vote.body.replica,
                    Message::Commit(vote) => vote.body.replica,
                    Message::Checkpoint(vote) => vote.body.replica,
                    Message::Status(status) => status.body.replica,
                    _ => ReplicaId(2),
                };
                let from = if kind == 8 { self.replica() } else { signer };
                Input::Message { from, message: checked(params, message).ok()? }
            }
        })
    }
}

/// The state of checkpoint 4 that sources offer.
pub fn manifest() -> Manifest {
    Manifest::new(SeqNum(4), Vec::new(), vec![ChunkId::of(b"")])
}
