//! The model and the theorem (`pbft-proof`) are about one system: what a state of the model says in the theorem's
//! relations, whether the theorem's invariant holds there, and whether each step of the model is one of the theorem's
//! system, or several, or changes none of its relations.
//!
//! What is taken from a state is what is on the disks and on the network, since the theorem's relations never shrink.
//! Certificates, stable checkpoints and NEW-VIEWs are there as soon as the messages are of which they consist. A
//! checkpoint's digest stands for the batches decided up to its number, so those must give the state that was signed.

mod difference;

pub use difference::{Difference, TheoremError};
use pbft_proof::instance::{Facts, Instance, Place, Sizes};
use pbft_proof::theory::Theory;

use crate::Pbft;
use crate::action::Action;
use crate::ids::{MAX_SLOTS, ReplicaId, Slot, View};
use crate::state::{ReplicaState, State, StateDigest};
use crate::value::{Applied, Value, ValueSet};

/// What reports call it that model and theorem do not differ.
pub const PROPERTY: &str = "theorem";

/// The theorem's relations for one configuration, and what is always the same in them.
#[derive(Clone, Debug)]
pub struct Theorem {
    pbft: Pbft,
    instance: Instance,
    places: Places,
    /// A bit for each member of a quorum.
    quorums: Vec<u8>,
    /// The batches, by their number in the theorem.
    values: Vec<Value>,
    /// Who is honest, who leads which view, who belongs to which quorum.
    fixed: Facts,
}

/// Per slot, the batch that is decided.
type Decided = [Value; MAX_SLOTS];

macro_rules! places {
    ($($name:ident),* $(,)?) => {
        /// Where the facts of each relation are.
        #[derive(Clone, Debug)]
        struct Places { $($name: Place),* }

        impl Places {
            fn new(instance: &Instance) -> Result<Self, TheoremError> {
                let find = |name| instance.relation(name).ok_or(TheoremError::NoRelation(name));
                Ok(Self { $($name: find(stringify!($name))?),* })
            }
        }
    };
}

places!(
    honest,
    member,
    leads,
    vote,
    voted,
    prepared,
    commit,
    reached,
    committed,
    left,
    view_change,
    shows,
    past,
    new_view,
    executed,
    history,
    checkpoint,
    stable,
    low,
    content,
    upto,
);

impl Theorem {
    /// The theorem for the configuration of a model.
    ///
    /// # Errors
    /// If the theory cannot be read, or lacks a relation.
    pub fn new(pbft: &Pbft) -> Result<Self, TheoremError> {
        Self::of(pbft, &Theory::pbft()?)
    }

    /// The same with another theory: for tests that it is noticed.
    ///
    /// # Errors
    /// If it lacks a relation.
    pub fn of(pbft: &Pbft, theory: &Theory) -> Result<Self, TheoremError> {
        let config = pbft.config();
        let (n, q) = (config.replicas(), config.quorums().quorum);
        let sets = (0..1u16 << n).map(|set| set as u8);
        let quorums: Vec<u8> = sets.filter(|set| set.count_ones() == u32::from(q)).collect();
        let values: Vec<Value> = [Value::NULL].into_iter().chain(pbft.requests()).collect();
        let instance = Instance::new(
            theory,
            Sizes {
                replicas: n,
                quorums: quorums.len() as u8,
                views: config.max_view().0 + 1,
                numbers: config.last_slot().0,
                values: values.len() as u8,
                digests: config.last_slot().0,
            },
        );
        let places = Places::new(&instance)?;
        let mut fixed = instance.nothing();
        for id in pbft.honest() {
            fixed.insert(places.honest, &[id.0]);
        }
        for view in pbft.views() {
            fixed.insert(places.leads, &[pbft.primary(view).0, view.0]);
        }
        for (at, quorum) in quorums.iter().enumerate() {
            for id in crate::ids::members(*quorum) {
                fixed.insert(places.member, &[id.0, at as u8]);
            }
        }
        Ok(Self { pbft: pbft.clone(), instance, places, quorums, values, fixed })
    }

    /// The names of the theorem's steps.
    pub fn step_names(&self) -> impl Iterator<Item = &str> {
        self.instance.step_names()
    }

    /// Whether the theorem's invariant holds in a state, and the actions from there are steps of its system. Gives a bit
    /// for each of those, by number.
    ///
    /// # Errors
    /// Where it does not, they are none, or the state cannot be said in the theorem's relations.
    pub fn compare(&self, state: &State, actions: &[Action]) -> Result<u64, Difference> {
        let decided = self.decided(state)?;
        let facts = self.facts(state, &decided)?;
        none_broken(self.instance.broken(&facts))?;
        let mut taken = 0;
        for action in actions {
            let after = self.pbft.stepped(state, *action);
            let steps = match self.extended(&facts, &decided, state, action.replica(), &after)? {
                Some(next) => self.instance.steps(&facts, &next),
                None => {
                    let then = self.decided(&after)?;
                    let next = self.facts(&after, &then)?;
                    none_broken(self.instance.broken_axioms(&next))?;
                    // What a digest stands for is the same for ever: also before it is decided.
                    self.instance.steps(&self.facts(state, &then)?, &next)
                }
            };
            let steps =
                steps.map_err(|reason| Difference::Step { action: action.to_string(), reason })?;
            steps.into_iter().for_each(|step| taken |= 1 << step);
        }
        Ok(taken)
    }

    /// The facts after a step, from those before it: quicker than all anew, since only what one replica has to say changes.
    /// None if a step decides something, or takes something back.
    fn extended(
        &self,
        facts: &Facts,
        decided: &Decided,
        state: &State,
        id: ReplicaId,
        after: &State,
    ) -> Result<Option<Facts>, Difference> {
        let (said, says) = (state.sent(id), after.sent(id));
        let commits = said.commits != says.commits;
        if commits && self.decided(after)? != *decided {
            return Ok(None);
        }
        let own = self.own(after, id, decided)?;
        if !self.own(state, id, decided)?.is_within(&own) {
            return Ok(None);
        }
        let mut next = facts.clone();
        next.add(&own);
        if commits || said.prepares != says.prepares {
            self.certificates(after, &mut next)?;
        }
        if said.view_changes != says.view_changes {
            self.new_views(after, &mut next);
        }
        if said.checkpoints != says.checkpoints {
            self.stable_checkpoints(after, &mut next);
        }
        Ok(Some(next))
    }

    /// Whether the system may begin in a state: its axioms hold there, and nothing has happened.
    #[must_use]
    pub fn is_initial(&self, state: &State) -> bool {
        let facts = self.decided(state).and_then(|decided| self.facts(state, &decided));
        facts.is_ok_and(|facts| {
            self.instance.is_initial(&facts) && self.instance.broken_axioms(&facts).next().is_none()
        })
    }

    /// What a state says.
    fn facts(&self, state: &State, decided: &Decided) -> Result<Facts, Difference> {
        let mut facts = self.fixed.clone();
        for id in self.pbft.honest() {
            facts.add(&self.own(state, id, decided)?);
        }
        self.digests(decided, &mut facts)?;
        self.certificates(state, &mut facts)?;
        self.new_views(state, &mut facts);
        self.stable_checkpoints(state, &mut facts);
        Ok(facts)
    }

    /// What a state says of one replica.
    fn own(&self, state: &State, id: ReplicaId, decided: &Decided) -> Result<Facts, Difference> {
        let mut facts = self.instance.nothing();
        self.votes_of(state, id, &mut facts)?;
        self.view_changes_of(state, id, &mut facts);
        self.state_of(state, id, decided, &mut facts)?;
        Ok(facts)
    }

    fn number(&self, value: Value) -> Result<u8, Difference> {
        let at = self.values.iter().position(|known| *known == value);
        at.map(|at| at as u8).ok_or(Difference::NoBatch { value })
    }

    /// PRE-PREPAREs, PREPAREs and COMMITs.
    fn votes_of(&self, state: &State, id: ReplicaId, facts: &mut Facts) -> Result<(), Difference> {
        let (places, sent) = (&self.places, state.sent(id));
        let low = durable(state, id).low_water_mark;
        for view in self.pbft.views() {
            for slot in self.pbft.slots() {
                let at = number_of(slot);
                for value in sent.prepares[view.index()][slot.index()].iter() {
                    let value = self.number(value)?;
                    facts.insert(places.vote, &[id.0, view.0, at, value]);
                    facts.insert(places.voted, &[view.0, at, value]);
                }
                for value in sent.commits[view.index()][slot.index()].iter() {
                    facts.insert(places.commit, &[id.0, view.0, at, self.number(value)?]);
                    // Above h the certificate must be at hand.
                    if slot <= low {
                        self.reached(id, slot, view, facts);
                    }
                }
            }
        }
        Ok(())
    }

    fn reached(&self, id: ReplicaId, slot: Slot, view: View, facts: &mut Facts) {
        for earlier in 0..=view.0 {
            facts.insert(self.places.reached, &[id.0, number_of(slot), earlier]);
        }
    }

    /// The views that it has left, and its VIEW-CHANGEs.
    fn view_changes_of(&self, state: &State, id: ReplicaId, facts: &mut Facts) {
        let places = &self.places;
        for view in (0..durable(state, id).view.0).map(View) {
            facts.insert(places.left, &[id.0, view.0]);
        }
        for view in self.pbft.views() {
            let Some(sent) = &state.sent(id).view_changes[view.index()] else { continue };
            facts.insert(places.view_change, &[id.0, view.0]);
            for slot in self.pbft.slots() {
                let at = number_of(slot);
                if slot <= sent.low_water_mark {
                    facts.insert(places.past, &[id.0, view.0, at]);
                }
                let shown = sent.prepared[slot.index()].map_or(0, |shown| shown.view.0 + 1);
                for earlier in 0..shown {
                    facts.insert(places.shows, &[id.0, view.0, at, earlier]);
                }
            }
        }
    }

    /// What it has executed, holds, and has signed of it.
    fn state_of(
        &self,
        state: &State,
        id: ReplicaId,
        decided: &Decided,
        facts: &mut Facts,
    ) -> Result<(), Difference> {
        let (places, replica) = (&self.places, durable(state, id));
        for slot in self.pbft.slots() {
            let at = number_of(slot);
            if slot <= replica.last_executed {
                let executed = replica.executed[slot.index()];
                // What it did not execute itself came with a state.
                let value = if executed.is_some() { executed } else { decided[slot.index()] };
                if value.is_none() {
                    return Err(Difference::Undecided { replica: id, slot });
                }
                facts.insert(places.executed, &[id.0, at]);
                facts.insert(places.history, &[id.0, at, self.number(value)?]);
            }
            if slot <= replica.low_water_mark {
                facts.insert(places.low, &[id.0, at]);
            } else if let Some(held) = replica.certificates[slot.index()] {
                self.reached(id, slot, held.view, facts);
            }
            if let Some(signed) = state.sent(id).checkpoints[slot.index()] {
                if state_after(decided, slot) != Some(signed) {
                    return Err(Difference::OtherState { replica: id, slot });
                }
                facts.insert(places.checkpoint, &[id.0, at, at]);
            }
        }
        Ok(())
    }

    /// One digest for each slot up to which everything is decided.
    fn digests(&self, decided: &Decided, facts: &mut Facts) -> Result<(), Difference> {
        for slot in self.pbft.slots() {
            if decided[slot.index()].is_none() {
                break;
            }
            let digest = number_of(slot);
            facts.insert(self.places.upto, &[digest, digest]);
            for earlier in Slot::GENESIS.until(slot) {
                let value = self.number(decided[earlier.index()])?;
                facts.insert(self.places.content, &[digest, number_of(earlier), value]);
            }
        }
        Ok(())
    }

    /// Prepared and commit certificates: those for which a quorum's honest members have voted.
    fn certificates(&self, state: &State, facts: &mut Facts) -> Result<(), Difference> {
        for view in self.pbft.views() {
            for slot in self.pbft.slots() {
                let key = [view.0, number_of(slot)];
                let votes = |id| state.sent(id).prepares[view.index()][slot.index()];
                for value in self.agreed(votes).iter() {
                    facts.insert(self.places.prepared, &[key[0], key[1], self.number(value)?]);
                }
                let commits = |id| state.sent(id).commits[view.index()][slot.index()];
                for value in self.agreed(commits).iter() {
                    facts.insert(self.places.committed, &[key[0], key[1], self.number(value)?]);
                }
            }
        }
        Ok(())
    }

    /// The values that enough replicas voted for to make a quorum with the Byzantine ones.
    fn agreed(&self, votes: impl Fn(ReplicaId) -> ValueSet) -> ValueSet {
        let (mut all, mut agreed) = (ValueSet::EMPTY, ValueSet::EMPTY);
        self.pbft.honest().for_each(|id| all = all.union(votes(id)));
        for value in all.iter() {
            let voters = self.pbft.honest().filter(|id| votes(*id).contains(value)).count();
            if voters >= self.honest_needed() {
                agreed.insert(value);
            }
        }
        agreed
    }

    /// The honest replicas that make a quorum with the Byzantine ones, whose votes are there for the asking.
    fn honest_needed(&self) -> usize {
        let config = self.pbft.config();
        usize::from(config.quorums().quorum - config.byzantine_count())
    }

    /// A NEW-VIEW for each quorum whose honest members have asked for the view.
    fn new_views(&self, state: &State, facts: &mut Facts) {
        for view in self.pbft.views() {
            let asked = |id: &ReplicaId| state.sent(*id).view_changes[view.index()].is_some();
            let asked = self.pbft.honest().filter(asked).fold(0u8, |set, id| set | 1 << id.0);
            if asked == 0 {
                continue;
            }
            let honest = self.pbft.config().honest_bits();
            for (at, quorum) in self.quorums.iter().enumerate() {
                if quorum & honest & !asked == 0 {
                    facts.insert(self.places.new_view, &[view.0, at as u8]);
                }
            }
        }
    }

    /// Checkpoints that the honest members of a quorum have signed.
    fn stable_checkpoints(&self, state: &State, facts: &mut Facts) {
        for slot in self.pbft.slots() {
            let signed = |id: &ReplicaId| state.sent(*id).checkpoints[slot.index()].is_some();
            // All have signed the same state, or there would be no facts.
            if self.pbft.honest().filter(signed).count() >= self.honest_needed() {
                facts.insert(self.places.stable, &[number_of(slot), number_of(slot)]);
            }
        }
    }

    /// What is decided, by slot.
    fn decided(&self, state: &State) -> Result<Decided, Difference> {
        let mut decided = Decided::default();
        for slot in self.pbft.slots() {
            for view in self.pbft.views() {
                let commits = |id| state.sent(id).commits[view.index()][slot.index()];
                for value in self.agreed(commits).iter() {
                    let first = decided[slot.index()];
                    if first.is_some() && first != value {
                        return Err(Difference::TwoDecisions { slot, first, second: value });
                    }
                    decided[slot.index()] = value;
                }
            }
        }
        Ok(decided)
    }
}

fn none_broken<'a>(broken: impl Iterator<Item = &'a str>) -> Result<(), Difference> {
    let broken: Vec<_> = broken.map(str::to_owned).collect();
    if broken.is_empty() { Ok(()) } else { Err(Difference::Broken(broken)) }
}

/// What a replica knows after a crash.
fn durable(state: &State, id: ReplicaId) -> &ReplicaState {
    state.disks.get(id.index()).unwrap_or_else(|| state.replica(id))
}

/// The number of a slot in the theorem, where the first is 0.
const fn number_of(slot: Slot) -> u8 {
    slot.0 - 1
}

/// The state of service and reply table after the decided batches up to a slot: each request once, and none that is
/// older than its client's last.
fn state_after(decided: &Decided, slot: Slot) -> Option<StateDigest> {
    let (mut applied, mut served) = (Applied::default(), ValueSet::EMPTY);
    let mut last = [0; Value::MAX_CLIENTS as usize + 1];
    for earlier in Slot::GENESIS.until(slot) {
        let value = decided[earlier.index()];
        if value.is_none() {
            return None;
        }
        let Some(client) = value.client() else { continue };
        let last = &mut last[usize::from(client)];
        if value.timestamp() > *last {
            applied.push(value);
            for timestamp in *last + 1..=value.timestamp() {
                served.insert(Value::with_timestamp(client, timestamp));
            }
            *last = value.timestamp();
        }
    }
    Some(StateDigest { applied, served })
}
