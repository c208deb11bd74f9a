//! What the ledger answers, and its text form.

use super::operation::{Account, OperationError};
use super::record::{Entry, Record, Totals};
use std::fmt::Write as _;
use thiserror::Error;

/// The result of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The account's balance, after whatever was done.
    Balance(u64),
    /// Both balances after a transfer.
    Transferred {
        /// Of the account that it was taken from.
        from: u64,
        /// Of the account that it went to.
        to: u64,
    },
    /// An account with its last entries.
    Statement(Record),
    /// Accounts with their balances, in order of name.
    Accounts(Vec<(Account, u64)>),
    /// The sum of all balances, and what it must be.
    Audited(Audit),
    /// The word that was to be said.
    Echoed(String),
    /// Nothing was done.
    Refused(Refusal),
}

/// What an audit found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// How many accounts there are.
    pub accounts: u64,
    /// The sum of their balances.
    pub sum: u128,
    /// What was deposited and withdrawn since the ledger began.
    pub totals: Totals,
}

impl Audit {
    /// Whether the accounts hold what was deposited and not withdrawn.
    pub fn is_balanced(&self) -> bool {
        self.totals.deposited.checked_sub(self.totals.withdrawn) == Some(self.sum)
    }
}

/// Why the ledger does nothing. Every replica refuses the same operations with the same words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The operation cannot be read.
    #[error("{0}")]
    Malformed(OperationError),
    /// There is no such account.
    #[error("there is no account {0}; open it, or deposit into it")]
    UnknownAccount(Account),
    /// There is such an account already.
    #[error("account {0} exists already")]
    AccountExists(Account),
    /// A query that would change something.
    #[error("a query changes nothing; submit the operation instead")]
    NotAQuery,
    /// A transfer to where it comes from.
    #[error("a transfer from {0} to itself moves nothing")]
    SameAccount(Account),
    /// Not enough is there.
    #[error("account {account} has {balance}, {amount} cannot be taken from it")]
    Overdraft {
        /// The account.
        account: Account,
        /// What it has.
        balance: u64,
        /// What was asked for.
        amount: u64,
    },
    /// More than a balance can be.
    #[error("account {account} has {balance}; {amount} more is beyond what a balance can be")]
    Overflow {
        /// The account.
        account: Account,
        /// What it has.
        balance: u64,
        /// What was to be added.
        amount: u64,
    },
}

impl Outcome {
    /// The text form: `ok` with one or two balances; `refused` with a word and what it is about; or the kind of
    /// answer with its parts.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Balance(balance) => format!("ok {balance}"),
            Self::Transferred { from, to } => format!("ok {from} {to}"),
            Self::Statement(record) => encode_statement(record),
            Self::Accounts(balances) => {
                balances.iter().fold("accounts".to_owned(), |mut text, (account, balance)| {
                    // Writing to a string cannot fail.
                    let _ = write!(text, " {account}:{balance}");
                    text
                })
            }
            Self::Audited(Audit { accounts, sum, totals: Totals { deposited, withdrawn } }) => {
                format!("audit {accounts} {sum} {deposited} {withdrawn}")
            }
            Self::Echoed(word) => format!("echo {word}"),
            Self::Refused(refusal) => format!("refused {}", refusal.encode()),
        }
        .into_bytes()
    }

    /// Reads the text form; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let words: Vec<&str> = std::str::from_utf8(bytes).ok()?.split(' ').collect();
        match *words {
            ["ok", balance] => Some(Self::Balance(balance.parse().ok()?)),
            ["ok", from, to] => {
                Some(Self::Transferred { from: from.parse().ok()?, to: to.parse().ok()? })
            }
            ["statement", balance, count, ref entries @ ..] => {
                let entries =
                    entries.iter().map(|word| decode_entry(word)).collect::<Option<_>>()?;
                let (balance, count) = (balance.parse().ok()?, count.parse().ok()?);
                Some(Self::Statement(Record { balance, count, entries }))
            }
            ["accounts", ref balances @ ..] => {
                let balance = |word: &&str| {
                    let (account, balance) = word.split_once(':')?;
                    Some((Account::new(account).ok()?, balance.parse().ok()?))
                };
                Some(Self::Accounts(balances.iter().map(balance).collect::<Option<_>>()?))
            }
            ["audit", accounts, sum, deposited, withdrawn] => {
                let (deposited, withdrawn) = (deposited.parse().ok()?, withdrawn.parse().ok()?);
                let (accounts, sum) = (accounts.parse().ok()?, sum.parse().ok()?);
                Some(Self::Audited(Audit {
                    accounts,
                    sum,
                    totals: Totals { deposited, withdrawn },
                }))
            }
            ["echo", word] => Some(Self::Echoed(word.to_owned())),
            ["refused", ref words @ ..] => Some(Self::Refused(Refusal::decode(words)?)),
            _ => None,
        }
    }
}

fn encode_statement(record: &Record) -> String {
    let mut text = format!("statement {} {}", record.balance, record.count);
    for entry in &record.entries {
        // Writing to a string cannot fail.
        let _ = match entry {
            Entry::Opened => write!(text, " opened"),
            Entry::Deposit(amount) => write!(text, " deposit:{amount}"),
            Entry::Withdrawal(amount) => write!(text, " withdrawal:{amount}"),
            Entry::From(account, amount) => write!(text, " from:{account}:{amount}"),
            Entry::To(account, amount) => write!(text, " to:{account}:{amount}"),
        };
    }
    text
}

fn decode_entry(word: &str) -> Option<Entry> {
    let parts: Vec<&str> = word.split(':').collect();
    Some(match *parts {
        ["opened"] => Entry::Opened,
        ["deposit", amount] => Entry::Deposit(amount.parse().ok()?),
        ["withdrawal", amount] => Entry::Withdrawal(amount.parse().ok()?),
        ["from", account, amount] => Entry::From(Account::new(account).ok()?, amount.parse().ok()?),
        ["to", account, amount] => Entry::To(Account::new(account).ok()?, amount.parse().ok()?),
        _ => return None,
    })
}

impl Refusal {
    fn encode(&self) -> String {
        match self {
            Self::Malformed(OperationError::Form) => "malformed form".to_owned(),
            Self::Malformed(OperationError::Account(_)) => "malformed account".to_owned(),
            Self::Malformed(OperationError::Amount) => "malformed amount".to_owned(),
            Self::UnknownAccount(account) => format!("unknown-account {account}"),
            Self::AccountExists(account) => format!("account-exists {account}"),
            Self::NotAQuery => "not-a-query".to_owned(),
            Self::SameAccount(account) => format!("same-account {account}"),
            Self::Overdraft { account, balance, amount } => {
                format!("overdraft {account} {balance} {amount}")
            }
            Self::Overflow { account, balance, amount } => {
                format!("overflow {account} {balance} {amount}")
            }
        }
    }

    fn decode(words: &[&str]) -> Option<Self> {
        let account = |name: &str| Account::new(name).ok();
        Some(match *words {
            ["malformed", "form"] => Self::Malformed(OperationError::Form),
            ["malformed", "account"] => {
                Self::Malformed(OperationError::Account(super::AccountError))
            }
            ["malformed", "amount"] => Self::Malformed(OperationError::Amount),
            ["unknown-account", name] => Self::UnknownAccount(account(name)?),
            ["account-exists", name] => Self::AccountExists(account(name)?),
            ["not-a-query"] => Self::NotAQuery,
            ["same-account", name] => Self::SameAccount(account(name)?),
            ["overdraft", name, balance, amount] => Self::Overdraft {
                account: account(name)?,
                balance: balance.parse().ok()?,
                amount: amount.parse().ok()?,
            },
            ["overflow", name, balance, amount] => Self::Overflow {
                account: account(name)?,
                balance: balance.parse().ok()?,
                amount: amount.parse().ok()?,
            },
            _ => return None,
        })
    }
}
