//! The view that a replica is in, and what it knows of the change to this view and to later ones (§4.2, §4.4).

use crate::durable::Durable;
use crate::membership::Membership;
use crate::message::{NewView, Signed, ViewChange};
use crate::params::Params;
use crate::rejection::{Rejection, refuse_if};
use crate::types::{ReplicaId, SeqNum, View};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The current view. Its number only rises, and a view that was left never becomes active again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CurrentView {
    own: ReplicaId,
    membership: Membership,
    number: View,
    /// Whether this replica takes part in it, or still waits for its NEW-VIEW.
    active: bool,
    /// The highest sequence number that this replica, as primary, ordered in it.
    pub(crate) last_proposed: SeqNum,
    /// The latest VIEW-CHANGE of each replica, for this view or a later one.
    view_changes: BTreeMap<ReplicaId, Arc<Signed<ViewChange>>>,
    /// The NEW-VIEW that began the view, or an earlier one; kept for replicas that missed it.
    new_view: Option<Arc<Signed<NewView>>>,
    /// A valid NEW-VIEW that waits for state or batches.
    awaited: Option<Arc<Signed<NewView>>>,
    /// The replica has lost its memory: [`crate::amnesia`].
    abstains: Option<SeqNum>,
}

impl CurrentView {
    /// The view as the records have it, with the VIEW-CHANGE that was sent for it if it has not begun.
    pub(crate) fn restored(params: &Params, durable: &Durable) -> Self {
        let (number, active) = (durable.view, !durable.changing);
        let promise = durable.view_change.iter().filter(|_| !active);
        Self {
            own: params.replica,
            membership: params.membership,
            number,
            active,
            last_proposed: durable.low_water_mark,
            view_changes: promise.map(|own| (params.replica, Arc::clone(own))).collect(),
            new_view: durable.new_view.clone(),
            awaited: None,
            abstains: durable.abstains,
        }
    }

    pub(crate) fn number(&self) -> View {
        self.number
    }

    pub(crate) fn is_active(&self) -> bool {
        self.active
    }

    pub(crate) fn primary(&self) -> ReplicaId {
        self.membership.primary(self.number)
    }

    /// Whether this replica is the primary of the view, active or not.
    pub(crate) fn is_primary(&self) -> bool {
        self.primary() == self.own
    }

    /// Whether this replica orders requests.
    pub(crate) fn is_active_primary(&self) -> bool {
        self.active && self.is_primary()
    }

    /// Whether another replica orders the requests that reach this one.
    pub(crate) fn is_active_backup(&self) -> bool {
        self.active && !self.is_primary()
    }

    pub(crate) fn new_view(&self) -> Option<&Arc<Signed<NewView>>> {
        self.new_view.as_ref()
    }

    pub(crate) fn awaited(&self) -> Option<&Arc<Signed<NewView>>> {
        self.awaited.as_ref()
    }

    /// The known VIEW-CHANGEs for this view and later ones, in rising order of replica.
    pub(crate) fn view_changes(&self) -> impl Iterator<Item = &Arc<Signed<ViewChange>>> + Clone {
        self.view_changes.values()
    }

    pub(crate) fn view_change_of(&self, replica: ReplicaId) -> Option<&Arc<Signed<ViewChange>>> {
        self.view_changes.get(&replica)
    }

    /// The VIEW-CHANGE that this replica has sent for the view, until the view begins.
    pub(crate) fn own_view_change(&self) -> Option<&Arc<Signed<ViewChange>>> {
        self.view_change_of(self.own)
    }

    /// The VIEW-CHANGEs that V may hold, in rising order of replica.
    pub(crate) fn view_changes_for_this_view(
        &self,
    ) -> impl Iterator<Item = &Arc<Signed<ViewChange>>> + Clone {
        self.view_changes().filter(|known| known.body.view == self.number)
    }

    pub(crate) fn later_view_changes(&self) -> impl Iterator<Item = &Arc<Signed<ViewChange>>> {
        self.view_changes().filter(|known| known.body.view > self.number)
    }

    /// The last number that the NEW-VIEW of the view orders again, max-s.
    pub(crate) fn carried_over(&self) -> SeqNum {
        let orders = self.new_view.as_ref().and_then(|known| known.body.pre_prepares.last());
        orders.map_or(SeqNum(0), |last| last.body.seq)
    }

    /// Up to which stable checkpoint this replica does not vote, because it has lost its memory.
    pub(crate) fn abstains(&self) -> Option<SeqNum> {
        self.abstains
    }

    /// A replica that abstains leaves no view: it could not say what prepared.
    pub(crate) fn check_not_abstaining(&self) -> Result<(), Rejection> {
        refuse_if(self.abstains.is_some(), Rejection::ViewNotActive { view: self.number })
    }

    /// Votes are taken for the current view, also while it is not active yet (they are counted when it is).
    pub(crate) fn check_view(&self, got: View) -> Result<(), Rejection> {
        refuse_if(got != self.number, Rejection::WrongView { expected: self.number, got })
    }

    /// §4.2: a backup accepts what is ordered in the view that it is in.
    pub(crate) fn check_active(&self, got: View) -> Result<(), Rejection> {
        self.check_view(got)?;
        refuse_if(!self.active, Rejection::ViewNotActive { view: self.number })
    }

    /// §4.4: a view that was left, or that has begun, is not changed to.
    pub(crate) fn check_ahead(&self, got: View) -> Result<(), Rejection> {
        let is_ahead = got > self.number || (got == self.number && !self.active);
        refuse_if(!is_ahead, Rejection::WrongView { expected: self.number, got })
    }

    /// §4.4: of each sender the VIEW-CHANGE for the latest view counts.
    pub(crate) fn check_latest(&self, body: &ViewChange) -> Result<(), Rejection> {
        let known = self.view_changes.get(&body.replica);
        let is_late = known.is_some_and(|known| known.body.view >= body.view);
        refuse_if(is_late, Rejection::Duplicate)
    }

    /// Of several NEW-VIEWs the one for the latest view is waited for, and no copy of it counts.
    pub(crate) fn check_not_superseded(&self, body: &NewView) -> Result<(), Rejection> {
        let awaited = self.awaited.as_ref().map(|awaited| &awaited.body);
        let is_late = awaited.is_some_and(|awaited| awaited.view > body.view || awaited == body);
        refuse_if(is_late, Rejection::Duplicate)
    }

    /// §4.4: when f+1 others are past this replica's view, one of them is correct: join the earliest of their
    /// views, so that a slow timer delays nobody, and f liars move nobody.
    pub(crate) fn view_to_join(&self) -> Option<View> {
        self.check_not_abstaining().ok()?;
        let views: Vec<View> = self.later_view_changes().map(|known| known.body.view).collect();
        let earliest = views.iter().min().copied();
        earliest.filter(|_| views.len() >= self.membership.weak())
    }

    /// Whether it is time that the view begins. That is so once a quorum wants this view or a later one; before that a
    /// replica that is alone with its suspicion would only run ahead of the others.
    ///
    /// One that has lost its memory counts itself, too: it may have sent its VIEW-CHANGE, and sends no other for the
    /// same view.
    pub(crate) fn is_due(&self) -> bool {
        let forgotten = self.own_view_change().is_none();
        let known = self.view_changes.len() + usize::from(forgotten);
        // A NEW-VIEW shows a quorum, too. One that cannot be completed here is not waited for longer than others.
        let shown = self.awaited.is_some() || known >= self.membership.quorum();
        shown && self.abstains.is_none()
    }

    /// A VIEW-CHANGE takes the place of its sender's earlier one.
    pub(crate) fn keep(&mut self, view_change: Arc<Signed<ViewChange>>) {
        self.view_changes.insert(view_change.body.replica, view_change);
    }

    /// A NEW-VIEW takes the place of the one that was waited for.
    pub(crate) fn wait_for(&mut self, new_view: Arc<Signed<NewView>>) {
        self.awaited = Some(new_view);
    }

    /// The NEW-VIEW that was waited for is followed now: its view is the current one.
    pub(crate) fn follow(&mut self, new_view: &Signed<NewView>) {
        self.number = new_view.body.view;
        self.awaited = None;
    }

    /// The view that `promise`, the own VIEW-CHANGE, changes to is the current one, and has not begun.
    pub(crate) fn change(&mut self, promise: Arc<Signed<ViewChange>>) {
        let to = promise.body.view;
        assert!(to > self.number, "views only rise");
        (self.number, self.active) = (to, false);
        self.view_changes.retain(|_, known| known.body.view >= to);
        self.awaited.take_if(|awaited| awaited.body.view < to);
        self.keep(promise);
    }

    /// The view begins with this NEW-VIEW.
    pub(crate) fn begin(&mut self, new_view: Arc<Signed<NewView>>) {
        self.active = true;
        let view = self.number;
        self.view_changes.retain(|_, known| known.body.view > view);
        self.new_view = Some(new_view);
    }

    /// A checkpoint is stable. Whether this replica abstained until then, and votes from now on.
    pub(crate) fn stop_abstaining(&mut self, stable: SeqNum) -> bool {
        self.abstains.take_if(|until| stable >= *until).is_some()
    }

    pub(crate) fn check_invariants(&self) {
        debug_assert!(self.view_changes.len() <= self.membership.n(), "one a replica");
        debug_assert!(
            self.view_changes().all(|known| known.body.view >= self.number),
            "no VIEW-CHANGE for a view that was left"
        );
    }
}
