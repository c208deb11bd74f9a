//! `pbft top`: all replicas of a cluster side by side, again and again.
//!
//! It reads the admin endpoints only. Rates and latencies are those between two readings.

mod sample;

use super::settings::{SETTINGS_FILE, Settings};
use super::{CliError, Exit, Format, print_json, runtime};
use clap::Args;
use comfy_table::{Table, presets};
use pbft_node::admin;
use pbft_output::{out, outln};
use sample::{Sample, quantile, rate};
use serde_json::{Value, json};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// `pbft top`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    pbft top --once                      without --once again every second, until ^C\n  \
    pbft top --once --format json\n\n\
    Rates and latencies are those of the last interval. With --once it exits with 4 if fewer replicas vote than a \
    quorum needs.")]
pub struct TopArguments {
    /// The cluster's directory; each replica's node.toml in it says where its admin endpoint is
    #[arg(long, default_value = "cluster", value_name = "DIR")]
    pub dir: PathBuf,
    /// An admin endpoint; may be repeated, and is asked instead of those in --dir
    #[arg(long, value_name = "IP:PORT", conflicts_with = "dir")]
    pub address: Vec<String>,
    /// Between two readings
    #[arg(long, default_value_t = 1000, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..))]
    pub interval: u64,
    /// Show one interval, and end
    #[arg(long)]
    pub once: bool,
    /// Form of the output; JSON is one object for each interval
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Clears a terminal, and goes to its top.
const CLEAR: &str = "\x1b[H\x1b[2J";

pub(super) fn run(arguments: &TopArguments) -> Result<Exit, CliError> {
    let addresses = match arguments.address.is_empty() {
        true => addresses(&arguments.dir)?,
        false => arguments.address.clone(),
    };
    let interval = Duration::from_millis(arguments.interval);
    let clears = !arguments.once && std::io::stdout().is_terminal();
    runtime()?.block_on(async {
        let mut earlier = read_all(&addresses, interval).await;
        loop {
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                _ = tokio::signal::ctrl_c() => return Ok(Exit::Done),
            }
            let later = read_all(&addresses, interval).await;
            let rows: Vec<Row> =
                addresses.iter().zip(earlier.iter().zip(&later)).map(Row::of).collect();
            let cluster = Overview::of(&rows);
            match arguments.format {
                Format::Json => print_json(&as_json(&cluster, &rows)),
                Format::Human => {
                    if clears {
                        out!("{CLEAR}");
                    }
                    print_table(&cluster, &rows);
                }
            }
            if arguments.once {
                return cluster.verdict();
            }
            earlier = later;
        }
    })
}

/// The admin endpoints of the replicas below `dir`.
fn addresses(dir: &Path) -> Result<Vec<String>, CliError> {
    let mut found = Vec::new();
    for id in 0.. {
        let replica = dir.join(format!("replica-{id}"));
        if !replica.is_dir() {
            break;
        }
        let address = Settings::load(&replica)?.admin.ok_or_else(|| {
            let file = replica.join(SETTINGS_FILE);
            let problem = format!("{}: names no `admin` address", file.display());
            CliError::usage(problem, "add one, or give --address for each replica")
        })?;
        found.push(address);
    }
    if found.is_empty() {
        let problem = format!("{}: there is no replica-0", dir.display());
        return Err(CliError::usage(problem, "give the cluster's directory, or --address"));
    }
    Ok(found)
}

/// What an endpoint said: the replica's number and its metrics, or why nothing.
type Reading = Result<(u64, Sample), String>;

/// Asks all endpoints at the same time; none delays the others by more than `patience`.
async fn read_all(addresses: &[String], patience: Duration) -> Vec<Reading> {
    let asked = addresses.iter().map(|address| {
        let address = address.clone();
        tokio::spawn(async move {
            match tokio::time::timeout(patience.max(SHORTEST), read(&address)).await {
                Ok(Ok(reading)) => Ok(reading),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("no answer in time".to_owned()),
            }
        })
    });
    let asked: Vec<_> = asked.collect();
    let mut readings = Vec::new();
    for one in asked {
        readings.push(one.await.unwrap_or_else(|error| Err(error.to_string())));
    }
    readings
}

/// A busy machine needs some time to answer, however short the interval is.
const SHORTEST: Duration = Duration::from_millis(500);

async fn read(address: &str) -> std::io::Result<(u64, Sample)> {
    let (_, status) = admin::get(address, "/status").await?;
    let status: Value = serde_json::from_str(&status)
        .map_err(|_| std::io::Error::other(status.trim().to_owned()))?;
    let id = status["replica"].as_u64().ok_or_else(|| std::io::Error::other("no replica"))?;
    let (_, metrics) = admin::get(address, "/metrics").await?;
    Ok((id, Sample::read(&metrics, Instant::now())))
}

/// One replica in one interval.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    address: String,
    /// None of what follows is known of a replica that does not answer.
    shown: Result<Shown, String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Shown {
    id: u64,
    view: u64,
    replicas: u64,
    quorum: u64,
    standing: String,
    executed: u64,
    stable: u64,
    requests_rate: Option<f64>,
    batches_rate: Option<f64>,
    /// In seconds.
    prepare_p50: Option<f64>,
    commit_p50: Option<f64>,
    disk_p99: Option<f64>,
    memory_bytes: Option<f64>,
}

impl Row {
    fn of((address, (earlier, later)): (&String, (&Reading, &Reading))) -> Self {
        let shown = later.clone().map(|(id, now)| {
            let count = |name| now.count(name).unwrap_or_default();
            let before = earlier.as_ref().ok().map(|(_, sample)| sample);
            let rate = |name| rate(before?, &now, name);
            let quantile = |name, part| quantile(before?, &now, name, part);
            Shown {
                id,
                view: count("pbft_view"),
                replicas: count("pbft_replicas"),
                quorum: count("pbft_quorum"),
                standing: now.label("pbft_standing", "standing").unwrap_or("unknown").to_owned(),
                executed: count("pbft_last_executed"),
                stable: count("pbft_low_water_mark"),
                requests_rate: rate("pbft_requests_executed_total"),
                batches_rate: rate("pbft_batches_executed_total"),
                prepare_p50: quantile("pbft_prepare_seconds", 0.5),
                commit_p50: quantile("pbft_commit_seconds", 0.5),
                disk_p99: quantile("pbft_disk_commit_seconds", 0.99),
                memory_bytes: now.get("process_resident_memory_bytes"),
            }
        });
        Self { address: address.clone(), shown }
    }
}

/// What the replicas say together.
#[derive(Clone, Debug, Default, PartialEq)]
struct Overview {
    replicas: u64,
    quorum: u64,
    /// The view in which most replicas vote, and how many do.
    view: u64,
    votes: u64,
}

impl Overview {
    fn of(rows: &[Row]) -> Self {
        let shown = || rows.iter().filter_map(|row| row.shown.as_ref().ok());
        let votes_in = |view: u64| {
            let votes = shown().filter(|one| one.view == view && one.standing == "votes");
            votes.count() as u64
        };
        let most = shown().map(|one| (votes_in(one.view), one.view)).max();
        let (votes, view) = most.unwrap_or_default();
        Self {
            replicas: shown().map(|one| one.replicas).max().unwrap_or(rows.len() as u64),
            quorum: shown().map(|one| one.quorum).max().unwrap_or_default(),
            view,
            votes,
        }
    }

    /// The primary of the view.
    fn primary(&self) -> u64 {
        self.view % self.replicas.max(1)
    }

    fn executes(&self) -> bool {
        self.votes >= self.quorum && self.quorum > 0
    }

    fn verdict(&self) -> Result<Exit, CliError> {
        match self.executes() {
            true => Ok(Exit::Done),
            false => Err(CliError::NoQuorum {
                problem: self.to_string(),
                remedy: "`pbft status` says why the others do not vote".to_owned(),
            }),
        }
    }
}

impl std::fmt::Display for Overview {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { replicas, quorum, view, votes } = self;
        match quorum {
            0 => f.write_str("no replica answers"),
            _ => write!(
                f,
                "{votes} of {replicas} replicas vote in view {view}, a quorum is {quorum}"
            ),
        }
    }
}

fn as_json(cluster: &Overview, rows: &[Row]) -> Value {
    let row = |row: &Row| match &row.shown {
        Err(why) => json!({"address": row.address, "reachable": false, "error": why}),
        Ok(one) => json!({
            "address": row.address,
            "reachable": true,
            "replica": one.id,
            "view": one.view,
            "primary": one.id == cluster.primary() && one.view == cluster.view,
            "standing": one.standing,
            "last_executed": one.executed,
            "low_water_mark": one.stable,
            "requests_per_second": one.requests_rate,
            "batches_per_second": one.batches_rate,
            "prepare_p50_seconds": one.prepare_p50,
            "commit_p50_seconds": one.commit_p50,
            "disk_commit_p99_seconds": one.disk_p99,
            "resident_memory_bytes": one.memory_bytes,
        }),
    };
    json!({
        "view": cluster.view,
        "primary": cluster.primary(),
        "voters": cluster.votes,
        "quorum": cluster.quorum,
        "replicas": rows.iter().map(row).collect::<Vec<_>>(),
    })
}

fn print_table(cluster: &Overview, rows: &[Row]) {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header([
        "replica",
        "view",
        "does",
        "executed",
        "stable",
        "requests/s",
        "batches/s",
        "prepare p50",
        "commit p50",
        "disk p99",
        "memory",
        "endpoint",
    ]);
    let number = |rate: Option<f64>| rate.map_or("-".to_owned(), |rate| format!("{rate:.0}"));
    let millis =
        |time: Option<f64>| time.map_or("-".to_owned(), |time| format!("{:.1} ms", time * 1e3));
    for Row { address, shown } in rows {
        let Ok(one) = shown else {
            let known = vec!["-".to_owned(), "-".to_owned(), "no answer".to_owned()];
            let unknown = std::iter::repeat_n("-".to_owned(), 8);
            table.add_row(known.into_iter().chain(unknown).chain([address.clone()]));
            continue;
        };
        let leads = one.id == cluster.primary() && one.view == cluster.view;
        let mebibytes = |bytes: f64| format!("{:.0} MiB", bytes / f64::from(1 << 20));
        table.add_row([
            format!("{}{}", one.id, if leads { " primary" } else { "" }),
            one.view.to_string(),
            one.standing.clone(),
            one.executed.to_string(),
            one.stable.to_string(),
            number(one.requests_rate),
            number(one.batches_rate),
            millis(one.prepare_p50),
            millis(one.commit_p50),
            millis(one.disk_p99),
            one.memory_bytes.map_or("-".to_owned(), mebibytes),
            address.clone(),
        ]);
    }
    outln!("{table}");
    for Row { address, shown } in rows {
        if let Err(why) = shown {
            outln!("{address}: {why}");
        }
    }
    let executes = if cluster.executes() { "" } else { ": NOTHING IS EXECUTED" };
    outln!("{cluster}{executes}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u64, view: u64, standing: &str) -> Row {
        let (standing, replicas, quorum) = (standing.to_owned(), 4, 3);
        let shown = Shown { id, view, standing, replicas, quorum, ..Shown::default() };
        Row { address: format!("a:{id}"), shown: Ok(shown) }
    }

    #[test]
    fn only_votes_in_one_view_make_a_quorum() {
        let gone = Row { address: "a:3".into(), shown: Err("no answer in time".into()) };
        let three = [row(0, 1, "votes"), row(1, 1, "votes"), row(2, 1, "votes"), gone.clone()];
        let cluster = Overview::of(&three);
        assert_eq!((cluster.view, cluster.votes, cluster.primary()), (1, 3, 1));
        assert_eq!(cluster.verdict().ok(), Some(Exit::Done));
        let split = [row(0, 1, "votes"), row(1, 1, "votes"), row(2, 2, "votes"), gone.clone()];
        assert!(!Overview::of(&split).executes(), "in two views");
        let waits = [row(0, 1, "votes"), row(1, 1, "votes"), row(2, 1, "recovering"), gone.clone()];
        let error = Overview::of(&waits).verdict().expect_err("too few");
        assert!(
            error.to_string().contains("2 of 4 replicas vote in view 1, a quorum is 3"),
            "{error}"
        );
        let nobody = Overview::of(&[gone]);
        assert!(!nobody.executes(), "who is not there does not vote");
        assert_eq!(nobody.to_string(), "no replica answers");
    }

    #[test]
    fn what_does_not_answer_is_shown_with_the_reason() {
        let gone = Row { address: "a:3".into(), shown: Err("no answer in time".into()) };
        let rows = [row(0, 0, "votes"), gone];
        let shown = as_json(&Overview::of(&rows), &rows);
        assert_eq!(shown["replicas"][0]["primary"], true);
        assert_eq!(shown["replicas"][1]["error"], "no answer in time");
        assert_eq!(shown["replicas"][1]["reachable"], false);
    }
}
