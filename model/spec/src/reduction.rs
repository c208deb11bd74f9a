//! Reductions: states that the rules cannot tell apart are explored once.
//!
//! A reduction maps a state to a canonical one inside `next_state`, so that every engine profits. Each can be
//! switched off, and the tests compare verdicts and reachable facts with the unreduced model. Conformance runs
//! without: a canonical state may have permuted replicas, which a replay could not follow.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::Pbft;
use crate::action::Action;
use crate::ids::ReplicaId;
use crate::state::{Certificate, ReplicaState, Sent, State, StateDigest, Votes};
use crate::value::{Applied, Value, ValueSet};

/// Which reductions are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reductions {
    /// Clients differ in name only: they are numbered in the order in which their requests appear.
    pub values: bool,
    /// Honest replicas that lead no view of the model differ in name only: they are sorted.
    pub replicas: bool,
    /// What no rule will read again is forgotten: see [`crate::dead`].
    pub dead: bool,
}

impl Reductions {
    /// No reduction: the model as it is written.
    pub const NONE: Self = Self { values: false, replicas: false, dead: false };
    /// All reductions.
    pub const ALL: Self = Self { values: true, replicas: true, dead: true };

    /// These, but none of the others.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self {
            values: self.values && !others.values,
            replicas: self.replicas && !others.replicas,
            dead: self.dead && !others.dead,
        }
    }

    /// The names of those that are on.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        let names = [(self.values, "values"), (self.replicas, "replicas"), (self.dead, "dead")];
        names.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect()
    }
}

impl fmt::Display for Reductions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = self.names();
        f.write_str(if on.is_empty() { "none" } else { "" })?;
        f.write_str(&on.join(","))
    }
}

impl<'de> Deserialize<'de> for Reductions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = String::deserialize(deserializer)?;
        list.parse().map_err(D::Error::custom)
    }
}

impl Serialize for Reductions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A reduction that does not exist was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is not a reduction: use `none`, `all`, or a list of `values`, `replicas` and `dead`"
)]
pub struct UnknownReduction(String);

impl FromStr for Reductions {
    type Err = UnknownReduction;

    fn from_str(list: &str) -> Result<Self, UnknownReduction> {
        match list {
            "none" => return Ok(Self::NONE),
            "all" => return Ok(Self::ALL),
            _ => {}
        }
        let mut reductions = Self::NONE;
        for name in list.split(',') {
            match name {
                "values" => reductions.values = true,
                "replicas" => reductions.replicas = true,
                "dead" => reductions.dead = true,
                _ => return Err(UnknownReduction(name.to_owned())),
            }
        }
        Ok(reductions)
    }
}

impl Pbft {
    /// The reductions that are on and change nothing here: there is nothing to exchange, or, for `dead`, no argument that
    /// it is sound.
    #[must_use]
    pub fn ignored_reductions(&self) -> Vec<&'static str> {
        let reductions = self.reductions();
        let equals = (0..self.config.replicas()).map(ReplicaId);
        let exchangeable = equals.filter(|id| self.is_exchangeable(*id)).count();
        let mut ignored = Vec::new();
        if reductions.values && self.config.clients() < 2 {
            ignored.push("values");
        }
        if reductions.replicas && exchangeable < 2 {
            ignored.push("replicas");
        }
        if reductions.dead && !self.forgets_dead() {
            ignored.push("dead");
        }
        ignored
    }

    /// Whether what is dead is forgotten: the arguments for it are about a protocol that can keep its promises, and replicas
    /// that do not crash.
    fn forgets_dead(&self) -> bool {
        let is_argued = !self.config.is_beyond_tolerance() && !self.config.restarts();
        self.reductions().dead && is_argued
    }

    /// The canonical form of a state under the reductions that are on.
    #[must_use]
    pub fn canonical(&self, mut state: State) -> State {
        if self.forgets_dead() {
            self.forget_dead(&mut state);
        }
        self.renamed(state)
    }

    /// The canonical form of the state that a step leads to from a canonical one.
    pub(crate) fn canonical_after(&self, action: &Action, mut state: State) -> State {
        if self.forgets_dead() {
            self.forget_newly_dead(action, &mut state);
        }
        self.renamed(state)
    }

    /// The least of the names that are cheap to find.
    fn renamed(&self, mut state: State) -> State {
        let reductions = self.reductions();
        if reductions.replicas {
            self.sort_equals(&mut state);
        }
        if reductions.values && self.relabel(&mut state) && reductions.replicas {
            self.sort_equals(&mut state);
        }
        state
    }

    /// The least of all renamings of a state: equal exactly for states that the reductions may take for one. Slower
    /// than [`Pbft::canonical`], which settles for a representative that is cheap to find.
    #[must_use]
    pub fn least_renaming(&self, state: &State) -> State {
        let sorted = |mut renamed| {
            if self.reductions().replicas {
                self.sort_equals(&mut renamed);
            }
            renamed
        };
        self.renamed_values(state).map(sorted).min().unwrap_or_else(|| state.clone())
    }

    /// All states that the reductions may take for this one, itself among them.
    pub(crate) fn renamings(&self, state: &State) -> impl Iterator<Item = State> {
        let equals: Vec<_> = (0..self.config.replicas())
            .map(ReplicaId)
            .filter(|id| self.reductions().replicas && self.is_exchangeable(*id))
            .collect();
        let orders = permutations(&equals);
        self.renamed_values(state).flat_map(move |renamed| {
            let permuted: Vec<_> = orders
                .iter()
                .map(|order| {
                    let mut permuted = renamed.clone();
                    for (to, from) in equals.iter().zip(order) {
                        copy_replica(&renamed, *from, &mut permuted, *to);
                    }
                    permuted
                })
                .collect();
            permuted
        })
    }

    /// A state with its clients named in each possible way.
    fn renamed_values(&self, state: &State) -> impl Iterator<Item = State> {
        let clients: Vec<_> = if self.reductions().values {
            (1..=self.config.clients()).collect()
        } else {
            Vec::new()
        };
        permutations(&clients).into_iter().map(move |order| {
            let mut naming = Naming::new(self.config.clients());
            order.iter().for_each(|client| naming.see(Value::request(*client)));
            let mut renamed = state.clone();
            if let Some(names) = naming.finish() {
                renamed.rename(&names);
            }
            renamed
        })
    }

    /// Whether a replica differs from others of its kind in name only: it follows the protocol and leads no view.
    fn is_exchangeable(&self, id: ReplicaId) -> bool {
        id.0 > self.config.max_view().0 && !self.is_byzantine(id)
    }

    /// Sorts the exchangeable replicas. Insertion sort: there are two or three, mostly in order.
    fn sort_equals(&self, state: &mut State) {
        let replicas = self.config.replicas();
        for id in (0..replicas).map(ReplicaId).filter(|id| self.is_exchangeable(*id)) {
            let mut at = id.index();
            let earlier = (0..id.0).rev().map(ReplicaId);
            for before in earlier.filter(|before| self.is_exchangeable(*before)) {
                let before = before.index();
                if state.key(before) <= state.key(at) {
                    break;
                }
                state.replicas.swap(before, at);
                if !state.disks.is_empty() {
                    state.disks.swap(before, at);
                    state.wire.swap(before, at);
                }
                at = before;
            }
        }
    }

    /// Numbers the clients in the order in which their requests appear; whether that changed anything.
    fn relabel(&self, state: &mut State) -> bool {
        let mut naming = Naming::new(self.config.clients());
        self.honest().for_each(|id| state.replica(id).appearances(&mut naming));
        state.disks.iter().for_each(|disk| disk.appearances(&mut naming));
        state.wire.iter().for_each(|sent| sent.appearances(&mut naming));
        let Some(names) = naming.finish() else { return false };
        state.rename(&names);
        true
    }
}

impl State {
    /// Everything about one replica, for comparison.
    fn key(&self, at: usize) -> (&ReplicaState, Option<&ReplicaState>, Option<&Sent>) {
        (&self.replicas[at], self.disks.get(at), self.wire.get(at))
    }

    /// Gives every value in it its new name.
    fn rename(&mut self, names: &Names) {
        self.replicas.iter_mut().chain(&mut self.disks).for_each(|replica| replica.rename(names));
        self.wire.iter_mut().for_each(|sent| sent.rename(names));
    }
}

/// Copies everything about a replica to another place.
fn copy_replica(source: &State, from: ReplicaId, target: &mut State, to: ReplicaId) {
    target.replicas[to.index()] = source.replicas[from.index()];
    if !source.disks.is_empty() {
        target.disks[to.index()] = source.disks[from.index()];
        target.wire[to.index()] = source.wire[from.index()];
    }
}

/// The items in each order.
fn permutations<T: Copy>(items: &[T]) -> Vec<Vec<T>> {
    items.iter().fold(vec![Vec::new()], |orders, item| {
        let insert = |order: Vec<T>| {
            (0..=order.len()).map(move |at| {
                let mut longer = order.clone();
                longer.insert(at, *item);
                longer
            })
        };
        orders.into_iter().flat_map(insert).collect()
    })
}

/// New names for clients, given out as their requests appear.
struct Naming {
    /// By the old number of the client, from 1; 0 is none yet.
    clients: [u8; Value::MAX_CLIENTS as usize + 1],
    given: u8,
    total: u8,
}

/// The new name of each value, by its old one.
type Names = [Value; 8];

impl Naming {
    fn new(total: u8) -> Self {
        Self { clients: [0; Value::MAX_CLIENTS as usize + 1], given: 0, total }
    }

    /// With all but one name given, the last is known too.
    fn is_complete(&self) -> bool {
        self.given + 1 >= self.total
    }

    fn see(&mut self, value: Value) {
        if let Some(client) = value.client()
            && self.clients[usize::from(client)] == 0
        {
            self.given += 1;
            self.clients[usize::from(client)] = self.given;
        }
    }

    /// A set does not say which of its values came first, so only a set of one names anything.
    fn see_set(&mut self, values: ValueSet) {
        if values.len() == 1 {
            values.iter().for_each(|value| self.see(value));
        }
    }

    /// Votes by view and slot. In most views there are none.
    fn see_votes(&mut self, votes: &Votes) {
        if !self.is_complete() {
            let cast = votes.iter().filter(|slots| !ValueSet::all_empty(*slots));
            cast.flatten().for_each(|values| self.see_set(*values));
        }
    }

    /// The names, unless nothing changes. Clients that did not appear alone anywhere keep their order.
    fn finish(mut self) -> Option<Names> {
        for client in 1..=self.total {
            self.see(Value::request(client));
        }
        if (1..=self.total).all(|client| self.clients[usize::from(client)] == client) {
            return None;
        }
        let mut names = std::array::from_fn(|value| Value(value as u8));
        for name in &mut names {
            if let Some(client) = name.client() {
                // A client that the configuration does not have keeps its name.
                let renamed = self.clients[usize::from(client)];
                let client = if renamed == 0 { client } else { renamed };
                *name = Value::numbered(client, name.number());
            }
        }
        Some(names)
    }
}

fn rename(value: &mut Value, names: &Names) {
    *value = names[usize::from(value.0)];
}

fn rename_set(values: &mut ValueSet, names: &Names) {
    // Below 4 there are only none and null, which keep their names.
    if values.0 >= 4 {
        let mut renamed = ValueSet::EMPTY;
        values.iter().for_each(|value| renamed.insert(names[usize::from(value.0)]));
        *values = renamed;
    }
}

fn rename_applied(applied: &mut Applied, names: &Names) {
    let mut renamed = Applied::default();
    applied.iter().for_each(|value| renamed.push(names[usize::from(value.0)]));
    *applied = renamed;
}

fn rename_certificates(certificates: &mut [Option<Certificate>], names: &Names) {
    certificates.iter_mut().flatten().for_each(|one| rename(&mut one.value, names));
}

fn rename_digest(digest: &mut StateDigest, names: &Names) {
    rename_applied(&mut digest.applied, names);
    rename_set(&mut digest.served, names);
}

impl ReplicaState {
    /// Shows every value in it to `naming`, in a fixed order.
    fn appearances(&self, naming: &mut Naming) {
        naming.see_votes(&self.sent.prepares);
        if naming.is_complete() {
            return;
        }
        self.accepted.iter().chain(&self.executed).for_each(|value| naming.see(*value));
        self.applied.iter().for_each(|value| naming.see(value));
        self.certificates.iter().flatten().for_each(|one| naming.see(one.value));
        self.sent.appearances(naming);
    }

    /// Gives every value in it its new name.
    fn rename(&mut self, names: &Names) {
        self.accepted.iter_mut().for_each(|value| rename(value, names));
        self.executed.iter_mut().for_each(|value| rename(value, names));
        rename_certificates(&mut self.certificates, names);
        rename_applied(&mut self.applied, names);
        rename_set(&mut self.served, names);
        self.sent.rename(names);
    }
}

impl Sent {
    /// Shows every value in it to `naming`, in a fixed order.
    fn appearances(&self, naming: &mut Naming) {
        for votes in [&self.prepares, &self.commits] {
            naming.see_votes(votes);
        }
        if naming.is_complete() {
            return;
        }
        let view_changes = self.view_changes.iter().flatten();
        let prepared = view_changes.flat_map(|one| one.prepared.iter().flatten());
        prepared.for_each(|one| naming.see(one.value));
        let orders = self.new_views.iter().flatten().flat_map(|one| one.order.iter());
        orders.for_each(|value| naming.see(*value));
        let digests = self.checkpoints.iter().flatten();
        digests.for_each(|digest| digest.applied.iter().for_each(|value| naming.see(value)));
    }

    /// Gives every value in it its new name.
    fn rename(&mut self, names: &Names) {
        for votes in [&mut self.prepares, &mut self.commits] {
            let cast = votes.iter_mut().filter(|slots| !ValueSet::all_empty(*slots));
            cast.flatten().for_each(|values| rename_set(values, names));
        }
        let view_changes = self.view_changes.iter_mut().flatten();
        view_changes.for_each(|one| rename_certificates(&mut one.prepared, names));
        let orders = self.new_views.iter_mut().flatten();
        orders.for_each(|one| one.order.iter_mut().for_each(|value| rename(value, names)));
        self.checkpoints.iter_mut().flatten().for_each(|digest| rename_digest(digest, names));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in ["none", "values", "replicas", "values,replicas", "values,dead"] {
            assert_eq!(name.parse::<Reductions>().map(|one| one.to_string()), Ok(name.to_owned()));
        }
        assert_eq!("all".parse(), Ok(Reductions::ALL));
        assert!("values,other".parse::<Reductions>().is_err());
    }
}
