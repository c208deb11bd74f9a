//! `pbft status`: how every replica is, and whether they agree.

use super::{AsClient, CliError, Exit, Format, compare, keys, print_json, runtime};
use clap::Args;
use comfy_table::{Table, presets};
use pbft_core::Membership;
use pbft_core::types::{Digest, ReplicaId};
use pbft_node::admin::progress;
use pbft_node::client::{Client, ClientOptions, ReplicaStatus, Timestamps};
use pbft_node::config::Cluster;
use pbft_node::frame::StatusReport;
use pbft_node::hex;
use pbft_node::voters::{Missing, Voters};
use pbft_output::{errln, outln};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// `pbft status`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  pbft status\n  pbft status --dir cluster --format json\n  \
    pbft status --all        every account at every replica, side by side\n\n\
    Exits with 4 if fewer replicas vote than a quorum needs, and names those that do not: one that answers need \
    not vote. Exits with 1 if two replicas executed the same batches and differ all the same; with --all also with 3 if they went on executing different ones.")]
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
        let patience = Duration::from_millis(arguments.wait);
        Ok::<_, CliError>((client.membership(), ask_for_voters(&client, patience).await))
    })?;
    let health = Health::of(membership, &replicas);
    match arguments.format {
        Format::Json => print_json(&as_json(&cluster, membership, &replicas)),
        Format::Human => print_table(&replicas, &health),
    }
    health.verdict()
}

/// Asks and prints, for a session.
pub(super) async fn show(client: &Client) {
    let replicas = ask(client, PATIENCE).await;
    let health = Health::of(client.membership(), &replicas);
    print_table(&replicas, &health);
    if let Err(error) = health.verdict() {
        errln!("{error}");
    }
}

/// Asks until a quorum votes or time is up: a view change passes in a moment, and is nothing to report.
async fn ask_for_voters(client: &Client, patience: Duration) -> Vec<ReplicaStatus> {
    let until = Instant::now() + patience;
    loop {
        let replicas = ask(client, until.saturating_duration_since(Instant::now())).await;
        let enough = Health::of(client.membership(), &replicas).voters.are_enough();
        if enough || Instant::now() + PAUSE >= until {
            return replicas;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) async fn ask(client: &Client, patience: Duration) -> Vec<ReplicaStatus> {
    client.status(patience).await
}

/// How long a session waits for answers.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the answers mean together.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Health {
    reachable: usize,
    voters: Voters,
    agree: bool,
}

impl Health {
    fn of(membership: Membership, replicas: &[ReplicaStatus]) -> Self {
        let reports: Vec<&StatusReport> =
            replicas.iter().filter_map(|replica| replica.report.as_ref().ok()).collect();
        let states = reports.iter().filter_map(|r| Some((r.last_executed.0, r.state?)));
        let checkpoints = reports.iter().filter_map(|r| Some((r.low_water_mark.0, r.checkpoint?)));
        Self {
            reachable: reports.len(),
            voters: voters(membership, replicas),
            agree: agree(states) && agree(checkpoints),
        }
    }

    /// How the command ends. That replicas differ is worse than that too few vote.
    fn verdict(&self) -> Result<Exit, CliError> {
        match self {
            Self { agree: false, .. } => Ok(Exit::Finding),
            Self { voters, .. } if !voters.are_enough() => Err(CliError::NoQuorum {
                problem: format!("nothing can be executed: {voters}"),
                remedy: "docs/operations.md says for each reason what ends it".to_owned(),
            }),
            Self { .. } => Ok(Exit::Done),
        }
    }
}

/// Who votes, as the replicas say.
pub(super) fn voters(membership: Membership, replicas: &[ReplicaStatus]) -> Voters {
    let said = replicas.iter().map(|status| {
        let report = status.report.as_ref();
        let said = report.map(|report| (report.view, report.standing)).map_err(String::clone);
        (status.replica, said)
    });
    Voters::count(membership, said)
}

/// Who says that it keeps evidence against whom. One replica's word proves nothing; the evidence does.
fn accusations(replicas: &[ReplicaStatus]) -> BTreeMap<ReplicaId, Vec<ReplicaId>> {
    let mut accusations: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for status in replicas {
        let report = status.report.as_ref().ok();
        let accused = report.into_iter().flat_map(StatusReport::accused);
        accused.for_each(|one| accusations.entry(one).or_default().push(status.replica));
    }
    accusations
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
        json["votes"] = json!(health.voters.voting().contains(&status.replica));
        json["why_not"] =
            json!(health.voters.missing().get(&status.replica).map(Missing::to_string));
        json
    };
    json!({
        "cluster": hex::encode(&cluster.id().0),
        "reachable": health.reachable,
        "quorum": health.voters.quorum(),
        "voters": health.voters.voting().iter().map(|id| id.0).collect::<Vec<_>>(),
        "agree": health.agree,
        "replicas": replicas.iter().map(replica).collect::<Vec<_>>(),
    })
}

fn print_table(replicas: &[ReplicaStatus], health: &Health) {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header([
        "replica", "address", "view", "votes", "stable", "executed", "state", "starts",
    ]);
    let Health { reachable, voters, agree } = health;
    for status in replicas {
        let (id, address) = (status.replica.0.to_string(), status.address.clone());
        if let Some(why) = voters.missing().get(&status.replica) {
            errln!("replica {id} does not vote: {why}");
        }
        match &status.report {
            Err(_) => table.add_row([id, address, "-".to_owned(), "no".to_owned()]),
            Ok(report) => {
                let votes = voters.voting().contains(&status.replica);
                table.add_row([
                    id,
                    address,
                    report.view.0.to_string(),
                    if votes { "yes" } else { "no" }.to_owned(),
                    report.low_water_mark.0.to_string(),
                    report.last_executed.0.to_string(),
                    report.state.map_or("-".to_owned(), |state| state.to_string()),
                    report.incarnation.to_string(),
                ])
            }
        };
    }
    outln!("{table}");
    for (accused, by) in accusations(replicas) {
        let by = by.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        errln!("evidence that {accused} is faulty is kept by {by}: `pbft inspect` shows it");
    }
    let verdict = match (agree, voters.are_enough()) {
        (false, _) => "replicas DIFFER after the same batches",
        (true, false) => "nothing can be executed",
        (true, true) => "in agreement",
    };
    outln!(
        "{reachable} of {} replicas answer, {} vote, a quorum is {}: {verdict}",
        replicas.len(),
        voters.voting().len(),
        voters.quorum()
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_core::Standing;
    use pbft_core::types::{SeqNum, View};

    fn report(id: u32, seq: u64, state: u8) -> StatusReport {
        StatusReport {
            replica: ReplicaId(id),
            view: View(0),
            active: true,
            low_water_mark: SeqNum(0),
            checkpoint: None,
            last_executed: SeqNum(seq),
            state: Some(Digest([state; 32])),
            standing: Standing::Votes,
            incarnation: 1,
            accused: 0,
        }
    }

    fn health(reports: [Option<StatusReport>; 4]) -> Health {
        let status = |(id, report): (u32, Option<StatusReport>)| ReplicaStatus {
            replica: ReplicaId(id),
            address: "a:1".into(),
            report: report.ok_or_else(|| "no answer".to_owned()),
        };
        let replicas: Vec<_> = (0..).zip(reports).map(status).collect();
        Health::of(Membership::new(4).expect("valid size"), &replicas)
    }

    fn exit(reports: [Option<(u64, u8)>; 4]) -> Exit {
        let mut ids = 0..;
        let report = |(seq, state)| report(0, seq, state);
        let reports = reports.map(|told| {
            let id = ids.next().unwrap_or_default();
            told.map(report).map(|report| StatusReport { replica: ReplicaId(id), ..report })
        });
        health(reports).verdict().unwrap_or_else(|error| error.exit())
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

    /// Outside fault F11: Four replicas answer, two vote, and the status says that they agree.
    #[test]
    fn replicas_that_answer_and_do_not_vote_make_no_quorum() {
        let recovering = Standing::Recovering { until: SeqNum(13), view: View(1) };
        let learner = |id| Some(StatusReport { standing: recovering, ..report(id, 5, 1) });
        let voter = |id| Some(report(id, 5, 1));
        assert_eq!(
            health([voter(0), voter(1), voter(2), learner(3)]).verdict().ok(),
            Some(Exit::Done)
        );
        let told = health([voter(0), voter(1), learner(2), learner(3)]);
        assert_eq!((told.reachable, told.voters.voting().len()), (4, 2));
        let error = told.verdict().expect_err("no quorum");
        assert_eq!(error.exit(), Exit::NoQuorum);
        let text = error.to_string();
        assert!(text.contains("2 of 4 vote, a quorum is 3"), "{text}");
        for id in [2, 3] {
            assert!(
                text.contains(&format!("replica {id}: recovering: votes again once checkpoint 13")),
                "{text}"
            );
        }
    }
}
