//! The field's nouns as they are typed and shown: accounts, kinds of messages, ends of channels.

use pbft_sim::bank::{MALFORMED, OVERDRAFT, Operation};
use pbft_sim::event::Node;
use std::fmt;

/// The accounts that have a name, in the order of their numbers.
pub const ACCOUNTS: [&str; 8] =
    ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"];

/// The number of an account.
#[must_use]
pub fn account(name: &str) -> Option<u8> {
    ACCOUNTS.iter().position(|known| *known == name).map(|at| at as u8)
}

/// The name of an account.
#[must_use]
pub fn account_name(account: u8) -> String {
    ACCOUNTS
        .get(usize::from(account))
        .map_or_else(|| format!("a{account}"), |name| (*name).to_owned())
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $shown:literal;)*) => {
        /// A kind of message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[$doc])* $name,)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// How it is typed.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// How the paper writes it.
            #[must_use]
            pub const fn shown(self) -> &'static str {
                match self { $(Self::$name => $shown,)* }
            }
        }
    };
}

kinds! {
    /// A client's request, from the client or relayed by a backup.
    Request = "request", "REQUEST";
    /// PRE-PREPARE with its batch.
    PrePrepare = "pre-prepare", "PRE-PREPARE";
    /// PREPARE.
    Prepare = "prepare", "PREPARE";
    /// COMMIT.
    Commit = "commit", "COMMIT";
    /// REPLY.
    Reply = "reply", "REPLY";
    /// CHECKPOINT.
    Checkpoint = "checkpoint", "CHECKPOINT";
    /// VIEW-CHANGE.
    ViewChange = "view-change", "VIEW-CHANGE";
    /// NEW-VIEW.
    NewView = "new-view", "NEW-VIEW";
    /// STATUS: what a replica has.
    Status = "status", "STATUS";
    /// A commit certificate for a replica that is behind.
    Certificate = "certificate", "CERTIFICATE";
    /// The proof of a stable checkpoint for a replica that is behind.
    Stable = "stable", "STABLE";
    /// Batches and state that are asked for, and sent.
    Transfer = "transfer", "TRANSFER";
    /// A refusal that a client is told of.
    Refusal = "refusal", "REFUSAL";
}

impl Kind {
    /// The kind of this name, in any case, singular or plural.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        let singular = word.strip_suffix('s').filter(|_| word != "status");
        Self::ALL
            .iter()
            .copied()
            .find(|kind| [Some(word.as_str()), singular].contains(&Some(kind.word())))
    }

    /// Whether it belongs to the housekeeping that goes on without anybody asking.
    #[must_use]
    pub const fn is_housekeeping(self) -> bool {
        matches!(self, Self::Status | Self::Transfer)
    }
}

/// How an end of a channel is shown.
#[must_use]
pub fn node_name(node: Node) -> String {
    match node {
        Node::Host(index) => index.to_string(),
        Node::Client(_) => "client".to_owned(),
    }
}

/// What the client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// An operation of the bank.
    Operation(Operation),
    /// Bytes that are none: an amount that no amount can be.
    Nonsense(String),
}

impl Ask {
    /// The bytes of the request.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Operation(operation) => operation.encode(),
            Self::Nonsense(text) => text.as_bytes().to_vec(),
        }
    }

    /// In a word or two, for pictures.
    #[must_use]
    pub fn brief(&self) -> String {
        match self {
            Self::Operation(Operation::Deposit { account, amount }) => {
                format!("{} +{amount}", account_name(*account))
            }
            Self::Operation(Operation::Withdraw { account, amount }) => {
                format!("{} −{amount}", account_name(*account))
            }
            Self::Operation(Operation::Transfer { to, amount, .. }) => {
                format!("{amount} → {}", account_name(*to))
            }
            Self::Operation(Operation::Read { account }) => format!("{}?", account_name(*account)),
            Self::Nonsense(text) => text.clone(),
        }
    }

    /// The answer in words.
    #[must_use]
    pub fn answer(&self, result: &[u8]) -> String {
        if result == OVERDRAFT || result == MALFORMED {
            return String::from_utf8_lossy(result).into_owned();
        }
        let (numbers, rest) = result.as_chunks::<8>();
        if numbers.is_empty() || !rest.is_empty() {
            return format!("{} bytes", result.len());
        }
        let numbers: Vec<_> =
            numbers.iter().map(|one| u64::from_le_bytes(*one).to_string()).collect();
        numbers.join(" and ")
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |one: &u8| account_name(*one);
        match self {
            Self::Operation(Operation::Deposit { account, amount }) => {
                write!(f, "deposit {} {amount}", name(account))
            }
            Self::Operation(Operation::Withdraw { account, amount }) => {
                write!(f, "withdraw {} {amount}", name(account))
            }
            Self::Operation(Operation::Transfer { from, to, amount }) => {
                write!(f, "transfer {} {} {amount}", name(from), name(to))
            }
            Self::Operation(Operation::Read { account }) => write!(f, "balance {}", name(account)),
            Self::Nonsense(text) => f.write_str(text),
        }
    }
}

/// So many numbers in a row are written as a range.
const RANGE_MIN: usize = 5;

/// Numbers in a row: `0 1 2`, and `0-9` where there are many.
#[must_use]
pub fn list(numbers: impl IntoIterator<Item = impl fmt::Display>) -> String {
    let words: Vec<_> = numbers.into_iter().map(|one| one.to_string()).collect();
    let mut all: Vec<String> = Vec::new();
    let mut rest = &words[..];
    while let Some(first) = rest.first() {
        let follows = |(at, word): &(usize, &String)| {
            let start = first.parse::<usize>().ok();
            start.is_some_and(|start| word.parse() == Ok(start + at))
        };
        let run = rest.iter().enumerate().take_while(follows).count();
        let len = if run < RANGE_MIN { 1 } else { run };
        all.push(if len == 1 { first.clone() } else { format!("{first}-{}", rest[len - 1]) });
        rest = &rest[len..];
    }
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_numbers_are_a_range() {
        assert_eq!(list([0, 1, 2, 3]), "0 1 2 3");
        assert_eq!(list([0, 2, 3, 4, 5, 6, 9]), "0 2-6 9");
        assert_eq!(list(["client", "7"]), "client 7");
        assert_eq!(list(Vec::<u8>::new()), "");
    }
}
