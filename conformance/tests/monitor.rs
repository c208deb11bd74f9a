//! The monitor of recorded runs and the model are the same protocol: along every edge of the model's graph the monitor
//! allows the step, and at every state it refuses each step that the model does not have there.

use pbft_conformance::validate::cluster::Cluster;
use pbft_conformance::validate::refusal::Refusal;
use pbft_model::{
    Action, Certificate, Config, NewView, Pbft, ReplicaId, Slot, State, Value, View, ViewChange,
    Witness,
};
use pbft_node::trace::ShortDigest;
use pbft_node::trace::format::{self, Body, Header, Input, Output, Resumed, Step};
use stateright::Model;
use std::collections::{BTreeMap, BTreeSet, HashSet};

const NULL: ShortDigest = ShortDigest(u128::MAX);

fn digest(value: Value) -> ShortDigest {
    if value == Value::NULL { NULL } else { ShortDigest(u128::from(value.0) + 1) }
}

fn batch(value: Value) -> Vec<format::RequestId> {
    let request = |client| format::RequestId(u32::from(client), 0, u64::from(value.timestamp()));
    value.client().map(request).into_iter().collect()
}

fn state_digest(state: &pbft_model::StateDigest) -> ShortDigest {
    ShortDigest(1 << 100 | u128::from(state.applied.0) << 8 | u128::from(state.served.0))
}

fn vote(view: View, slot: Slot, value: Value, replica: ReplicaId) -> format::Vote {
    let (view, seq) = (u64::from(view.0), u64::from(slot.0));
    format::Vote { view, seq, digest: digest(value), replica: u32::from(replica.0) }
}

/// A state of the model, the monitor there, and what the replicas' messages hold beyond what the model knows of them.
#[derive(Clone)]
struct Walk {
    cluster: Cluster,
    /// Certificates by replica and slot.
    proofs: BTreeMap<(u8, u8), format::PreparedProof>,
    stable: BTreeMap<u8, format::StableProof>,
    view_changes: BTreeMap<(u8, u8), format::ViewChange>,
    new_views: BTreeMap<u8, format::NewView>,
}

struct Check {
    model: Pbft,
    config: Config,
    allowed: u64,
    refused: u64,
    kinds: BTreeSet<&'static str>,
}

impl Check {
    fn new(name: &str) -> Self {
        let config: Config = name.parse().expect("a configuration");
        let model = Pbft::new(config);
        Self { model, config, allowed: 0, refused: 0, kinds: BTreeSet::new() }
    }

    fn start(&self) -> Walk {
        let header = Header {
            format: 1,
            program: "test".to_owned(),
            cluster: ShortDigest(0),
            replicas: u32::from(self.config.replicas()),
            replica: 0,
            interval: self.config.checkpoint_interval().map_or(u64::MAX, u64::from),
            window: u64::from(self.config.window()),
            null: NULL,
            state: Resumed::default(),
        };
        let honest = self.model.honest().map(|id| u32::from(id.0));
        Walk {
            cluster: Cluster::new(&header, honest),
            proofs: BTreeMap::new(),
            stable: BTreeMap::new(),
            view_changes: BTreeMap::new(),
            new_views: BTreeMap::new(),
        }
    }

    fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        Slot::GENESIS.until(self.config.last_slot())
    }

    fn views(&self) -> impl Iterator<Item = View> + use<> {
        (0..=self.config.max_view().0).map(View)
    }

    fn values(&self) -> impl Iterator<Item = Value> + use<> {
        self.model.requests().chain([Value::NULL])
    }

    /// Who voted for it: honest replicas that did, and Byzantine ones, who would.
    fn voters(
        &self,
        state: &State,
        named: impl Fn(&pbft_model::Sent) -> bool,
        but: Option<ReplicaId>,
    ) -> Vec<u32> {
        let all = (0..self.config.replicas()).map(ReplicaId).filter(|id| Some(*id) != but);
        let votes = all.filter(|id| self.model.is_byzantine(*id) || named(state.sent(*id)));
        votes.map(|id| u32::from(id.0)).collect()
    }

    fn proof(&self, state: &State, certificate: Certificate, slot: Slot) -> format::PreparedProof {
        let Certificate { view, value } = certificate;
        let primary = self.model.primary(view);
        let named =
            |sent: &pbft_model::Sent| sent.prepares[view.index()][slot.index()].contains(value);
        let mut signers = self.voters(state, named, Some(primary));
        signers.truncate(usize::from(self.config.quorums().prepares()));
        let (view, seq) = (u64::from(view.0), u64::from(slot.0));
        format::PreparedProof { view, seq, digest: digest(value), signers }
    }

    fn stable_proof(
        &self,
        state: &State,
        slot: Slot,
        of: pbft_model::StateDigest,
    ) -> format::StableProof {
        let named = |sent: &pbft_model::Sent| sent.checkpoints[slot.index()] == Some(of);
        let mut signers = self.voters(state, named, None);
        signers.truncate(usize::from(self.config.quorums().quorum));
        format::StableProof { seq: u64::from(slot.0), digest: state_digest(&of), signers }
    }

    /// A checkpoint's proof at a slot, if some digest has one.
    fn any_stable(&self, state: &State, slot: Slot) -> Option<format::StableProof> {
        let digests = self.model.honest().filter_map(|id| state.sent(id).checkpoints[slot.index()]);
        let mut proofs = digests.map(|of| self.stable_proof(state, slot, of));
        proofs.find(|proof| proof.signers.len() == usize::from(self.config.quorums().quorum))
    }

    /// What a Byzantine replica claims, as a message.
    fn claim(
        &self,
        state: &State,
        id: ReplicaId,
        to: View,
        claim: &ViewChange,
    ) -> format::ViewChange {
        let shown = self.slots().filter_map(|slot| {
            claim.prepared[slot.index()].map(|certificate| self.proof(state, certificate, slot))
        });
        format::ViewChange {
            view: u64::from(to.0),
            replica: u32::from(id.0),
            low: u64::from(claim.low_water_mark.0),
            stable: (claim.low_water_mark > Slot::GENESIS)
                .then(|| self.any_stable(state, claim.low_water_mark))
                .flatten(),
            prepared: shown.collect(),
        }
    }

    /// A replica hears what all others have said, and whatever Byzantine replicas can say.
    fn hear_all(&self, walk: &mut Walk, state: &State, id: ReplicaId) {
        let mut bodies: Vec<(ReplicaId, Body)> = Vec::new();
        for other in (0..self.config.replicas()).map(ReplicaId).filter(|other| *other != id) {
            let liar = self.model.is_byzantine(other);
            let sent = state.sent(other);
            for (view, slot) in self.views().flat_map(|v| self.slots().map(move |s| (v, s))) {
                let primary = self.model.primary(view) == other;
                for value in self.values() {
                    // The PREPARE of a primary that lies is there, too, and must not count.
                    let said = sent.prepares[view.index()][slot.index()].contains(value);
                    if liar || (!primary && said) {
                        bodies.push((other, Body::Prepare(vote(view, slot, value, other))));
                    }
                    if liar || sent.commits[view.index()][slot.index()].contains(value) {
                        bodies.push((other, Body::Commit(vote(view, slot, value, other))));
                    }
                }
            }
            for slot in self.slots() {
                let named = self.model.honest().filter_map(|honest| {
                    state.sent(honest).checkpoints[slot.index()].filter(|_| liar)
                });
                for of in named.chain(sent.checkpoints[slot.index()]) {
                    let (seq, digest) = (u64::from(slot.0), state_digest(&of));
                    let vote = format::CheckpointVote { seq, digest, replica: u32::from(other.0) };
                    bodies.push((other, Body::Checkpoint(vote)));
                }
            }
            for to in self.views().filter(|to| *to >= state.replica(id).view) {
                let said = walk.view_changes.get(&(other.0, to.0)).cloned();
                let made = liar.then(|| self.claim(state, other, to, &ViewChange::default()));
                let change = said.or(made.filter(|_| to > View(0)));
                bodies.extend(change.map(|change| (other, Body::ViewChange(change))));
            }
        }
        for (from, body) in bodies {
            let from = u32::from(from.0);
            let heard = self.take(walk, id, step(Input::Message { from, body }, Vec::new()));
            heard.expect("what was said can be heard");
        }
    }

    fn take(&self, walk: &mut Walk, id: ReplicaId, step: Step) -> Result<(), String> {
        match walk.cluster.missing(&step) {
            Ok(None) => {}
            Ok(Some(place)) => return Err(format!("nobody said {place}")),
            Err(refusal) => return Err(refusal.to_string()),
        }
        let taken: Result<(), Box<Refusal>> = walk.cluster.step(u32::from(id.0), &step);
        taken.map_err(|refusal| refusal.to_string())
    }

    /// The steps of a replica, as it would record them, for an action of the model.
    fn record(
        &self,
        walk: &Walk,
        state: &State,
        next: Option<&State>,
        action: Action,
    ) -> Vec<Step> {
        let id = action.replica();
        let replica = state.replica(id);
        let all = |body| vec![Output::All(body)];
        match action {
            Action::PrePrepare { slot, value, .. } => {
                let proposal = self.proposal(replica.view, slot, value, id);
                vec![step(Input::StatusTimer, all(Body::PrePrepare(proposal)))]
            }
            Action::Prepare { slot, value, .. } => {
                let primary = self.model.primary(replica.view);
                let proposal = self.proposal(replica.view, slot, value, primary);
                let from = u32::from(primary.0);
                let input = Input::Message { from, body: Body::PrePrepare(proposal) };
                vec![step(input, all(Body::Prepare(vote(replica.view, slot, value, id))))]
            }
            Action::Commit { slot, .. } => {
                let value = replica.accepted[slot.index()];
                let value = if value.is_some() { value } else { Value::request(1) };
                let certificate = Certificate { view: replica.view, value };
                let mut proof = self.proof(state, certificate, slot);
                let primary = u32::from(self.model.primary(replica.view).0);
                if next.is_none() && !proof.signers.contains(&primary) {
                    // The PREPARE of a primary does not make up for what is missing.
                    proof.signers.push(primary);
                    proof.signers.truncate(usize::from(self.config.quorums().prepares()));
                }
                let proof = Output::Prepared(proof);
                let commit = Output::All(Body::Commit(vote(replica.view, slot, value, id)));
                vec![step(Input::StatusTimer, vec![proof, commit])]
            }
            Action::Execute { view, value, .. } => self.execution(state, next, id, view, value),
            Action::Stabilise { slot, .. } => {
                let own = replica.sent.checkpoints[slot.index()].unwrap_or(replica.digest());
                let proof = Output::Stable(self.stable_proof(state, slot, own));
                vec![step(Input::StatusTimer, vec![proof])]
            }
            Action::StateTransfer { slot, digest, .. } => {
                let proof = Output::Stable(self.stable_proof(state, slot, digest));
                vec![step(Input::Installed { seq: u64::from(slot.0) }, vec![proof])]
            }
            Action::StartViewChange { to, .. } => {
                let change = self.own_view_change(walk, state, id, to);
                vec![step(Input::ViewTimer, all(Body::ViewChange(change)))]
            }
            Action::NewView { outcome, .. } => {
                let (new_view, heard) = self.new_view(walk, state, replica.view, id, &outcome);
                let mut steps = heard;
                steps.push(step(Input::StatusTimer, all(Body::NewView(new_view))));
                steps
            }
            Action::EnterView { view, outcome, .. } => self.entry(walk, state, id, view, &outcome),
            Action::Flush { .. } | Action::Restart { .. } => Vec::new(),
        }
    }

    fn proposal(&self, view: View, slot: Slot, value: Value, by: ReplicaId) -> format::Proposal {
        format::Proposal {
            view: u64::from(view.0),
            seq: u64::from(slot.0),
            digest: digest(value),
            replica: u32::from(by.0),
            batch: batch(value),
        }
    }

    fn execution(
        &self,
        state: &State,
        next: Option<&State>,
        id: ReplicaId,
        view: View,
        value: Value,
    ) -> Vec<Step> {
        let replica = state.replica(id);
        let slot = replica.last_executed.next();
        let named =
            |sent: &pbft_model::Sent| sent.commits[view.index()][slot.index()].contains(value);
        let mut signers = self.voters(state, named, None);
        signers.truncate(usize::from(self.config.quorums().quorum));
        let seq = u64::from(slot.0);
        let (digest, batch) = (digest(value), batch(value));
        let applied = if replica.served.contains(value) { Vec::new() } else { batch.clone() };
        let view = u64::from(view.0);
        let committed = format::Committed { view, seq, digest, signers, batch };
        let asks = step(Input::StatusTimer, vec![Output::Execute { committed, applied }]);
        let checkpoint = next.and_then(|next| {
            let of = next.replica(id).sent.checkpoints[slot.index()]?;
            let replica = u32::from(id.0);
            let digest = state_digest(&of);
            let vote = format::CheckpointVote { seq, digest, replica };
            Some(Output::All(Body::Checkpoint(vote)))
        });
        vec![asks, step(Input::Executed { seq }, checkpoint.into_iter().collect())]
    }

    fn own_view_change(
        &self,
        walk: &Walk,
        state: &State,
        id: ReplicaId,
        to: View,
    ) -> format::ViewChange {
        let replica = state.replica(id);
        let certified = self.slots().filter(|slot| replica.certificates[slot.index()].is_some());
        let proofs = certified.filter_map(|slot| walk.proofs.get(&(id.0, slot.0)).cloned());
        format::ViewChange {
            view: u64::from(to.0),
            replica: u32::from(id.0),
            low: u64::from(replica.low_water_mark.0),
            stable: walk.stable.get(&id.0).cloned(),
            prepared: proofs.collect(),
        }
    }

    /// A NEW-VIEW with this outcome, and what its primary must have heard. If no V gives the outcome, one that claims
    /// it all the same.
    fn new_view(
        &self,
        walk: &Walk,
        state: &State,
        view: View,
        primary: ReplicaId,
        outcome: &NewView,
    ) -> (format::NewView, Vec<Step>) {
        let mut witnesses = self.model.new_view_witnesses(state, view);
        witnesses.sort_by_key(|witness| witness.outcome != *outcome);
        let none = || Witness { senders: Vec::new(), claims: Vec::new(), outcome: *outcome };
        let witness = witnesses.into_iter().next().unwrap_or_else(none);
        let mut heard = Vec::new();
        let changes = witness.senders.iter().filter_map(|sender| {
            let Some(claim) = witness.claim_of(*sender) else {
                return walk.view_changes.get(&(sender.0, view.0)).cloned();
            };
            let change = self.claim(state, *sender, view, claim);
            let (from, body) = (u32::from(sender.0), Body::ViewChange(change.clone()));
            heard.push(step(Input::Message { from, body }, Vec::new()));
            Some(change)
        });
        let view_changes = changes.collect();
        let order = outcome.min_s.until(outcome.max_s);
        let order = order.map(|slot| (u64::from(slot.0), digest(outcome.order[slot.index()])));
        let (view, replica) = (u64::from(view.0), u32::from(primary.0));
        (format::NewView { view, replica, view_changes, order: order.collect() }, heard)
    }

    fn entry(
        &self,
        walk: &Walk,
        state: &State,
        id: ReplicaId,
        view: View,
        outcome: &NewView,
    ) -> Vec<Step> {
        let primary = self.model.primary(view);
        let (made, _) = self.new_view(walk, state, view, primary, outcome);
        let new_view = match walk.new_views.get(&view.0) {
            Some(said) if !self.model.is_byzantine(primary) && is_of(said, outcome, &made) => {
                said.clone()
            }
            Some(_) | None => made,
        };
        let mut out = vec![Output::Enter { view: u64::from(view.0) }];
        let low = state.replica(id).low_water_mark.max(outcome.min_s);
        for slot in low.until(outcome.max_s) {
            let value = outcome.order[slot.index()];
            out.push(Output::All(Body::Prepare(vote(view, slot, value, id))));
        }
        let from = u32::from(primary.0);
        vec![step(Input::Message { from, body: Body::NewView(new_view) }, out)]
    }

    /// Follows an edge; what the messages hold is kept.
    fn follow(&mut self, walk: &mut Walk, state: &State, next: &State, action: Action) {
        let id = action.replica();
        let steps = self.record(walk, state, Some(next), action);
        for one in &steps {
            if let Err(refusal) = self.take(walk, id, one.clone()) {
                panic!(
                    "{}: the model allows {action}, the monitor does not: {refusal}\n{one:#?}",
                    self.config
                );
            }
            for output in &one.out {
                match output {
                    Output::Prepared(proof) => {
                        walk.proofs.insert((id.0, proof.seq as u8), proof.clone());
                    }
                    Output::Stable(proof) => {
                        walk.stable.insert(id.0, proof.clone());
                    }
                    Output::All(Body::ViewChange(change)) => {
                        walk.view_changes.insert((id.0, change.view as u8), change.clone());
                    }
                    Output::All(Body::NewView(new_view)) => {
                        walk.new_views.insert(new_view.view as u8, new_view.clone());
                    }
                    _ => {}
                }
            }
        }
        if let Action::EnterView { outcome, .. } | Action::NewView { outcome, .. } = action
            && outcome.min_s > state.replica(id).low_water_mark
        {
            let proof = self.any_stable(state, outcome.min_s).expect("min-s is proven");
            walk.stable.insert(id.0, proof);
        }
        self.allowed += 1;
        self.kinds.insert(action.name());
    }

    /// Every action that there could be, whether it is enabled or not.
    fn universe(&self, state: &State, id: ReplicaId) -> Vec<Action> {
        let replica = id;
        let mut actions = Vec::new();
        for slot in self.slots() {
            actions.push(Action::Commit { replica, slot });
            actions.push(Action::Stabilise { replica, slot });
            let states =
                self.model.honest().filter_map(|o| state.sent(o).checkpoints[slot.index()]);
            let states = states.chain([state.replica(id).digest()]);
            actions.extend(states.map(|digest| Action::StateTransfer { replica, slot, digest }));
            for value in self.values() {
                actions.push(Action::PrePrepare { replica, slot, value });
                actions.push(Action::Prepare { replica, slot, value });
            }
        }
        let orders = self.orders();
        for view in self.views() {
            actions.push(Action::StartViewChange { replica, to: view });
            actions.extend(self.values().map(|value| Action::Execute { replica, view, value }));
            // What some V gives is not allowed where the state of min-s is missing.
            let given = self.model.new_view_outcomes(state, view);
            for outcome in orders.iter().chain(&given) {
                actions.push(Action::EnterView { replica, view, outcome: *outcome });
            }
            if view == state.replica(id).view {
                let begin = |outcome| Action::NewView { replica, outcome };
                actions.extend(given.into_iter().map(begin));
            }
        }
        actions.extend(orders.into_iter().map(|outcome| Action::NewView { replica, outcome }));
        actions
    }

    /// Every O above every checkpoint. An empty O does not show what it is above, V does; so where there are checkpoints
    /// it is no other message than the one that the model has.
    fn orders(&self) -> Vec<NewView> {
        let mut orders = Vec::new();
        let lows = self.slots().filter(|slot| self.config.is_checkpoint(*slot));
        for min_s in [Slot::GENESIS].into_iter().chain(lows) {
            let mut longest = vec![NewView { min_s, max_s: min_s, ..NewView::default() }];
            for slot in min_s.until(self.config.last_slot()) {
                orders.extend(longest.iter().copied());
                longest = longest
                    .iter()
                    .flat_map(|order| {
                        self.values().map(move |value| {
                            let mut longer = *order;
                            longer.max_s = slot;
                            longer.order[slot.index()] = value;
                            longer
                        })
                    })
                    .collect();
            }
            orders.extend(longest);
        }
        let checkpoints = self.config.checkpoint_interval().is_some();
        orders.retain(|order| order.max_s > order.min_s || !checkpoints);
        orders
    }

    /// Whether the model has the step under another name: executing on the certificate of an earlier view.
    fn is_other_name(&self, state: &State, action: &Action) -> bool {
        let Action::Execute { replica, view, value } = *action else { return false };
        let slot = state.replica(replica).last_executed.next();
        if slot > self.config.last_slot() {
            return false;
        }
        let named =
            |sent: &pbft_model::Sent| sent.commits[view.index()][slot.index()].contains(value);
        self.voters(state, named, None).len() >= usize::from(self.config.quorums().quorum)
            && self.model.honest().any(|id| named(state.sent(id)))
    }

    /// A way by chance, with every disabled action refused at each state.
    fn wander(&mut self, seed: u64, steps: usize) {
        let mut chance = seed;
        let (mut state, mut walk) = (self.model.init_states().remove(0), self.start());
        for _ in 0..steps {
            let enabled = self.look(&state, &mut walk);
            chance = chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let Some(last) = enabled.len().checked_sub(1) else { return };
            let action = enabled[(chance >> 33) as usize % (last + 1)];
            let Some(next) = self.model.next_state(&state, action) else { return };
            self.follow(&mut walk, &state, &next, action);
            state = next;
        }
    }

    /// At a state: every disabled action is refused. Returns the others.
    fn look(&mut self, state: &State, walk: &mut Walk) -> Vec<Action> {
        for id in self.model.honest() {
            self.hear_all(walk, state, id);
        }
        let mut enabled = Vec::new();
        self.model.actions(state, &mut enabled);
        for id in self.model.honest() {
            for action in self.universe(state, id) {
                if !enabled.contains(&action) && !self.is_other_name(state, &action) {
                    self.must_be_refused(walk, state, action);
                }
            }
        }
        enabled
    }

    /// Along every edge, with every disabled action refused at each state.
    fn explore(&mut self) {
        let first = self.model.init_states().remove(0);
        let mut seen = HashSet::from([first.clone()]);
        let mut stack = vec![(first, self.start())];
        while let Some((state, mut walk)) = stack.pop() {
            let enabled = self.look(&state, &mut walk);
            for action in enabled {
                let Some(next) = self.model.next_state(&state, action) else { continue };
                let mut after = walk.clone();
                self.follow(&mut after, &state, &next, action);
                if seen.insert(next.clone()) {
                    stack.push((next, after));
                }
            }
        }
    }

    fn must_be_refused(&mut self, walk: &Walk, state: &State, action: Action) {
        let mut tried = walk.clone();
        let id = action.replica();
        let steps = self.record(walk, state, None, action);
        let taken = steps.iter().try_for_each(|one| self.take(&mut tried, id, one.clone()));
        // Saying the same once more is no step.
        let repeated = tried.cluster.coverage == walk.cluster.coverage;
        let allowed = taken.is_ok() && !repeated;
        assert!(!allowed, "{}: the monitor allows {action}: {steps:#?}", self.config);
        self.refused += 1;
    }
}

/// Whether a NEW-VIEW that was said has this outcome: O as in `made`, above the same checkpoint.
fn is_of(said: &format::NewView, outcome: &NewView, made: &format::NewView) -> bool {
    let min_s = said.view_changes.iter().map(|change| change.low).max();
    said.order == made.order && min_s == Some(u64::from(outcome.min_s.0))
}

fn step(input: Input, out: Vec<Output>) -> Step {
    Step { number: 1, group: 1, input, refused: None, out }
}

/// Every edge and every disabled action of a configuration.
fn explore(name: &str) -> Check {
    let mut check = Check::new(name);
    check.explore();
    eprintln!("{name}: {} allowed, {} refused", check.allowed, check.refused);
    check
}

#[test]
fn the_monitor_is_the_model_with_a_byzantine_replica() {
    let mut kinds = BTreeSet::new();
    for name in ["n4-b0-v1-s1-d1", "n4-b1-v1-s1-d1", "n4-b3-v1-s1-d1-k1"] {
        let mut check = explore(name);
        assert!(check.allowed > 1000 && check.refused > 10_000, "{name}");
        kinds.append(&mut check.kinds);
    }
    assert_eq!(kinds.len(), 9, "every action: {kinds:?}");
}

#[test]
fn the_monitor_is_the_model_on_random_ways_through_larger_graphs() {
    let larger = [
        ("n4-b0-v3-s1-d2", 150),
        ("n4-b0-v3-s2-d2", 12),
        ("n4-b1-v3-s1-d2-t2", 12),
        ("n4-bnone-v2-s2-d2-k1", 12),
        ("n4-b2-v3-s2-d1-k1-l2", 12),
        ("n5-b4-v3-s1-d2", 8),
        ("n7-b06-v2-s1-d1", 4),
    ];
    for (name, ways) in larger {
        let mut check = Check::new(name);
        (1..=ways).for_each(|seed| check.wander(seed, 80));
        eprintln!("{name}: {} allowed, {} refused", check.allowed, check.refused);
        assert!(check.allowed > 100 && check.refused > 1000, "{name}");
    }
}
