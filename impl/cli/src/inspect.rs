//! `pbft inspect`: what is in a store.

use super::{CliError, Exit, Format};
use clap::Args;
use pbft_node::inspect::{Checkpoint, Inspection, Slot, Vote, inspect};
use pbft_output::outln;
use std::path::PathBuf;

/// `pbft inspect`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  pbft inspect --dir cluster/replica-0\n  \
    pbft inspect --dir cluster/replica-0 --pairs 1000 --format json\n\n\
    The replica must not be running. The files are only read. Exits with 5 if they are damaged.")]
pub struct InspectArguments {
    /// The replica's directory
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// How many pairs of the service's state to show
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    pub pairs: usize,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

pub(super) fn run(arguments: &InspectArguments) -> Result<Exit, CliError> {
    let inspection = inspect(&arguments.dir, arguments.pairs)?;
    match arguments.format {
        Format::Json => outln!("{:#}", serde_json::json!(inspection)),
        Format::Human => print(&inspection),
    }
    Ok(Exit::Done)
}

fn print(it: &Inspection) {
    outln!("replica {} of cluster {}", it.replica, it.cluster);
    outln!(
        "opened {} times, {} writes, {} records in the log",
        it.incarnation,
        it.commits,
        it.log_records
    );
    let view = match (it.changing, it.view_begun_by.is_empty()) {
        (true, _) => "changing to it".to_owned(),
        (false, true) => "active".to_owned(),
        (false, false) => format!("active, begun by {}", list(&it.view_begun_by)),
    };
    outln!("view {}: {view}", it.view);
    if let Some(seq) = it.abstains_until {
        outln!("it has lost its memory: no votes before checkpoint {seq} is stable");
    }
    if let Some(reason) = &it.halted {
        outln!("it has halted: {reason}");
    }
    outln!("stable checkpoint {}", checkpoint(&it.stable));
    for own in it.checkpoints.iter().filter(|own| own.seq != it.stable.seq) {
        outln!("own checkpoint {}", checkpoint(own));
    }
    it.slots.iter().for_each(print_slot);
    outln!("executed up to {}, {} lanes with a last reply", it.last_executed, it.replies);
    for (seq, chunks) in &it.kept_states {
        outln!("state of checkpoint {seq} is kept, in {chunks} chunks");
    }
    outln!("state {}", it.state);
    it.evidence.iter().for_each(|line| outln!("evidence: {line}"));
    it.pairs.iter().for_each(|pair| outln!("  {} = {}", pair.key, pair.value));
    if it.more_pairs {
        outln!("  and more: see --pairs");
    }
}

fn print_slot(slot: &Slot) {
    if let Some(accepted) = &slot.accepted {
        outln!("{}: accepted {}", slot.seq, vote(accepted));
    }
    if let Some(prepared) = &slot.prepared {
        outln!("{}: prepared {}", slot.seq, vote(prepared));
    }
}

fn vote(vote: &Vote) -> String {
    let requests = vote.requests.map_or("?".to_owned(), |requests| requests.to_string());
    let digest = short(&vote.digest);
    format!("{digest} in view {} by {}, {requests} requests", vote.view, list(&vote.signers))
}

fn checkpoint(checkpoint: &Checkpoint) -> String {
    match &checkpoint.digest {
        Some(digest) => {
            format!("{}: {} by {}", checkpoint.seq, short(digest), list(&checkpoint.signers))
        }
        None => format!("{}: the initial state", checkpoint.seq),
    }
}

/// As digests are shown elsewhere.
fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

fn list(replicas: &[u32]) -> String {
    replicas.iter().map(|replica| format!("r{replica}")).collect::<Vec<_>>().join(" ")
}
