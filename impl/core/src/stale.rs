//! Messages that a replica would refuse whatever their signatures are, told from a few numbers of its state. Views, water
//! marks and executed numbers only rise, so what came too late a moment ago comes too late now: it does no harm that the
//! numbers are some steps old. What comes too early is never refused here.
//!
//! Evidence is looked at all the same ([`crate::evidence`]). A COMMIT of a view that was left may convict its signer. So may
//! a second VIEW-CHANGE or NEW-VIEW for one view: of each channel and signer one is looked at while a view lasts, since it
//! may cost a thousand signatures.

use crate::durable::Record;
use crate::effect::Effect;
use crate::message::{Message, NewView, Signed, ViewChange};
use crate::rejection::{Rejection, refuse_if};
use crate::replica::{Replica, check_vote_origin};
use crate::types::{Digest, ReplicaId, SeqNum, View};
use crate::view::CurrentView;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where a replica is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    own: ReplicaId,
    pub(crate) view: CurrentView,
    pub(crate) low: SeqNum,
    pub(crate) high: SeqNum,
    executed: SeqNum,
    /// The batches that it may have asked for.
    pub(crate) wanted: Arc<BTreeSet<Digest>>,
    /// The pre-prepares of the current view that it has accepted.
    accepted: BTreeMap<SeqNum, Digest>,
    /// Of whom something was looked at in the current view because it may be evidence: kind, channel, signer.
    looked_at: BTreeSet<(&'static str, ReplicaId, ReplicaId)>,
}

impl Place {
    pub(crate) fn new(replica: &Replica) -> Self {
        Self {
            own: replica.params.replica,
            view: replica.view.clone(),
            low: replica.log.low(),
            high: replica.log.high(),
            executed: replica.execution.last_executed(),
            wanted: Arc::new(replica.fetching.wanted().collect()),
            accepted: BTreeMap::new(),
            looked_at: BTreeSet::new(),
        }
    }

    /// The replica has made a step with these effects.
    pub(crate) fn follow(&mut self, effects: &[Effect], replica: &Replica) {
        let before = std::mem::replace(self, Self::new(replica));
        if before.view.number() == self.view.number() {
            self.looked_at = before.looked_at;
            self.accepted = before.accepted;
            if before.low < self.low {
                self.accepted = self.accepted.split_off(&self.low.next());
            }
        }
        for effect in effects {
            if let Effect::Persist(Record::Accepted(proposal)) = effect {
                let body = &proposal.pre_prepare.body;
                self.accepted.insert(body.seq, body.digest);
            }
        }
    }

    /// Why the replica would refuse a message on `from`'s channel whatever its signatures are, if it surely would.
    pub(crate) fn check(&mut self, from: ReplicaId, message: &Message) -> Result<(), Rejection> {
        match message {
            Message::PrePrepare(proposal) => {
                let body = &proposal.pre_prepare.body;
                self.check_left(body.view)?;
                self.check_low(body.seq)?;
                let again = self.accepted.get(&body.seq) == Some(&body.digest);
                refuse_if(again && body.view == self.view.number(), Rejection::Duplicate)
            }
            Message::Prepare(vote) => {
                check_vote_origin(from, vote.body.replica)?;
                self.check_left(vote.body.view)?;
                self.check_low(vote.body.seq)
            }
            Message::Commit(vote) => check_vote_origin(from, vote.body.replica),
            Message::Checkpoint(vote) => {
                check_vote_origin(from, vote.body.replica)?;
                self.check_low(vote.body.seq)
            }
            Message::Status(status) => check_vote_origin(from, status.body.replica),
            Message::ViewChange(one) => self.check_view_change(from, one),
            Message::NewView(one) => self.check_new_view(from, one),
            Message::Committed(certificate) => {
                let seq = certificate.commits.first().map(|first| first.body.seq);
                seq.map_or(Ok(()), |seq| {
                    self.check_low(seq)?;
                    refuse_if(seq <= self.executed, Rejection::Duplicate)
                })
            }
            Message::Stable(certificate) => {
                certificate.proves().map_or(Ok(()), |(seq, _)| self.check_low(seq))
            }
            Message::Request(_)
            | Message::FetchBatch(_)
            | Message::Batch(_)
            | Message::FetchState(_)
            | Message::StateData(_) => Ok(()),
        }
    }

    fn check_view_change(
        &mut self,
        from: ReplicaId,
        one: &Signed<ViewChange>,
    ) -> Result<(), Rejection> {
        let (view, signer) = (one.body.view, one.body.replica);
        refuse_if(signer == self.own, Rejection::OwnMessage)?;
        self.check_left(view)?;
        let is_known = self
            .view
            .view_change_of(signer)
            .is_some_and(|known| (known.body.view, known.signature) == (view, one.signature));
        refuse_if(is_known, Rejection::Duplicate)?;
        match self.view.check_latest(&one.body).and_then(|()| self.view.check_ahead(view)) {
            Err(reason) => refuse_if(!self.looked_at.insert(("view-change", from, signer)), reason),
            Ok(()) => Ok(()),
        }
    }

    fn check_new_view(&mut self, from: ReplicaId, one: &Signed<NewView>) -> Result<(), Rejection> {
        let (view, signer) = (one.body.view, one.body.replica);
        refuse_if(signer == self.own, Rejection::OwnMessage)?;
        self.check_left(view)?;
        let is_this = |known: &Arc<Signed<NewView>>| {
            (known.body.view, known.signature) == (view, one.signature)
        };
        let (began, expected) = (self.view.new_view(), self.view.number());
        refuse_if(began.is_some_and(is_this), Rejection::WrongView { expected, got: view })?;
        let is_late = |awaited: &Arc<Signed<NewView>>| awaited.body.view > view || is_this(awaited);
        refuse_if(self.view.awaited().is_some_and(is_late), Rejection::Duplicate)?;
        match self.view.check_ahead(view) {
            Err(reason) => refuse_if(!self.looked_at.insert(("new-view", from, signer)), reason),
            Ok(()) => Ok(()),
        }
    }

    fn check_left(&self, got: View) -> Result<(), Rejection> {
        let expected = self.view.number();
        refuse_if(got < expected, Rejection::WrongView { expected, got })
    }

    fn check_low(&self, seq: SeqNum) -> Result<(), Rejection> {
        let (low, high) = (self.low, self.high);
        refuse_if(seq <= low, Rejection::OutsideWindow { seq, low, high })
    }
}

#[cfg(test)]
use crate::{Durable, Membership, Params};

#[cfg(test)]
impl Place {
    /// An active replica at this place.
    pub(crate) fn at(own: ReplicaId, view: View, (low, high): (SeqNum, SeqNum)) -> Self {
        let membership = Membership::new(4).expect("valid size");
        let params = Params::new(own, membership, Digest::default());
        let view = CurrentView::restored(&params, &Durable { view, ..Durable::default() });
        let (wanted, accepted, looked_at) = Default::default();
        Self { own, view, low, high, executed: low, wanted, accepted, looked_at }
    }
}
