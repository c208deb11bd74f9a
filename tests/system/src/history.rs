//! What clients saw, and whether one ledger, executing each operation once, could have said it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// The account that all workers transfer to.
pub const POOL: &str = "pool";

/// What a worker deposits in each round.
pub const DEPOSIT: u64 = 3;

/// What it then transfers to the pool.
pub const TRANSFER: u64 = 2;

/// An acknowledged transfer to the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolTransfer {
    /// When the client submitted it.
    pub submitted: Instant,
    /// When it had the result.
    pub acknowledged: Instant,
    /// The pool's balance, says the result.
    pub pool: u64,
}

/// What the workers saw acknowledged.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The balance of each worker's own account, which nobody else touches.
    pub accounts: BTreeMap<String, u64>,
    /// The sum of all deposits.
    pub deposited: u64,
    /// Every transfer to the pool.
    pub transfers: Vec<PoolTransfer>,
}

impl History {
    /// How many operations were acknowledged.
    pub fn operations(&self) -> u64 {
        self.deposited / DEPOSIT + self.transfers.len() as u64
    }

    /// Puts what another worker saw beside it.
    pub fn merge(&mut self, other: Self) {
        self.accounts.extend(other.accounts);
        self.deposited += other.deposited;
        self.transfers.extend(other.transfers);
    }

    /// What the pool must hold.
    pub fn pool(&self) -> u64 {
        self.transfers.len() as u64 * TRANSFER
    }

    /// Whether the pool's balances are those of a pool to which each acknowledged transfer was made exactly once,
    /// in an order in which none comes before one that was acknowledged before it was submitted (linearizability: every
    /// result names its place in the order, so there is only one order to look at).
    pub fn check_pool(&self) -> Result<(), String> {
        let seen: BTreeSet<u64> = self.transfers.iter().map(|transfer| transfer.pool).collect();
        let expected: BTreeSet<u64> =
            (1..=self.transfers.len() as u64).map(|number| number * TRANSFER).collect();
        if seen.len() != self.transfers.len() {
            return Err("two transfers were told the same balance: one of them is lost".to_owned());
        }
        if seen != expected {
            let gap = expected.difference(&seen).next();
            return Err(format!("no transfer was told {gap:?}: one was made twice"));
        }
        let mut in_order = self.transfers.clone();
        in_order.sort_by_key(|transfer| transfer.pool);
        let mut latest_submission: Option<PoolTransfer> = None;
        for transfer in in_order {
            if let Some(before) = latest_submission
                && transfer.acknowledged < before.submitted
            {
                return Err(format!(
                    "{transfer:?} was acknowledged before {before:?} was submitted"
                ));
            }
            if latest_submission.is_none_or(|before| before.submitted < transfer.submitted) {
                latest_submission = Some(transfer);
            }
        }
        Ok(())
    }

    /// Whether the balances in the end are those that were acknowledged, and their sum what was deposited.
    pub fn check_balances(&self, balances: &BTreeMap<String, u64>) -> Result<(), String> {
        let mut expected = self.accounts.clone();
        expected.insert(POOL.to_owned(), self.pool());
        for (account, acknowledged) in &expected {
            if balances.get(account) != Some(acknowledged) {
                let found = balances.get(account);
                return Err(format!("{account}: acknowledged {acknowledged}, found {found:?}"));
            }
        }
        let sum: u64 = balances.values().sum();
        match sum == self.deposited {
            true => Ok(()),
            false => Err(format!("the accounts hold {sum}, deposited were {}", self.deposited)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Transfers with these times of submission and acknowledgement and these balances of the pool.
    fn history(transfers: &[(u64, u64, u64)]) -> History {
        let origin = Instant::now();
        let at = |seconds| origin + Duration::from_secs(seconds);
        let transfers = transfers.iter().map(|(submitted, acknowledged, pool)| PoolTransfer {
            submitted: at(*submitted),
            acknowledged: at(*acknowledged),
            pool: *pool,
        });
        History { transfers: transfers.collect(), ..History::default() }
    }

    #[test]
    fn a_linearizable_pool_is_accepted() {
        assert_eq!(history(&[]).check_pool(), Ok(()));
        assert_eq!(history(&[(0, 1, 2), (2, 3, 4), (4, 5, 6)]).check_pool(), Ok(()));
        // Overlapping transfers may come in any order.
        assert_eq!(history(&[(0, 9, 6), (1, 8, 4), (2, 7, 2)]).check_pool(), Ok(()));
    }

    #[test]
    fn a_lost_a_doubled_and_a_late_transfer_are_found() {
        let lost = history(&[(0, 1, 2), (2, 3, 2)]).check_pool();
        assert!(lost.expect_err("lost").contains("lost"));
        let doubled = history(&[(0, 1, 2), (2, 3, 6)]).check_pool();
        assert!(doubled.expect_err("doubled").contains("twice"));
        let late = history(&[(0, 1, 4), (2, 3, 2)]).check_pool();
        assert!(late.expect_err("late").contains("before"));
        let late_by_a_long_way = history(&[(0, 9, 2), (5, 9, 4), (0, 1, 6)]).check_pool();
        assert!(late_by_a_long_way.expect_err("late").contains("before"));
    }

    #[test]
    fn wrong_balances_are_found() {
        let mut history = history(&[(0, 1, 2)]);
        history.accounts.insert("worker".into(), 1);
        history.deposited = DEPOSIT;
        let balances = |worker: u64, pool: u64| {
            BTreeMap::from([("worker".to_owned(), worker), (POOL.to_owned(), pool)])
        };
        assert_eq!(history.check_balances(&balances(1, 2)), Ok(()));
        assert!(history.check_balances(&balances(0, 2)).is_err());
        assert!(history.check_balances(&balances(1, 4)).is_err());
        assert!(history.check_balances(&BTreeMap::from([(POOL.to_owned(), 2)])).is_err());
        history.deposited += 1;
        assert!(history.check_balances(&balances(1, 2)).is_err(), "the sum is another");
    }
}
