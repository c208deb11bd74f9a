//! `pbft bank`: one operation on the ledger.

use super::{AsClient, CliError, Exit, Format, keys, print_json, runtime};
use clap::{Args, Subcommand};
use pbft_ledger::{Account, Entry, Operation, Outcome, Record, Totals};
use pbft_node::client::ClientOptions;
use pbft_output::{errln, outln};
use serde_json::{Value, json};
use std::time::Duration;

/// `pbft bank`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    pbft bank deposit alice 100      prints: alice: 100\n  \
    pbft bank transfer alice bob 30 --format json\n  \
    pbft bank statement alice        the balance and the last entries\n  \
    pbft bank audit                  1 if money was made or lost\n  \
    pbft bank --client client-2 balance bob\n\n\
    Amounts are whole minor units (cents). What the ledger refuses (an overdraft, an unknown account) \
    changes nothing and exits with 1.")]
pub struct BankArguments {
    /// Which cluster, as which client
    #[command(flatten)]
    pub who: AsClient,
    /// Form of the output
    #[arg(long, value_enum, default_value_t, global = true)]
    pub format: Format,
    /// Give up after so many seconds
    #[arg(long, default_value_t = 30, value_name = "SECONDS", global = true)]
    pub timeout: u64,
    /// The operation
    #[command(subcommand)]
    pub command: BankCommand,
}

/// An operation on the ledger.
#[derive(Clone, Debug, Subcommand)]
pub enum BankCommand {
    /// Opens an account with balance 0
    Open {
        /// Its name
        account: Account,
    },
    /// Adds to an account; opens it if there is none yet
    Deposit {
        /// The account
        account: Account,
        /// Minor units
        #[arg(value_parser = clap::value_parser!(u64).range(1..))]
        amount: u64,
    },
    /// Takes from an account
    Withdraw {
        /// The account
        account: Account,
        /// Minor units
        #[arg(value_parser = clap::value_parser!(u64).range(1..))]
        amount: u64,
    },
    /// Moves from one account to another
    Transfer {
        /// Where it is taken
        from: Account,
        /// Where it goes
        to: Account,
        /// Minor units
        #[arg(value_parser = clap::value_parser!(u64).range(1..))]
        amount: u64,
    },
    /// Shows an account
    Balance {
        /// The account
        account: Account,
    },
    /// Shows an account with its last entries
    Statement {
        /// The account
        account: Account,
    },
    /// Lists accounts with their balances, in order of name, up to 256 at a time
    Accounts {
        /// Only names behind this one
        #[arg(long, value_name = "ACCOUNT")]
        after: Option<Account>,
    },
    /// Adds up all accounts, and compares the sum with what was deposited and withdrawn
    Audit,
}

impl From<BankCommand> for Operation {
    fn from(command: BankCommand) -> Self {
        match command {
            BankCommand::Open { account } => Self::Open { account },
            BankCommand::Deposit { account, amount } => Self::Deposit { account, amount },
            BankCommand::Withdraw { account, amount } => Self::Withdraw { account, amount },
            BankCommand::Transfer { from, to, amount } => Self::Transfer { from, to, amount },
            BankCommand::Balance { account } => Self::Balance { account },
            BankCommand::Statement { account } => Self::Statement { account },
            BankCommand::Accounts { after } => Self::Accounts { after },
            BankCommand::Audit => Self::Audit,
        }
    }
}

pub(super) fn run(arguments: &BankArguments) -> Result<Exit, CliError> {
    let operation = Operation::from(arguments.command.clone());
    let (cluster, name) = keys::choose(&arguments.who)?;
    let dir = &arguments.who.dir;
    let deadline = Duration::from_secs(arguments.timeout);
    let options = ClientOptions { deadline, lanes: 1, ..ClientOptions::default() };
    let timestamps = keys::timestamps(dir, &name)?;
    let result = runtime()?.block_on(async {
        let client = keys::connect(dir, &cluster, &name, timestamps, options)?;
        Ok::<_, CliError>(client.submit(operation.encode()).await?)
    })?;
    let outcome = Outcome::decode(&result).ok_or(CliError::NotALedger)?;
    Ok(print(&operation, &outcome, arguments.format))
}

/// The balances that an outcome shows.
fn balances(operation: &Operation, outcome: &Outcome) -> Vec<(String, u64)> {
    match (operation, outcome) {
        (
            Operation::Open { account }
            | Operation::Deposit { account, .. }
            | Operation::Withdraw { account, .. }
            | Operation::Balance { account },
            Outcome::Balance(balance),
        ) => vec![(account.to_string(), *balance)],
        (
            Operation::Transfer { from, to, .. },
            Outcome::Transferred { from: left, to: reached },
        ) => vec![(from.to_string(), *left), (to.to_string(), *reached)],
        (Operation::Statement { account }, Outcome::Statement(record)) => {
            vec![(account.to_string(), record.balance)]
        }
        (_, Outcome::Accounts(balances)) => {
            balances.iter().map(|(account, balance)| (account.to_string(), *balance)).collect()
        }
        _ => Vec::new(),
    }
}

/// The lines of a statement: each kept entry with the balance after it, the oldest first.
fn lines(record: &Record) -> Vec<(u64, &Entry, u64)> {
    let mut balance = record.balance;
    let mut lines = Vec::new();
    for (number, entry) in (0..record.count).rev().zip(record.entries.iter().rev()) {
        lines.push((number + 1, entry, balance));
        // A record that contradicts itself shows no more of it.
        let Some(before) = entry.before(balance) else { break };
        balance = before;
    }
    lines.reverse();
    lines
}

fn describe(entry: &Entry) -> (&'static str, Option<&Account>, u64) {
    match entry {
        Entry::Opened => ("opened", None, 0),
        Entry::Deposit(amount) => ("deposit", None, *amount),
        Entry::Withdrawal(amount) => ("withdrawal", None, *amount),
        Entry::From(account, amount) => ("from", Some(account), *amount),
        Entry::To(account, amount) => ("to", Some(account), *amount),
    }
}

fn as_json(operation: &Operation, outcome: &Outcome) -> Value {
    let balances: serde_json::Map<_, _> = balances(operation, outcome)
        .into_iter()
        .map(|(account, balance)| (account, balance.into()))
        .collect();
    let refused = match outcome {
        Outcome::Refused(refusal) => Some(refusal.to_string()),
        _ => None,
    };
    let mut object = json!({
        "operation": operation.to_string(), "balances": balances, "refused": refused,
    });
    match outcome {
        Outcome::Statement(record) => {
            let line = |(number, entry, after): (u64, &Entry, u64)| {
                let (kind, other, amount) = describe(entry);
                let other = other.map(Account::as_str);
                json!({"number": number, "kind": kind, "account": other, "amount": amount, "balance": after})
            };
            object["count"] = record.count.into();
            object["entries"] = lines(record).into_iter().map(line).collect();
        }
        Outcome::Audited(audit) => {
            // Numbers beyond 64 bits would not be read by everybody, so sums are text.
            object["accounts"] = audit.accounts.into();
            object["sum"] = audit.sum.to_string().into();
            object["deposited"] = audit.totals.deposited.to_string().into();
            object["withdrawn"] = audit.totals.withdrawn.to_string().into();
            object["balanced"] = audit.is_balanced().into();
        }
        _ => {}
    }
    object
}

fn print_human(operation: &Operation, outcome: &Outcome) {
    balances(operation, outcome)
        .iter()
        .for_each(|(account, balance)| outln!("{account}: {balance}"));
    match outcome {
        Outcome::Statement(record) => {
            for (number, entry, after) in lines(record) {
                let (kind, other, amount) = describe(entry);
                let other = other.map(|other| format!(" {other}")).unwrap_or_default();
                outln!("{number:>6}  {:<24} {amount:>12} {after:>14}", format!("{kind}{other}"));
            }
        }
        Outcome::Audited(audit) => {
            let Totals { deposited, withdrawn } = audit.totals;
            let verdict = if audit.is_balanced() { "balanced" } else { "NOT balanced" };
            outln!("{} accounts hold {}", audit.accounts, audit.sum);
            outln!("deposited {deposited}, withdrawn {withdrawn}: {verdict}");
        }
        Outcome::Echoed(word) => outln!("{word}"),
        Outcome::Refused(refusal) => errln!("refused: {refusal}"),
        Outcome::Balance(_) | Outcome::Transferred { .. } | Outcome::Accounts(_) => {}
    }
}

/// Prints an outcome, and says how the command ends.
pub(super) fn print(operation: &Operation, outcome: &Outcome, format: Format) -> Exit {
    match format {
        Format::Json => print_json(&as_json(operation, outcome)),
        Format::Human => print_human(operation, outcome),
    }
    match outcome {
        Outcome::Refused(_) => Exit::Finding,
        Outcome::Audited(audit) if !audit.is_balanced() => Exit::Finding,
        _ => Exit::Done,
    }
}
