//! What the ledger answers, and its text form.

use super::operation::{Account, OperationError};
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
    /// Nothing was done.
    Refused(Refusal),
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
    /// The text form: `ok` with one or two balances, or `refused` with a word and what it is about.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Balance(balance) => format!("ok {balance}"),
            Self::Transferred { from, to } => format!("ok {from} {to}"),
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
            ["refused", ref words @ ..] => Some(Self::Refused(Refusal::decode(words)?)),
            _ => None,
        }
    }
}

impl Refusal {
    fn encode(&self) -> String {
        match self {
            Self::Malformed(OperationError::Form) => "malformed form".to_owned(),
            Self::Malformed(OperationError::Account(_)) => "malformed account".to_owned(),
            Self::Malformed(OperationError::Amount) => "malformed amount".to_owned(),
            Self::UnknownAccount(account) => format!("unknown-account {account}"),
            Self::AccountExists(account) => format!("account-exists {account}"),
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
