//! The replicas of a cluster, each a process of its own, with real disks and sockets.

use crate::binary::{pbft_binary, turn_file};
use crate::ports::free_ports;
use crate::process::{PATIENCE, POLL, Process, program_in, run_pbft};
use pbft_conformance::validate::{Options, Recording, Validation, Validity, validate};
use pbft_core::client::Patience;
use pbft_core::params::ClientAuthentication;
use pbft_core::types::ReplicaId;
use pbft_node::admin;
use pbft_node::client::{Client, ClientOptions, Timestamps};
use pbft_node::config::Cluster;
use pbft_node::frame::StatusReport;
use pbft_node::keys::SecretKey;
use pbft_sim::behaviour::Behaviour;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a replica may take to answer that it is well, or a client to be served, before a test gives up.
const OPERATION_DEADLINE: Duration = Duration::from_secs(90);

/// How long one question to all replicas may wait for those that do not answer.
const STATUS_PATIENCE: Duration = Duration::from_millis(500);

/// The admin endpoints listen so many ports above the replicas.
const ADMIN_PORTS: u16 = 16;

/// How a test cluster is made.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// How many replicas.
    pub replicas: u16,
    /// How many clients.
    pub clients: u16,
    /// A checkpoint every so many batches; the log is twice as long.
    pub checkpoint_interval: u64,
    /// How long a request may wait before the primary is suspected.
    pub view_timeout: Duration,
    /// How requests and replies are authenticated.
    pub client_authentication: ClientAuthentication,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            replicas: 4,
            clients: 4,
            checkpoint_interval: 8,
            view_timeout: Duration::from_secs(2),
            client_authentication: ClientAuthentication::Signatures,
        }
    }
}

/// A cluster. Its processes are killed and its directory is removed when it is dropped.
#[derive(Debug)]
pub struct ProcessCluster {
    /// What every process knows.
    pub cluster: Cluster,
    processes: Vec<Option<Process>>,
    directory: TempDir,
    /// `None` for one that shares another's turn.
    _turn: Option<Turn>,
}

/// One cluster at a time: two would only wait for each other, and time out for no reason of their own.
#[derive(Debug)]
pub struct Turn {
    _file: File,
}

impl Turn {
    /// Waits for the turn, also of other test processes.
    pub fn take() -> Self {
        let file = File::create(turn_file()).expect("a file beside the test executable");
        file.lock().expect("the file can be locked");
        Self { _file: file }
    }
}

impl ProcessCluster {
    /// Writes a new cluster and starts all its replicas.
    pub async fn start(shape: Shape) -> Self {
        Self::create(shape).started().await
    }

    /// Writes a second cluster, beside the first one, and starts all its replicas.
    pub async fn start_beside(_first: &Self, shape: Shape) -> Self {
        Self::write(shape, None).started().await
    }

    /// Starts all replicas, and waits until they answer.
    async fn started(mut self) -> Self {
        let n = self.processes.len();
        (0..n as u32).for_each(|id| self.start_replica(id));
        let client = self.client(0);
        wait_for(&client, "all replicas answer", |all| all.len() == n).await;
        self
    }

    /// Writes a new cluster with its clients, and starts nothing.
    pub fn create(shape: Shape) -> Self {
        Self::write(shape, Some(Turn::take()))
    }

    fn write(shape: Shape, turn: Option<Turn>) -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        // Half of the ports are for the admin endpoints.
        let base_port = free_ports(2 * ADMIN_PORTS);
        assert!(shape.replicas <= ADMIN_PORTS, "{ADMIN_PORTS} replicas have ports");
        let admin_base_port = (base_port + ADMIN_PORTS).to_string();
        let base_port = base_port.to_string();
        let output = run_pbft(
            directory.path(),
            &[
                "testnet",
                "--replicas",
                &shape.replicas.to_string(),
                "--clients",
                &shape.clients.to_string(),
                "--base-port",
                &base_port,
                "--admin-base-port",
                &admin_base_port,
                "--checkpoint-interval",
                &shape.checkpoint_interval.to_string(),
                "--view-timeout-ms",
                &shape.view_timeout.as_millis().to_string(),
                "--client-authentication",
                match shape.client_authentication {
                    ClientAuthentication::Signatures => "signatures",
                    ClientAuthentication::Macs => "macs",
                },
            ],
        );
        assert!(output.status.success(), "{output:?}");
        let file = directory.path().join("cluster/cluster.toml");
        let cluster = Cluster::load(&file).expect("what testnet wrote");
        let processes = (0..shape.replicas).map(|_| None).collect();
        Self { cluster, processes, directory, _turn: turn }
    }

    /// Where a replica's admin endpoint listens.
    pub fn admin_address(&self, id: u32) -> String {
        let (_, port) =
            self.cluster.replicas()[id as usize].address.split_once(':').expect("host:port");
        format!("127.0.0.1:{}", port.parse::<u16>().expect("a port") + ADMIN_PORTS)
    }

    /// The value of a metric of a running replica, named without its prefix.
    pub async fn metric(&self, id: u32, name: &str) -> Option<u64> {
        let (_, text) = admin::get(&self.admin_address(id), "/metrics").await.ok()?;
        let prefix = format!("pbft_{name} ");
        text.lines().find_map(|line| line.strip_prefix(&prefix)?.parse().ok())
    }

    /// The directory in which `cluster/` is: where a user would call `pbft`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The directory of one replica.
    pub fn replica_directory(&self, id: u32) -> PathBuf {
        self.directory().join(format!("cluster/replica-{id}"))
    }

    /// The file in which a replica records its steps.
    pub fn trace_file(&self, id: u32) -> PathBuf {
        self.directory().join(format!("replica-{id}.jsonl"))
    }

    /// Starts one replica, from whatever is on its disk.
    pub fn start_replica(&mut self, id: u32) {
        self.start_replica_of(id, pbft_binary());
    }

    /// The same with this build of the `pbft` command.
    pub fn start_replica_of(&mut self, id: u32, program: &Path) {
        self.start_replica_within(id, &[], program);
    }

    /// The same by another command, which becomes `program`: `ip netns exec NAME`, for one.
    pub fn start_replica_within(&mut self, id: u32, outer: &[&str], program: &Path) {
        let directory = format!("cluster/replica-{id}");
        let log = self.directory().join(format!("replica-{id}.log"));
        let trace = self.trace_file(id).display().to_string();
        let arguments = ["start", "--until-stdin-ends", "--dir", &directory, "--trace", &trace];
        let program = program.to_str().expect("a path in Unicode");
        let words = [outer, &[program], &arguments].concat();
        let mut command = program_in(Path::new(words[0]), self.directory(), &words[1..]);
        self.start_command(id, &mut command, &log);
    }

    /// Starts a replica that lies, with the program `pbft-liar` and these strategies.
    pub fn start_liar(&mut self, id: u32, program: &Path, seed: u64, behaviours: &[Behaviour]) {
        let mut command = Command::new(program);
        command.args(["--dir", &format!("cluster/replica-{id}"), "--seed", &seed.to_string()]);
        command.args(behaviours.iter().map(|one| one.name())).current_dir(self.directory());
        let log = self.directory().join(format!("replica-{id}.log"));
        self.start_command(id, &mut command, &log);
    }

    fn start_command(&mut self, id: u32, command: &mut Command, log: &Path) {
        let before = self.processes[id as usize].replace(Process::spawn(command, log));
        assert!(before.is_none(), "replica {id} is running");
    }

    /// A running replica's process.
    pub fn process(&mut self, id: u32) -> &mut Process {
        self.processes[id as usize].as_mut().expect("a running replica")
    }

    /// Kills a replica with SIGKILL.
    pub fn kill_replica(&mut self, id: u32) {
        self.process(id).kill();
        self.processes[id as usize] = None;
    }

    /// Kills all running replicas with SIGKILL, one right after the other.
    pub fn kill_all(&mut self) {
        let running = self.processes.iter().flatten();
        running.for_each(|process| process.signal(rustix::process::Signal::KILL));
        self.processes.iter_mut().flatten().for_each(Process::kill);
        self.processes.iter_mut().for_each(|process| *process = None);
    }

    /// Asks a replica to stop, and waits until it has done so in order.
    pub fn stop_replica(&mut self, id: u32) {
        let process = self.process(id);
        process.signal(rustix::process::Signal::TERM);
        let status = process.wait();
        assert!(status.success(), "replica {id} {status}:\n{}", process.last_words());
        self.processes[id as usize] = None;
    }

    /// Stops all replicas that run, and has the recorded run checked against the model: every step of every replica, of
    /// those that were killed, too.
    pub fn finish(self) -> Validation {
        self.finish_with(BTreeSet::new())
    }

    /// The same, where these replicas may have done anything.
    pub fn finish_with(mut self, byzantine: BTreeSet<u32>) -> Validation {
        let ids = 0..self.processes.len() as u32;
        let (running, killed): (Vec<_>, Vec<_>) =
            ids.clone().partition(|id| self.processes[*id as usize].is_some());
        running.into_iter().for_each(|id| self.stop_replica(id));
        let correct = ids.filter(|id| !byzantine.contains(id));
        let files: Vec<_> = correct.map(|id| self.trace_file(id)).collect();
        validated_with(&files, Options { truncated_ok: !killed.is_empty(), byzantine })
    }

    /// Panics with its log if a replica that should run has ended.
    pub fn assert_all_run(&mut self) {
        for (id, process) in self.processes.iter_mut().enumerate() {
            let Some(process) = process else { continue };
            if let Some(status) = process.ended() {
                panic!("replica {id} ended, {status}:\n{}", process.last_words());
            }
        }
    }

    /// The secret key of client `number`.
    pub fn client_key(&self, number: usize) -> SecretKey {
        let path = self.directory().join(format!("cluster/clients/client-{number}.key"));
        SecretKey::load(&path).expect("what testnet wrote")
    }

    /// A client with the key of client `number`. Call it in a runtime.
    pub fn client(&self, number: usize) -> Arc<Client> {
        self.patient_client(number, ClientOptions::default().patience)
    }

    /// The same, with its own patience.
    pub fn patient_client(&self, number: usize, patience: Patience) -> Arc<Client> {
        let default = ClientOptions::default();
        let options = ClientOptions { deadline: OPERATION_DEADLINE, patience, ..default };
        let key = self.client_key(number);
        let client = Client::connect(&self.cluster, key, Timestamps::in_memory(), options);
        Arc::new(client.expect("a client of the cluster"))
    }
}

impl Drop for ProcessCluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (id, process) in self.processes.iter().enumerate() {
                let words = process.as_ref().map_or("not running".into(), Process::last_words);
                eprintln!("--- replica {id}\n{words}");
            }
        }
    }
}

/// Has a recorded run checked against the model; `truncated_ok` if replicas were killed that did not start again.
pub fn validated(files: &[PathBuf], truncated_ok: bool) -> Validation {
    validated_with(files, Options { truncated_ok, ..Options::default() })
}

/// Has the recorded run of the correct replicas checked against the model.
pub fn validated_with(files: &[PathBuf], options: Options) -> Validation {
    let recordings = files.iter().map(|file| Recording::open(file).expect("a recording"));
    let validation = validate(recordings.collect(), &options).expect("readable recordings");
    assert_eq!(validation.verdict, Validity::Valid, "{validation}");
    eprintln!("{validation}");
    validation
}

/// What the replicas that answer say.
pub async fn reports(client: &Client) -> Vec<StatusReport> {
    let all = client.status(STATUS_PATIENCE).await;
    all.into_iter().filter_map(|replica| replica.report.ok()).collect()
}

/// Asks the replicas until their answers satisfy a condition, and returns these.
pub async fn wait_for(
    client: &Client,
    what: &str,
    condition: impl Fn(&[StatusReport]) -> bool,
) -> Vec<StatusReport> {
    let began = Instant::now();
    loop {
        let answers = reports(client).await;
        if condition(&answers) {
            return answers;
        }
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}; {answers:#?}");
        tokio::time::sleep(POLL).await;
    }
}

/// Whether these are the answers of `n` replicas that have executed the same batches and are in the same state.
pub fn in_agreement(answers: &[StatusReport], n: usize) -> bool {
    let ends = |report: &StatusReport| (report.last_executed, report.state);
    answers.len() == n && answers.iter().all(|report| ends(report) == ends(&answers[0]))
}

/// Waits until all `n` replicas answer from the same state.
pub async fn agreement(client: &Client, n: usize) -> Vec<StatusReport> {
    wait_for(client, "all replicas are in the same state", |all| in_agreement(all, n)).await
}

/// The primary of the latest view in which a quorum takes part.
pub async fn primary(client: &Client) -> ReplicaId {
    let membership = client.membership();
    let quorum_in = |all: &[StatusReport]| {
        let views = all.iter().map(|report| report.view);
        let taking_part = |view| all.iter().filter(|r| r.active && r.view == view).count();
        views.filter(|view| taking_part(*view) >= membership.quorum()).max()
    };
    let answers = wait_for(client, "a quorum is in a view", |all| quorum_in(all).is_some()).await;
    membership.primary(quorum_in(&answers).expect("just seen"))
}
