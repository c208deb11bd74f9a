//! Messages with which nothing is wrong: one of each kind, with as much nested in it as there can be.

use super::spoil::Forge;
use super::valid::order;
use crate::refinement::layout::{Signable, batch_digest, request_digest};
use pbft_core::message::{
    Batch, Checkpoint, Commit, CommitCertificate, Message, NewView, PrePrepare, Prepare,
    PreparedCertificate, Proposal, Reply, Request, Signed, StableCertificate, Status, ViewChange,
};
use pbft_core::types::{ClientId, Digest, Lane, ReplicaId, SeqNum, Session, Timestamp, View};
use std::sync::Arc;

/// The view that VIEW-CHANGEs and NEW-VIEWs are for, where nothing else is asked for: several were left before.
const VIEW: View = View(6);

/// A certificate in P: view, number above h, digest.
type Claim = (u64, u64, u8);

impl Forge<'_> {
    fn good<S: Signable>(&self, body: S) -> Signed<S> {
        let mut signed = Signed { body, signature: Default::default() };
        self.sign(&mut signed);
        signed
    }

    /// A request.
    pub fn request(&self, client: u32, operation: &[u8]) -> Signed<Request> {
        self.good(Request {
            client: ClientId(client),
            lane: Lane(0),
            timestamp: Timestamp(7),
            session: Session(9),
            operation: operation.to_vec(),
        })
    }

    /// As many requests as a batch may have, but no more than two.
    pub fn batch(&self) -> Arc<Batch> {
        let mut requests = vec![self.request(1, b"abcd"), self.request(2, b"e")];
        requests.truncate(self.rules.batch_requests_max);
        Arc::new(Batch { requests })
    }

    /// So many of all replicas but one, beginning in the middle, in order.
    fn some(&self, count: usize, but: Option<ReplicaId>) -> Vec<ReplicaId> {
        let mut all: Vec<_> = (0..self.rules.replicas).map(ReplicaId).collect();
        all.retain(|one| Some(*one) != but);
        let first = all.len() / 2;
        all.rotate_left(first);
        all.truncate(count);
        all.sort_unstable();
        all
    }

    fn prepared(&self, view: View, seq: SeqNum, digest: Digest) -> PreparedCertificate {
        let primary = self.rules.primary(view);
        let order = PrePrepare { view, seq, digest, replica: primary };
        let vote = |replica| self.good(Prepare { view, seq, digest, replica });
        let backups = self.some(self.rules.quorum - 1, Some(primary));
        let prepares = backups.into_iter().map(vote).collect();
        PreparedCertificate { pre_prepare: self.good(order), prepares }
    }

    /// The proof of a checkpoint.
    pub fn stable(&self, seq: SeqNum) -> StableCertificate {
        let digest = Digest([0xc5; 32]);
        let vote = |replica| self.good(Checkpoint { seq, digest, replica });
        let checkpoints = self.some(self.rules.quorum, None).into_iter().map(vote).collect();
        StableCertificate { checkpoints }
    }

    /// The proof that a batch is final.
    pub fn committed(&self, view: View, seq: SeqNum, batch: Arc<Batch>) -> CommitCertificate {
        let digest = batch_digest(&batch);
        let vote = |replica| self.good(Commit { view, seq, digest, replica });
        let commits = self.some(self.rules.quorum, None).into_iter().map(vote).collect();
        CommitCertificate { commits, batch }
    }

    /// What a view's primary orders.
    pub fn proposal(&self, view: View, seq: SeqNum) -> Proposal {
        let batch = self.batch();
        let (digest, replica) = (batch_digest(&batch), self.rules.primary(view));
        Proposal { pre_prepare: self.good(PrePrepare { view, seq, digest, replica }), batch }
    }

    fn view_change(
        &self,
        view: View,
        replica: ReplicaId,
        low: u64,
        claims: &[Claim],
    ) -> Signed<ViewChange> {
        let certificate = |(view, above, digest): &Claim| {
            let digest = match digest {
                0 => batch_digest(&Batch::default()),
                other => Digest([*other; 32]),
            };
            self.prepared(View(*view), SeqNum(low + above), digest)
        };
        let low_water_mark = SeqNum(low);
        let stable = match low {
            0 => StableCertificate::default(),
            _ => self.stable(low_water_mark),
        };
        let inside = claims.iter().filter(|(_, above, _)| *above <= self.rules.window);
        let prepared = inside.map(certificate).collect();
        self.good(ViewChange { view, low_water_mark, stable, prepared, replica })
    }

    /// A VIEW-CHANGE with a proof of h, and certificates from three views, one of the null batch, with a gap.
    pub fn rich_view_change(&self, view: View, replica: ReplicaId) -> Signed<ViewChange> {
        let claims = [(4, 1, 0xb1), (2, 2, 0), (5, 4, 0xb2)];
        self.view_change(view, replica, self.rules.interval, &claims)
    }

    /// A NEW-VIEW whose V has all that can be in it: an h behind, certificates of one number from two views, of the null batch,
    /// and above a gap.
    pub fn new_view(&self, view: View) -> Signed<NewView> {
        let interval = self.rules.interval;
        let members = self.some(self.rules.quorum, None).into_iter().enumerate();
        let view_changes = members.map(|(turn, replica)| {
            Arc::new(match turn {
                0 => self.view_change(view, replica, interval, &[(3, 1, 0xa1), (5, 3, 0)]),
                1 => self.view_change(
                    view,
                    replica,
                    0,
                    &[(2, interval + 1, 0xa2), (1, interval + 2, 3)],
                ),
                2 => self.view_change(view, replica, 0, &[(0, 1, 0xa4), (4, interval + 1, 0xa1)]),
                _ => self.view_change(view, replica, 0, &[]),
            })
        });
        let view_changes: Vec<_> = view_changes.collect();
        let replica = self.rules.primary(view);
        let all: Vec<_> = view_changes.iter().map(|one| &one.body).collect();
        let pre_prepare = |(seq, digest)| self.good(PrePrepare { view, seq, digest, replica });
        let pre_prepares = order(&all).into_iter().map(pre_prepare).collect();
        self.good(NewView { view, view_changes, pre_prepares, replica })
    }

    /// The answer to a client.
    pub fn reply(&self) -> Signed<Reply> {
        let request = self.request(1, b"op").body;
        self.good(Reply {
            view: View(1),
            client: request.client,
            lane: request.lane,
            timestamp: request.timestamp,
            request: request_digest(&request),
            replica: ReplicaId(2),
            result: (*b"done").into(),
        })
    }

    /// One of each kind that has something to check.
    pub fn all_good(&self) -> Vec<Message> {
        let (view, seq, digest) = (View(1), SeqNum(2), batch_digest(&self.batch()));
        let [first, second] = [ReplicaId(0), ReplicaId(2)];
        let checkpoint = Checkpoint { seq: SeqNum(self.rules.interval), digest, replica: first };
        let status = Status {
            replica: second,
            view,
            active: true,
            low_water_mark: SeqNum(0),
            last_executed: seq,
        };
        vec![
            Message::Request(Arc::new(self.request(1, b"op"))),
            Message::PrePrepare(Arc::new(self.proposal(view, seq))),
            Message::Prepare(self.good(Prepare { view, seq, digest, replica: second })),
            Message::Commit(self.good(Commit { view, seq, digest, replica: first })),
            Message::Checkpoint(self.good(checkpoint)),
            Message::Status(self.good(status)),
            Message::ViewChange(Arc::new(self.rich_view_change(VIEW, second))),
            Message::ViewChange(Arc::new(self.view_change(VIEW, first, 0, &[(4, 1, 0xb1)]))),
            Message::NewView(Arc::new(self.new_view(VIEW))),
            Message::Committed(Arc::new(self.committed(view, seq, self.batch()))),
            Message::Committed(Arc::new(self.committed(view, seq, Arc::default()))),
            Message::Stable(Arc::new(self.stable(SeqNum(2 * self.rules.interval)))),
            Message::Batch(self.batch()),
        ]
    }
}
