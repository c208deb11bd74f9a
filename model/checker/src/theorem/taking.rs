//! Takes down what is said in a state as facts.

use pbft_proof::instance::{Facts, Instance, Place};
use pbft_proof::said::{Individual, Name, Statements};

use super::TheoremError;

/// Where the facts of each relation are.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) honest: Place,
    pub(super) member: Place,
    pub(super) leads: Place,
    /// Of what is said, by [`Name`].
    said: [Place; Name::ALL.len()],
}

impl Places {
    pub(super) fn new(instance: &Instance) -> Result<Self, TheoremError> {
        let find = |name| instance.relation(name).ok_or(TheoremError::NoRelation(name));
        let honest = find("honest")?;
        let mut said = [honest; Name::ALL.len()];
        for (place, name) in said.iter_mut().zip(Name::ALL) {
            *place = find(name.text())?;
        }
        Ok(Self { honest, member: find("member")?, leads: find("leads")?, said })
    }

    /// What is said becomes facts.
    pub(super) const fn taking<'a>(&'a self, facts: &'a mut Facts) -> Taking<'a> {
        Taking { places: self, facts }
    }
}

/// Takes down what is said in the facts of a state.
pub(super) struct Taking<'a> {
    places: &'a Places,
    facts: &'a mut Facts,
}

impl Statements for Taking<'_> {
    fn add(&mut self, name: Name, arguments: &[Individual]) {
        let mut small = [0; 4];
        small.iter_mut().zip(arguments).for_each(|(small, argument)| *small = *argument as u8);
        self.facts.insert(self.places.said[name as usize], &small[..arguments.len()]);
    }

    fn add_below(&mut self, name: Name, arguments: &[Individual], end: Individual) {
        let mut small = [0; 4];
        small.iter_mut().zip(arguments).for_each(|(small, argument)| *small = *argument as u8);
        for last in 0..end as u8 {
            small[arguments.len()] = last;
            self.facts.insert(self.places.said[name as usize], &small[..=arguments.len()]);
        }
    }
}
