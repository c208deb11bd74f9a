//! `pbft status`: how every replica is, and whether they agree.

use super::{AsClient, CliError, Exit, Format, compare, keys, print_json, runtime};
use crate::admin::progress;
use crate::client::{Client, ClientOptions, ReplicaStatus, Timestamps};
use crate::config::Cluster;
use crate::frame::StatusReport;
use crate::hex;
use clap::Args;
use comfy_table::{Table, presets};
use pbft_core::Membership;
use pbft_core::types::Digest;
use pbft_output::{errln, outln};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// `pbft status`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  pbft status\n  pbft status --dir cluster --format json\n  \
    pbft status --all        every account at every replica, side by side\n\n\
    Exits with 4 if fewer replicas answer than a quorum needs, and with 1 if two replicas executed the same \
    batches and differ all the same; with --all also with 3 if they went on executing different ones.")]
pub struct StatusArguments {
    /// Which cluster, as which client
    #[command(flatten)]
    pub who: AsClient,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// How long to wait for answers
    #[arg(long, default_value_t = 1000, value_name = "MS")]
    pub wait: u64,
    /// Compare every account at every replica (ledgers only; `pbft hash` compares any service)
    #[arg(long)]
    pub all: bool,
    /// With --all: how many accounts to show that are equal everywhere
    #[arg(long, default_value_t = 20, value_name = "N", requires = "all")]
    pub rows: usize,
}

pub(super) fn run(arguments: &StatusArguments) -> Result<Exit, CliError> {
    let StatusArguments { who, format, wait, all, rows } = arguments;
    if *all {
        return compare::accounts(who, *wait, *rows, *format);
    }
    let (cluster, name) = keys::choose(&arguments.who)?;
    let (membership, replicas) = runtime()?.block_on(async {
        let options = ClientOptions { lanes: 1, ..ClientOptions::default() };
        // Nothing is submitted, so no timestamp is used.
        let timestamps = Timestamps::in_memory();
        let client = keys::connect(&arguments.who.dir, &cluster, &name, timestamps, options)?;
        Ok::<_, CliError>((
            client.membership(),
            ask(&client, Duration::from_millis(arguments.wait)).await,
        ))
    })?;
    match arguments.format {
        Format::Json => print_json(&as_json(&cluster, membership, &replicas)),
        Format::Human => print_table(&replicas, &Health::of(membership, &replicas)),
    }
    Ok(Health::of(membership, &replicas).exit())
}

/// Asks and prints, for a session.
pub(super) async fn show(client: &Client) {
    let replicas = ask(client, PATIENCE).await;
    print_table(&replicas, &Health::of(client.membership(), &replicas));
}

pub(super) async fn ask(client: &Client, patience: Duration) -> Vec<ReplicaStatus> {
    client.status(patience).await
}

/// How long a session waits for answers.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the answers mean together.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Health {
    reachable: usize,
    quorum: usize,
    agree: bool,
}

impl Health {
    fn of(membership: Membership, replicas: &[ReplicaStatus]) -> Self {
        let reports: Vec<&StatusReport> =
            replicas.iter().filter_map(|replica| replica.report.as_ref().ok()).collect();
        let states = reports.iter().map(|r| (r.last_executed.0, r.state));
        let checkpoints = reports.iter().filter_map(|r| Some((r.low_water_mark.0, r.checkpoint?)));
        Self {
            reachable: reports.len(),
            quorum: membership.quorum(),
            agree: agree(states) && agree(checkpoints),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self { agree: false, .. } => Exit::Finding,
            Self { reachable, quorum, .. } if reachable < quorum => Exit::NoQuorum,
            Self { .. } => Exit::Done,
        }
    }
}

/// Whether equal sequence numbers come with equal digests.
pub(super) fn agree(digests: impl Iterator<Item = (u64, Digest)>) -> bool {
    let mut known = BTreeMap::new();
    digests.into_iter().all(|(seq, digest)| *known.entry(seq).or_insert(digest) == digest)
}

pub(super) fn as_json(
    cluster: &Cluster,
    membership: Membership,
    replicas: &[ReplicaStatus],
) -> Value {
    let health = Health::of(membership, replicas);
    let replica = |status: &ReplicaStatus| {
        let (id, address) = (status.replica.0, &status.address);
        let (mut json, reachable) = match &status.report {
            Err(error) => (json!({"error": error}), false),
            Ok(report) => (progress(report), true),
        };
        json["id"] = json!(id);
        json["address"] = json!(address);
        json["reachable"] = json!(reachable);
        json
    };
    json!({
        "cluster": hex::encode(&cluster.id().0),
        "reachable": health.reachable,
        "quorum": health.quorum,
        "agree": health.agree,
        "replicas": replicas.iter().map(replica).collect::<Vec<_>>(),
    })
}

fn print_table(replicas: &[ReplicaStatus], health: &Health) {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["replica", "address", "view", "stable", "executed", "state", "starts"]);
    for status in replicas {
        let (id, address) = (status.replica.0.to_string(), status.address.clone());
        match &status.report {
            Err(error) => {
                errln!("replica {id} does not answer: {error}");
                table.add_row([id, address, "-".to_owned()])
            }
            Ok(report) => {
                let changing = if report.active { "" } else { " (changing)" };
                table.add_row([
                    id,
                    address,
                    format!("{}{changing}", report.view.0),
                    report.low_water_mark.0.to_string(),
                    report.last_executed.0.to_string(),
                    report.state.to_string(),
                    report.incarnation.to_string(),
                ])
            }
        };
    }
    outln!("{table}");
    let Health { reachable, quorum, agree } = health;
    let verdict = match (agree, reachable < quorum) {
        (false, _) => "replicas DIFFER after the same batches",
        (true, true) => "no quorum: nothing can be executed",
        (true, false) => "in agreement",
    };
    outln!("{reachable} of {} replicas answer, a quorum is {quorum}: {verdict}", replicas.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_core::types::{ReplicaId, SeqNum, View};

    fn status(id: u32, report: Option<(u64, u8)>) -> ReplicaStatus {
        let report = report.map(|(seq, state)| StatusReport {
            replica: ReplicaId(id),
            view: View(0),
            active: true,
            low_water_mark: SeqNum(0),
            checkpoint: None,
            last_executed: SeqNum(seq),
            state: Digest([state; 32]),
            incarnation: 1,
        });
        let report = report.ok_or_else(|| "no answer".to_owned());
        ReplicaStatus { replica: ReplicaId(id), address: "a:1".into(), report }
    }

    fn exit(reports: [Option<(u64, u8)>; 4]) -> Exit {
        let replicas: Vec<_> = (0..).zip(reports).map(|(id, r)| status(id, r)).collect();
        Health::of(Membership::new(4).expect("valid size"), &replicas).exit()
    }

    #[test]
    fn the_exit_code_tells_quorum_and_agreement() {
        let (a, behind, differs) = (Some((5, 1)), Some((4, 9)), Some((5, 2)));
        assert_eq!(exit([a, a, a, a]), Exit::Done);
        assert_eq!(exit([a, behind, a, None]), Exit::Done, "behind is not different");
        assert_eq!(exit([a, a, None, None]), Exit::NoQuorum);
        assert_eq!(exit([a, differs, a, a]), Exit::Finding);
        assert_eq!(exit([a, differs, None, None]), Exit::Finding, "differing is worse");
    }
}
