//! Graphs of pairs: a state of the model, and what the replicas hold in it. The same state that is reached with other
//! remainders is another pair, and its edges are taken from each.
//!
//! An edge is a step of the model in one of the ways that the replay knows. A graph has those of [`Ways`], and besides each
//! step by a replica that was just started again and has lost what it held.

use super::group::{Carry, Group, Manner};
use super::leftover::Leftover;
use crate::divergence::{Difference, Divergence};
use crate::refinement::pick::Pick;
use crate::replay::core::step::Work;
use crate::replay::core::{Counters, Replay, fingerprint};
use pbft_model as model;
use serde::Serialize;
use std::collections::HashSet;
use std::fmt::{self, Debug, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// The ways in which a step is taken in a graph of pairs. Not all in one: each multiplies what a replica can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Ways {
    /// Each selection of messages that would do, each of them last, and certificates in their place.
    Selections,
    /// The first of these; and the same with all early, or all late votes for it, which the replica is then given.
    Leftovers,
}

impl fmt::Display for Ways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Selections => "each selection",
            Self::Leftovers => "with leftovers",
        })
    }
}

/// What the walk through one graph of pairs did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProductReport {
    /// The configuration.
    pub config: String,
    /// States of the model among the pairs.
    pub model_states: u64,
    /// Pairs.
    pub states: u64,
    /// Edges between them.
    pub edges: u64,
    /// Of these, edges that lead to a pair that was there.
    pub joins: u64,
    /// Pairs and edges on record.
    pub on_record: (u64, u64),
    /// Whether all of it was walked.
    pub complete: bool,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Inputs, refusals and effects.
    #[serde(skip)]
    pub work: Work,
}

/// A pair whose edges were not taken yet.
struct Node {
    group: Group,
    /// 64 bits for each replica, which stand for all that it is.
    digests: Vec<u64>,
    /// Where it was reached from.
    at: usize,
}

/// A walk through the graph of one configuration.
struct Walk<'a> {
    carry: Carry<'a>,
    ways: Ways,
    counters: &'a Counters,
    visited: HashSet<u64>,
    of_model: HashSet<u64>,
    /// How each pair was reached first: from which, and by which steps.
    reached: Vec<(usize, Vec<model::Action>)>,
    stack: Vec<Node>,
    report: ProductReport,
}

impl Replay {
    /// Walks the graph of pairs, or until the first divergence, or until `counters.stop`.
    pub fn product(
        &self,
        ways: Ways,
        counters: &Counters,
    ) -> (ProductReport, Option<Box<Divergence>>) {
        let started = Instant::now();
        let carry = Carry { model: &self.model, vocabulary: &self.vocabulary };
        let config = self.model.config();
        let (visited, of_model, reached, stack) = Default::default();
        let report =
            ProductReport { config: format!("{config}, {ways}"), ..ProductReport::default() };
        let mut walk = Walk { carry, ways, counters, visited, of_model, reached, stack, report };
        let group = Group::new(&self.vocabulary);
        let all = (0..self.model.config().replicas()).map(model::ReplicaId);
        let digests = all.map(|replica| digest(&group.whole(replica))).collect();
        walk.reach(Node { group, digests, at: 0 }, Vec::new());
        let mut divergence = None;
        while let Some(node) = walk.stack.pop() {
            if counters.stop.load(Ordering::Relaxed) {
                walk.stack.push(node);
                break;
            }
            if let Err((action, difference)) = walk.edges(&node) {
                let mut found = self.divergence(&walk.way_to(node.at), action, difference);
                found.reproduce = self.again_in_pairs(ways);
                divergence = Some(Box::new(found));
                break;
            }
        }
        let mut report = walk.report;
        report.complete = divergence.is_none() && walk.stack.is_empty();
        (report.states, report.model_states) =
            (walk.visited.len() as u64, walk.of_model.len() as u64);
        report.seconds = started.elapsed().as_secs_f64();
        (report, divergence)
    }
}

impl Walk<'_> {
    /// Takes all edges of a pair.
    fn edges(&mut self, node: &Node) -> Result<(), (model::Action, Difference)> {
        for action in self.carry.actions(&node.group) {
            self.edges_of(node, &action).map_err(|difference| (action, difference))?;
        }
        Ok(())
    }

    /// Takes a step in each way.
    fn edges_of(&mut self, node: &Node, action: &model::Action) -> Result<(), Difference> {
        self.edge(node, action, Pick::first(), true, &[])?;
        if self.ways == Ways::Leftovers {
            let leftovers = [Leftover::EarlyVote, Leftover::LateVote];
            self.edge(node, action, Pick::first(), false, &leftovers)?;
            return Ok(());
        }
        let mut pick = Some(Pick::first());
        while let Some(this) = pick {
            pick = self.edge(node, action, this, false, &[])?.next();
        }
        Ok(())
    }

    /// Takes a step with one selection of messages: as it is, and with each of these sorts of leftovers.
    fn edge(
        &mut self,
        node: &Node,
        action: &model::Action,
        pick: Pick,
        restart: bool,
        leftovers: &[Leftover],
    ) -> Result<Pick, Difference> {
        let mut group = node.group.clone();
        let choice = fingerprint(&group.state);
        let (manner, work) = (Manner { pick, restart, choice }, &mut self.report.work);
        let (steps, pick) = self.carry.take(&mut group, action, manner, work)?;
        for &kind in leftovers {
            let mut littered = group.clone();
            if self.litter(&mut littered, action.replica(), kind)? {
                self.arrive(littered, node, action.replica(), &steps);
            }
        }
        self.arrive(group, node, action.replica(), &steps);
        Ok(pick)
    }

    /// Gives a replica all of a kind: whether any of it stayed.
    fn litter(
        &mut self,
        group: &mut Group,
        own: model::ReplicaId,
        kind: Leftover,
    ) -> Result<bool, Difference> {
        let mut any = false;
        for delivery in self.carry.leftovers(group, own, kind) {
            let given = self.carry.give(group, own, kind, &delivery, &mut self.report.work)?;
            any |= given.unwrap_or_default();
        }
        Ok(any)
    }

    /// An edge leads here, on which one replica has changed.
    fn arrive(
        &mut self,
        group: Group,
        from: &Node,
        own: model::ReplicaId,
        steps: &[model::Action],
    ) {
        self.report.edges += 1;
        self.counters.edges.fetch_add(1, Ordering::Relaxed);
        let mut digests = from.digests.clone();
        digests[own.index()] = digest(&group.whole(own));
        if !self.reach(Node { group, digests, at: from.at }, steps.to_vec()) {
            self.report.joins += 1;
        }
    }

    /// Notes a pair that was reached from `node.at`: whether it is new.
    fn reach(&mut self, node: Node, steps: Vec<model::Action>) -> bool {
        let of_model = fingerprint(&node.group.state);
        let mut hasher = DefaultHasher::new();
        (of_model, &node.digests).hash(&mut hasher);
        if !self.visited.insert(hasher.finish()) {
            return false;
        }
        self.of_model.insert(of_model);
        self.counters.states.fetch_add(1, Ordering::Relaxed);
        let at = self.reached.len();
        self.reached.push((node.at, steps));
        self.stack.push(Node { at, ..node });
        true
    }

    /// The steps that led to a pair.
    fn way_to(&self, mut at: usize) -> Vec<model::Action> {
        let mut parts = Vec::new();
        while at > 0 {
            let (from, steps) = &self.reached[at];
            parts.push(steps);
            at = *from;
        }
        parts.into_iter().rev().flatten().copied().collect()
    }
}

/// Hashes what is written to it.
struct Digester(DefaultHasher);

impl Write for Digester {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// 64 bits that stand for all that a value shows of itself.
fn digest(value: &dyn Debug) -> u64 {
    let mut digester = Digester(DefaultHasher::new());
    // Hashing does not fail.
    let _ = write!(digester, "{value:?}");
    digester.0.finish()
}
