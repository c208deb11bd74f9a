//! `pbft load`: a closed loop against a running cluster.

use super::{CliError, Exit, Format, keys, print_json, runtime};
use crate::client::{Client, ClientOptions};
use crate::config::{CLUSTER_FILE, Cluster};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// `pbft load`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    pbft load --outstanding 1 --seconds 10            latency of one request at a time\n  \
    pbft load --clients 4 --outstanding 128 --seconds 10 --format json\n\n\
    Every operation deposits 1 into one of the accounts load-0, load-1, …; the sum of what was acknowledged is \
    in the ledger.")]
pub struct LoadArguments {
    /// The cluster's directory
    #[arg(long, default_value = "cluster", value_name = "DIR")]
    pub dir: PathBuf,
    /// How many of the clients whose keys are here take part
    #[arg(long, default_value_t = 1)]
    pub clients: usize,
    /// Operations under way at a time, over all clients
    #[arg(long, default_value_t = 1)]
    pub outstanding: usize,
    /// How long to measure
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// How long to run before measuring
    #[arg(long, default_value_t = 1)]
    pub warmup: u64,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

pub(super) fn run(arguments: &LoadArguments) -> Result<Exit, CliError> {
    let dir = &arguments.dir;
    let cluster = Cluster::load(&dir.join(CLUSTER_FILE))?;
    let names = keys::names(dir, &cluster);
    if arguments.clients == 0 || arguments.clients > names.len() {
        let problem = format!(
            "--clients {}: the keys of {} clients are here",
            arguments.clients,
            names.len()
        );
        return Err(CliError::usage(problem, "choose a number between"));
    }
    if arguments.outstanding == 0 || arguments.seconds == 0 {
        return Err(CliError::usage(
            "nothing would run",
            "give --outstanding and --seconds of at least 1",
        ));
    }
    let lanes = arguments.outstanding.div_ceil(arguments.clients);
    let options = ClientOptions {
        lanes: u16::try_from(lanes).unwrap_or(u16::MAX),
        ..ClientOptions::default()
    };
    let timestamps = names[..arguments.clients].iter().map(|name| keys::timestamps(dir, name));
    let timestamps: Vec<_> = Result::from_iter::<Vec<_>>(timestamps.collect())?;
    let results = runtime()?.block_on(async {
        let mut clients = Vec::new();
        for (name, timestamps) in names.iter().zip(timestamps) {
            clients.push(Arc::new(keys::connect(dir, &cluster, name, timestamps, options)?));
        }
        Ok::<_, CliError>(measure(arguments, &clients).await)
    })?;
    Ok(report(arguments, results))
}

/// What the workers saw.
#[derive(Clone, Debug, Default)]
struct Results {
    /// Latencies of the operations that were done while it was measured, in microseconds.
    latencies: Vec<u64>,
    failures: u64,
    acknowledged: u64,
    seconds: f64,
}

async fn measure(arguments: &LoadArguments, clients: &[Arc<Client>]) -> Results {
    let from = Instant::now() + Duration::from_secs(arguments.warmup);
    let until = from + Duration::from_secs(arguments.seconds);
    let mut workers = JoinSet::new();
    for worker in 0..arguments.outstanding {
        let client = Arc::clone(&clients[worker % clients.len()]);
        workers.spawn(work(worker, client, from, until));
    }
    let mut all = Results { seconds: arguments.seconds as f64, ..Results::default() };
    while let Some(results) = workers.join_next().await {
        let Ok(results) = results else { continue };
        all.latencies.extend(results.latencies);
        all.failures += results.failures;
        all.acknowledged += results.acknowledged;
    }
    all.latencies.sort_unstable();
    all
}

async fn work(worker: usize, client: Arc<Client>, from: Instant, until: Instant) -> Results {
    let operation = format!("deposit load-{worker} 1").into_bytes();
    let mut results = Results::default();
    while Instant::now() < until {
        let began = Instant::now();
        let result = client.submit(operation.clone()).await;
        let ended = Instant::now();
        match result {
            Ok(_) => results.acknowledged += 1,
            Err(error) => {
                tracing::warn!(worker, "{error}");
                results.failures += 1;
                continue;
            }
        }
        if ended >= from && ended < until {
            results.latencies.push((ended - began).as_micros() as u64);
        }
    }
    results
}

fn report(arguments: &LoadArguments, results: Results) -> Exit {
    let Results { latencies, failures, acknowledged, seconds } = results;
    let percentile = |part: f64| {
        let index = (latencies.len() as f64 * part) as usize;
        latencies.get(index.min(latencies.len().saturating_sub(1))).copied().unwrap_or(0)
    };
    let rate = latencies.len() as f64 / seconds;
    let (p50, p99, max) = (percentile(0.5), percentile(0.99), percentile(1.0));
    match arguments.format {
        Format::Json => print_json(&json!({
            "clients": arguments.clients,
            "outstanding": arguments.outstanding,
            "seconds": arguments.seconds,
            "operations": latencies.len(),
            "per_second": rate,
            "p50_us": p50,
            "p99_us": p99,
            "max_us": max,
            "acknowledged": acknowledged,
            "failures": failures,
        })),
        Format::Human => {
            println!(
                "{} operations in {} s, {} outstanding of {} clients: {rate:.0} a second",
                latencies.len(),
                arguments.seconds,
                arguments.outstanding,
                arguments.clients
            );
            println!("latency p50 {p50} us, p99 {p99} us, max {max} us; {failures} failures");
        }
    }
    match (failures, latencies.is_empty()) {
        (0, false) => Exit::Done,
        _ => Exit::NoQuorum,
    }
}
