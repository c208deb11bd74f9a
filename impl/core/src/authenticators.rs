//! Requests that only their replicas can check (§5.2, D24): what a replica does with them beside those that are signed.
//!
//! A request with an authenticator proves nothing to anybody but its addressees, one by one, so a faulty client can convince
//! some of them and not the others. Three rules bound what that costs. Only the active primary takes one, and only from the
//! client itself. None outlives its view: what is still waiting when the view is left is dropped, and its client sends it
//! again, signed. And when a view is left with a proposal that never prepared, its clients have to sign for a while.

use crate::log::Log;
use crate::message::{Request, Signed};
use crate::rejection::{Rejection, refuse_if};
use crate::types::{ClientId, View};
use crate::view::CurrentView;
use std::collections::BTreeMap;

/// How many ticks a client whose authenticator was in a proposal that failed has to sign, the first time: five minutes
/// at the default `status_interval`. Whoever spoils tags on purpose pays a signature for every request meanwhile, and an
/// honest client that was caught in the same batch as well.
const TICKS: u32 = 1200;

/// How often that is doubled at the most: two hours and a half, so that view changes that somebody causes on purpose
/// get rare.
const DOUBLINGS_MAX: u32 = 5;

/// What a client has to do for what it, or somebody else, did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Term {
    /// Ticks until its authenticators are taken again.
    left: u32,
    /// How often they were refused before.
    doublings: u32,
}

/// The clients that have to sign. Bounded by the allow-list: a client gets here only with a good tag or by a primary's
/// proposal of its request.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct MustSign(BTreeMap<ClientId, Term>);

impl MustSign {
    /// Whether `client` has to sign now.
    fn contains(&self, client: ClientId) -> bool {
        self.0.get(&client).is_some_and(|term| term.left > 0)
    }

    /// How many clients are remembered.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// `client` has to sign from now on.
    fn insert(&mut self, client: ClientId) {
        let doublings =
            self.0.get(&client).map_or(0, |term| (term.doublings + 1).min(DOUBLINGS_MAX));
        self.0.insert(client, Term { left: TICKS << doublings, doublings });
    }

    /// A tick has passed.
    pub(crate) fn tick(&mut self) {
        self.0.values_mut().for_each(|term| term.left = term.left.saturating_sub(1));
    }

    /// Whether this request can be taken from where it comes: one that is signed always, one with an authenticator by the
    /// primary from its client. What others hand on may have been spoiled on the way.
    pub(crate) fn check_proof(
        &self,
        request: &Signed<Request>,
        from_client: bool,
        view: &CurrentView,
    ) -> Result<(), Rejection> {
        let client = request.body.client;
        let is_taken = from_client && view.is_active_primary() && !self.contains(client);
        refuse_if(!request.is_transferable() && !is_taken, Rejection::NotSigned { client })
    }

    /// The view is left: who had an authenticator in a proposal that did not prepare here has to sign. A batch that
    /// prepared has convinced a quorum, so its clients have done nothing wrong.
    pub(crate) fn leave_view(&mut self, view: View, log: &Log) {
        let failed =
            log.slots().filter(|(_, slot)| !slot.is_prepared_in(view) && slot.committed.is_none());
        let proposals = failed.filter_map(|(_, slot)| slot.proposal.as_ref());
        let requests = proposals.flat_map(|proposal| &proposal.batch.requests);
        let unproven = requests.filter(|request| !request.is_transferable());
        unproven.for_each(|request| self.insert(request.body.client));
    }
}
