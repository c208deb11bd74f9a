//! `pbft recover`: lets a replica that lost its store come back.

use super::{CliError, Exit, Format, print_json, runtime};
use clap::Args;
use pbft_core::types::ReplicaId;
use pbft_node::recover::{Recovered, WithoutQuorum, recover};
use pbft_output::outln;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

/// `pbft recover`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Example:\n  pbft recover --dir cluster/replica-0\n  pbft start --dir cluster/replica-0\n\n\
    Make sure first that no other process uses this replica's key. The others must be running: all of them, or all \
    but one; and a quorum of them must vote, or nothing would be executed ever after. The damaged files are kept, in DIR/lost-N. The replica then executes what the others decide, but votes \
    for nothing until its stable checkpoint has passed everything that it may have voted for, and a later view has \
    begun; `pbft status` shows how far it is. Until then it counts among the f faulty replicas."
)]
pub struct RecoverArguments {
    /// The replica's directory, with cluster.toml and replica.key
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// A replica that is not to be asked, because it lies; may be repeated
    #[arg(long, value_name = "ID")]
    pub without: Vec<u32>,
    /// How long to wait for the others
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    pub wait: u64,
    /// Recover the replica although fewer of the others vote than a quorum needs: the cluster then executes nothing
    /// until more of them vote again, and this replica stays a learner for so long
    #[arg(long)]
    pub accept_standstill: bool,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

pub(super) fn run(arguments: &RecoverArguments) -> Result<Exit, CliError> {
    let without = arguments.without.iter().map(|id| ReplicaId(*id)).collect();
    let patience = Duration::from_secs(arguments.wait);
    let without_quorum = match arguments.accept_standstill {
        true => WithoutQuorum::AcceptStandstill,
        false => WithoutQuorum::Refuse,
    };
    let recover = recover(&arguments.dir, &without, patience, without_quorum);
    let recovered = runtime()?.block_on(recover)?;
    match arguments.format {
        Format::Json => print_json(&as_json(&recovered)),
        Format::Human => print(&recovered, arguments),
    }
    Ok(Exit::Done)
}

fn as_json(recovered: &Recovered) -> serde_json::Value {
    let answers: Vec<_> = recovered
        .answers
        .iter()
        .map(|(id, answer)| match answer {
            Ok(position) => json!({
                "replica": id.0,
                "view": position.view.0,
                "last_executed": position.last_executed.0,
                "standing": position.standing.kind(),
            }),
            Err(error) => json!({"replica": id.0, "error": error.to_string()}),
        })
        .collect();
    json!({
        "replica": recovered.replica.0,
        "answers": answers,
        "first_view": recovered.view.0,
        "abstains_until": recovered.abstains.0,
        "set_aside": recovered.set_aside,
    })
}

fn print(recovered: &Recovered, arguments: &RecoverArguments) {
    for (id, answer) in &recovered.answers {
        match answer {
            Ok(at) => {
                let (view, executed) = (at.view.0, at.last_executed.0);
                outln!("{id}: in view {view}, executed up to {executed}, {}", at.standing);
            }
            Err(error) => outln!("{id}: no answer: {error}"),
        }
    }
    if let Some(path) = &recovered.set_aside {
        outln!("the old files are in {}", path.display());
    }
    outln!(
        "{} votes again once checkpoint {} is stable and view {} or a later one has begun",
        recovered.replica,
        recovered.abstains.0,
        recovered.view.0
    );
    outln!("next: pbft start --dir {}", arguments.dir.display());
}
