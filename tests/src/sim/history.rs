//! What clients saw, and whether one bank that executes one operation at a time could have said it (linearizability,
//! Herlihy and Wing 1990), decided by Stateright's tester from the clients' side alone.

use super::bank::{Accounts, Operation};
use super::event::RequestId;
use stateright::semantics::{ConsistencyTester as _, LinearizabilityTester, SequentialSpec};
use std::sync::Arc;

/// The most operations that are judged together: the search may be exponential in those that overlap.
pub const OPERATIONS_MAX: usize = 128;

/// One end of an operation, in the order in which clients saw them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It was submitted.
    Invoked(RequestId, Operation),
    /// Its result was accepted.
    Returned(RequestId, Arc<[u8]>),
}

/// The bank as a sequential object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Bank(Accounts);

impl SequentialSpec for Bank {
    type Op = Operation;
    type Ret = Vec<u8>;

    fn invoke(&mut self, operation: &Operation) -> Vec<u8> {
        self.0.execute(&operation.encode()).to_vec()
    }
}

/// A client's lane: a thread of operations.
type Thread = (u32, u16);

fn thread(id: &RequestId) -> Thread {
    (id.client, id.lane.0)
}

/// Whether the history is linearizable. An operation that never returned may have taken effect or not.
pub fn check(history: &[Moment]) -> Result<(), String> {
    let mut tester = LinearizabilityTester::<Thread, Bank>::new(Bank(Accounts::default()));
    let invoked = history.iter().filter(|moment| matches!(moment, Moment::Invoked(..))).count();
    if invoked > OPERATIONS_MAX {
        return Err(format!(
            "{invoked} operations are more than the {OPERATIONS_MAX} that can be judged"
        ));
    }
    for moment in history {
        match moment {
            Moment::Invoked(id, operation) => tester.on_invoke(thread(id), *operation).map(drop)?,
            Moment::Returned(id, result) => {
                tester.on_return(thread(id), result.to_vec()).map(drop)?
            }
        }
    }
    match tester.is_consistent() {
        true => Ok(()),
        false => Err(format!("no order of the {invoked} operations explains the results")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_core::types::{Lane, Timestamp};

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

    #[test]
    fn a_history_that_is_too_long_is_not_judged() {
        let long: Vec<_> = (0..=OPERATIONS_MAX as u32).map(|client| deposit(client, 1)).collect();
        assert!(check(&long).is_err_and(|why| why.contains("more than")));
    }
}
