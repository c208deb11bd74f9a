//! `pbft load`: measures a running cluster, or compares two.

mod calibrate;
mod hgrm;
mod plot;
mod report;
mod work;

use super::{CliError, Exit, Format, keys, runtime};
use clap::Args;
use pbft_node::client::{Client, ClientOptions};
use pbft_node::config::{CLUSTER_FILE, Cluster};
use pbft_output::errln;
use report::{Repetition, Report};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use work::Plan;

/// The smallest operation that `--operation-bytes` can make: `echo` and one character.
const OPERATION_BYTES_MIN: usize = 6;

/// `pbft load`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    pbft load --outstanding 1 --seconds 10            latency of one request at a time\n  \
    pbft load --clients 4 --outstanding 128 --seconds 10 --format json\n  \
    pbft load --rate 500 --outstanding 64 --seconds 10      open loop: 500 a second, come what may\n  \
    pbft load --operation-bytes 1024 --seconds 10 --out results\n  \
    pbft load --against cluster --repetitions 5 --seconds 10      two clusters in turns, here the same\n\n\
    Every operation deposits 1 into one of the accounts load-0, load-1, …; the sum of what was acknowledged is \
    in the ledger. With --operation-bytes it is an `echo` of that size, which changes nothing. In an open loop, \
    operations are due at fixed times, and a latency counts from then, so a cluster that stalls is not spared. \
    Before each repetition the processor is calibrated; look at that before you believe a difference.")]
pub struct LoadArguments {
    /// The cluster's directory
    #[arg(long, default_value = "cluster", value_name = "DIR")]
    pub dir: PathBuf,
    /// Another cluster to compare with; the repetitions take turns
    #[arg(long, value_name = "DIR")]
    pub against: Option<PathBuf>,
    /// How many of the clients whose keys are here take part
    #[arg(long, default_value_t = 1)]
    pub clients: usize,
    /// Operations under way at a time, over all clients; each client has as many lanes as it needs
    #[arg(long, default_value_t = 1)]
    pub outstanding: usize,
    /// Operations a second (open loop) [default: as many as --outstanding lets through]
    #[arg(long, value_name = "PER-SECOND", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: Option<u32>,
    /// Submit an `echo` of so many bytes instead of a deposit
    #[arg(long, value_name = "BYTES")]
    pub operation_bytes: Option<usize>,
    /// How long to measure, in each repetition
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// How long to run before measuring, in each repetition
    #[arg(long, default_value_t = 1)]
    pub warmup: u64,
    /// How often to measure
    #[arg(long, default_value_t = 1)]
    pub repetitions: usize,
    /// Write latencies (.hgrm), a summary (JSON) and a plot (SVG) into this directory; made if it does not exist
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// A cluster under measurement.
struct Subject {
    name: String,
    clients: Vec<Arc<Client>>,
}

pub(super) fn run(arguments: &LoadArguments) -> Result<Exit, CliError> {
    check(arguments)?;
    let plan = Plan {
        outstanding: arguments.outstanding,
        rate: arguments.rate,
        operation_bytes: arguments.operation_bytes,
        warmup: Duration::from_secs(arguments.warmup),
        measured: Duration::from_secs(arguments.seconds),
    };
    let runtime = runtime()?;
    let mut report = Report::new(arguments.clone());
    runtime.block_on(async {
        let mut subjects = vec![connect(arguments, &arguments.dir)?];
        match &arguments.against {
            // The same directory again is the same cluster: its clients' timestamps are in use already.
            Some(other) if *other == arguments.dir => {
                let clients = subjects[0].clients.clone();
                subjects.push(Subject { name: "again".to_owned(), clients });
            }
            Some(other) => subjects.push(connect(arguments, other)?),
            None => {}
        }
        for number in 0..arguments.repetitions {
            // Whoever goes first finds another machine than who follows, so they take turns at that, too.
            let mut turns: Vec<usize> = (0..subjects.len()).collect();
            turns.rotate_left(number % subjects.len());
            for subject in turns {
                let calibration = calibrate::megabytes_a_second();
                let seen = work::measure(&plan, &subjects[subject].clients).await;
                let name = &subjects[subject].name;
                let repetition = Repetition { calibration, seen };
                errln!("{name}, repetition {}: {}", number + 1, repetition.line(arguments.seconds));
                report.add(subject, name, repetition);
            }
        }
        Ok::<_, CliError>(())
    })?;
    if let Some(directory) = &arguments.out {
        report.write(directory)?;
    }
    Ok(report.print())
}

fn check(arguments: &LoadArguments) -> Result<(), CliError> {
    let LoadArguments { outstanding, seconds, repetitions, operation_bytes, .. } = arguments;
    if *outstanding == 0 || *seconds == 0 || *repetitions == 0 {
        let remedy = "give --outstanding, --seconds and --repetitions of at least 1";
        return Err(CliError::usage("nothing would run", remedy));
    }
    if operation_bytes.is_some_and(|bytes| bytes < OPERATION_BYTES_MIN) {
        let remedy = format!("give at least {OPERATION_BYTES_MIN}");
        return Err(CliError::usage("--operation-bytes: too few for an operation", remedy));
    }
    Ok(())
}

/// The clients of one cluster. Call it in a runtime.
fn connect(arguments: &LoadArguments, dir: &Path) -> Result<Subject, CliError> {
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
    let lanes = arguments.outstanding.div_ceil(arguments.clients);
    let lanes = u16::try_from(lanes).unwrap_or(u16::MAX);
    let options = ClientOptions { lanes, ..ClientOptions::default() };
    let connect = |name: &String| {
        let timestamps = keys::timestamps(dir, name)?;
        Ok(Arc::new(keys::connect(dir, &cluster, name, timestamps, options)?))
    };
    let clients =
        names[..arguments.clients].iter().map(connect).collect::<Result<_, CliError>>()?;
    Ok(Subject { name: dir.display().to_string(), clients })
}
