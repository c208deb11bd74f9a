//! `pbft key`: secret keys and their public halves.

use super::{CliError, Exit};
use clap::{Args, Subcommand};
use pbft_node::keys::SecretKey;
use pbft_output::outln;
use std::path::PathBuf;

/// `pbft key`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    pbft key new replica.key          writes a secret key (mode 0600), prints its public key\n  \
    pbft key public replica.key       prints the public key again, for cluster.toml\n\n\
    A secret key is never printed, and never overwritten.")]
pub struct KeyArguments {
    /// What to do
    #[command(subcommand)]
    pub command: KeyCommand,
}

/// A subcommand of `pbft key`.
#[derive(Clone, Debug, Subcommand)]
pub enum KeyCommand {
    /// Makes a new secret key, and prints its public key
    New {
        /// Where to write it; must not exist
        file: PathBuf,
    },
    /// Prints the public key of a secret key
    Public {
        /// The secret key's file
        file: PathBuf,
    },
}

pub(super) fn run(arguments: &KeyArguments) -> Result<Exit, CliError> {
    let key = match &arguments.command {
        KeyCommand::New { file } => {
            let key = SecretKey::generate()?;
            key.create(file)?;
            key
        }
        KeyCommand::Public { file } => SecretKey::load(file)?,
    };
    outln!("{}", key.public().to_hex());
    Ok(Exit::Done)
}
