//! What clients saw, and whether one bank that executes one operation at a time could have said it (linearizability,
//! Herlihy and Wing 1990), decided from the clients' side alone.
//!
//! The search is Wing and Gong's (1993), with Lowe's memory (2017) of what was tried: which operations have taken effect,
//! and in which state the bank is then, decide what can follow, so no such pair is looked at twice.

use super::bank::{Accounts, Operation};
use super::event::RequestId;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// The most operations that are judged together: as many as a mask has bits.
pub const OPERATIONS_MAX: usize = 128;

/// The most pairs of operations done and state that are looked at.
const PAIRS_MAX: usize = 1 << 20;

/// One end of an operation, in the order in which clients saw them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It was submitted.
    Invoked(RequestId, Operation),
    /// Its result was accepted.
    Returned(RequestId, Arc<[u8]>),
    /// The client was told that it was never executed.
    Never(RequestId),
}

/// An operation between its two ends.
#[derive(Debug)]
struct Span {
    operation: Operation,
    invoked: usize,
    /// When, and what; without it the operation may have taken effect or not.
    returned: Option<(usize, Arc<[u8]>)>,
}

/// Whether the history is linearizable. An operation that never returned may have taken effect or not.
pub fn check(history: &[Moment]) -> Result<(), String> {
    let spans = spans(history)?;
    if spans.len() > OPERATIONS_MAX {
        let invoked = spans.len();
        return Err(format!(
            "{invoked} operations are more than the {OPERATIONS_MAX} that can be judged"
        ));
    }
    let answered = mask(&spans, |span| span.returned.is_some());
    let mut seen = HashSet::new();
    let mut open = vec![(0u128, Accounts::default())];
    while let Some((done, accounts)) = open.pop() {
        if done & answered == answered {
            return Ok(());
        }
        if seen.len() >= PAIRS_MAX {
            return Err(format!("not decided: more than {PAIRS_MAX} orders were tried in part"));
        }
        for (index, after) in next(&spans, done, &accounts) {
            let pair = (done | 1 << index, after);
            if seen.insert(pair.clone()) {
                open.push(pair);
            }
        }
    }
    Err(format!("no order of the {} operations explains the results", spans.len()))
}

/// The operations that can take effect next, each with the state after it: nothing that is still to be done may have
/// returned before they were invoked.
///
/// One that was answered and changes nothing takes effect at once, if it can: that keeps nothing from following. One that was
/// not answered and changes nothing need not take effect.
fn next(spans: &[Span], done: u128, accounts: &Accounts) -> Vec<(usize, Accounts)> {
    let todo = || spans.iter().enumerate().filter(move |(index, _)| done & 1 << index == 0);
    let returns = todo().filter_map(|(_, span)| span.returned.as_ref().map(|(when, _)| *when));
    let first = returns.min().unwrap_or(usize::MAX);
    let mut possible = Vec::new();
    for (index, span) in todo().filter(|(_, span)| span.invoked < first) {
        let mut after = accounts.clone();
        let result = after.execute(&span.operation.encode());
        match &span.returned {
            Some((_, expected)) if *expected != result => {}
            Some(_) if after == *accounts => return vec![(index, after)],
            None if after == *accounts => {}
            Some(_) | None => possible.push((index, after)),
        }
    }
    possible
}

fn mask(spans: &[Span], is_in: impl Fn(&Span) -> bool) -> u128 {
    let indices = spans.iter().enumerate().filter(|(_, span)| is_in(span));
    indices.fold(0, |mask, (index, _)| mask | 1 << index)
}

fn spans(history: &[Moment]) -> Result<Vec<Span>, String> {
    let mut spans = BTreeMap::new();
    for (when, moment) in history.iter().enumerate() {
        match moment {
            Moment::Invoked(id, operation) => {
                let span = Span { operation: *operation, invoked: when, returned: None };
                if spans.insert(*id, span).is_some() {
                    return Err(format!("{id:?} was invoked twice"));
                }
            }
            Moment::Returned(id, result) => match spans.get_mut(id) {
                Some(span) if span.returned.is_none() => {
                    span.returned = Some((when, Arc::clone(result)));
                }
                Some(_) | None => return Err(format!("{id:?} returned out of turn")),
            },
            Moment::Never(id) => match spans.remove(id) {
                Some(span) if span.returned.is_none() => {}
                Some(_) | None => return Err(format!("{id:?} ended out of turn")),
            },
        }
    }
    Ok(spans.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_core::types::{Lane, Timestamp};
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn id(client: u32, timestamp: u64) -> RequestId {
        RequestId { client, lane: Lane(0), timestamp: Timestamp(timestamp) }
    }

    fn deposit(client: u32, timestamp: u64) -> Moment {
        Moment::Invoked(id(client, timestamp), Operation::Deposit { account: 1, amount: 5 })
    }

    fn result(client: u32, timestamp: u64, balance: u64) -> Moment {
        Moment::Returned(id(client, timestamp), balance.to_le_bytes().into())
    }

    #[test]
    fn operations_that_overlap_may_come_in_any_order() {
        let history = [
            deposit(0, 1),
            deposit(1, 1),
            result(0, 1, 10),
            result(1, 1, 5),
            deposit(0, 2),
            result(0, 2, 15),
        ];
        assert_eq!(check(&history), Ok(()));
        let lost_reply = [deposit(0, 1), deposit(1, 1), result(1, 1, 10)];
        assert_eq!(check(&lost_reply), Ok(()), "it took effect and was not answered");
    }

    #[test]
    fn lost_doubled_stale_and_reordered_operations_are_found() {
        let lost = [deposit(0, 1), result(0, 1, 5), deposit(1, 1), result(1, 1, 5)];
        let doubled = [deposit(0, 1), result(0, 1, 5), deposit(1, 1), result(1, 1, 15)];
        let reordered = [deposit(0, 1), result(0, 1, 10), deposit(1, 1), result(1, 1, 5)];
        for history in [lost, doubled, reordered] {
            assert!(check(&history).is_err(), "{history:?}");
        }
        let read = Moment::Invoked(id(1, 1), Operation::Read { account: 1 });
        let stale = [deposit(0, 1), result(0, 1, 5), read, result(1, 1, 0)];
        assert!(check(&stale).is_err());
    }

    /// Another program's answer to the same question.
    fn by_stateright(history: &[Moment]) -> bool {
        use stateright::semantics::{
            ConsistencyTester as _, LinearizabilityTester, SequentialSpec,
        };

        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        struct Bank(Accounts);

        impl SequentialSpec for Bank {
            type Op = Operation;
            type Ret = Vec<u8>;

            fn invoke(&mut self, operation: &Operation) -> Vec<u8> {
                self.0.execute(&operation.encode()).to_vec()
            }
        }

        let mut tester = LinearizabilityTester::<u32, Bank>::new(Bank(Accounts::default()));
        for moment in history {
            match moment {
                Moment::Invoked(id, operation) => tester.on_invoke(id.client, *operation).map(drop),
                Moment::Never(_) => unreachable!("not made here"),
                Moment::Returned(id, result) => {
                    tester.on_return(id.client, result.to_vec()).map(drop)
                }
            }
            .expect("one at a time for each client");
        }
        tester.is_consistent()
    }

    /// A history of three clients: who does its next step, and what it is told.
    fn history_of(steps: &[(u32, u8, u64)]) -> Vec<Moment> {
        let mut timestamps = [0; 3];
        let mut busy = [false; 3];
        let step = |&(client, kind, seen): &(u32, u8, u64)| {
            let at = client as usize;
            busy[at] = !busy[at];
            timestamps[at] += u64::from(busy[at]);
            let id = id(client, timestamps[at]);
            let operation = match kind {
                0 => Operation::Deposit { account: 1, amount: 1 },
                1 => Operation::Read { account: 1 },
                _ => Operation::Withdraw { account: 1, amount: 1 },
            };
            match busy[at] {
                true => Moment::Invoked(id, operation),
                false => Moment::Returned(id, seen.to_le_bytes().into()),
            }
        };
        steps.iter().map(step).collect()
    }

    proptest! {
        #[test]
        fn two_programs_agree(steps in vec((0..3u32, 0..3u8, 0..4u64), 0..14)) {
            let history = history_of(&steps);
            prop_assert_eq!(check(&history).is_ok(), by_stateright(&history), "{:?}", history);
        }
    }

    #[test]
    fn many_operations_that_overlap_are_judged_soon() {
        // All at once, then what nobody can have seen: every order would have to be tried.
        let clients = 0..40u32;
        let mut history: Vec<_> = clients.clone().map(|client| deposit(client, 1)).collect();
        history.extend(clients.map(|client| result(client, 1, 5 * u64::from(client + 1))));
        assert_eq!(check(&history), Ok(()));
        history.extend([deposit(50, 1), result(50, 1, 7)]);
        assert!(check(&history).is_err());
    }

    #[test]
    fn a_history_that_is_too_long_is_not_judged() {
        let long: Vec<_> = (0..=OPERATIONS_MAX as u32).map(|client| deposit(client, 1)).collect();
        assert!(check(&long).is_err_and(|why| why.contains("more than")));
    }
}
