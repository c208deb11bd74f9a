//! Replicas that lost their memory, and stores in files: whose they are, and what they notice to have lost.

use super::cluster::{CLUSTER, Cluster, Spec, request};
use super::pages::Ledger;
use super::states::serves;
use super::story::{Outcome, Story, demand, expect, harness};
use crate::divergence::{Difference, Kind};
use crate::signpost::{Handler, in_core, in_host, in_node};
use pbft_core::amnesia::AmnesiaError;
use pbft_core::types::{Digest, ReplicaId, SeqNum, View};
use pbft_core::{Durable, Params, Position, Standing};
use pbft_node::store::{Identity, MemoryDisk, STORE_FILE, Store, StoreError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) const MEMORY: &[Handler] = &[
    in_core!("amnesia.rs", "Durable::after_amnesia"),
    in_node!("store/mod.rs", "Store::create_with"),
    in_node!("store/tables.rs", "initialise"),
    in_node!("meter.rs", "Meter::on_standing"),
    in_host!("perform.rs", "Host::perform"),
    in_host!("host.rs", "Host::resume"),
    in_node!("driver/report.rs", "Driver::report"),
];

pub(super) const FILES: &[Handler] = &[
    in_node!("store/mod.rs", "Store::open_with"),
    in_node!("store/mod.rs", "Store::check_seal"),
    in_node!("store/transaction.rs", "Transaction::commit"),
    in_node!("store/mod.rs", "Store::examine"),
    in_node!("store/identity.rs", "Identity::check"),
    in_node!("store/seal.rs", "Seal::write"),
    in_node!("store/mod.rs", "Store::caught_up"),
    in_node!("store/transaction.rs", "Transaction::count_incarnation"),
];

/// A directory that is gone when the story is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Outcome<Self> {
        let directory = format!("pbft-wide-{}-{name}", std::process::id());
        let directory = std::env::temp_dir().join(directory);
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).map_err(harness)?;
        Ok(Self(directory))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn bounds(params: &mut Params) {
    (params.checkpoint_interval, params.window) = (2, 4);
    params.batch_requests_max = 1;
    params.status_interval = Duration::from_millis(100);
    params.help_bytes_max = 1 << 26;
}

fn identity(id: u32) -> Identity {
    Identity::new(CLUSTER, ReplicaId(id))
}

fn open(directory: &Path, id: u32) -> Outcome<Store> {
    let opened = Store::open(directory, identity(id));
    opened.map_err(|error| Difference::new(Kind::Restart, error.to_string()))
}

/// A replica of four and one of seven.
pub(super) fn memory(story: &Story) -> Outcome {
    [4, 7].into_iter().try_for_each(|replicas| memory_of(story, replicas))
}

/// The last replica loses its memory, after three batches. It starts in the next view and votes for nothing before the
/// checkpoint that is a window further.
fn memory_of(story: &Story, replicas: u32) -> Outcome {
    story.about(format!("one of {replicas} loses its memory"), MEMORY);
    let spec = Spec { replicas, bounds };
    let mut cluster = Cluster::start(story, spec)?;
    let mut ledger = Ledger::new(usize::MAX);
    execute(&mut cluster, &mut ledger, 1..=3)?;
    let lost = replicas - 1;
    cluster.kill(lost)?;
    cluster.said(lost)?;
    let scratch = Scratch::new(&format!("memory-{replicas}"))?;
    let durable = remembered(&cluster, spec, lost)?;
    let created = Store::create_with(&scratch.0, identity(lost), &durable);
    drop(created.map_err(harness)?);
    cluster.start_from(lost, open(&scratch.0, lost)?, &MemoryDisk::default())?;
    let recovering = Standing::Recovering { until: SeqNum(7), view: View(1) };
    stands(&mut cluster, lost, recovering, 7)?;
    story.about("the others go on", MEMORY);
    execute(&mut cluster, &mut ledger, 4..=6)?;
    tick(&mut cluster, 4)?;
    stands(&mut cluster, lost, recovering, 7)?;
    let report = cluster.report(lost)?;
    let got = (report.last_executed.0, report.state, report.low_water_mark.0);
    expect(Kind::State, "what it has learned", (6, Some(ledger.digest()), 6), got)?;
    serves(&mut cluster, lost, 6, Some(&ledger.checkpoint(6)))?;
    story.about("it starts again", MEMORY);
    cluster.kill(lost)?;
    cluster.start_from(lost, open(&scratch.0, lost)?, &MemoryDisk::default())?;
    stands(&mut cluster, lost, recovering, 7)?;
    cluster.lose_all();
    execute(&mut cluster, &mut ledger, 7..=8)?;
    tick(&mut cluster, 4)?;
    votes_again(&mut cluster, &mut ledger, lost)
}

fn tick(cluster: &mut Cluster<'_>, times: u32) -> Outcome {
    for _ in 0..times {
        cluster.story.sleep(Duration::from_millis(100));
        cluster.run(|_| true)?;
    }
    Ok(())
}

fn execute(
    cluster: &mut Cluster<'_>,
    ledger: &mut Ledger,
    times: std::ops::RangeInclusive<u64>,
) -> Outcome {
    for time in times {
        let asked = request(1, 0, time, &format!("write {time} 900 {time}"));
        cluster.ask(0, &asked)?;
        cluster.run(|_| true)?;
        ledger.execute(&asked.body);
    }
    Ok(())
}

/// What it starts from: what n − 2 of the others say, and no fewer.
fn remembered(cluster: &Cluster<'_>, spec: Spec, lost: u32) -> Outcome<Durable> {
    let params = spec.params(lost)?;
    let needed = spec.replicas as usize - 2;
    let mut positions = BTreeMap::new();
    for at in 0..needed as u32 {
        positions.insert(ReplicaId(at), cluster.node(at)?.inbox.position());
    }
    let mut fewer = positions.clone();
    fewer.remove(&ReplicaId(0));
    fewer.insert(ReplicaId(lost), Position::default());
    fewer.insert(ReplicaId(99), Position::default());
    let too_few = Err(AmnesiaError::TooFewAnswers { needed, got: needed - 1 });
    let got = Durable::after_amnesia(&params, &fewer).map(drop);
    expect(Kind::Accepted, "too few answers", too_few, got)?;
    let durable = Durable::after_amnesia(&params, &positions).map_err(harness)?;
    let got = (durable.view.0, durable.changing, durable.abstains.map(|seq| seq.0));
    expect(Kind::State, "what it starts from", (1, true, Some(7)), got)?;
    Ok(durable)
}

/// How it stands: in its report, for whoever asks in the process, and for operators; and that it has voted for nothing.
fn stands(cluster: &mut Cluster<'_>, at: u32, standing: Standing, until: u64) -> Outcome {
    expect(Kind::State, "its report", standing, cluster.report(at)?.standing)?;
    let node = cluster.node(at)?;
    expect(Kind::State, "what is published", standing, node.inbox.position().standing)?;
    let metrics = &node.metrics;
    let got = (metrics.standing.get(), metrics.not_voting.get(), metrics.recovering_until.get());
    expect(Kind::Reaction, "numbers for operators", (standing.kind(), 1, until), got)?;
    let mut said = cluster.said(at)?;
    let votes = ["PREPARE", "COMMIT ", "CHECKPOINT", "PRE-PREPARE", "NEW-VIEW", "VIEW-CHANGE"];
    said.retain(|said| votes.iter().any(|vote| said.starts_with(vote)));
    expect(Kind::Messages, "votes of one that abstains", Vec::new(), said)
}

/// The checkpoint is stable: it waits for the next view, and votes there.
fn votes_again(cluster: &mut Cluster<'_>, ledger: &mut Ledger, lost: u32) -> Outcome {
    let story = cluster.story;
    story.about("a later checkpoint is stable, and the others change their view", MEMORY);
    stands(cluster, lost, Standing::AwaitsView { view: View(1) }, 0)?;
    for at in 0..lost {
        let inbox = cluster.node(at)?.inbox.clone();
        demand(Kind::Reaction, "nobody heard the operator", story.wait(inbox.suspect()).is_some())?;
    }
    tick(cluster, 3)?;
    let report = cluster.report(lost)?;
    let got = (report.view.0, report.active, report.standing);
    expect(Kind::State, "how it stands then", (1, true, Standing::Votes), got)?;
    cluster.said(lost)?;
    let asked = request(1, 0, 9, "write 9 900 9");
    cluster.ask(1, &asked)?;
    cluster.run(|_| true)?;
    ledger.execute(&asked.body);
    let said = cluster.said(lost)?;
    let votes = [format!("PREPARE 9@1 of {lost}"), format!("COMMIT 9@1 of {lost}")];
    demand(Kind::Messages, "it does not vote", votes.iter().all(|vote| said.contains(vote)))?;
    let report = cluster.report(lost)?;
    let got = (report.last_executed.0, report.state);
    expect(Kind::State, "the end", (9, Some(ledger.digest())), got)
}

/// What opening a store comes to, in a word.
fn comes_to(opened: Result<Store, StoreError>) -> String {
    match opened {
        Ok(_) => "opened".to_owned(),
        Err(StoreError::Foreign { field, .. }) => format!("foreign {field}"),
        Err(StoreError::Missing { .. }) => "missing".to_owned(),
        Err(StoreError::Empty { .. }) => "empty".to_owned(),
        Err(StoreError::Exists { .. }) => "exists".to_owned(),
        Err(StoreError::Corrupt { what, .. }) => what,
        Err(other) => format!("{other:?}"),
    }
}

fn opens(what: &str, expected: &str, opened: Result<Store, StoreError>) -> Outcome {
    expect(Kind::Restart, what, expected.to_owned(), comes_to(opened))
}

/// A store is of one replica of one cluster, is made once, and counts how often it was opened.
pub(super) fn files(story: &Story) -> Outcome {
    story.about("a store in files", FILES);
    let scratch = Scratch::new("files")?;
    let directory = &scratch.0;
    let file = directory.join(STORE_FILE);
    opens("nothing", "missing", Store::open(directory, identity(1)))?;
    std::fs::write(&file, "").map_err(harness)?;
    opens("an empty file", "empty", Store::open(directory, identity(1)))?;
    std::fs::remove_file(&file).map_err(harness)?;
    opens("a new one", "opened", Store::create(directory, identity(1)))?;
    opens("another new one", "exists", Store::create(directory, identity(1)))?;
    let elsewhere = Identity::new(Digest([8; 32]), ReplicaId(1));
    opens("another replica's", "foreign replica", Store::open(directory, identity(2)))?;
    opens("another cluster's", "foreign cluster", Store::open(directory, elsewhere))?;
    std::fs::remove_file(directory.join("store.id")).map_err(harness)?;
    opens("without its name", "foreign replica", Store::open(directory, identity(2)))?;
    for times in 1..=2 {
        expect(Kind::Restart, "openings", times, open(directory, 1)?.incarnation())?;
    }
    let name = std::fs::read_to_string(directory.join("store.id")).map_err(harness)?;
    let expected = format!("format = 3\ncluster = {}\nreplica = 1\n", "07".repeat(32));
    expect(Kind::Restart, "its name, written again", expected, name)?;
    let before = std::fs::read(&file).map_err(harness)?;
    let examined = Store::examine(directory).map_err(harness)?;
    expect(Kind::Restart, "openings, as one who only looks sees them", 2, examined.incarnation())?;
    let after = std::fs::read(&file).map_err(harness)?;
    demand(Kind::Restart, "one who only looks has changed it", before == after)
}

/// The files that a copy of a store would have.
const OF_A_STORE: [&str; 2] = [STORE_FILE, "data.journal"];

/// A store that has lost writes that were acknowledged is refused: messages may depend on them.
pub(super) fn lost_writes(story: &Story) -> Outcome {
    story.about("a replica with a store in files", FILES);
    let scratch = Scratch::new("lost")?;
    let directory = &scratch.0;
    let spec = Spec { replicas: 4, bounds };
    drop(Store::create(directory, identity(0)).map_err(harness)?);
    let mut cluster = Cluster::empty(story, spec);
    let seal = || std::fs::read_to_string(directory.join("store.seal")).map_err(harness);
    let mut commits = 0;
    let mut older = None;
    for time in 1..=2 {
        cluster.start_from(0, open(directory, 0)?, &MemoryDisk::default())?;
        for lane in 0..3 {
            cluster.ask(0, &request(1, lane, time, "say 1"))?;
            cluster.settle()?;
        }
        let metrics = std::sync::Arc::clone(&cluster.node(0)?.metrics);
        let (ended, _) = cluster.stop(0)?;
        ended.map_err(harness)?;
        commits += metrics.commits.get();
        demand(Kind::Harness, "nothing was written", metrics.commits.get() > 0)?;
        expect(Kind::Restart, "what is sealed", format!("commits = {commits:020}\n"), seal()?)?;
        let now = OF_A_STORE.map(|name| std::fs::read(directory.join(name)));
        older.get_or_insert((now, metrics.commits.get()));
    }
    let Some((files, known)) = older else { return Err(harness("no store")) };
    for (name, bytes) in OF_A_STORE.iter().zip(files) {
        std::fs::write(directory.join(name), bytes.map_err(harness)?).map_err(harness)?;
    }
    let lost = format!("its last {} acknowledged commit(s) are lost", commits - known);
    opens("an older store", &lost, Store::open(directory, identity(0)))?;
    std::fs::remove_file(directory.join("store.seal")).map_err(harness)?;
    opens("one without a seal", "it is missing", Store::open(directory, identity(0)))
}
