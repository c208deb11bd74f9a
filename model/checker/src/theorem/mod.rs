//! The model and the theorem (`pbft-proof`) are about one system: what a state of the model says in the theorem's
//! relations, whether the theorem's invariant holds there, and whether each step of the model is one of the theorem's
//! system, or several, or changes none of its relations.
//!
//! What is taken from a state is what is on the disks and on the network, since the theorem's relations never shrink.
//! Certificates, stable checkpoints and NEW-VIEWs are there as soon as the messages are of which they consist. A
//! checkpoint's digest stands for the batches decided up to its number, so those must give the state that was signed.

mod difference;
mod taking;
mod walk;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use difference::{Difference, TheoremError};
use pbft_proof::instance::{Facts, Instance, Sizes};
use pbft_proof::said::{Individual, Named, Signed, Statements};
use pbft_proof::theory::Theory;

use pbft_model::Pbft;
use pbft_model::action::Action;
use pbft_model::config::Config;
use pbft_model::ids::{MAX_REPLICAS, MAX_SLOTS, ReplicaId, Slot, View};
use pbft_model::state::{ReplicaState, State, StateDigest};
use pbft_model::value::{Applied, Value, ValueSet};
use taking::Places;
pub use walk::Walked;

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
    /// Facts in which the invariant was found to hold, one for each thread that compares: most states differ little from the
    /// one before, and only what differs is evaluated.
    known: Arc<Mutex<Vec<Facts>>>,
}

/// Per replica, what a state says of it.
type OwnFacts = [Option<Facts>; MAX_REPLICAS];

/// A state before a step, with what was made of it.
#[derive(Clone, Copy)]
struct Before<'a> {
    state: &'a State,
    decided: &'a Decided,
    facts: &'a Facts,
    /// What it says of the replica that takes the step.
    own: Option<&'a Facts>,
}

/// Per slot, the batch that is decided.
type Decided = [Value; MAX_SLOTS];

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
            for id in pbft_model::ids::members(*quorum) {
                fixed.insert(places.member, &[id.0, at as u8]);
            }
        }
        Ok(Self {
            pbft: pbft.clone(),
            instance,
            places,
            quorums,
            values,
            fixed,
            known: Arc::default(),
        })
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
        let own = self.own_of_all(state, &decided)?;
        let facts = self.together(state, &decided, &own)?;
        match self.known().pop() {
            Some(known) => none_broken(self.instance.broken_since(&known, &facts))?,
            None => none_broken(self.instance.broken(&facts))?,
        }
        let mut taken = 0;
        for action in actions {
            let after = self.pbft.stepped(state, *action);
            let own = own[action.replica().index()].as_ref();
            let before = Before { state, decided: &decided, facts: &facts, own };
            let steps = match self.extended(&before, action.replica(), &after)? {
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
        self.known().push(facts);
        Ok(taken)
    }

    fn known(&self) -> MutexGuard<'_, Vec<Facts>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The facts after a step, from those before it: quicker than all anew, since only what one replica has to say changes.
    /// None if a step decides something, or takes something back.
    fn extended(
        &self,
        before: &Before<'_>,
        id: ReplicaId,
        after: &State,
    ) -> Result<Option<Facts>, Difference> {
        let Before { state, decided, facts, own: said_before } = *before;
        let (said, says) = (state.sent(id), after.sent(id));
        let commits = said.commits != says.commits;
        if commits && self.decided(after)? != *decided {
            return Ok(None);
        }
        let own = self.own(after, id, decided)?;
        if !said_before.is_some_and(|said| said.is_within(&own)) {
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
        self.together(state, decided, &self.own_of_all(state, decided)?)
    }

    /// What a state says of each honest replica.
    fn own_of_all(&self, state: &State, decided: &Decided) -> Result<OwnFacts, Difference> {
        let mut own = OwnFacts::default();
        for id in self.pbft.honest() {
            own[id.index()] = Some(self.own(state, id, decided)?);
        }
        Ok(own)
    }

    /// What a state says, with what it says of each replica.
    fn together(
        &self,
        state: &State,
        decided: &Decided,
        own: &OwnFacts,
    ) -> Result<Facts, Difference> {
        let mut facts = self.fixed.clone();
        own.iter().flatten().for_each(|own| facts.add(own));
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

    fn number(&self, value: Value) -> Result<Individual, Difference> {
        let at = self.values.iter().position(|known| *known == value);
        at.map(|at| at as Individual).ok_or(Difference::NoBatch { value })
    }

    fn named(&self, view: View, slot: Slot, value: Value) -> Result<Named, Difference> {
        Ok(Named { view: view.0.into(), seq: slot.0.into(), value: self.number(value)? })
    }

    /// PRE-PREPAREs, PREPAREs and COMMITs.
    fn votes_of(&self, state: &State, id: ReplicaId, facts: &mut Facts) -> Result<(), Difference> {
        let (mut taking, sent) = (self.places.taking(facts), state.sent(id));
        let low = durable(state, id).low_water_mark;
        for view in self.pbft.views() {
            for slot in self.pbft.slots() {
                for value in sent.prepares[view.index()][slot.index()].iter() {
                    taking.votes(id.0.into(), self.named(view, slot, value)?);
                }
                for value in sent.commits[view.index()][slot.index()].iter() {
                    taking.commits(id.0.into(), self.named(view, slot, value)?);
                    // Above h the certificate must be at hand.
                    if slot <= low {
                        taking.holds(id.0.into(), slot.0.into(), view.0.into());
                    }
                }
            }
        }
        Ok(())
    }

    /// The views that it has left, and its VIEW-CHANGEs.
    fn view_changes_of(&self, state: &State, id: ReplicaId, facts: &mut Facts) {
        let (mut taking, replica) = (self.places.taking(facts), u32::from(id.0));
        taking.is_in(replica, durable(state, id).view.0.into());
        for view in self.pbft.views() {
            let Some(sent) = &state.sent(id).view_changes[view.index()] else { continue };
            taking.asks_for(replica, view.0.into(), sent.low_water_mark.0.into());
            for slot in self.pbft.slots() {
                if let Some(shown) = sent.prepared[slot.index()] {
                    taking.shows(replica, view.0.into(), slot.0.into(), shown.view.0.into());
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
        let (mut taking, replica) = (self.places.taking(facts), durable(state, id));
        taking.collects(id.0.into(), replica.low_water_mark.0.into());
        for slot in self.pbft.slots() {
            if slot <= replica.last_executed {
                let executed = replica.executed[slot.index()];
                // What it did not execute itself came with a state.
                let value = if executed.is_some() { executed } else { decided[slot.index()] };
                if value.is_none() {
                    return Err(Difference::Undecided { replica: id, slot });
                }
                taking.executes(id.0.into(), slot.0.into(), self.number(value)?);
            }
            if slot > replica.low_water_mark
                && let Some(held) = replica.certificates[slot.index()]
            {
                taking.holds(id.0.into(), slot.0.into(), held.view.0.into());
            }
            if let Some(signed) = state.sent(id).checkpoints[slot.index()] {
                if state_after(self.pbft.config(), decided, slot) != Some(signed) {
                    return Err(Difference::OtherState { replica: id, slot });
                }
                taking.signs(id.0.into(), checkpoint_at(slot));
            }
        }
        Ok(())
    }

    /// One digest for each slot up to which everything is decided.
    fn digests(&self, decided: &Decided, facts: &mut Facts) -> Result<(), Difference> {
        let mut taking = self.places.taking(facts);
        for slot in self.pbft.slots() {
            if decided[slot.index()].is_none() {
                break;
            }
            let checkpoint = checkpoint_at(slot);
            taking.ends(checkpoint);
            for earlier in Slot::GENESIS.until(slot) {
                let value = self.number(decided[earlier.index()])?;
                taking.includes(checkpoint.digest, earlier.0.into(), value);
            }
        }
        Ok(())
    }

    /// Prepared and commit certificates: those for which a quorum's honest members have voted.
    fn certificates(&self, state: &State, facts: &mut Facts) -> Result<(), Difference> {
        let mut taking = self.places.taking(facts);
        for view in self.pbft.views() {
            for slot in self.pbft.slots() {
                let votes = |id| state.sent(id).prepares[view.index()][slot.index()];
                for value in self.agreed(votes).iter() {
                    taking.prepared(self.named(view, slot, value)?);
                }
                let commits = |id| state.sent(id).commits[view.index()][slot.index()];
                for value in self.agreed(commits).iter() {
                    taking.committed(self.named(view, slot, value)?);
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
        let mut taking = self.places.taking(facts);
        for view in self.pbft.views() {
            let asked = |id: &ReplicaId| state.sent(*id).view_changes[view.index()].is_some();
            let asked = self.pbft.honest().filter(asked).fold(0u8, |set, id| set | 1 << id.0);
            if asked == 0 {
                continue;
            }
            let honest = self.pbft.config().honest_bits();
            for (at, quorum) in self.quorums.iter().enumerate() {
                if quorum & honest & !asked == 0 {
                    taking.begins(view.0.into(), at as Individual);
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
                self.places.taking(facts).stable(checkpoint_at(slot));
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

/// The checkpoint at a slot: one digest each, since all have signed the same state.
fn checkpoint_at(slot: Slot) -> Signed {
    Signed { seq: slot.0.into(), digest: slot.index() as Individual }
}

/// The state of service and reply table after the decided batches up to a slot: each request once, and none that is
/// older than its client's last.
fn state_after(config: &Config, decided: &Decided, slot: Slot) -> Option<StateDigest> {
    let (mut applied, mut served) = (Applied::default(), ValueSet::EMPTY);
    let mut last = [0; Value::MAX_CLIENTS as usize + 1];
    for earlier in Slot::GENESIS.until(slot) {
        let value = decided[earlier.index()];
        if value.is_none() {
            return None;
        }
        let Some(client) = value.client() else { continue };
        let last = &mut last[usize::from(client)];
        let timestamp = config.timestamp(value);
        if timestamp > *last {
            applied.push(value);
            for number in 1..=config.requests_each() {
                let other = Value::numbered(client, number);
                if config.timestamp(other) <= timestamp {
                    served.insert(other);
                }
            }
            *last = timestamp;
        }
    }
    Some(StateDigest { applied, served })
}
