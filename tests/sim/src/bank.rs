//! The service of the simulated clusters: a few accounts. Every operation answers with the balances after it, so a
//! client's history says much about the order in which operations took effect.

use super::disk::{Books, Disk};
use pbft_core::manifest::ChunkId;
use pbft_core::types::ClientId;
use pbft_host::PANICKED;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;

/// The chunks of a state.
const CHUNKS: usize = 4;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Operation {
    /// Adds to an account.
    Deposit {
        /// The account.
        account: u8,
        /// How much.
        amount: u16,
    },
    /// Takes from an account what is there.
    Withdraw {
        /// The account.
        account: u8,
        /// How much.
        amount: u16,
    },
    /// Moves from one account to another.
    Transfer {
        /// Where it is taken.
        from: u8,
        /// Where it goes.
        to: u8,
        /// How much.
        amount: u16,
    },
    /// Reads an account.
    Read {
        /// The account.
        account: u8,
    },
}

impl Operation {
    /// Its bytes.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        match self {
            Self::Deposit { account, amount } => {
                [&[1, account][..], &amount.to_le_bytes()].concat()
            }
            Self::Transfer { from, to, amount } => {
                [&[2, from, to][..], &amount.to_le_bytes()].concat()
            }
            Self::Read { account } => vec![3, account],
            Self::Withdraw { account, amount } => {
                [&[4, account][..], &amount.to_le_bytes()].concat()
            }
        }
    }

    /// The operation with these bytes; `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        match *bytes {
            [1, account, a, b] => {
                Some(Self::Deposit { account, amount: u16::from_le_bytes([a, b]) })
            }
            [2, from, to, a, b] => {
                Some(Self::Transfer { from, to, amount: u16::from_le_bytes([a, b]) })
            }
            [3, account] => Some(Self::Read { account }),
            [4, account, a, b] => {
                Some(Self::Withdraw { account, amount: u16::from_le_bytes([a, b]) })
            }
            _ => None,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deposit { account, amount } => write!(f, "deposit a{account} {amount}"),
            Self::Withdraw { account, amount } => write!(f, "withdraw a{account} {amount}"),
            Self::Transfer { from, to, amount } => write!(f, "transfer a{from} a{to} {amount}"),
            Self::Read { account } => write!(f, "read a{account}"),
        }
    }
}

/// An operation on which the service panics, half-way through, as a mistake in it would have it.
pub const POISON: &[u8] = &[250; 3];

/// What the service answers to an operation that it cannot read.
pub const MALFORMED: &[u8] = b"malformed";

/// What it answers to a withdrawal or transfer of more than there is.
pub const OVERDRAFT: &[u8] = b"overdraft";

/// The accounts with a balance, which is never 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Accounts(BTreeMap<u8, u64>);

impl Accounts {
    /// The balance of an account.
    #[must_use]
    pub fn balance(&self, account: u8) -> u64 {
        self.0.get(&account).copied().unwrap_or_default()
    }

    /// Sets a balance.
    pub fn set(&mut self, account: u8, balance: u64) {
        match balance {
            0 => self.0.remove(&account),
            _ => self.0.insert(account, balance),
        };
    }

    /// The sum of all balances.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.0.values().fold(0, |sum, balance| sum.wrapping_add(*balance))
    }

    /// All accounts, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u8, u64)> + '_ {
        self.0.iter().map(|(account, balance)| (*account, *balance))
    }

    /// Applies an operation's bytes, whatever they are, and returns the result. For poison that is what a host makes of it.
    pub fn execute(&mut self, operation: &[u8]) -> Arc<[u8]> {
        match operation == POISON {
            true => PANICKED.into(),
            false => self.apply(operation),
        }
    }

    fn apply(&mut self, operation: &[u8]) -> Arc<[u8]> {
        let Some(operation) = Operation::decode(operation) else { return MALFORMED.into() };
        match operation {
            Operation::Deposit { account, amount } => {
                let balance = self.balance(account).wrapping_add(u64::from(amount));
                self.set(account, balance);
                balance.to_le_bytes().into()
            }
            Operation::Withdraw { account, amount } => {
                let Some(left) = self.balance(account).checked_sub(u64::from(amount)) else {
                    return OVERDRAFT.into();
                };
                self.set(account, left);
                left.to_le_bytes().into()
            }
            Operation::Transfer { from, to, amount } => {
                let Some(left) = self.balance(from).checked_sub(u64::from(amount)) else {
                    return OVERDRAFT.into();
                };
                self.set(from, left);
                let reached = self.balance(to).wrapping_add(u64::from(amount));
                self.set(to, reached);
                [self.balance(from).to_le_bytes(), reached.to_le_bytes()].concat().into()
            }
            Operation::Read { account } => self.balance(account).to_le_bytes().into(),
        }
    }

    /// Changes something, and panics. Nothing is printed of it.
    fn break_down(&mut self) -> ! {
        self.set(0, self.balance(0) + 1);
        resume_unwind(Box::new("a mistake in the service"));
    }

    fn chunk(&self, index: usize) -> Arc<[u8]> {
        let mut bytes = Vec::new();
        for (account, balance) in
            self.iter().filter(|(account, _)| usize::from(*account) % CHUNKS == index)
        {
            bytes.push(account);
            bytes.extend(balance.to_le_bytes());
        }
        bytes.into()
    }

    /// The state in chunks.
    #[must_use]
    pub fn chunks(&self) -> Vec<Arc<[u8]>> {
        (0..CHUNKS).map(|index| self.chunk(index)).collect()
    }

    /// The chunks as a manifest names them.
    #[must_use]
    pub fn chunk_ids(&self) -> Vec<ChunkId> {
        self.chunks().iter().map(|chunk| ChunkId::of(chunk)).collect()
    }

    /// The state of which these are the chunks; `None` if they are of none.
    #[must_use]
    pub fn from_chunks<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let mut accounts = Self::default();
        for chunk in chunks {
            let (pairs, rest) = chunk.as_chunks::<9>();
            if !rest.is_empty() {
                return None;
            }
            for [account, balance @ ..] in pairs {
                accounts.set(*account, u64::from_le_bytes(*balance));
            }
        }
        Some(accounts)
    }
}

/// The service.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bank {
    /// One account grows by so much with each operation: at other replicas it does not.
    pub skew: u16,
}

impl pbft_host::Service<Disk> for Bank {
    fn execute(&self, books: &mut Books<'_>, _client: ClientId, operation: &[u8]) -> Vec<u8> {
        let accounts = &mut *books.accounts;
        if self.skew > 0 {
            accounts.set(u8::MAX, accounts.balance(u8::MAX) + u64::from(self.skew));
        }
        match operation == POISON {
            true => accounts.break_down(),
            false => accounts.apply(operation).to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_survive_their_bytes_and_others_are_refused() {
        let operations = [
            Operation::Deposit { account: 1, amount: 300 },
            Operation::Transfer { from: 1, to: 2, amount: 7 },
            Operation::Read { account: 2 },
            Operation::Withdraw { account: 1, amount: 299 },
        ];
        for operation in operations {
            assert_eq!(Operation::decode(&operation.encode()), Some(operation));
        }
        let mut accounts = Accounts::default();
        for bytes in [&[][..], &[0], &[1, 2], &[9; 40]] {
            assert_eq!(&*accounts.execute(bytes), MALFORMED);
        }
        assert_eq!(&*accounts.execute(POISON), PANICKED);
        assert_eq!(accounts, Accounts::default(), "nothing was done");
    }

    #[test]
    fn money_moves_and_is_never_made() {
        let mut accounts = Accounts::default();
        accounts.execute(&Operation::Deposit { account: 1, amount: 10 }.encode());
        let moved = accounts.execute(&Operation::Transfer { from: 1, to: 2, amount: 4 }.encode());
        assert_eq!(*moved, [6u64.to_le_bytes(), 4u64.to_le_bytes()].concat());
        let refused = accounts.execute(&Operation::Transfer { from: 1, to: 2, amount: 7 }.encode());
        assert_eq!(&*refused, OVERDRAFT);
        accounts.execute(&Operation::Transfer { from: 1, to: 1, amount: 6 }.encode());
        assert_eq!((accounts.sum(), accounts.balance(1)), (10, 6));
        let refused = accounts.execute(&Operation::Withdraw { account: 1, amount: 7 }.encode());
        assert_eq!((&*refused, accounts.balance(1)), (OVERDRAFT, 6));
        accounts.execute(&Operation::Withdraw { account: 1, amount: 6 }.encode());
        assert_eq!(accounts.sum(), 4, "what is withdrawn is gone");
    }

    #[test]
    fn chunks_hold_the_state() {
        let mut accounts = Accounts::default();
        (0..9).for_each(|account| accounts.set(account, u64::from(account) * 3));
        let chunks = accounts.chunks();
        assert_eq!(Accounts::from_chunks(chunks.iter().map(|c| &**c)), Some(accounts.clone()));
        assert_eq!(Accounts::from_chunks([&[1, 2][..]]), None);
        let mut other = accounts.clone();
        other.set(5, 1);
        assert_ne!(other.chunk_ids(), accounts.chunk_ids());
    }
}
