//! The theory over finitely many individuals: whether the invariant holds in a state, and whether what one state adds to
//! another are steps of the system.
//!
//! Individuals are numbers, from 0 for each sort; views and sequence numbers are in their order, and view 0 is the first.

use crate::check::{Check, Compiler, Env, Search};
use crate::formula::{Formula, Sort};
use crate::theory::{Action, Addition, Relation, Theory};

/// Arguments that a relation can have.
const ARGUMENTS: usize = 4;

/// Where the facts of a relation are: one bit for each choice of arguments. Each argument has bits of the index to itself, so
/// that it is read off without a division; some bits stand for no fact then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    first: u32,
    count: u32,
    sizes: [u8; ARGUMENTS],
    shifts: [u8; ARGUMENTS],
    masks: [u8; ARGUMENTS],
    arity: u8,
}

impl Place {
    /// The bit of these arguments, given by the slots of the variables.
    pub(crate) fn at(&self, slots: &[u8], env: &Env) -> u32 {
        let shifts = self.shifts.iter().zip(slots);
        shifts.fold(self.first, |at, (shift, slot)| {
            at + (u32::from(env[usize::from(*slot)]) << shift)
        })
    }

    /// The bit of these arguments.
    fn index(&self, arguments: &[u8]) -> u32 {
        assert_eq!(arguments.len(), usize::from(self.arity), "arguments of a relation");
        let typed = arguments.iter().zip(&self.sizes).zip(&self.shifts);
        typed.fold(self.first, |at, ((argument, size), shift)| {
            assert!(argument < size, "individual {argument} of {size}");
            at + (u32::from(*argument) << shift)
        })
    }

    /// The arguments of a bit.
    pub(crate) fn arguments(&self, bit: u32) -> impl Iterator<Item = u8> {
        let within = bit - self.first;
        let fields = self.shifts.into_iter().zip(self.masks);
        fields
            .take(usize::from(self.arity))
            .map(move |(shift, mask)| (within >> shift) as u8 & mask)
    }

    /// Whether a bit stands for a fact.
    fn is_fact(&self, bit: u32) -> bool {
        self.has(bit) && self.arguments(bit).zip(self.sizes).all(|(one, size)| one < size)
    }

    const fn has(&self, bit: u32) -> bool {
        bit >= self.first && bit - self.first < self.count
    }
}

/// What holds in a state: a bit for each relation and choice of arguments.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Facts(Vec<u64>);

impl Facts {
    /// Says that the relation holds of these individuals.
    ///
    /// # Panics
    /// If it has other arguments, or there is no such individual.
    pub fn insert(&mut self, place: Place, arguments: &[u8]) {
        self.insert_at(place.index(arguments));
    }

    /// Whether the relation holds of these individuals.
    ///
    /// # Panics
    /// If it has other arguments, or there is no such individual.
    #[must_use]
    pub fn has(&self, place: Place, arguments: &[u8]) -> bool {
        self.has_at(place.index(arguments))
    }

    fn insert_at(&mut self, bit: u32) {
        self.0[bit as usize / 64] |= 1 << (bit % 64);
    }

    pub(crate) fn has_at(&self, bit: u32) -> bool {
        self.0[bit as usize / 64] & (1 << (bit % 64)) != 0
    }

    /// Adds everything that holds there.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(here, there)| *here |= there);
    }

    /// Whether everything here holds there, too.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(here, there)| here & !there == 0)
    }

    /// Whether `accept` says yes to the bit of one of a relation's facts; asks no further then.
    pub(crate) fn any_of(&self, place: &Place, mut accept: impl FnMut(u32) -> bool) -> bool {
        // A relation is within a word, or has whole words: see `place`.
        let mask = if place.count < 64 { (1 << place.count) - 1 } else { u64::MAX };
        let (from, shift) = (place.first / 64, place.first % 64);
        (from..from + place.count.div_ceil(64)).any(|at| {
            let mut word = self.0[at as usize] >> shift & mask;
            while word != 0 {
                if accept(at * 64 + shift + word.trailing_zeros()) {
                    return true;
                }
                word &= word - 1;
            }
            false
        })
    }

    /// Whether a relation is not the same there.
    fn differs(&self, there: &Self, place: &Place) -> bool {
        let (from, count) = (place.first as usize / 64, place.count.div_ceil(64) as usize);
        let shift = place.first % 64;
        let mask = if place.count < 64 { ((1 << place.count) - 1) << shift } else { u64::MAX };
        let [here, there] = [&self.0, &there.0].map(|words| &words[from..from + count]);
        here.iter().zip(there).any(|(here, there)| (here ^ there) & mask != 0)
    }

    /// The bits that are set here and not there.
    fn beyond<'a>(&'a self, there: &'a Self) -> impl Iterator<Item = u32> + 'a {
        let words = self.0.iter().zip(&there.0).map(|(here, there)| here & !there);
        words.enumerate().flat_map(|(at, word)| bits(at as u32 * 64, word))
    }
}

/// The bits that are set in a word, of which the lowest is `base`.
fn bits(base: u32, mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| base + word.trailing_zeros());
        word &= word.wrapping_sub(1);
        bit
    })
}

/// How many individuals there are of each sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Replicas.
    pub replicas: u8,
    /// Quorums.
    pub quorums: u8,
    /// Views.
    pub views: u8,
    /// Sequence numbers.
    pub numbers: u8,
    /// Batches.
    pub values: u8,
    /// Digests of checkpoints.
    pub digests: u8,
}

impl Sizes {
    pub(crate) const fn of(&self, sort: Sort) -> u8 {
        match sort {
            Sort::Replica => self.replicas,
            Sort::Quorum => self.quorums,
            Sort::View => self.views,
            Sort::Seq => self.numbers,
            Sort::Value => self.values,
            Sort::Digest => self.digests,
        }
    }
}

/// A step of the system, ready to be tried.
#[derive(Clone, Debug)]
struct Step {
    name: String,
    /// The relation that the step always adds to, with the slots of its arguments: they are read off what is new.
    anchor: Option<(Place, Vec<u8>)>,
    /// The other parameters, and what is required.
    search: Search,
    additions: Vec<Added>,
}

#[derive(Clone, Debug)]
struct Added {
    place: Place,
    slots: Vec<u8>,
    search: Search,
}

/// The theory over finitely many individuals.
#[derive(Clone, Debug)]
pub struct Instance {
    relations: Vec<(String, Place)>,
    words: usize,
    axioms: Vec<(String, Check)>,
    initially: Vec<Check>,
    conjuncts: Vec<(String, Check)>,
    /// A bit for each relation that a conjunct speaks of.
    speaks_of: Vec<u64>,
    steps: Vec<Step>,
}

/// Why what a state adds to the one before are not steps of the system.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoStep {
    /// Relations only grow.
    #[error("no step takes back {}", .0.join(", "))]
    Shrinks(Vec<String>),
    /// No step that may be taken adds this.
    #[error("no step may add {}", .0.join(", "))]
    Unexplained(Vec<String>),
}

impl Instance {
    /// The theory over so many individuals.
    ///
    /// # Panics
    /// If the theory was not made by [`Theory::read`], which checks relations and variables.
    #[must_use]
    pub fn new(theory: &Theory, sizes: Sizes) -> Self {
        let mut bits = 0;
        let relations: Vec<_> = theory
            .relations
            .iter()
            .map(|relation| (relation.name.clone(), place(relation, &sizes, &mut bits)))
            .collect();
        let find = |name: &str| {
            let found = relations.iter().find(|(known, _)| known == name);
            found.expect("a theory declares its relations").1
        };
        let size = |sort| sizes.of(sort);
        let check = |formula: &Formula| Compiler::new(&find, &size).check(formula);
        let named = |list: &[crate::theory::Named]| {
            list.iter().map(|one| (one.name.clone(), check(&one.formula))).collect()
        };
        let step = |action: &Action| compiled(action, Compiler::new(&find, &size));
        Self {
            words: (bits as usize).div_ceil(64),
            axioms: named(&theory.axioms),
            initially: theory.initially.iter().map(check).collect(),
            conjuncts: named(&theory.conjuncts),
            speaks_of: theory.conjuncts.iter().map(|one| speaks_of(theory, &one.formula)).collect(),
            steps: theory.actions.iter().map(step).collect(),
            relations,
        }
    }

    /// A state in which nothing holds.
    #[must_use]
    pub fn nothing(&self) -> Facts {
        Facts(vec![0; self.words])
    }

    /// Where a relation's facts are.
    #[must_use]
    pub fn relation(&self, name: &str) -> Option<Place> {
        self.relations.iter().find(|(known, _)| known == name).map(|(_, place)| *place)
    }

    /// The conjuncts that do not hold in a state.
    pub fn broken<'a>(&'a self, facts: &'a Facts) -> impl Iterator<Item = &'a str> {
        wrong(&self.conjuncts, facts)
    }

    /// The same, if the invariant is known to hold in another state: a conjunct whose relations are the same in both holds in
    /// both.
    pub fn broken_since<'a>(
        &'a self,
        holds_in: &Facts,
        facts: &'a Facts,
    ) -> impl Iterator<Item = &'a str> {
        let mut changed = 0;
        for (at, (_, place)) in self.relations.iter().enumerate() {
            changed |= u64::from(facts.differs(holds_in, place)) << at;
        }
        let asked = self.conjuncts.iter().zip(&self.speaks_of);
        let asked = asked.filter(move |(_, relations)| *relations & changed != 0);
        let broken = asked.filter(|((_, check), _)| !check.holds(facts, &mut Env::default()));
        broken.map(|((name, _), _)| &**name)
    }

    /// The axioms that do not hold in a state. No step changes what they speak of.
    pub fn broken_axioms<'a>(&'a self, facts: &'a Facts) -> impl Iterator<Item = &'a str> {
        wrong(&self.axioms, facts)
    }

    /// Whether a state is one in which the system may begin.
    #[must_use]
    pub fn is_initial(&self, facts: &Facts) -> bool {
        self.initially.iter().all(|check| check.holds(facts, &mut Env::default()))
    }

    /// The names of the steps, by number.
    pub fn step_names(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|step| &*step.name)
    }

    /// Steps, by number, that lead from one state to the other.
    ///
    /// # Errors
    /// If there are none: what they would have to take back, or to add and may not.
    pub fn steps(&self, before: &Facts, after: &Facts) -> Result<Vec<usize>, NoStep> {
        if !before.is_within(after) {
            return Err(NoStep::Shrinks(self.names(before, after)));
        }
        if before == after {
            return Ok(Vec::new());
        }
        let mut way = Way { after, seen: Vec::new(), steps: Vec::new(), nearest: before.clone() };
        match self.go(before, &mut way) {
            true => Ok(way.steps),
            false => Err(NoStep::Unexplained(self.names(after, &way.nearest))),
        }
    }

    /// The states that one step leads to from a state, each perhaps more than once.
    #[must_use]
    pub fn successors(&self, at: &Facts) -> Vec<Facts> {
        let mut everything = self.nothing();
        for (_, place) in &self.relations {
            let bits = (place.first..place.first + place.count).filter(|bit| place.is_fact(*bit));
            bits.for_each(|bit| everything.insert_at(bit));
        }
        let missing: Vec<u32> = everything.beyond(at).collect();
        let mut successors = Vec::new();
        for step in &self.steps {
            step.try_each(at, &everything, &missing, &mut |next| {
                successors.push(next.clone());
                false
            });
        }
        successors
    }

    fn go(&self, at: &Facts, way: &mut Way<'_>) -> bool {
        if at == way.after {
            return true;
        }
        let missing: Vec<u32> = way.after.beyond(at).collect();
        let adds = |step: &(usize, &Step)| {
            step.1.additions.iter().any(|added| missing.iter().any(|bit| added.place.has(*bit)))
        };
        let useful: Vec<_> = self.steps.iter().enumerate().filter(adds).collect();
        // In one step, if that can be: to fetch a state is not to execute.
        let direct = useful.iter().find(|(_, step)| {
            step.try_each(at, way.after, &missing, &mut |next| next == way.after)
        });
        if let Some((number, _)) = direct {
            way.steps.push(*number);
            return true;
        }
        useful.iter().any(|(number, step)| {
            step.try_each(at, way.after, &missing, &mut |next| {
                if way.seen.contains(next) {
                    return false;
                }
                way.seen.push(next.clone());
                if way.nearest.is_within(next) {
                    way.nearest = next.clone();
                }
                way.steps.push(*number);
                let arrives = self.go(next, way);
                if !arrives {
                    way.steps.pop();
                }
                arrives
            })
        })
    }

    /// What holds here and not there, in words.
    fn names(&self, here: &Facts, there: &Facts) -> Vec<String> {
        let mut names = Vec::new();
        for (name, place) in &self.relations {
            let bits = here.beyond(there).filter(|bit| place.has(*bit));
            names.extend(bits.map(|bit| {
                let arguments: Vec<_> = place.arguments(bit).map(|one| one.to_string()).collect();
                format!("{name}({})", arguments.join(","))
            }));
        }
        names
    }
}

/// A bit for each relation that a formula speaks of, in the order of the theory.
fn speaks_of(theory: &Theory, formula: &Formula) -> u64 {
    assert!(theory.relations.len() <= 64, "a bit for each relation");
    let mut set = 0;
    formula.relations(&mut |name, _| {
        let at = theory.relations.iter().position(|relation| relation.name == name);
        set |= 1 << at.expect("a theory declares its relations");
    });
    set
}

fn wrong<'a>(all: &'a [(String, Check)], facts: &'a Facts) -> impl Iterator<Item = &'a str> {
    let wrong = all.iter().filter(|(_, check)| !check.holds(facts, &mut Env::default()));
    wrong.map(|(name, _)| &**name)
}

/// A search for steps from one state to another.
struct Way<'a> {
    after: &'a Facts,
    /// States on the way that were tried.
    seen: Vec<Facts>,
    steps: Vec<usize>,
    /// A state as far on the way as any, to say what is missing.
    nearest: Facts,
}

impl Step {
    /// Hands each state that one such step leads to on the way to `after` to `accept`, until it says yes.
    fn try_each(
        &self,
        at: &Facts,
        after: &Facts,
        missing: &[u32],
        accept: &mut impl FnMut(&Facts) -> bool,
    ) -> bool {
        let mut env = Env::default();
        let mut each = |env: &mut Env| {
            self.search.find(at, env, |env| {
                let mut next = at.clone();
                for added in &self.additions {
                    added.search.find(at, env, |env| {
                        next.insert_at(added.place.at(&added.slots, env));
                        false
                    });
                }
                next != *at && next.is_within(after) && accept(&next)
            })
        };
        let Some((place, slots)) = &self.anchor else { return each(&mut env) };
        missing.iter().filter(|bit| place.has(**bit)).any(|&bit| {
            for (slot, argument) in slots.iter().zip(place.arguments(bit)) {
                env[usize::from(*slot)] = argument;
            }
            each(&mut env)
        })
    }
}

fn place(relation: &Relation, sizes: &Sizes, bits: &mut u32) -> Place {
    assert!(relation.sorts.len() <= ARGUMENTS, "{} has many arguments", relation.name);
    let (mut of, mut shifts, mut masks) = ([1; ARGUMENTS], [0; ARGUMENTS], [0; ARGUMENTS]);
    let mut width = 0;
    for (at, sort) in relation.sorts.iter().enumerate() {
        let field = u32::from(sizes.of(*sort)).next_power_of_two();
        (of[at], shifts[at], masks[at]) = (sizes.of(*sort), width, (field - 1) as u8);
        width += field.trailing_zeros() as u8;
    }
    let arity = relation.sorts.len() as u8;
    let count = 1 << width;
    // Within a word, or from the beginning of one.
    let first = bits.next_multiple_of(count.min(64));
    let place = Place { first, count, sizes: of, shifts, masks, arity };
    *bits = first + count;
    place
}

fn compiled(action: &Action, mut compiler: Compiler<'_>) -> Step {
    compiler.bind(&action.parameters);
    let given = |added: &&Addition| {
        added.condition == Formula::Constant(true)
            && added.arguments.iter().all(|term| action.parameters.contains(&term.0))
    };
    let anchor = action.adds.iter().find(given);
    let is_anchored =
        |name: &&String| anchor.is_some_and(|one| one.arguments.iter().any(|t| t.0 == **name));
    let free: Vec<String> = action.parameters.iter().filter(|p| !is_anchored(p)).cloned().collect();
    let requires: Vec<&Formula> = action.requires.iter().collect();
    let search = compiler.search(&free, &requires);
    let anchor =
        anchor.map(|one| ((compiler.place)(&one.relation), compiler.slots(&one.arguments)));
    let additions = action.adds.iter().map(|added| compiled_addition(added, action, &mut compiler));
    Step { name: action.name.clone(), anchor, search, additions: additions.collect() }
}

fn compiled_addition(added: &Addition, action: &Action, compiler: &mut Compiler<'_>) -> Added {
    let names = added.arguments.iter().map(|term| term.0.clone());
    let free: Vec<String> = names.filter(|name| !action.parameters.contains(name)).collect();
    compiler.within(&free, |compiler| Added {
        place: (compiler.place)(&added.relation),
        slots: compiler.slots(&added.arguments),
        search: compiler.search(&free, &[&added.condition]),
    })
}
