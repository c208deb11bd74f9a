//! `pbft up`: all replicas of a cluster on this machine, each in a process of its own.

use super::logs::colours;
use super::testnet::{self, TestnetArguments};
use super::{AsClient, CliError, Exit, keys, runtime};
use clap::Args;
use pbft_node::client::{ClientOptions, Timestamps};
use pbft_node::config::{CLUSTER_FILE, Cluster};
use pbft_node::service::ServiceId;
use pbft_output::{errln, outln};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// How long replicas may take to stop before they are killed.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// `pbft up`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    pbft up                      ./cluster, made first if it is not there\n  \
    pbft up --dir seven          a cluster that `pbft testnet --replicas 7 --dir seven` made\n\n\
    Prints `ready` when a quorum answers. ^C stops all replicas; their data stays.")]
pub struct UpArguments {
    /// The cluster's directory; made by `pbft testnet` if it does not exist
    #[arg(long, default_value = "cluster", value_name = "DIR")]
    pub dir: PathBuf,
    /// How many replicas a new cluster gets
    #[arg(long, default_value_t = 4)]
    pub replicas: u32,
    /// Replica N of a new cluster listens on this port plus N
    #[arg(long, default_value_t = 7000, value_name = "PORT")]
    pub base_port: u16,
    /// The admin endpoint of replica N of a new cluster listens on this port plus N; 0 for none
    /// [default: 100 above --base-port]
    #[arg(long, value_name = "PORT")]
    pub admin_base_port: Option<u16>,
    /// Append the steps of replica N to DIR/replica-N.jsonl, for `pbft-conform validate`; made if it does not exist
    #[arg(long, value_name = "DIR")]
    pub trace: Option<PathBuf>,
}

pub(super) fn run(arguments: &UpArguments) -> Result<Exit, CliError> {
    let dir = &arguments.dir;
    if dir.symlink_metadata().is_err() {
        let testnet = TestnetArguments {
            replicas: arguments.replicas,
            clients: 4,
            dir: dir.clone(),
            base_port: arguments.base_port,
            admin_base_port: arguments.admin_base_port,
            host: "127.0.0.1".to_owned(),
            name: "testnet".to_owned(),
            service: ServiceId::LEDGER.to_string(),
            checkpoint_interval: None,
            window: None,
            pipeline: testnet::PIPELINE,
            batch_delay_us: testnet::BATCH_DELAY_US,
            client_authentication: testnet::Authentication::Signatures,
            view_timeout_ms: None,
        };
        testnet::create(&testnet)?;
        errln!("made {} replicas in {}", arguments.replicas, dir.display());
    }
    let cluster = Cluster::load(&dir.join(CLUSTER_FILE))?;
    if let Some(traces) = &arguments.trace {
        let remedy = "choose another directory with --trace";
        std::fs::create_dir_all(traces).map_err(|source| CliError::Write {
            path: traces.clone(),
            source,
            remedy,
        })?;
    }
    runtime()?.block_on(supervise(dir, &cluster, arguments.trace.as_deref()))
}

async fn supervise(dir: &Path, cluster: &Cluster, traces: Option<&Path>) -> Result<Exit, CliError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::Runtime)?;
    let mut running = JoinSet::new();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    for id in 0..cluster.replicas().len() {
        let child = spawn(dir, id, traces)?;
        running.spawn(look_after(id, child, stopped.clone()));
    }
    let ready = announce(dir, cluster);
    tokio::pin!(ready);
    let mut announced = false;
    let mut last_exit = Exit::Done;
    loop {
        tokio::select! {
            result = &mut ready, if !announced => {
                announced = true;
                result?;
            }
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            ended = running.join_next() => match ended {
                Some(Ok(Some(2))) => last_exit = Exit::Usage,
                Some(Ok(Some(5))) => last_exit = Exit::DataRefused,
                Some(Ok(Some(6))) => last_exit = Exit::TryAgain,
                Some(Ok(Some(101))) => last_exit = Exit::Crashed,
                Some(_) => last_exit = Exit::Finding,
                // Nobody is left to look after.
                None => return Ok(last_exit),
            },
        }
    }
    errln!("stopping");
    stop.send_replace(true);
    while running.join_next().await.is_some() {}
    Ok(Exit::Done)
}

fn spawn(dir: &Path, id: usize, traces: Option<&Path>) -> Result<Child, CliError> {
    let what = format!("replica {id}");
    let program =
        std::env::current_exe().map_err(|source| CliError::Spawn { what: what.clone(), source })?;
    let trace = traces.map(|traces| traces.join(format!("replica-{id}.jsonl")));
    Command::new(program)
        .args(["start", "--until-stdin-ends", "--dir"])
        .arg(dir.join(format!("replica-{id}")))
        .args(trace.iter().flat_map(|file| [OsStr::new("--trace"), file.as_os_str()]))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| CliError::Spawn { what, source })
}

/// Passes a replica's log on until it ends, and returns its exit code. When everything stops, the replica's input
/// ends, which tells it to stop too; it would also end if this process were killed.
async fn look_after(
    id: usize,
    mut child: Child,
    mut stopped: tokio::sync::watch::Receiver<bool>,
) -> Option<i32> {
    let input = child.stdin.take();
    let log = child.stderr.take();
    let passing = async {
        let Some(log) = log else { return };
        let mut lines = BufReader::new(log).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            errln!("{} {line}", prefix(id));
        }
    };
    let told_to_stop = async {
        // An error means that the supervisor is gone, which is as good.
        drop(stopped.wait_for(|stopped| *stopped).await);
    };
    let ending = async {
        tokio::select! {
            status = child.wait() => status,
            () = told_to_stop => {
                drop(input);
                match tokio::time::timeout(STOP_PATIENCE, child.wait()).await {
                    Ok(status) => status,
                    Err(_) => {
                        child.start_kill().ok();
                        child.wait().await
                    }
                }
            }
        }
    };
    let (status, ()) = tokio::join!(ending, passing);
    let status = status.ok()?;
    if !status.success() {
        errln!("{} ended: {status}; the others go on", prefix(id));
    }
    status.code()
}

fn prefix(id: usize) -> String {
    match colours() {
        true => format!("\x1b[{}mreplica-{id} |\x1b[0m", 32 + id % 5),
        false => format!("replica-{id} |"),
    }
}

/// Says when a quorum votes.
async fn announce(dir: &Path, cluster: &Cluster) -> Result<(), CliError> {
    let who = AsClient { dir: dir.to_owned(), client: None };
    let (_, name) = keys::choose(&who)?;
    let options = ClientOptions { lanes: 1, ..ClientOptions::default() };
    let client = keys::connect(dir, cluster, &name, Timestamps::in_memory(), options)?;
    loop {
        let replicas = client.status(Duration::from_millis(500)).await;
        let voters = super::status::voters(client.membership(), &replicas);
        if voters.are_enough() {
            outln!("ready: {} of {} replicas vote", voters.voting().len(), replicas.len());
            let flag = match dir == Path::new("cluster") {
                true => String::new(),
                false => format!(" --dir {}", dir.display()),
            };
            errln!("try, in another terminal: pbft bank{flag} deposit alice 100");
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
