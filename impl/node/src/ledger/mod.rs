//! The default service: a bank ledger. Accounts hold whole minor units (cents); no amount is ever negative, and
//! no operation makes or loses money except deposit and withdraw.
//!
//! Any client on the cluster's allow-list may operate on any account. A deposit opens its account if there is
//! none yet; every other operation on an unknown account is refused.

mod operation;
mod outcome;

pub use operation::{Account, AccountError, Operation, OperationError};
pub use outcome::{Outcome, Refusal};

use crate::service::Service;
use crate::state::State;
use pbft_core::types::ClientId;

/// Keys of accounts begin with this.
const PREFIX: &[u8] = b"account/";

/// The ledger.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ledger;

impl Service for Ledger {
    fn execute(&self, state: &mut State<'_>, _client: ClientId, operation: &[u8]) -> Vec<u8> {
        let outcome = match Operation::parse(operation) {
            Ok(operation) => apply(state, &operation),
            Err(error) => Err(Refusal::Malformed(error)),
        };
        outcome.unwrap_or_else(Outcome::Refused).encode()
    }
}

fn apply(state: &mut State<'_>, operation: &Operation) -> Result<Outcome, Refusal> {
    match operation {
        Operation::Open { account } => {
            if balance(state, account).is_some() {
                return Err(Refusal::AccountExists(account.clone()));
            }
            set(state, account, 0)
        }
        Operation::Deposit { account, amount } => {
            let balance = balance(state, account).unwrap_or(0);
            set(state, account, credited(account, balance, *amount)?)
        }
        Operation::Withdraw { account, amount } => {
            let balance = known(state, account)?;
            set(state, account, debited(account, balance, *amount)?)
        }
        Operation::Transfer { from, to, amount } => transfer(state, from, to, *amount),
        Operation::Balance { account } => Ok(Outcome::Balance(known(state, account)?)),
    }
}

fn transfer(
    state: &mut State<'_>,
    from: &Account,
    to: &Account,
    amount: u64,
) -> Result<Outcome, Refusal> {
    if from == to {
        return Err(Refusal::SameAccount(from.clone()));
    }
    // Both new balances first, so that a refusal leaves both accounts as they were.
    let left = debited(from, known(state, from)?, amount)?;
    let reached = credited(to, known(state, to)?, amount)?;
    set(state, from, left)?;
    set(state, to, reached)?;
    Ok(Outcome::Transferred { from: left, to: reached })
}

fn key(account: &Account) -> Vec<u8> {
    [PREFIX, account.as_str().as_bytes()].concat()
}

fn balance(state: &mut State<'_>, account: &Account) -> Option<u64> {
    let bytes = state.get(&key(account))?;
    Some(u64::from_le_bytes(*bytes.first_chunk()?))
}

fn known(state: &mut State<'_>, account: &Account) -> Result<u64, Refusal> {
    balance(state, account).ok_or_else(|| Refusal::UnknownAccount(account.clone()))
}

fn set(state: &mut State<'_>, account: &Account, balance: u64) -> Result<Outcome, Refusal> {
    match state.put(&key(account), &balance.to_le_bytes()) {
        Ok(()) => Ok(Outcome::Balance(balance)),
        Err(_) => Err(Refusal::UnknownAccount(account.clone())),
    }
}

fn credited(account: &Account, balance: u64, amount: u64) -> Result<u64, Refusal> {
    let overflow = || Refusal::Overflow { account: account.clone(), balance, amount };
    balance.checked_add(amount).ok_or_else(overflow)
}

fn debited(account: &Account, balance: u64, amount: u64) -> Result<u64, Refusal> {
    let overdraft = || Refusal::Overdraft { account: account.clone(), balance, amount };
    balance.checked_sub(amount).ok_or_else(overdraft)
}

#[cfg(test)]
mod tests;
