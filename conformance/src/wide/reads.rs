//! What clients and operators read: answers to queries, reports, positions and numbers.

use super::cluster::{CLUSTER, Cluster, Letter, Spec, request, sealed};
use super::pages::Ledger;
use super::story::{Outcome, Story, demand, expect, harness};
use crate::divergence::Kind;
use crate::signpost::{Handler, in_host, in_node};
use pbft_core::message::{Message, PrePrepare, Prepare, Proposal};
use pbft_core::types::{ClientId, Digest, ReplicaId, SeqNum, View};
use pbft_core::{Membership, Params, Standing};
use pbft_node::codec;
use pbft_node::frame::{RefusalReason, StatusReport};
use pbft_node::inbox::Life;
use pbft_node::queries::Queries;
use pbft_node::service::{Service, ServiceId};
use pbft_node::state::{State, StateView};
use pbft_node::store::{Identity, MemoryDisk, Store};
use pbft_node::voters::{Missing, Said, Voters};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub(super) const QUERIES: &[Handler] = &[
    in_node!("queries.rs", "Queries::read"),
    in_node!("queries.rs", "Queries::answer"),
    in_node!("store/mod.rs", "StateReader::view"),
    in_node!("store/mod.rs", "Store::reader"),
    in_node!("state/view.rs", "StateView::new"),
];

pub(super) const REPORTS: &[Handler] = &[
    in_node!("driver/report.rs", "Driver::report"),
    in_node!("driver.rs", "Driver::group"),
    in_node!("meter.rs", "Meter::on_group"),
    in_node!("meter.rs", "Meter::on_effect"),
    in_node!("inbox.rs", "Inbox::is_primary"),
    in_host!("frame.rs", "StatusReport::accused"),
    in_host!("evidence.rs", "Evidence::against"),
];

pub(super) const EVIDENCE: &[Handler] = &[
    in_host!("evidence.rs", "Evidence::keep"),
    in_host!("evidence.rs", "Evidence::against"),
    in_host!("frame.rs", "StatusReport::accused"),
    in_node!("store/transaction.rs", "Transaction::add_evidence"),
    in_node!("watch.rs", "Watch::on_evidence"),
    in_node!("driver.rs", "Driver::count_what_the_store_keeps"),
    in_host!("host.rs", "Host::step"),
];

pub(super) const SUSPICION: &[Handler] = &[
    in_host!("host.rs", "Host::suspect"),
    in_node!("inbox.rs", "Inbox::suspect"),
    in_node!("driver.rs", "Driver::handle"),
    in_node!("meter.rs", "Meter::on_standing"),
];

pub(super) const VOTERS: &[Handler] = &[in_node!("voters.rs", "Voters::count")];

/// The longest result: shorter than what is said in place of one that is too long.
const RESULT: usize = 50;

fn bounds(params: &mut Params) {
    (params.checkpoint_interval, params.window) = (2, 4);
    (params.batch_requests_max, params.result_bytes_max) = (2, RESULT);
    params.pipeline = 1;
}

const SPEC: Spec = Spec { replicas: 4, bounds };

type Answer = Result<(SeqNum, Vec<u8>), RefusalReason>;

fn read(cluster: &Cluster<'_>, at: u32, query: &str) -> Outcome<Answer> {
    let queries = cluster.node(at)?.queries.clone();
    Ok(cluster.story.wait(queries.answer(ClientId(1), query.as_bytes().to_vec())))
}

/// A query is answered from what is on the disk, with the number of the batch that it is of, and within the bound of
/// results; one that fails, fails alone.
pub(super) fn queries(story: &Story) -> Outcome {
    story.about("queries to a replica", QUERIES);
    let mut cluster = Cluster::start(story, SPEC)?;
    let ok = |seq: u64, answer: &[u8]| Ok((SeqNum(seq), answer.to_vec()));
    expect(Kind::Reaction, "at first", ok(0, b""), read(&cluster, 1, "read 1")?)?;
    cluster.ask(0, &request(1, 0, 1, "write 1 4 7"))?;
    let is_held = |letter: &Letter| letter.to == 1 && matches!(letter.message, Message::Commit(_));
    let held = cluster.run(|letter| !is_held(letter))?;
    held.iter().try_for_each(|letter| cluster.deliver(letter))?;
    story.sleep(Duration::from_millis(1));
    cluster.collect(1)?;
    expect(Kind::Execution, "its reply", 1, cluster.results(1).len())?;
    expect(Kind::Reaction, "before it is written", ok(0, b""), read(&cluster, 1, "read 1")?)?;
    story.sleep(Duration::from_millis(9));
    expect(Kind::Reaction, "once it is", ok(1, &[7; 4]), read(&cluster, 1, "read 1")?)?;
    expect(Kind::Reaction, "a range", ok(1, b"1"), read(&cluster, 1, "count 0 5")?)?;
    let most = vec![b'q'; RESULT];
    expect(Kind::Reaction, "the longest answer", ok(1, &most), read(&cluster, 1, "say 50")?)?;
    let longer = ok(1, b"refused: the answer is larger than result_bytes_ma");
    expect(Kind::Reaction, "a longer one", longer, read(&cluster, 1, "say 51")?)?;
    let failed = Err(RefusalReason::Unanswered);
    expect(Kind::Reaction, "one on which the service panics", failed, read(&cluster, 1, "?")?)?;
    expect(Kind::Reaction, "the next one", ok(1, b"1"), read(&cluster, 1, "count 1 2")?)?;
    let queries = cluster.node(1)?.queries.clone();
    let (ended, _) = cluster.stop(1)?;
    ended.map_err(harness)?;
    let answer = story.wait(queries.answer(ClientId(1), b"read 1".to_vec()));
    expect(Kind::Reaction, "after its end", Err(RefusalReason::Unanswered), answer)
}

/// What a replica says of itself, in full, after executions, a checkpoint, restarts and a view change; and what it publishes and
/// counts.
pub(super) fn reports(story: &Story) -> Outcome {
    story.about("reports of a replica", REPORTS);
    let mut cluster = Cluster::start(story, SPEC)?;
    let mut ledger = Ledger::new(RESULT);
    let mut expected = StatusReport {
        replica: ReplicaId(2),
        view: View(0),
        active: true,
        low_water_mark: SeqNum(0),
        checkpoint: None,
        last_executed: SeqNum(0),
        state: Some(ledger.digest()),
        standing: Standing::Votes,
        incarnation: 1,
        accused: 0,
    };
    expect(Kind::Reaction, "at first", expected, cluster.report(2)?)?;
    // The first is alone; the others come together while it is on its way.
    for lane in 0..3 {
        let asked = request(1, lane, 1, "write 1 4 7");
        cluster.ask(0, &asked)?;
        ledger.execute(&asked.body);
    }
    cluster.run(|_| true)?;
    expected.low_water_mark = SeqNum(2);
    expected.checkpoint = Some(ledger.checkpoint(2).digest());
    expected.last_executed = SeqNum(2);
    expected.state = Some(ledger.digest());
    expect(Kind::Reaction, "after a checkpoint", expected, cluster.report(2)?)?;
    numbers(&cluster, &[2, 3, 3 * 11, 0, 0, 2, 6, 2, 1])?;
    let disk = cluster.kill(2)?;
    cluster.start_one(2, &disk)?;
    expected.incarnation = 2;
    expect(Kind::Restart, "after a restart", expected, cluster.report(2)?)?;
    for at in 1..4 {
        let inbox = cluster.node(at)?.inbox.clone();
        demand(Kind::Reaction, "nobody heard the operator", story.wait(inbox.suspect()).is_some())?;
    }
    cluster.run(|_| true)?;
    expected.view = View(1);
    expect(Kind::Reaction, "in view 1", expected, cluster.report(2)?)?;
    numbers(&cluster, &[0, 0, 0, 1, 1, 2, 6, 2, 2])?;
    for at in 0..4 {
        let inbox = &cluster.node(at)?.inbox;
        let position = inbox.position();
        let got = (position.view.0, position.last_executed.0, position.standing);
        expect(Kind::Reaction, "what is published", (1, 2, Standing::Votes), got)?;
        expect(Kind::Reaction, "who is the primary", at == 1, inbox.is_primary())?;
    }
    let inbox = cluster.node(2)?.inbox.clone();
    let life = story.wait(inbox.life(Duration::from_millis(100)));
    expect(Kind::Reaction, "whether it lives", Life::Alive, life)
}

/// Numbers of replica 2: batches, requests and bytes executed, views left, the view, both ends of the window, the last batch,
/// and openings of the store.
fn numbers(cluster: &Cluster<'_>, expected: &[u64; 9]) -> Outcome {
    let metrics = &cluster.node(2)?.metrics;
    let got = [
        metrics.batches_executed.get(),
        metrics.requests_executed.get(),
        metrics.batch_bytes.snapshot().sum,
        metrics.view_changes.get(),
        metrics.view.get(),
        metrics.low_water_mark.get(),
        metrics.high_water_mark.get(),
        metrics.last_executed.get(),
        metrics.store_openings.get(),
    ];
    expect(Kind::Reaction, "numbers for operators", expected, &got)?;
    let states = (metrics.active.get(), metrics.not_voting.get(), metrics.standing.get());
    expect(Kind::Reaction, "how it stands, for operators", (1, 0, "votes"), states)
}

/// An operator's suspicion is heard once, by one that votes.
pub(super) fn suspicion(story: &Story) -> Outcome {
    story.about("an operator suspects the primary twice, at one replica", SUSPICION);
    let cluster = Cluster::start(story, SPEC)?;
    let inbox = cluster.node(3)?.inbox.clone();
    expect(Kind::Reaction, "the first time", Some(Ok(View(1))), story.wait(inbox.suspect()))?;
    let awaits = Standing::AwaitsView { view: View(1) };
    expect(Kind::Reaction, "the second time", Some(Err(awaits)), story.wait(inbox.suspect()))?;
    let position = inbox.position();
    let got = (position.view, position.standing);
    expect(Kind::Reaction, "what is published", (View(1), awaits), got)?;
    let metrics = &cluster.node(3)?.metrics;
    let got = (metrics.view_changes.get(), metrics.active.get(), metrics.not_voting.get());
    expect(Kind::Reaction, "numbers for operators", (1, 0, 1), got)
}

fn proposal(operation: &str) -> Message {
    let batch = Arc::new(pbft_core::message::Batch { requests: vec![request(1, 0, 1, operation)] });
    let digest = crate::refinement::layout::batch_digest(&batch);
    let body = PrePrepare { view: View(0), seq: SeqNum(1), digest, replica: ReplicaId(0) };
    Message::PrePrepare(Arc::new(Proposal { pre_prepare: sealed(body), batch }))
}

fn prepare(of: u32, digest: u8) -> Message {
    let (view, seq, digest) = (View(0), SeqNum(1), Digest([digest; 32]));
    Message::Prepare(sealed(Prepare { view, seq, digest, replica: ReplicaId(of) }))
}

/// A service that takes its time for each query, and counts how many it has at a time.
#[derive(Default)]
struct Slow {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Service for Slow {
    fn id(&self) -> ServiceId {
        ServiceId::new("slow", 1)
    }

    fn execute(&self, _: &mut State<'_>, _: ClientId, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }

    fn query(&self, _: &mut StateView, _: ClientId, query: &[u8]) -> Vec<u8> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        self.now.fetch_sub(1, Ordering::SeqCst);
        query.to_vec()
    }
}

/// However many queries come at once, two are answered at a time, and all in the end.
pub(super) fn queries_in_turns(story: &Story) -> Outcome {
    story.about("six queries at once, of a service that takes its time", QUERIES);
    let identity = Identity::new(CLUSTER, ReplicaId(0));
    let store = Store::in_memory(&MemoryDisk::default(), identity).map_err(harness)?;
    let service = Arc::new(Slow::default());
    let known: Arc<dyn Service> = Arc::clone(&service) as _;
    let queries = Queries::new(known, store.reader(), 100);
    let asked = (1..=6).map(|client| queries.answer(ClientId(client), vec![client as u8]));
    let answers = story.wait(futures_util::future::join_all(asked));
    let expected: Vec<_> = (1..=6).map(|client| Ok((SeqNum(0), vec![client]))).collect();
    expect(Kind::Reaction, "the answers", expected, answers)?;
    let most = service.most.load(Ordering::SeqCst);
    demand(Kind::Reaction, "more than two are answered at a time", (1..=2).contains(&most))
}

/// Two statements that contradict each other are kept, once a matter, and name their signer: in the report and the numbers, and
/// after a restart.
pub(super) fn evidence(story: &Story) -> Outcome {
    story.about("a primary that orders two things, and a backup that prepares two", EVIDENCE);
    let mut cluster = Cluster::only(story, SPEC, 1)?;
    let lies = [
        (0, proposal("say 1")),
        (0, proposal("say 2")),
        (0, proposal("say 3")),
        (3, prepare(3, 1)),
        (3, prepare(3, 2)),
        (2, prepare(2, 1)),
    ];
    for (from, message) in lies {
        let frame = codec::encode(&message).map_err(harness)?;
        let taken = cluster.frame(1, from, &frame)?;
        expect(Kind::Refused, "a statement of a liar", Ok(()), taken)?;
        cluster.settle()?;
    }
    let (accused, kept) = (0b1001, 2);
    expect(Kind::Reaction, "who is accused", accused, cluster.report(1)?.accused)?;
    let count = |cluster: &Cluster<'_>| -> Outcome<u64> {
        let counts = cluster.node(1)?.metrics.evidence.counts();
        Ok(counts.into_iter().map(|(_, count)| count).sum())
    };
    expect(Kind::Reaction, "evidence, for operators", kept, count(&cluster)?)?;
    let disk = cluster.kill(1)?;
    cluster.start_one(1, &disk)?;
    let report = cluster.report(1)?;
    expect(Kind::Restart, "who is accused", accused, report.accused)?;
    let named: Vec<u32> = report.accused().map(|id| id.0).collect();
    expect(Kind::Reaction, "the accused by name", vec![0, 3], named)?;
    expect(Kind::Restart, "evidence, for operators", kept, count(&cluster)?)
}

/// How many vote, and who does not and why: votes of the view that most vote in, the latest of several.
pub(super) fn voters(_: &Story) -> Outcome {
    let votes = |view: u64| -> Said { Ok((View(view), Standing::Votes)) };
    let said = |all: Vec<Said>| -> Outcome<Voters> {
        let membership = Membership::new(7).map_err(harness)?;
        Ok(Voters::count(membership, (0..).map(ReplicaId).zip(all)))
    };
    let until = Standing::Recovering { until: SeqNum(9), view: View(3) };
    let known = said(vec![
        votes(2),
        votes(4),
        votes(4),
        Err("silent".to_owned()),
        votes(2),
        Ok((View(2), until)),
        Ok((View(2), Standing::NoSpace)),
    ])?;
    let voting: Vec<u32> = known.voting().iter().map(|id| id.0).collect();
    expect(Kind::Reaction, "who votes", vec![1, 2], voting)?;
    let elsewhere = || Missing::InView { own: View(2), others: View(4) };
    let missing = BTreeMap::from([
        (ReplicaId(0), elsewhere()),
        (ReplicaId(3), Missing::Silent("silent".to_owned())),
        (ReplicaId(4), elsewhere()),
        (ReplicaId(5), Missing::Abstains(until)),
        (ReplicaId(6), Missing::Abstains(Standing::NoSpace)),
    ]);
    expect(Kind::Reaction, "who does not, and why", &missing, known.missing())?;
    expect(Kind::Reaction, "a quorum of seven", (5, false), (known.quorum(), known.are_enough()))?;
    // Of four, two vote in view 0, one is ahead, and one is silent.
    let four = Membership::new(4).map_err(harness)?;
    let all: Vec<Said> = vec![votes(0), votes(0), votes(3), Err("silent".to_owned())];
    let known = Voters::count(four, (0..).map(ReplicaId).zip(all));
    let got = (known.voting().len(), known.are_enough());
    expect(Kind::Reaction, "voters of the view that most vote in", (2, false), got)?;
    for (voters, enough) in [(4, false), (5, true)] {
        let silent = (voters..7).map(|_| Err("silent".to_owned()));
        let known = said((0..voters).map(|_| votes(1)).chain(silent).collect())?;
        expect(Kind::Reaction, &format!("{voters} voters"), enough, known.are_enough())?;
    }
    Ok(())
}
