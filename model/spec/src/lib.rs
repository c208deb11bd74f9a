//! PBFT as a model that can be checked exhaustively.
//!
//! This crate is the specification: Castro and Liskov's protocol (OSDI'99, with signatures) written as a
//! [`stateright::Model`]. It knows nothing of the implementation; `pbft-conformance` compares the two.
//!
//! # The protocol in one page
//!
//! A group of n replicas tolerates f = ⌊(n−1)/3⌋ faulty ones. Any two quorums of q = ⌈(n+f+1)/2⌉ replicas share one
//! that is correct ([`quorum`]). The primary of view v is replica v mod n.
//!
//! *Normal case* (§4.2, [`normal_case`]). The primary assigns the next sequence number to a request: PRE-PREPARE. Backups
//! accept one per view and slot: PREPARE. With the PRE-PREPARE and q−1 PREPAREs the value has *prepared*: no other can
//! prepare in this view. Replicas say so: COMMIT. With q COMMITs it is *committed*: whatever happens, every later view will
//! propose it again. Replicas execute committed values in order, each client's request once.
//!
//! *Checkpoints* (§4.3, [`checkpoint`]). Every K slots a replica signs its state: CHECKPOINT. q that match make it stable; the log
//! up to there is discarded, and who is behind fetches that state.
//!
//! *View change* (§4.4, [`view_change`], [`new_view`]). A replica that leaves its view sends the prepared certificates that it
//! holds: VIEW-CHANGE. The new primary collects q of them, and for each slot proposes again the value of the certificate with the
//! highest view, null where there is none: NEW-VIEW. A committed value prepared at a quorum, which every V meets, so it is among
//! the certificates; and no later view can have prepared another.
//!
//! # How it is modelled
//!
//! *The network is what was sent* ([`state`]): a set for each honest replica that only grows. An action is enabled when
//! the messages that it needs exist. Loss, delay, duplication and reordering are in there without an action for each.
//!
//! *Clients are their requests* ([`value`]), one or two of each, with two timestamps or with one. They exist from the start: a faulty client need not wait for
//! its first answer before it sends the second. The reply table belongs to the state that a checkpoint covers.
//!
//! *The adversary has no steps* ([`adversary`]). The Byzantine replicas are any set of up to f. Their votes count wherever
//! they help; as primary each may tell every backup something else; their VIEW-CHANGEs and NEW-VIEWs may claim what can be
//! proven, or less.
//!
//! *Time is left out*: a replica may leave its view whenever it likes. Safety must not depend on when.
//!
//! *A crash loses what is not on disk* ([`durability`]). Where a configuration has restarts, a step changes a replica's memory
//! only; a write puts that on the disk and then its messages on the wire; and the replica may crash between the two. Where it
//! has none, every step is durable at once. A restart would then be the identity, so no action stands for it.
//!
//! # An example
//!
//! Every state of a small configuration, a Byzantine primary and two requests, and every property in each:
//!
//! ```
//! use pbft_model::properties::violated;
//! use pbft_model::{Config, Pbft};
//! use stateright::Model;
//! use std::collections::HashSet;
//!
//! let config: Config = "n4-b0-v0-s1-d2".parse()?;
//! let model = Pbft::new(config);
//! let mut open = model.init_states();
//! let mut seen: HashSet<_> = open.iter().cloned().collect();
//! while let Some(state) = open.pop() {
//!     assert!(violated(&model, &state).is_empty());
//!     let next = model.next_steps(&state).into_iter().map(|(_, next)| next);
//!     open.extend(next.filter(|next| seen.insert(next.clone())));
//! }
//! println!("{} states", seen.len());
//! # assert!(seen.len() > 100);
//! # Ok::<(), pbft_model::ConfigError>(())
//! ```
//!
//! # What is checked
//!
//! [`properties`], in every reachable state. All but one are about safety. The last, [`progress`], is what can be said of liveness
//! without time: if from this state on the network is synchronous and the Byzantine replicas are silent, then a fair schedule
//! with few timeouts executes every request at every honest replica. There, and only there, it matters who still keeps the
//! [`batches`] that others know by their digests, who can prove what was executed, and whose timer runs.
//!
//! Nothing may hold merely because nothing happens. A complete search must have shown every state among the [`witnesses`],
//! every kind of step in every role and every power of the adversary among the [`events`], and for each property a state
//! that puts it to the test, where the bounds are large enough for them; otherwise it is inconclusive. What each rule and
//! each power is for is on record beside these sources: without it, or with another in its place, a property must be
//! violated or something is not seen; and agreement must be violated with more than f Byzantine replicas.
//!
//! [`reduction`] and [`dead`] make the state space smaller without changing what can happen. The crate `pbft-checker` does the
//! searching.
//!
//! # What is not modelled
//!
//! Time, and with it all of liveness that [`progress`] does not say: that timers grow long enough, and what Byzantine replicas
//! can delay that never fall silent. Loss of a replica's disk; batches of more than one request; clients that wait, send again
//! and collect replies; state transfer in parts; the read-only optimisation; MAC authenticators. Bounds are small: the claim is
//! about them and no more.

pub mod action;
pub mod adversary;
pub mod batches;
pub(crate) mod bounds;
pub mod checkpoint;
pub mod config;
pub mod dead;
pub mod durability;
pub mod events;
pub mod ids;
pub mod new_view;
pub mod normal_case;
pub(crate) mod powers;
pub mod progress;
pub mod properties;
pub mod quorum;
pub mod reduction;
pub mod rules;
pub mod state;
pub(crate) mod tally;
pub mod value;
pub mod view_change;
pub mod witnesses;
mod words;

pub use action::Action;
pub use config::{Config, ConfigError};
pub use ids::{MAX_REPLICAS, MAX_SLOTS, MAX_VIEWS, ReplicaId, Slot, View};
pub use new_view::Witness;
pub use quorum::Quorums;
pub use reduction::Reductions;
pub use state::{Certificate, NewView, ReplicaState, Sent, State, StateDigest, ViewChange, Viewer};
use stateright::Model;
pub use value::{Applied, Value, ValueSet};

/// The protocol within the bounds of a configuration.
#[derive(Clone, Debug)]
pub struct Pbft {
    config: Config,
    reductions: Reductions,
    silent: bool,
}

impl Pbft {
    /// The correct protocol.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        Self { config, reductions: Reductions::NONE, silent: false }
    }

    /// The same behaviours up to names, in fewer states.
    #[must_use]
    pub const fn with_reductions(mut self, reductions: Reductions) -> Self {
        self.reductions = reductions;
        self
    }

    /// Its bounds.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The reductions applied to every state.
    #[must_use]
    pub const fn reductions(&self) -> Reductions {
        self.reductions
    }

    /// The primary of a view: v mod n.
    #[must_use]
    pub const fn primary(&self, view: View) -> ReplicaId {
        ReplicaId(view.0 % self.config.replicas())
    }

    /// Quorum sizes.
    #[must_use]
    pub(crate) fn quorums(&self) -> Quorums {
        self.config.quorums()
    }

    /// Whether the Byzantine replicas send nothing more.
    pub(crate) const fn is_silent(&self) -> bool {
        self.silent
    }

    /// The same with Byzantine replicas that send nothing more.
    pub(crate) const fn silenced(mut self) -> Self {
        self.silent = true;
        self
    }

    /// Whether the replica is Byzantine.
    #[must_use]
    pub const fn is_byzantine(&self, replica: ReplicaId) -> bool {
        self.config.is_byzantine(replica)
    }

    /// The replicas that follow the protocol.
    pub fn honest(&self) -> impl Iterator<Item = ReplicaId> + use<> {
        ids::members(self.config.honest_bits())
    }

    /// What the replicas that follow the protocol know.
    pub(crate) fn honest_states<'a>(
        &self,
        state: &'a State,
    ) -> impl Iterator<Item = &'a ReplicaState> + use<'a> {
        self.honest().map(|id| state.replica(id))
    }

    /// The views of the configuration.
    pub fn views(&self) -> impl DoubleEndedIterator<Item = View> + use<> {
        (0..=self.config.max_view().0).map(View)
    }

    /// The slots of the configuration.
    pub fn slots(&self) -> impl DoubleEndedIterator<Item = Slot> + use<> {
        Slot::GENESIS.until(self.config.last_slot())
    }

    /// All clients' requests.
    pub fn requests(&self) -> impl Iterator<Item = Value> + use<> {
        let config = self.config;
        let of =
            move |number| (1..=config.clients()).map(move |client| Value::numbered(client, number));
        (1..=config.requests_each()).flat_map(of)
    }

    /// Whether the action is enabled in the state.
    #[must_use]
    pub fn is_enabled(&self, state: &State, action: &Action) -> bool {
        let mut actions = Vec::new();
        self.actions(state, &mut actions);
        actions.contains(action)
    }
}

/// Adds the steps that a replica may take by one rule.
pub(crate) type Rule = fn(&Pbft, &State, ReplicaId, &mut Vec<Action>);

impl Model for Pbft {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::initial(&self.config)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let outcomes = self.byzantine_new_views(state);
        for replica in self.honest() {
            Self::DELIVERIES.iter().for_each(|rule| rule(self, state, replica, actions));
            self.new_views(state, replica, actions);
            self.flushes(state, replica, actions);
            self.view_entries(state, replica, &outcomes, actions);
            self.view_changes(state, replica, actions);
            self.restarts(state, replica, actions);
        }
    }

    /// The state after an action that is enabled. Guards are not evaluated again: see [`Pbft::is_enabled`].
    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        if action.replica().index() >= state.replicas.len() {
            return None;
        }
        Some(self.canonical_after(&action, self.stepped(state, action)))
    }
}

impl Pbft {
    /// The rules for steps that messages lead to: all that do not wait for a timer, a crash or the disk, nor begin a view
    /// or follow from a NEW-VIEW.
    pub(crate) const DELIVERIES: [Rule; 6] = [
        Self::pre_prepares,
        Self::prepares,
        Self::commits,
        Self::executions,
        Self::stabilisations,
        Self::state_transfers,
    ];

    /// The state after an action that is enabled, as it is: without reductions.
    #[must_use]
    pub fn stepped(&self, state: &State, action: Action) -> State {
        let mut next = state.clone();
        self.apply(&mut next, action);
        next
    }

    /// Takes a step.
    fn apply(&self, state: &mut State, action: Action) {
        let id = action.replica();
        let mut replica = *state.replica(id);
        match action {
            Action::PrePrepare { slot, value, .. } => replica.pre_prepare(slot, value),
            Action::Prepare { slot, value, .. } => replica.prepare(slot, value),
            Action::Commit { slot, .. } => replica.commit(slot),
            Action::Execute { value, .. } => {
                let next = replica.last_executed.next();
                self.execute(&mut replica, next, value);
            }
            Action::Stabilise { slot, .. } => replica.collect_garbage(slot),
            Action::StateTransfer { slot, digest, .. } => replica.transfer(slot, digest),
            Action::StartViewChange { to, .. } => replica.start_view_change(to),
            Action::NewView { outcome, .. } => replica.send_new_view(outcome),
            Action::EnterView { view, outcome, .. } => replica.enter_view(view, outcome),
            Action::Flush { .. } => return self.flush(state, id),
            Action::Restart { .. } => replica = self.restarted(state, id),
        }
        state.replicas[id.index()] = replica;
    }
}
