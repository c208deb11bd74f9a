//! `pbft debug bundle`: everything that somebody who is asked for help wants to see, in one file, and no secret.

use super::{AsClient, CliError, Exit, keys, runtime, settings, status};
use clap::{Args, Subcommand};
use pbft_node::admin;
use pbft_node::client::{ClientOptions, Timestamps};
use pbft_node::config::{CLUSTER_FILE, Cluster};
use pbft_output::errln;
use serde_json::{Map, Value, json};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The most bytes of the end of each log.
const LOG_BYTES_MAX: u64 = 256 * 1024;

/// How long replicas may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// `pbft debug`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  pbft debug bundle --out bundle.json")]
pub struct DebugArguments {
    /// What to do
    #[command(subcommand)]
    pub command: DebugCommand,
}

/// A subcommand of `pbft debug`.
#[derive(Clone, Debug, Subcommand)]
pub enum DebugCommand {
    /// Gathers configuration, status, metrics and logs in one JSON file, without any secret
    Bundle(BundleArguments),
}

/// `pbft debug bundle`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    pbft debug bundle --out bundle.json\n  \
    pbft debug bundle --dir seven --log-file replica-0.log --log-file replica-1.log --out bundle.json\n\n\
    Works with what it finds: a cluster that does not answer is what bundles are for. Secret keys are not read; look \
    at the file all the same before you give it away.")]
pub struct BundleArguments {
    /// Which cluster, as which client
    #[command(flatten)]
    pub who: AsClient,
    /// Add the end of this log; may be given several times
    #[arg(long, value_name = "FILE")]
    pub log_file: Vec<PathBuf>,
    /// Where to write; must not exist
    #[arg(long, value_name = "FILE", default_value = "pbft-bundle.json")]
    pub out: PathBuf,
}

pub(super) fn run(arguments: &BundleArguments) -> Result<Exit, CliError> {
    let BundleArguments { who, log_file, out } = arguments;
    let logs: Map<String, Value> = log_file
        .iter()
        .map(|path| Ok((path.display().to_string(), end_of(path)?.into())))
        .collect::<Result<_, CliError>>()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let bundle = json!({
        "pbft": env!("CARGO_PKG_VERSION"),
        "unix_time": now,
        "system": system(),
        "cluster_file": text_or_error(&who.dir.join(CLUSTER_FILE)),
        "files": files(&who.dir),
        "status": told(status_of(who)),
        "metrics": told(runtime()?.block_on(metrics(&who.dir))),
        "logs": logs,
    });
    let problem = |source| CliError::Write {
        path: out.clone(),
        source,
        remedy: "give a new file in a directory that can be written with --out",
    };
    let mut file = std::fs::File::create_new(out).map_err(problem)?;
    std::io::Write::write_all(&mut file, format!("{bundle:#}\n").as_bytes()).map_err(problem)?;
    errln!("{}: look at it before you give it away", out.display());
    Ok(Exit::Done)
}

/// A value, or why there is none.
fn told(value: Result<Value, CliError>) -> Value {
    value.unwrap_or_else(|error| json!({"error": error.to_string()}))
}

fn text_or_error(path: &Path) -> Value {
    match std::fs::read_to_string(path) {
        Ok(text) => text.into(),
        Err(error) => json!({"error": error.to_string()}),
    }
}

fn system() -> Value {
    let line = |path: &str| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    json!({
        "kernel": line("/proc/version"),
        "load": line("/proc/loadavg"),
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
    })
}

fn end_of(path: &Path) -> Result<String, CliError> {
    let read = || {
        let mut file = std::fs::File::open(path)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(LOG_BYTES_MAX)))?;
        let mut bytes = Vec::new();
        file.take(LOG_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().map_err(|e: std::io::Error| {
        CliError::usage(format!("{}: {e}", path.display()), "give a --log-file that can be read")
    })
}

/// Sizes and modes of what is there, two levels deep, and the content of what holds no secret.
fn files(directory: &Path) -> Value {
    let mut found = Map::new();
    let mut look = |path: &Path, name: String| {
        let Ok(metadata) = path.symlink_metadata() else { return };
        let mut entry = json!({
            "bytes": metadata.len(),
            "mode": format!("{:04o}", metadata.mode() & 0o7777),
            "owner": metadata.uid(),
        });
        let shown = [settings::SETTINGS_FILE, "store.id"];
        if path.file_name().is_some_and(|name| shown.iter().any(|shown| name == *shown)) {
            entry["content"] = text_or_error(path);
        }
        found.insert(name, entry);
    };
    for path in children(directory) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for child in children(&path) {
            let child_name = child.file_name().unwrap_or_default().to_string_lossy().into_owned();
            look(&child, format!("{name}/{child_name}"));
        }
        look(&path, name);
    }
    found.into()
}

fn children(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn status_of(who: &AsClient) -> Result<Value, CliError> {
    let (cluster, name) = keys::choose(who)?;
    runtime()?.block_on(async {
        let options = ClientOptions { lanes: 1, ..ClientOptions::default() };
        let client = keys::connect(&who.dir, &cluster, &name, Timestamps::in_memory(), options)?;
        let replicas = client.status(PATIENCE).await;
        Ok(status::as_json(&cluster, client.membership(), &replicas))
    })
}

/// What the admin endpoints of the replicas whose directories are here say.
async fn metrics(directory: &Path) -> Result<Value, CliError> {
    let cluster = Cluster::load(&directory.join(CLUSTER_FILE))?;
    let mut all = Map::new();
    for id in 0..cluster.replicas().len() {
        let settings = settings::Settings::load(&directory.join(format!("replica-{id}")));
        let Some(address) = settings.ok().and_then(|settings| settings.admin) else { continue };
        let text = tokio::time::timeout(PATIENCE, admin::get(&address, "/metrics")).await;
        let text = match text {
            Ok(Ok((_, text))) => text.into(),
            Ok(Err(error)) => json!({"error": error.to_string()}),
            Err(_) => json!({"error": "no answer"}),
        };
        all.insert(format!("replica-{id}"), text);
    }
    Ok(all.into())
}
