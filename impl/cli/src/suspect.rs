//! `pbft suspect`: an operator moves the cluster to its next primary.

use super::{CliError, Exit, Format, print_json, runtime};
use clap::Args;
use pbft_core::types::ReplicaId;
use pbft_node::control::{Answer, ControlError, Question, ask};
use pbft_node::node::Setup;
use pbft_output::outln;
use serde_json::json;
use std::path::PathBuf;

/// `pbft suspect`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Example:\n  pbft suspect --dir cluster/replica-1 --dir cluster/replica-2\n\n\
    Each replica given asks for the view after its own, whose primary is the next replica. The cluster follows once f + 1 \
    replicas ask (two of four): the others then join them. One alone would only take its own vote away until the next view \
    change. Useful before the primary's machine is taken down, and against a primary that is slower than it should be. \
    The command talks to replicas of this machine, as their user: on several machines, run it on each."
)]
pub struct SuspectArguments {
    /// A replica's directory; may be repeated
    #[arg(long = "dir", value_name = "DIR", required = true)]
    pub dirs: Vec<PathBuf>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// A replica, and what it said.
type Said = (ReplicaId, Result<Answer, ControlError>);

pub(super) fn run(arguments: &SuspectArguments) -> Result<Exit, CliError> {
    let runtime = runtime()?;
    let mut said: Vec<Said> = Vec::new();
    let mut needed = 0;
    for directory in &arguments.dirs {
        let (cluster, _, replica) = Setup::owner(directory)?;
        needed = cluster.params(replica).membership.weak();
        said.push((replica, runtime.block_on(ask(directory, Question::Suspect))));
    }
    let left = said.iter().filter(|(_, said)| matches!(said, Ok(Answer::Left(_)))).count();
    match arguments.format {
        Format::Json => print_json(&as_json(&said, left, needed)),
        Format::Human => print(&said, left, needed),
    }
    Ok(match said.iter().all(|(_, said)| said.is_ok()) {
        true if left == said.len() => Exit::Done,
        true => Exit::Finding,
        false => Exit::TryAgain,
    })
}

fn as_json(said: &[Said], left: usize, needed: usize) -> serde_json::Value {
    let replica = |(id, said): &Said| match said {
        Ok(Answer::Left(view)) => json!({"replica": id.0, "view": view.0}),
        Ok(Answer::Refused(standing)) => json!({"replica": id.0, "refused": standing.kind()}),
        Ok(Answer::NotNow) => json!({"replica": id.0, "refused": "not-now"}),
        Err(error) => json!({"replica": id.0, "error": error.to_string()}),
    };
    let replicas: Vec<_> = said.iter().map(replica).collect();
    json!({"replicas": replicas, "left": left, "needed": needed})
}

fn print(said: &[Said], left: usize, needed: usize) {
    for (id, said) in said {
        match said {
            Ok(Answer::Left(view)) => outln!("{id}: asks for view {}", view.0),
            Ok(Answer::Refused(standing)) => outln!("{id}: refused: {standing}"),
            Ok(Answer::NotNow) => outln!("{id}: not now: its disk is full, or it ends"),
            Err(error) => outln!("{id}: {error}"),
        }
    }
    match left {
        0 => {}
        left if left < needed => {
            outln!("{left} asked; the cluster follows once {needed} ask: give the others, too");
        }
        _ => outln!("next: pbft status"),
    }
}
