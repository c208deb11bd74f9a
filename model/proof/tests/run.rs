//! Along a run the invariant comes to the same as in whole states, and what breaks it is told.

use pbft_proof::instance::{Facts, Instance, Place, Sizes};
use pbft_proof::run::{Group, Monitor};
use pbft_proof::said::{Individual, Name, Named, Signed, Statements};
use pbft_proof::theory::{SOURCE, Theory};
use std::collections::{BTreeMap, BTreeSet};

const SIZES: Sizes = Sizes { replicas: 4, quorums: 4, views: 4, numbers: 4, values: 4, digests: 3 };

/// Chance from a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % end
    }
}

/// All of a state's facts, in the structure that states of the model are compared with.
struct Dense {
    instance: Instance,
    facts: Facts,
    honest: Vec<u8>,
    quorums: Vec<u8>,
}

impl Dense {
    fn new(theory: &Theory, honest: &[u8]) -> Self {
        let instance = Instance::new(theory, SIZES);
        let mut facts = instance.nothing();
        let quorums: Vec<u8> = (0..16_u8).filter(|set| set.count_ones() == 3).collect();
        let place = |name| instance.relation(name).expect("a relation");
        honest.iter().for_each(|id| facts.insert(place("honest"), &[*id]));
        for (at, set) in quorums.iter().enumerate() {
            let members = (0..4).filter(|id| set >> id & 1 == 1);
            members.for_each(|id| facts.insert(place("member"), &[id, at as u8]));
        }
        Self { facts, honest: honest.to_vec(), quorums, instance }
    }

    fn place(&self, name: &str) -> Place {
        self.instance.relation(name).expect("a relation")
    }

    /// Certificates whose votes are there.
    fn close(&mut self) {
        let (vote, commit) = (self.place("vote"), self.place("commit"));
        let (prepared, committed) = (self.place("prepared"), self.place("committed"));
        let others = 4 - self.honest.len();
        let enough = |of: &dyn Fn(u8) -> bool| {
            self.honest.iter().filter(|id| of(**id)).count() + others >= 3
        };
        let mut facts = self.facts.clone();
        for (view, seq) in (0..4).flat_map(|view| (0..4).map(move |seq| (view, seq))) {
            for value in 0..4 {
                if enough(&|id| self.facts.has(vote, &[id, view, seq, value])) {
                    facts.insert(prepared, &[view, seq, value]);
                }
                if enough(&|id| self.facts.has(commit, &[id, view, seq, value])) {
                    facts.insert(committed, &[view, seq, value]);
                }
            }
            for digest in 0..3 {
                let signed = self.place("checkpoint");
                if enough(&|id| self.facts.has(signed, &[id, seq, digest])) {
                    facts.insert(self.place("stable"), &[seq, digest]);
                }
            }
        }
        self.facts = facts;
    }

    fn broken(&self) -> BTreeSet<String> {
        self.instance.broken(&self.facts).map(str::to_owned).collect()
    }
}

impl Statements for Dense {
    fn add(&mut self, name: Name, arguments: &[Individual]) {
        let mut arguments: Vec<u8> = arguments.iter().map(|one| *one as u8).collect();
        if name == Name::NewView {
            let at = self.quorums.iter().position(|set| *set == arguments[1]);
            arguments[1] = at.expect("a quorum") as u8;
        }
        let place = self.place(name.text());
        self.facts.insert(place, &arguments);
    }

    fn add_below(&mut self, name: Name, arguments: &[Individual], end: Individual) {
        for last in 0..end {
            let all: Vec<_> = arguments.iter().copied().chain([last]).collect();
            self.add(name, &all);
        }
    }
}

/// Something that a replica may say, or that is only half of it. One individual of each sort stays out of it: of
/// batches, views and numbers there is no end.
fn something(chance: &mut Chance) -> impl Fn(&mut dyn Statements) + use<> {
    let id = chance.below(4) as u32;
    let (view, seq) = (chance.below(3), chance.below(3) + 1);
    let value = Individual::from(chance.below(3));
    let digest = Individual::from(chance.below(2));
    let named = Named { view, seq, value };
    let quorum = [7, 11, 13, 14][chance.below(4) as usize];
    let other = chance.below(3);
    let what = chance.below(19);
    move |all| match what {
        0..4 => all.votes(id, named),
        4 => all.add(Name::Vote, &[id.into(), view.into(), Individual::from(seq - 1), value]),
        5 | 6 => {
            all.holds(id, seq, view);
            all.commits(id, named);
        }
        7 => all.commits(id, named),
        8 => all.is_in(id, view),
        9 => {
            all.is_in(id, view);
            all.asks_for(id, view, other);
        }
        10 if other == 0 => all.asks_for(id, view, 0),
        10 => all.shows(id, view, seq, other),
        11 => all.begins(view, quorum),
        12 => all.executes(id, seq, value),
        13 => all.add_below(Name::Executed, &[id.into()], seq.into()),
        14 => all.signs(id, Signed { seq, digest }),
        15 => {
            all.ends(Signed { seq, digest });
            all.includes(digest, seq, value);
        }
        16 => all.prepared(named),
        17 => all.stable(Signed { seq, digest }),
        _ => all.committed(named),
    }
}

#[test]
fn what_a_new_fact_breaks_is_found_and_nothing_else() {
    let theory = Theory::pbft().expect("a theory");
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..1000 {
        let mut chance = Chance(seed);
        let honest: &[u8] = if seed % 2 == 0 { &[0, 1, 2, 3] } else { &[0, 2, 3] };
        let mut dense = Dense::new(&theory, honest);
        let honest = honest.iter().map(|id| Individual::from(*id)).collect();
        let group = Group { replicas: 4, quorum: 3, honest };
        let mut monitor = Monitor::new(theory.clone(), group).expect("all forms are foreseen");
        for _ in 0..40 {
            let before = dense.broken();
            let said = something(&mut chance);
            said(&mut dense);
            said(&mut monitor);
            dense.close();
            let after = dense.broken();
            let told: BTreeSet<String> =
                monitor.look().into_iter().map(|breach| breach.conjunct).collect();
            let new: BTreeSet<String> = after.difference(&before).cloned().collect();
            assert!(new.is_subset(&told), "seed {seed}: {new:?} of {told:?}");
            assert!(told.is_subset(&after), "seed {seed}: {told:?} of {after:?}");
            new.into_iter().for_each(|name| *found.entry(name).or_default() += 1);
        }
    }
    for conjunct in &theory.conjuncts {
        let times = found.get(&conjunct.name).copied().unwrap_or_default();
        assert!(times >= 5, "{} was broken {times} times: {found:?}", conjunct.name);
    }
}

fn monitor(replicas: usize, quorum: usize) -> Monitor {
    let honest = (0..replicas as Individual).collect();
    let theory = Theory::pbft().expect("a theory");
    Monitor::new(theory, Group { replicas, quorum, honest }).expect("all forms are foreseen")
}

#[test]
fn a_vote_against_what_may_be_decided_is_told_with_its_facts() {
    let mut monitor = monitor(16, 11);
    let first = Named { view: 0, seq: 5, value: 0xaa << 120 };
    for id in 0..11 {
        monitor.votes(id, first);
        monitor.holds(id, 5, 0);
        monitor.commits(id, first);
    }
    assert_eq!(monitor.look(), []);
    // All have left view 0 but one whose COMMIT may still come.
    for id in 0..15 {
        monitor.is_in(id, 1);
    }
    monitor.votes(15, Named { view: 1, value: 0xbb << 120, ..first });
    let breaches = monitor.look();
    let [breach] = &*breaches else { panic!("{breaches:?}") };
    assert_eq!(breach.conjunct, "choosable");
    let text = breach.to_string();
    for part in ["voted(v1, #5, bb000000)", "commit(10, v0, #5, aa000000)", "every quorum"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("commit(11,"), "{text}");
}

#[test]
fn what_can_no_longer_be_said_is_forgotten() {
    let mut monitor = monitor(4, 3);
    let mut most = 0;
    for seq in 1..=2000_u64 {
        let named = Named { view: 0, seq, value: Individual::from(seq) };
        for id in 0..4 {
            monitor.votes(id, named);
            monitor.holds(id, seq, 0);
            monitor.commits(id, named);
        }
        (0..4).for_each(|id| monitor.executes(id, seq, named.value));
        assert_eq!(monitor.look(), []);
        monitor.forget(seq.saturating_sub(10));
        most = most.max(monitor.remembered());
    }
    assert!(most < 400, "{most}");
    let instances = monitor.instances();
    assert_eq!(instances["one-vote"], 4 * 2 * 2000, "each vote beside itself, in both places");
    assert_eq!(instances["view-change-shows"], 0);
}

#[test]
fn a_form_that_is_not_foreseen_is_refused_by_name() {
    let from = "forall N R S V. honest(N) & vote(N,R,S,V) -> voted(R,S,V)";
    assert_eq!(SOURCE.matches(from).count(), 1);
    for (to, what) in [
        ("forall N R S V. vote(N,R,S,V) -> (forall W. voted(R,S,W))", "`forall W."),
        ("exists N R S V. vote(N,R,S,V)", "not said of all"),
        ("forall N R S. honest(N) -> (exists V. !vote(N,R,S,V))", "without a fact"),
        ("forall N R S V. voted(R,S,V) | !honest(N)", "nothing can break it"),
    ] {
        let theory = Theory::read(&SOURCE.replace(from, to)).expect("a theory");
        let group = Group { replicas: 4, quorum: 3, honest: vec![0, 1, 2, 3] };
        let error = Monitor::new(theory, group).expect_err("refused").to_string();
        assert!(error.contains("`votes-are-seen`") && error.contains(what), "{error}");
    }
}
