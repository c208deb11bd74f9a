//! A whole cluster on loopback: four nodes of production and its client library, one replica stopped and started again.
//! The operations are executed once and everywhere, and what the recorders wrote is a behaviour of the model. With a step
//! less, a step twice or another order it is none.

use super::world::{File, Outcome, Running, Start, World, await_that, demand, expect, harness};
use crate::divergence::{Difference, Kind};
use crate::subject::node::keys::secret;
use crate::validate::{Options, Recording, Validity, validate};
use pbft_core::types::{ClientId, Principal, ReplicaId};
use pbft_node::client::{Client, ClientOptions, Timestamps};
use pbft_node::config::Cluster;
use pbft_node::store::MemoryDisk;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The replica that is stopped and started again.
const RESTARTED: usize = 3;

/// Operations before, while it is away, and after.
const OPERATIONS: u64 = 6;

/// Four nodes that record what they do, and a client.
struct Four {
    world: World,
    cluster: Cluster,
    disks: Vec<MemoryDisk>,
    nodes: Vec<Option<Running>>,
    client: Arc<Client>,
    directory: tempfile::TempDir,
    asked: u64,
}

fn path(directory: &Path, id: usize) -> PathBuf {
    directory.join(format!("{id}.trace"))
}

/// So often a cluster is begun whose ports were taken before it had them.
const BEGUN_MAX: usize = 5;

impl Four {
    /// Each port was free a moment ago, and may be another process's now.
    fn start(setting: &str) -> Outcome<Self> {
        let mut begun = Self::begun(setting);
        for _ in 1..BEGUN_MAX {
            if begun.as_ref().err().is_none_or(|difference| difference.kind != Kind::Harness) {
                break;
            }
            begun = Self::begun(setting);
        }
        begun
    }

    fn begun(setting: &str) -> Outcome<Self> {
        let world = World::with_a_clock_that_runs()?;
        let mut file = File::default().with(setting).with("checkpoint_interval = 4\nwindow = 16");
        let listen = || TcpListener::bind("127.0.0.1:0").map_err(harness);
        let free: Vec<_> = (0..4).map(|_| listen()).collect::<Outcome<_>>()?;
        for (listener, address) in free.iter().zip(&mut file.addresses) {
            *address = listener.local_addr().map_err(harness)?.to_string();
        }
        drop(free);
        let cluster = file.cluster()?;
        let (own, key) = (cluster.clone(), secret(Principal::Client(ClientId(1))));
        let (times, options) = (Timestamps::in_memory(), ClientOptions::default());
        let client = world.block(async move { Client::connect(&own, key, times, options) })?;
        let directory = tempfile::tempdir().map_err(harness)?;
        let mut four = Self {
            world,
            cluster,
            disks: (0..4).map(|_| MemoryDisk::default()).collect(),
            nodes: (0..4).map(|_| None).collect(),
            client: Arc::new(client.map_err(harness)?),
            directory,
            asked: 0,
        };
        (0..4).try_for_each(|id| four.begin(id))?;
        Ok(four)
    }

    fn begin(&mut self, id: usize) -> Outcome {
        let listen = &self.cluster.replicas()[id].address;
        let trace = Some(path(self.directory.path(), id));
        let (cluster, disk) = (&self.cluster, &self.disks[id]);
        let replica = ReplicaId(id as u32);
        let node = self.world.node(Start { cluster, replica, disk, trace, listen })?;
        self.nodes[id] = Some(node);
        Ok(())
    }

    fn stop(&mut self, id: usize) -> Outcome {
        self.nodes[id].take().map_or(Ok(()), |node| node.stop(&self.world))
    }

    /// Has operations executed, one after the other: each result is the number of those before.
    fn executes(&mut self, count: u64) -> Outcome {
        for _ in 0..count {
            let client = Arc::clone(&self.client);
            let result = self.world.block(async move { client.submit(vec![1]).await })?;
            let result = result
                .map_err(|error| Difference::new(Kind::Reaction, format!("no result: {error}")));
            expect("each operation is executed once", vec![self.asked as u8], result?)?;
            self.asked += 1;
        }
        Ok(())
    }

    /// Waits until each of these has executed all.
    fn have_executed(&self, ids: impl IntoIterator<Item = usize>) -> Outcome {
        for id in ids {
            let Some(node) = &self.nodes[id] else { continue };
            let what = format!("replica {id} executes all");
            await_that(&what, || node.metrics.last_executed.get() >= self.asked)?;
        }
        Ok(())
    }

    /// What was recorded.
    fn files(&self) -> Outcome<Vec<Vec<u8>>> {
        let read = |id| std::fs::read(path(self.directory.path(), id)).map_err(harness);
        (0..4).map(read).collect()
    }
}

/// What these files are found to be, or why they are refused.
fn judged(files: &[Vec<u8>], cut: bool) -> (String, u64) {
    let recordings = files
        .iter()
        .enumerate()
        .map(|(id, bytes)| Recording::new(path(Path::new("recorded"), id), &bytes[..]));
    let options = Options { truncated_ok: cut, ..Options::default() };
    match validate(recordings.collect(), &options) {
        Ok(found) if found.verdict == Validity::Valid => ("valid".to_owned(), found.steps),
        Ok(found) => (format!("{:?}: {found}", found.verdict), found.steps),
        Err(error) => (format!("refused: {error}"), 0),
    }
}

/// A run of a cluster.
pub(super) fn recorded() -> Outcome {
    let files = run("")?;
    let (verdict, steps) = judged(&files, false);
    expect("the recorded run", "valid", &*verdict)?;
    let lines = files.iter().map(|file| file.split(|byte| *byte == b'\n').count() as u64);
    demand("the steps of all replicas", steps > 4 * OPERATIONS && steps < lines.sum())?;
    expect("the files are as the nodes left them", true, ends(&files))?;
    without_a_step(&files)
}

/// Each file has as many starts as its replica, each followed by an end, and the end says how many steps there were.
fn ends(files: &[Vec<u8>]) -> bool {
    files.iter().enumerate().all(|(id, file)| {
        let lines: Vec<_> = file.split(|byte| *byte == b'\n').collect();
        let count = |name: &[u8]| lines.iter().filter(|line| line.starts_with(name)).count();
        let starts = if id == RESTARTED { 2 } else { 1 };
        count(b"{\"header\"") == starts && count(b"{\"end\"") == starts && file.ends_with(b"\n")
    })
}

fn run(setting: &str) -> Outcome<Vec<Vec<u8>>> {
    let mut four = Four::start(setting)?;
    four.executes(OPERATIONS)?;
    four.have_executed(0..4)?;
    four.stop(RESTARTED)?;
    four.executes(OPERATIONS)?;
    four.begin(RESTARTED)?;
    four.have_executed(0..4)?;
    four.executes(OPERATIONS)?;
    four.have_executed(0..4)?;
    (0..4).try_for_each(|id| four.stop(id))?;
    four.files()
}

/// The run with MACs in the place of signatures between clients and replicas.
pub(super) fn with_macs() -> Outcome {
    let mut four = Four::start("client_authentication = \"macs\"")?;
    four.executes(OPERATIONS)?;
    four.have_executed(0..4)?;
    // A replica that is late takes what others prove, and looks at no MAC.
    let mut checked = 0;
    for node in four.nodes.iter().flatten() {
        let refused = node.metrics.requests_refused.counts();
        let asked = refused.iter().filter(|(reason, _)| *reason == "not-signed");
        expect("nobody asks for a signature", 0, asked.map(|one| one.1).sum::<u64>())?;
        checked += node.metrics.macs_checked.get();
    }
    demand("MACs are looked at", checked >= OPERATIONS)?;
    (0..4).try_for_each(|id| four.stop(id))
}

/// Whatever is missing, doubled or exchanged in a recording is noticed.
fn without_a_step(files: &[Vec<u8>]) -> Outcome {
    let lines = |file: &[u8]| -> Vec<Vec<u8>> {
        file.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    };
    let own = lines(&files[1]);
    let steps = own.len() - 2;
    let refused = |what: &str, changed: Vec<Vec<u8>>| {
        let mut files = files.to_vec();
        files[1] = changed.concat();
        let verdict = judged(&files, false).0;
        demand(&format!("{what} is noticed"), verdict != "valid")
    };
    for at in [1, steps / 2, steps] {
        let mut less = own.clone();
        less.remove(at);
        refused("a step that is missing", less)?;
        let mut twice = own.clone();
        twice.insert(at, own[at].clone());
        refused("a step that is there twice", twice)?;
        let mut exchanged = own.clone();
        exchanged.swap(at, at + 1);
        refused("another order", exchanged)?;
    }
    let mut headless = own.clone();
    headless.remove(0);
    refused("a recording without a start", headless)?;
    let mut endless = own;
    endless.pop();
    refused("a recording without an end", endless.clone())?;
    let mut cut = files.to_vec();
    cut[1] = endless.concat();
    expect("which may be cut off, if that is said", "valid", &*judged(&cut, true).0)
}
