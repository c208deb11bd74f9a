//! Which of several deliveries that would do: drawn from a seed, or each in turn.

use std::cell::RefCell;

/// Answers "which of so many?", again and again.
#[derive(Clone, Debug)]
pub struct Pick(RefCell<Answers>);

#[derive(Clone, Debug)]
enum Answers {
    /// By a number, which is turned a little from question to question.
    Seeded(u64),
    /// By a list: an answer, and how many there were; questions beyond its end are answered with the first.
    Listed { digits: Vec<(usize, usize)>, asked: usize },
}

impl Pick {
    /// Answers that follow from `choice`.
    pub fn seeded(choice: u64) -> Self {
        Self(RefCell::new(Answers::Seeded(choice)))
    }

    /// The first of all ways to answer; see [`Self::next`].
    pub fn first() -> Self {
        Self(RefCell::new(Answers::Listed { digits: Vec::new(), asked: 0 }))
    }

    /// One of `count`.
    pub fn index(&self, count: usize) -> usize {
        let count = count.max(1);
        match &mut *self.0.borrow_mut() {
            Answers::Seeded(choice) => {
                let index = (*choice % count as u64) as usize;
                *choice = choice.rotate_right(7);
                index
            }
            Answers::Listed { digits, asked } => {
                if *asked == digits.len() {
                    digits.push((0, count));
                }
                let (index, _) = digits[*asked];
                *asked += 1;
                index.min(count - 1)
            }
        }
    }

    /// Whether to take the rarer way, one time in so many; each way once, where all are listed.
    pub fn rarely(&self, one_in: u64) -> bool {
        let seeded = match &*self.0.borrow() {
            Answers::Seeded(choice) => Some(choice % one_in == one_in - 1),
            Answers::Listed { .. } => None,
        };
        seeded.unwrap_or_else(|| self.index(2) == 1)
    }

    /// After all questions were asked: the next way to answer them, until there is none.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        let Answers::Listed { mut digits, .. } = self.0.into_inner() else { return None };
        while let Some((index, count)) = digits.pop() {
            if index + 1 < count {
                digits.push((index + 1, count));
                return Some(Self(RefCell::new(Answers::Listed { digits, asked: 0 })));
            }
        }
        None
    }
}

/// `count` of `all`: each set of so many, and each of its members last; `None` if there are not so many.
pub fn some_of<T>(mut all: Vec<T>, count: usize, pick: &Pick) -> Option<Vec<T>> {
    if all.len() < count {
        return None;
    }
    let mut which = pick.index(combinations(all.len(), count));
    let mut chosen = Vec::with_capacity(count);
    // In lexicographic order: sets with the first element come before those without.
    while chosen.len() < count {
        let left = count - chosen.len();
        let with = combinations(all.len() - 1, left - 1);
        let element = all.remove(0);
        match which.checked_sub(with) {
            None => chosen.push(element),
            Some(rest) => which = rest,
        }
    }
    let last = pick.index(count);
    chosen.rotate_left(last.min(count.saturating_sub(1)));
    Some(chosen)
}

/// How many sets of `count` elements there are among `all`.
fn combinations(all: usize, count: usize) -> usize {
    if count > all {
        return 0;
    }
    (0..count).fold(1, |product, i| product * (all - i) / (i + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_set_and_every_last_member_comes_up_once() {
        let mut pick = Pick::first();
        let mut seen = Vec::new();
        loop {
            seen.push(some_of(vec![1, 2, 3, 4], 3, &pick).expect("enough"));
            match pick.next() {
                Some(next) => pick = next,
                None => break,
            }
        }
        assert_eq!(seen.len(), 4 * 3);
        let different: BTreeSet<_> = seen.iter().collect();
        assert_eq!(different.len(), seen.len());
        let sets: BTreeSet<BTreeSet<i32>> =
            seen.iter().map(|chosen| chosen.iter().copied().collect()).collect();
        assert_eq!(sets.len(), 4);
        assert_eq!(some_of(vec![1], 2, &Pick::first()), None);
    }

    #[test]
    fn a_question_that_depends_on_an_answer_is_asked_each_time() {
        let mut pick = Pick::first();
        let mut seen = Vec::new();
        loop {
            let rare = pick.rarely(5);
            seen.push((rare, if rare { pick.index(3) } else { 7 }));
            match pick.next() {
                Some(next) => pick = next,
                None => break,
            }
        }
        assert_eq!(seen, [(false, 7), (true, 0), (true, 1), (true, 2)]);
    }

    #[test]
    fn a_seed_gives_the_same_answers_again() {
        let answers = |seed| {
            let pick = Pick::seeded(seed);
            [pick.index(4), pick.index(3), pick.index(100)]
        };
        assert_eq!(answers(11), answers(11));
        assert_ne!(answers(11), answers(12));
        assert!(Pick::seeded(11).next().is_none());
    }
}
