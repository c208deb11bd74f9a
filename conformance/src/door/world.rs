//! Where a scenario of the door plays: a runtime of its own whose sockets are real and whose clock the scenario moves,
//! the text of a cluster file, and whole nodes. The scenario itself runs on another thread, and may block there.

use crate::divergence::{Difference, Kind};
use crate::refinement::service::History;
use crate::subject::node::keys::secret;
use pbft_core::types::{ClientId, Principal, ReplicaId};
use pbft_node::config::Cluster;
use pbft_node::driver::DriverError;
use pbft_node::inbox::Inbox;
use pbft_node::metrics::{ByReason, Metrics};
use pbft_node::node::{Node, Setup};
use pbft_node::store::{Identity, MemoryDisk, Store};
use std::fmt::{Debug, Display, Write as _};
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What a scenario comes to.
pub(super) type Outcome<T = ()> = Result<T, Difference>;

/// What is waited for comes in milliseconds of the wall clock, or in seconds on a machine that has much to do. Without an
/// answer for so long none comes.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How often every task has had its turn, and the sockets were looked at, before a scenario says that nothing comes.
const ROUNDS: usize = 64;

/// What the scenario itself could not do.
pub(super) fn harness(error: impl Display) -> Difference {
    Difference::new(Kind::Harness, error.to_string())
}

/// Demands that two values are the same.
pub(super) fn expect<T: Debug + PartialEq>(what: &str, expected: T, got: T) -> Outcome {
    match expected == got {
        true => Ok(()),
        false => {
            let diff = vec![format!("- {expected:?}"), format!("+ {got:?}")];
            Err(Difference::new(Kind::Reaction, what).with_diff(diff))
        }
    }
}

/// Demands that something is so.
pub(super) fn demand(what: &str, is_so: bool) -> Outcome {
    if is_so { Ok(()) } else { Err(Difference::new(Kind::Reaction, what)) }
}

/// Waits until something is so.
pub(super) fn await_that(what: &str, is_so: impl Fn() -> bool) -> Outcome {
    let began = Instant::now();
    while !is_so() {
        if began.elapsed() > PATIENCE {
            return Err(Difference::new(Kind::Reaction, format!("in vain waited for: {what}")));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// What was counted at least once.
pub(super) fn counted(counts: &ByReason) -> Vec<(&'static str, u64)> {
    counts.counts().into_iter().filter(|(_, count)| *count > 0).collect()
}

/// A runtime on a thread of its own.
pub(super) struct World {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl World {
    /// One whose clock stands unless [`Self::advance`] moves it.
    pub(super) fn with_a_clock_that_stands() -> Outcome<Self> {
        Self::start(true)
    }

    /// One whose clock runs: for nodes that talk to each other.
    pub(super) fn with_a_clock_that_runs() -> Outcome<Self> {
        Self::start(false)
    }

    fn start(stands: bool) -> Outcome<Self> {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = channel();
        let mut builder = Builder::new_current_thread();
        builder.enable_all().start_paused(stands);
        let runtime = builder.build().map_err(harness)?;
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                // While a thread blocks for the runtime, a clock that stands does not move by itself.
                let (release, held) = channel::<()>();
                let holding = tokio::task::spawn_blocking(move || held.recv().is_ok());
                let _ = tell.send(Handle::current());
                let _ = stopped.await;
                drop(release);
                let _ = holding.await;
            });
        });
        let handle = told.recv().map_err(harness)?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Has `work` done, and waits for its end.
    pub(super) fn block<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Outcome<T> {
        let (tell, told) = channel();
        self.handle.spawn(async move {
            let _ = tell.send(work.await);
        });
        hear(&told)
    }

    /// Begins `work`; [`Pending::end`] waits for its end.
    pub(super) fn begin<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Pending<T> {
        let (tell, told) = channel();
        let task = self.handle.spawn(async move {
            let _ = tell.send(work.await);
        });
        Pending { told, task }
    }

    /// Lets every task have its turns, and look at its sockets.
    pub(super) fn settle(&self) -> Outcome {
        self.block(async {
            for _ in 0..ROUNDS {
                tokio::task::yield_now().await;
            }
        })
    }

    /// Moves a clock that stands.
    pub(super) fn advance(&self, by: Duration) -> Outcome {
        self.settle()?;
        self.block(tokio::time::advance(by))?;
        self.settle()
    }

    /// Starts a node that has this disk, and runs it.
    pub(super) fn node(&self, start: Start<'_>) -> Outcome<Running> {
        let Start { cluster, replica, disk, trace, listen } = start;
        let identity = Identity::new(cluster.id(), replica);
        let store = Store::in_memory(disk, identity).map_err(harness)?;
        let (cluster, listen) = (cluster.clone(), listen.to_owned());
        let node = self.block(async move {
            let key = secret(Principal::Replica(replica));
            let setup = Setup { cluster, key, replica, store, trace };
            Node::start(setup, Box::new(History), Some(&listen)).await
        });
        let node = node?.map_err(harness)?;
        let (address, inbox) = (node.address(), node.inbox());
        let metrics = Arc::clone(inbox.metrics());
        let running = self.handle.spawn(node.run());
        Ok(Running { address, inbox, metrics, running: Some(running) })
    }
}

fn hear<T>(told: &Receiver<T>) -> Outcome<T> {
    told.recv_timeout(PATIENCE).map_err(|error| match error {
        RecvTimeoutError::Timeout => Difference::new(Kind::Reaction, "it does not end"),
        RecvTimeoutError::Disconnected => Difference::new(Kind::Panicked, "it ended by a panic"),
    })
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Work under way.
pub(super) struct Pending<T> {
    told: Receiver<T>,
    task: JoinHandle<()>,
}

impl<T> Pending<T> {
    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// What it came to.
    pub(super) fn end(self) -> Outcome<T> {
        hear(&self.told)
    }
}

/// What a node is started from.
pub(super) struct Start<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) replica: ReplicaId,
    pub(super) disk: &'a MemoryDisk,
    pub(super) trace: Option<PathBuf>,
    pub(super) listen: &'a str,
}

impl<'a> Start<'a> {
    /// On a new disk, at any port.
    pub(super) fn fresh(cluster: &'a Cluster, replica: u32, disk: &'a MemoryDisk) -> Self {
        let (replica, listen) = (ReplicaId(replica), "127.0.0.1:0");
        Self { cluster, replica, disk, trace: None, listen }
    }
}

/// A node that runs.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) inbox: Inbox,
    pub(super) metrics: Arc<Metrics>,
    running: Option<JoinHandle<Result<(), DriverError>>>,
}

impl Running {
    /// Stops it in order.
    pub(super) fn stop(mut self, world: &World) -> Outcome {
        self.inbox.stop();
        let Some(running) = self.running.take() else { return Ok(()) };
        match world.block(running)? {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Difference::new(Kind::Halted, error.to_string())),
            Err(panic) => Err(Difference::new(Kind::Panicked, panic.to_string())),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.inbox.stop();
    }
}

/// The text of a cluster file of four replicas and two clients.
#[derive(Clone)]
pub(super) struct File {
    pub(super) nonce: char,
    /// Where the replicas are said to listen.
    pub(super) addresses: Vec<String>,
    /// Lines of the first table.
    pub(super) settings: String,
}

impl Default for File {
    /// Nobody listens at these addresses.
    fn default() -> Self {
        let addresses = (1..=4).map(|port| format!("127.0.0.1:{port}")).collect();
        Self { nonce: '0', addresses, settings: String::new() }
    }
}

impl File {
    /// One with a setting more.
    pub(super) fn with(mut self, setting: &str) -> Self {
        self.settings.push_str(setting);
        self.settings.push('\n');
        self
    }

    pub(super) fn text(&self) -> String {
        let Self { nonce, addresses, settings } = self;
        let nonce = nonce.to_string().repeat(32);
        let mut text = format!("[cluster]\nname = \"door\"\nnonce = \"{nonce}\"\n");
        let _ = write!(text, "service = \"history/1\"\n{settings}");
        for (id, address) in addresses.iter().enumerate() {
            let key = secret(Principal::Replica(ReplicaId(id as u32))).public().to_hex();
            let _ = write!(text, "\n[[replica]]\nid = {id}\n");
            let _ = write!(text, "address = \"{address}\"\npublic_key = \"{key}\"\n");
        }
        for (id, name) in [(1, "one"), (2, "two")] {
            let key = secret(Principal::Client(ClientId(id))).public().to_hex();
            let _ = write!(text, "\n[[client]]\nid = {id}\nname = \"{name}\"\n");
            let _ = writeln!(text, "public_key = \"{key}\"");
        }
        text
    }

    pub(super) fn cluster(&self) -> Outcome<Cluster> {
        Cluster::parse(&self.text(), Path::new("cluster.toml")).map_err(harness)
    }
}

/// A cluster, and its replica 0, whose clock stands.
pub(super) struct Hall {
    pub(super) world: World,
    pub(super) cluster: Cluster,
    pub(super) node: Running,
}

impl Hall {
    /// Starts the replica of the cluster that this file says.
    pub(super) fn open(file: File) -> Outcome<Self> {
        let world = World::with_a_clock_that_stands()?;
        let cluster = file.cluster()?;
        let node = world.node(Start::fresh(&cluster, 0, &MemoryDisk::default()))?;
        Ok(Self { world, cluster, node })
    }
}
