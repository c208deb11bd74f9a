//! The facts of a relation, for any number of individuals.

use crate::formula::Sort;
use crate::said::Individual;
use crate::theory::Relation;
use std::collections::BTreeMap;

/// Arguments that a relation can have.
pub(super) const ARGUMENTS: usize = 4;

/// The arguments of a fact; those that there are not are 0.
pub(super) type Arguments = [Individual; ARGUMENTS];

/// Individuals of an ordered sort, as ranges without the end, rising, none next to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(Individual, Individual)>);

impl Ranges {
    /// Adds a range, and returns what of it is new.
    pub(super) fn insert(
        &mut self,
        start: Individual,
        end: Individual,
    ) -> Vec<(Individual, Individual)> {
        let (mut new, mut from) = (Vec::new(), start);
        for (known, until) in self.0.iter().filter(|(known, until)| *known < end && *until > start)
        {
            if from < *known {
                new.push((from, *known));
            }
            from = *until;
        }
        if from < end {
            new.push((from, end));
        }
        if !new.is_empty() {
            let touches = |(known, until): &(_, _)| *known <= end && *until >= start;
            let merged = self
                .0
                .iter()
                .filter(|range| touches(range))
                .fold((start, end), |(start, end), (known, until)| {
                    (start.min(*known), end.max(*until))
                });
            self.0.retain(|range| !touches(range));
            let at = self.0.partition_point(|range| *range < merged);
            self.0.insert(at, merged);
        }
        new
    }

    pub(super) fn contains(&self, one: Individual) -> bool {
        self.0.iter().any(|(start, end)| (*start..*end).contains(&one))
    }

    /// Where something begins or ends.
    pub(super) fn points(&self) -> impl Iterator<Item = Individual> {
        self.0.iter().flat_map(|(start, end)| [*start, *end])
    }
}

/// Facts that differ in the argument that is kept as ranges only.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The arguments; 0 where ranges are.
    pub(super) key: Arguments,
    /// The individuals of that argument.
    pub(super) ranges: Ranges,
}

/// The facts of a relation.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// The sequence number by which facts are kept, and forgotten.
    pub(super) number: Option<usize>,
    /// The argument of which ranges are kept.
    pub(super) range: Option<usize>,
    rows: BTreeMap<Individual, Vec<Row>>,
}

impl Table {
    /// There is no end to batches and digests, so what names one is kept by its sequence number, under which it can be
    /// forgotten. Of other relations the last argument is kept as ranges, if it is ordered: "all views before 7" is one.
    pub(super) fn new(relation: &Relation) -> Self {
        let sorts = &relation.sorts;
        let endless = sorts.iter().any(|sort| matches!(sort, Sort::Value | Sort::Digest));
        let ordered = |sort: &&Sort| matches!(sort, Sort::View | Sort::Seq);
        let last = sorts.last().filter(ordered).map(|_| sorts.len() - 1);
        let range = last.filter(|_| !endless);
        let number = sorts.iter().position(|sort| *sort == Sort::Seq);
        Self { number: number.filter(|at| range != Some(*at)), range, rows: BTreeMap::new() }
    }

    /// Where a fact is: its key, and the range that it takes there.
    fn place(&self, arguments: &Arguments) -> (Individual, Arguments, Individual) {
        let (mut key, mut start) = (*arguments, 0);
        if let Some(range) = self.range {
            start = std::mem::take(&mut key[range]);
        }
        (self.number.map_or(0, |at| arguments[at]), key, start)
    }

    /// Adds what holds of these, and where ranges are, of all up to `end`; returns what of it is new.
    pub(super) fn insert(
        &mut self,
        arguments: &Arguments,
        end: Option<Individual>,
    ) -> Vec<(Individual, Individual)> {
        let (number, key, start) = self.place(arguments);
        let rows = self.rows.entry(number).or_default();
        let at = rows.iter().position(|row| row.key == key).unwrap_or_else(|| {
            rows.push(Row { key, ranges: Ranges::default() });
            rows.len() - 1
        });
        rows[at].ranges.insert(start, end.unwrap_or(start + 1))
    }

    pub(super) fn contains(&self, arguments: &Arguments) -> bool {
        let (number, key, start) = self.place(arguments);
        let mut rows = self.rows.get(&number).into_iter().flatten();
        rows.find(|row| row.key == key).is_some_and(|row| row.ranges.contains(start))
    }

    /// The facts for a sequence number, or all.
    pub(super) fn rows(&self, number: Option<Individual>) -> impl Iterator<Item = &Row> {
        let (from, until) = number.map_or((0, Individual::MAX), |number| (number, number));
        self.rows.range(from..=until).flat_map(|(_, rows)| rows)
    }

    /// Forgets what is said of sequence numbers before this one.
    pub(super) fn forget(&mut self, first: Individual) {
        if self.number.is_some() {
            self.rows = self.rows.split_off(&first);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.values().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ranges_hold_what_was_put_in_and_say_what_was_new() {
        let mut seed = 7_u64;
        let mut chance = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            Individual::from((seed >> 33) % below)
        };
        for _ in 0..200 {
            let (mut ranges, mut known) = (Ranges::default(), BTreeSet::new());
            for _ in 0..12 {
                let start = chance(20);
                let end = start + chance(6);
                let new: BTreeSet<_> =
                    ranges.insert(start, end).into_iter().flat_map(|(a, b)| a..b).collect();
                let expected: BTreeSet<_> = (start..end).filter(|one| known.insert(*one)).collect();
                assert_eq!(new, expected, "{start}..{end} into {ranges:?}");
                assert!((0..30).all(|one| ranges.contains(one) == known.contains(&one)));
                let apart = ranges.0.windows(2).all(|pair| pair[0].1 < pair[1].0);
                assert!(apart, "{ranges:?}");
            }
        }
    }
}
