//! `pbft bank`: one operation on the ledger.

use super::{AsClient, CliError, Exit, Format, keys, print_json, runtime};
use crate::client::ClientOptions;
use crate::ledger::{Account, Operation, Outcome};
use clap::{Args, Subcommand};
use serde_json::json;
use std::time::Duration;

/// `pbft bank`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    pbft bank deposit alice 100      prints: alice: 100\n  \
    pbft bank transfer alice bob 30 --format json\n  \
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
}

impl From<BankCommand> for Operation {
    fn from(command: BankCommand) -> Self {
        match command {
            BankCommand::Open { account } => Self::Open { account },
            BankCommand::Deposit { account, amount } => Self::Deposit { account, amount },
            BankCommand::Withdraw { account, amount } => Self::Withdraw { account, amount },
            BankCommand::Transfer { from, to, amount } => Self::Transfer { from, to, amount },
            BankCommand::Balance { account } => Self::Balance { account },
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
        _ => Vec::new(),
    }
}

fn print(operation: &Operation, outcome: &Outcome, format: Format) -> Exit {
    let refusal = match outcome {
        Outcome::Refused(refusal) => Some(refusal.to_string()),
        Outcome::Balance(_) | Outcome::Transferred { .. } => None,
    };
    let balances = balances(operation, outcome);
    match format {
        Format::Json => {
            let balances: serde_json::Map<_, _> =
                balances.into_iter().map(|(account, balance)| (account, balance.into())).collect();
            print_json(&json!({
                "operation": operation.to_string(),
                "balances": balances,
                "refused": refusal,
            }));
        }
        Format::Human => {
            balances.iter().for_each(|(account, balance)| println!("{account}: {balance}"));
            if let Some(refusal) = &refusal {
                eprintln!("refused: {refusal}");
            }
        }
    }
    match refusal {
        Some(_) => Exit::Finding,
        None => Exit::Done,
    }
}
