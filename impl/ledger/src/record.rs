//! What the ledger keeps of an account, and of all accounts together.

use super::operation::Account;

/// How many entries an account's record keeps: the last ones. Older entries are only counted, so that an account
/// has a bounded size however often it is used.
pub const ENTRIES_KEPT: usize = 16;

/// Keys of accounts begin with this.
pub(super) const PREFIX: &[u8] = b"account/";

/// The first key behind all accounts: the prefix with its last byte raised.
pub(super) const END: &[u8] = b"account0";

/// The key of the [`Totals`].
pub(super) const TOTALS: &[u8] = b"totals";

/// One change of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It was opened without a deposit.
    Opened,
    /// Money came from outside.
    Deposit(u64),
    /// Money went outside.
    Withdrawal(u64),
    /// Money came from another account.
    From(Account, u64),
    /// Money went to another account.
    To(Account, u64),
}

impl Entry {
    /// The balance before this entry, given the balance after it; `None` if no balance fits.
    pub fn before(&self, after: u64) -> Option<u64> {
        match self {
            Self::Opened => Some(after),
            Self::Deposit(amount) | Self::From(_, amount) => after.checked_sub(*amount),
            Self::Withdrawal(amount) | Self::To(_, amount) => after.checked_add(*amount),
        }
    }

    fn parts(&self) -> (u8, u64, &str) {
        match self {
            Self::Opened => (0, 0, ""),
            Self::Deposit(amount) => (1, *amount, ""),
            Self::Withdrawal(amount) => (2, *amount, ""),
            Self::From(account, amount) => (3, *amount, account.as_str()),
            Self::To(account, amount) => (4, *amount, account.as_str()),
        }
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        let (kind, amount, other) = self.parts();
        bytes.push(kind);
        bytes.extend(amount.to_le_bytes());
        // Names have at most 64 bytes.
        bytes.push(other.len() as u8);
        bytes.extend(other.as_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (kind, rest) = bytes.split_first()?;
        let (amount, rest) = rest.split_first_chunk::<8>()?;
        let (len, rest) = rest.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(*len))?;
        let amount = u64::from_le_bytes(*amount);
        let other = || Account::new(std::str::from_utf8(name).ok()?).ok();
        let entry = match kind {
            0 if amount == 0 && name.is_empty() => Self::Opened,
            1 if name.is_empty() => Self::Deposit(amount),
            2 if name.is_empty() => Self::Withdrawal(amount),
            3 => Self::From(other()?, amount),
            4 => Self::To(other()?, amount),
            _ => return None,
        };
        Some((entry, rest))
    }
}

/// An account: its balance, and its last entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Minor units.
    pub balance: u64,
    /// How many entries there were in all.
    pub count: u64,
    /// The last of them, the oldest first; at most [`ENTRIES_KEPT`].
    pub entries: Vec<Entry>,
}

impl Record {
    /// The key of an account's record in the service's state.
    pub fn key(account: &Account) -> Vec<u8> {
        [PREFIX, account.as_str().as_bytes()].concat()
    }

    /// The account whose record has this key; `None` if the key is of something else.
    pub fn account(key: &[u8]) -> Option<Account> {
        Account::new(std::str::from_utf8(key.strip_prefix(PREFIX)?).ok()?).ok()
    }

    /// Adds an entry, with the balance after it, and lets go of the oldest if there are too many.
    pub(super) fn add(&mut self, entry: Entry, balance: u64) {
        self.balance = balance;
        self.count = self.count.saturating_add(1);
        if self.entries.len() >= ENTRIES_KEPT {
            self.entries.remove(0);
        }
        self.entries.push(entry);
    }

    /// The bytes that are kept.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 + 12 * self.entries.len());
        bytes.extend(self.balance.to_le_bytes());
        bytes.extend(self.count.to_le_bytes());
        self.entries.iter().for_each(|entry| entry.encode(&mut bytes));
        bytes
    }

    /// Reads what [`Self::encode`] wrote; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (balance, rest) = bytes.split_first_chunk::<8>()?;
        let (count, mut rest) = rest.split_first_chunk::<8>()?;
        let mut entries = Vec::new();
        while !rest.is_empty() {
            let (entry, after) = Entry::decode(rest)?;
            entries.push(entry);
            rest = after;
        }
        let (balance, count) = (u64::from_le_bytes(*balance), u64::from_le_bytes(*count));
        (entries.len() <= ENTRIES_KEPT).then_some(Self { balance, count, entries })
    }
}

/// What went in and out of the ledger since it began. What is in the accounts must be the difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The sum of all deposits, in minor units.
    pub deposited: u128,
    /// The sum of all withdrawals, in minor units.
    pub withdrawn: u128,
}

impl Totals {
    /// The bytes that are kept.
    pub fn encode(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let (deposited, withdrawn) = bytes.split_at_mut(16);
        deposited.copy_from_slice(&self.deposited.to_le_bytes());
        withdrawn.copy_from_slice(&self.withdrawn.to_le_bytes());
        bytes
    }

    /// Reads what [`Self::encode`] wrote; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (deposited, rest) = bytes.split_first_chunk::<16>()?;
        let withdrawn: &[u8; 16] = rest.try_into().ok()?;
        let (deposited, withdrawn) =
            (u128::from_le_bytes(*deposited), u128::from_le_bytes(*withdrawn));
        Some(Self { deposited, withdrawn })
    }
}
