//! The ledger's operations and their text form: words separated by single spaces, one form per operation.

use std::fmt;
use thiserror::Error;

/// The longest account name.
const NAME_BYTES_MAX: usize = 64;

/// An account's name: 1 to 64 of `a-z`, `A-Z`, `0-9`, `-`, `_` and `.`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Account(String);

/// Not an account name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an account name is 1 to {NAME_BYTES_MAX} of the characters a-z A-Z 0-9 - _ .")]
pub struct AccountError;

impl Account {
    /// Checks a name.
    pub fn new(name: &str) -> Result<Self, AccountError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        match (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed) {
            true => Ok(Self(name.to_owned())),
            false => Err(AccountError),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Account {
    type Err = AccountError;

    fn from_str(name: &str) -> Result<Self, AccountError> {
        Self::new(name)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a client asks the ledger to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Opens an account with balance 0.
    Open {
        /// The account.
        account: Account,
    },
    /// Adds to an account; opens it if need be.
    Deposit {
        /// The account.
        account: Account,
        /// Minor units, at least 1.
        amount: u64,
    },
    /// Takes from an account.
    Withdraw {
        /// The account.
        account: Account,
        /// Minor units, at least 1.
        amount: u64,
    },
    /// Moves from one account to another.
    Transfer {
        /// Where it is taken.
        from: Account,
        /// Where it goes.
        to: Account,
        /// Minor units, at least 1.
        amount: u64,
    },
    /// Reads an account.
    Balance {
        /// The account.
        account: Account,
    },
    /// Reads an account with its last entries.
    Statement {
        /// The account.
        account: Account,
    },
    /// Lists accounts with their balances, in order of name.
    Accounts {
        /// Only names behind this one.
        after: Option<Account>,
    },
    /// Adds up all balances.
    Audit,
    /// Says a word and changes nothing: for measurements with operations of any size.
    Echo {
        /// Printable ASCII without spaces.
        word: String,
    },
}

/// Bytes that are no operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OperationError {
    /// No operation begins like this, or it has more or fewer words.
    #[error(
        "not an operation: open A | deposit A N | withdraw A N | transfer A B N | balance A | \
        statement A | accounts [A] | audit | echo WORD"
    )]
    Form,
    /// A word that should name an account does not.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// A word that should be an amount is not.
    #[error(
        "an amount is a whole number of minor units from 1 to {}, without leading zeros",
        u64::MAX
    )]
    Amount,
}

impl Operation {
    /// Reads the text form.
    pub fn parse(bytes: &[u8]) -> Result<Self, OperationError> {
        let text = std::str::from_utf8(bytes).map_err(|_| OperationError::Form)?;
        let words: Vec<&str> = text.split(' ').collect();
        match *words {
            ["open", account] => Ok(Self::Open { account: Account::new(account)? }),
            ["balance", account] => Ok(Self::Balance { account: Account::new(account)? }),
            ["deposit", account, amount] => {
                Ok(Self::Deposit { account: Account::new(account)?, amount: parse_amount(amount)? })
            }
            ["withdraw", account, amount] => Ok(Self::Withdraw {
                account: Account::new(account)?,
                amount: parse_amount(amount)?,
            }),
            ["transfer", from, to, amount] => Ok(Self::Transfer {
                from: Account::new(from)?,
                to: Account::new(to)?,
                amount: parse_amount(amount)?,
            }),
            ["statement", account] => Ok(Self::Statement { account: Account::new(account)? }),
            ["accounts"] => Ok(Self::Accounts { after: None }),
            ["accounts", after] => Ok(Self::Accounts { after: Some(Account::new(after)?) }),
            ["audit"] => Ok(Self::Audit),
            ["echo", word] if word.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(Self::Echo { word: word.to_owned() })
            }
            _ => Err(OperationError::Form),
        }
    }

    /// The text form.
    pub fn encode(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { account } => write!(f, "open {account}"),
            Self::Deposit { account, amount } => write!(f, "deposit {account} {amount}"),
            Self::Withdraw { account, amount } => write!(f, "withdraw {account} {amount}"),
            Self::Transfer { from, to, amount } => write!(f, "transfer {from} {to} {amount}"),
            Self::Balance { account } => write!(f, "balance {account}"),
            Self::Statement { account } => write!(f, "statement {account}"),
            Self::Accounts { after: None } => f.write_str("accounts"),
            Self::Accounts { after: Some(after) } => write!(f, "accounts {after}"),
            Self::Audit => f.write_str("audit"),
            Self::Echo { word } => write!(f, "echo {word}"),
        }
    }
}

fn parse_amount(word: &str) -> Result<u64, OperationError> {
    let canonical = word.bytes().all(|byte| byte.is_ascii_digit()) && !word.starts_with('0');
    match canonical {
        true => word.parse().map_err(|_| OperationError::Amount),
        false => Err(OperationError::Amount),
    }
}
