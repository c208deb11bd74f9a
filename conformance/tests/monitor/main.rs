//! The monitor of recorded runs and the model are the same protocol: along every edge of the model's graph the monitor
//! allows the step, and at every state it refuses each step that the model does not have there.

mod record;
mod said;
mod universe;

use pbft_conformance::validate::cluster::Cluster;
use pbft_conformance::validate::refusal::Refusal;
use pbft_model::{Action, Config, Pbft, ReplicaId, Slot, State, Value, View};
use pbft_node::trace::ShortDigest;
use pbft_node::trace::format::{self, Body, Header, Input, Output, Resumed, Step};
use stateright::Model;
use std::collections::{BTreeMap, BTreeSet, HashSet};

const NULL: ShortDigest = ShortDigest(u128::MAX);

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

    fn header(&self) -> Header {
        Header {
            format: 1,
            program: "test".to_owned(),
            cluster: ShortDigest(0),
            replicas: u32::from(self.config.replicas()),
            replica: 0,
            interval: self.config.checkpoint_interval().map_or(u64::MAX, u64::from),
            window: u64::from(self.config.window()),
            null: NULL,
            state: Resumed::default(),
        }
    }

    fn start(&self) -> Walk {
        let header = self.header();
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

    fn take(&self, walk: &mut Walk, id: ReplicaId, step: Step) -> Result<(), String> {
        match walk.cluster.missing(&step) {
            Ok(None) => {}
            Ok(Some(place)) => return Err(format!("nobody said {place}")),
            Err(refusal) => return Err(refusal.to_string()),
        }
        let taken: Result<(), Box<Refusal>> = walk.cluster.step(u32::from(id.0), &step);
        taken.map_err(|refusal| refusal.to_string())
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
    let names = ["n4-b0-v1-s1-d1", "n4-b1-v1-s1-d1", "n4-b3-v1-s1-d1-k1"];
    let checks = std::thread::scope(|scope| {
        let running = names.map(|name| scope.spawn(move || explore(name)));
        running.map(|check| check.join().expect("no step differs"))
    });
    let mut kinds = BTreeSet::new();
    for (name, mut check) in names.into_iter().zip(checks) {
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

/// §4.5.2: of f+1 later views the smallest is joined. In the model somebody has always asked for the views in between; a
/// replica that has not heard of it does not join them all the same.
#[test]
fn a_view_is_joined_that_somebody_asks_for() {
    let check = Check::new("n4-bnone-v3-s1-d1");
    let change = |replica: u32, view: u64| format::ViewChange {
        view,
        replica,
        low: 0,
        stable: None,
        prepared: Vec::new(),
    };
    let hear = |from: u32, view: u64| {
        let body = Body::ViewChange(change(from, view));
        step(Input::Message { from, body }, Vec::new())
    };
    let join = |heard: &[(u32, u64)], to: u64| {
        let mut cluster = Cluster::new(&check.header(), [0].into_iter());
        for (from, view) in heard {
            cluster.step(0, &hear(*from, *view)).expect("it can be heard");
        }
        let said = vec![Output::All(Body::ViewChange(change(0, to)))];
        cluster.step(0, &step(Input::StatusTimer, said)).map_err(|refusal| refusal.to_string())
    };
    assert_eq!(join(&[(2, 3), (3, 3)], 3), Ok(()));
    assert_eq!(join(&[(2, 2), (3, 3)], 2), Ok(()));
    assert_eq!(join(&[(2, 2), (3, 3)], 1), Ok(()), "the next view needs nobody");
    join(&[(2, 3), (3, 3)], 2).expect_err("nobody asks for view 2");
    join(&[(2, 3)], 3).expect_err("one is not enough");
}
