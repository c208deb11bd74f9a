//! `pbft-model explore`: the states in a browser.

use std::net::SocketAddr;

use clap::Args;

use crate::run::ExitCode;
use crate::{Config, Mutant, explore};

#[derive(Debug, Args)]
pub(super) struct ExploreArgs {
    /// The configuration
    #[arg(long, value_name = "NAME")]
    config: Config,
    /// A bug to plant
    #[arg(long, value_enum, value_name = "NAME", hide_possible_values = true)]
    mutant: Option<Mutant>,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:3000")]
    address: SocketAddr,
}

/// Serves the Explorer until the process ends.
pub(super) fn run(args: &ExploreArgs) -> Result<ExitCode, String> {
    explore::serve(&args.config, args.mutant, args.address)?;
    Ok(ExitCode::Holds)
}
