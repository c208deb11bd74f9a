//! The default service: a bank ledger. Accounts hold whole minor units (cents); no amount is ever negative, and
//! no operation makes or loses money except deposit and withdraw.
//!
//! Any client on the cluster's allow-list may operate on any account. A deposit opens its account if there is
//! none yet; every other operation on an unknown account is refused. An account remembers its last
//! [`ENTRIES_KEPT`] entries for its statement; an audit adds up all balances and compares the sum with what was
//! deposited and withdrawn since the ledger began.

mod operation;
mod outcome;
mod record;

pub use operation::{Account, AccountError, Operation, OperationError};
pub use outcome::{Audit, Outcome, Refusal};
pub use record::{ENTRIES_KEPT, Entry, Record, Totals};

use pbft_core::types::ClientId;
use pbft_node::service::{Service, ServiceId};
use pbft_node::state::{ReadState, State, StateView};
use record::{END, PREFIX, TOTALS};

/// How many pairs are read at a time where all accounts are.
const PAGE: usize = 1024;

/// The most accounts in the answer to one [`Operation::Accounts`].
const ACCOUNTS_MAX: usize = 256;

/// The ledger.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ledger;

impl Service for Ledger {
    fn id(&self) -> ServiceId {
        ServiceId::LEDGER
    }

    fn execute(&self, state: &mut State<'_>, _client: ClientId, operation: &[u8]) -> Vec<u8> {
        let outcome = match Operation::parse(operation) {
            Ok(operation) => apply(state, &operation),
            Err(error) => Err(Refusal::Malformed(error)),
        };
        outcome.unwrap_or_else(Outcome::Refused).encode()
    }

    fn query(&self, state: &mut StateView, _client: ClientId, query: &[u8]) -> Vec<u8> {
        let outcome = match Operation::parse(query) {
            Ok(operation) => read(state, &operation).unwrap_or(Err(Refusal::NotAQuery)),
            Err(error) => Err(Refusal::Malformed(error)),
        };
        outcome.unwrap_or_else(Outcome::Refused).encode()
    }
}

/// Performs an operation that only reads; `None` for those that change something.
fn read(state: &mut impl ReadState, operation: &Operation) -> Option<Result<Outcome, Refusal>> {
    match operation {
        Operation::Balance { account } => {
            Some(known(state, account).map(|record| Outcome::Balance(record.balance)))
        }
        Operation::Statement { account } => Some(known(state, account).map(Outcome::Statement)),
        Operation::Accounts { after } => Some(Ok(accounts(state, after.as_ref()))),
        Operation::Audit => Some(Ok(Outcome::Audited(audit(state)))),
        Operation::Echo { word } => Some(Ok(Outcome::Echoed(word.clone()))),
        Operation::Open { .. }
        | Operation::Deposit { .. }
        | Operation::Withdraw { .. }
        | Operation::Transfer { .. } => None,
    }
}

fn apply(state: &mut State<'_>, operation: &Operation) -> Result<Outcome, Refusal> {
    match operation {
        Operation::Open { account } => {
            if get(state, account).is_some() {
                return Err(Refusal::AccountExists(account.clone()));
            }
            put(state, account, Record::default(), Entry::Opened, 0).map(Outcome::Balance)
        }
        Operation::Deposit { account, amount } => {
            let record = get(state, account).unwrap_or_default();
            let balance = credited(account, record.balance, *amount)?;
            put(state, account, record, Entry::Deposit(*amount), balance)?;
            count(state, |totals| totals.deposited += u128::from(*amount));
            Ok(Outcome::Balance(balance))
        }
        Operation::Withdraw { account, amount } => {
            let record = known(state, account)?;
            let balance = debited(account, record.balance, *amount)?;
            put(state, account, record, Entry::Withdrawal(*amount), balance)?;
            count(state, |totals| totals.withdrawn += u128::from(*amount));
            Ok(Outcome::Balance(balance))
        }
        Operation::Transfer { from, to, amount } => transfer(state, from, to, *amount),
        Operation::Balance { .. }
        | Operation::Statement { .. }
        | Operation::Accounts { .. }
        | Operation::Audit
        | Operation::Echo { .. } => read(state, operation).unwrap_or(Err(Refusal::NotAQuery)),
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
    let (source, target) = (known(state, from)?, known(state, to));
    let left = debited(from, source.balance, amount)?;
    let target = target?;
    let reached = credited(to, target.balance, amount)?;
    put(state, from, source, Entry::To(to.clone(), amount), left)?;
    put(state, to, target, Entry::From(from.clone(), amount), reached)?;
    Ok(Outcome::Transferred { from: left, to: reached })
}

fn get(state: &mut impl ReadState, account: &Account) -> Option<Record> {
    Record::decode(&state.get(&Record::key(account))?)
}

fn known(state: &mut impl ReadState, account: &Account) -> Result<Record, Refusal> {
    get(state, account).ok_or_else(|| Refusal::UnknownAccount(account.clone()))
}

fn put(
    state: &mut State<'_>,
    account: &Account,
    mut record: Record,
    entry: Entry,
    balance: u64,
) -> Result<u64, Refusal> {
    record.add(entry, balance);
    match state.put(&Record::key(account), &record.encode()) {
        Ok(()) => Ok(balance),
        // Keys and records are far smaller than what can be kept.
        Err(_) => Err(Refusal::UnknownAccount(account.clone())),
    }
}

fn totals(state: &mut impl ReadState) -> Totals {
    state.get(TOTALS).and_then(|bytes| Totals::decode(&bytes)).unwrap_or_default()
}

fn count(state: &mut State<'_>, change: impl FnOnce(&mut Totals)) {
    let mut totals = totals(state);
    change(&mut totals);
    // 38 bytes in all: they can be kept.
    let _ = state.put(TOTALS, &totals.encode());
}

/// All accounts with a name after `after`, in order of name, up to a bound.
fn accounts(state: &mut impl ReadState, after: Option<&Account>) -> Outcome {
    let pairs = state.range(&first_after(after), Some(END), ACCOUNTS_MAX);
    let balances = pairs
        .iter()
        .filter_map(|(key, value)| Some((Record::account(key)?, Record::decode(value)?.balance)));
    Outcome::Accounts(balances.collect())
}

/// The first key behind the record of `after`, or of all records.
fn first_after(after: Option<&Account>) -> Vec<u8> {
    match after {
        Some(account) => [&*Record::key(account), &[0]].concat(),
        None => PREFIX.to_vec(),
    }
}

fn audit(state: &mut impl ReadState) -> Audit {
    let mut audit = Audit { totals: totals(state), ..Audit::default() };
    let mut start = first_after(None);
    loop {
        let page = state.range(&start, Some(END), PAGE);
        let Some((last, _)) = page.last() else { return audit };
        start = [last, &[0][..]].concat();
        for record in page.iter().filter_map(|(_, value)| Record::decode(value)) {
            audit.accounts += 1;
            audit.sum += u128::from(record.balance);
        }
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
