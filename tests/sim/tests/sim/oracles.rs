//! Each rule of the oracle is seen to fire: an honest story is told to it, and the same story with one thing wrong.

use pbft_core::evidence::{Contradiction, SignedVote};
use pbft_core::message::{Checkpoint, Message, Prepare, Request, Signed, ViewChange};
use pbft_core::types::{
    ClientId, Digest, Lane, ReplicaId, SeqNum, Session, Signature, Timestamp, View,
};
use pbft_core::{HaltReason, Input, Rejection, Replica, Timer};
use pbft_host::Said;
use pbft_sim::bank::{Accounts, Operation};
use pbft_sim::campaign::Task;
use pbft_sim::disk::Image;
use pbft_sim::driver::Run;
use pbft_sim::event::RequestId;
use pbft_sim::fault::Plan;
use pbft_sim::judge::{Judging, guarded, judge};
use pbft_sim::oracle::{Oracle, Rule};
use pbft_sim::world::Mode;
use std::collections::BTreeMap;
use std::sync::Arc;

const ONE: SeqNum = SeqNum(1);

fn signed<B>(body: B) -> Signed<B> {
    Signed { body, signature: Signature::default() }
}

fn request(account: u8) -> Arc<Signed<Request>> {
    let operation = Operation::Deposit { account, amount: 5 }.encode();
    let (client, lane, timestamp) = (ClientId(u32::from(account)), Lane(0), Timestamp(1));
    Arc::new(signed(Request { client, lane, timestamp, session: Session::default(), operation }))
}

fn right_result(request: &Signed<Request>) -> Arc<[u8]> {
    Accounts::default().execute(&request.body.operation)
}

/// A replica that has just started, and one that has executed something.
fn replicas() -> (Replica, Replica) {
    let mut run = Run::new(&Plan::calm(1, 4), Mode::default(), false).expect("a size");
    let fresh = run.world.hosts[0].replica().expect("it runs").clone();
    while run.world.oracle.executed() == 0 {
        assert!(run.step());
    }
    let executed = |host: &&pbft_sim::process::Process| {
        host.replica().is_some_and(|one| one.status().last_executed > SeqNum(0))
    };
    let later = run.world.hosts.iter().find(executed).expect("somebody executed it");
    (fresh, later.replica().expect("it runs").clone())
}

/// An oracle that has seen replica 0 execute one request at sequence number 1, state 7 after it.
fn told(fresh: &Replica) -> Oracle {
    let mut oracle = Oracle::new(Vec::new(), false);
    [1, 2].into_iter().for_each(|account| oracle.on_request(&request(account).body));
    oracle.on_execute(fresh, ONE, &[request(1)], &[right_result(&request(1))], 7);
    oracle.on_kept();
    oracle.current = ReplicaId(1);
    oracle
}

/// A disk on which everything up to a high water mark is final, in view 5.
fn disk() -> Image {
    let mut image = Image::default();
    (image.durable.low_water_mark, image.durable.view) = (SeqNum(100), View(5));
    image
}

fn prepare(view: u64, digest: u8) -> Said {
    let (view, replica) = (View(view), ReplicaId(1));
    let body = Prepare { view, seq: ONE, digest: Digest([digest; 32]), replica };
    Said::All(Message::Prepare(signed(body)))
}

/// Two PREPAREs of replica 1 for one number.
fn contradiction() -> Contradiction {
    let vote = |digest| match prepare(5, digest) {
        Said::All(Message::Prepare(vote)) => SignedVote::Prepare(vote),
        other => unreachable!("{other:?} is no vote"),
    };
    Contradiction { first: vote(1), second: vote(2) }
}

fn view_change(view: u64) -> Said {
    let body = ViewChange {
        view: View(view),
        low_water_mark: SeqNum(0),
        stable: Default::default(),
        prepared: Vec::new(),
        replica: ReplicaId(1),
    };
    Said::All(Message::ViewChange(Arc::new(signed(body))))
}

type Story<'a> = Box<dyn Fn(&mut Oracle) + 'a>;

/// Of each rule the honest story and the one that breaks it.
fn stories<'a>(fresh: &'a Replica, later: &'a Replica) -> BTreeMap<Rule, [Story<'a>; 2]> {
    let execute =
        move |requests: Vec<Arc<Signed<Request>>>, seq: SeqNum, state: u64| -> Story<'a> {
            Box::new(move |oracle| {
                let mut bank = Accounts::default();
                let results = requests.iter().map(|one| bank.execute(&one.body.operation));
                oracle.on_execute(fresh, seq, &requests, &results.collect::<Vec<_>>(), state);
                oracle.on_kept();
            })
        };
    let says = |said: Vec<Said>, image: Image| -> Story<'a> {
        Box::new(move |oracle| said.iter().for_each(|one| oracle.on_said(one, &image)))
    };
    let keeps = |evidence: Vec<Contradiction>| -> Story<'a> {
        let mut image = Image::default();
        image.evidence = evidence;
        Box::new(move |oracle| oracle.on_evidence_owed(&[contradiction()], &image))
    };
    let id = RequestId { client: 1, lane: Lane(0), timestamp: Timestamp(1) };
    let accepts = move |result: Arc<[u8]>| -> Story<'a> {
        Box::new(move |oracle| oracle.on_accepted(id, &result))
    };
    let states = |order: [&'a Replica; 2]| -> Story<'a> {
        Box::new(move |oracle| order.iter().for_each(|one| oracle.on_state(one)))
    };
    let nothing = || -> Story<'a> { Box::new(|_| {}) };
    let checkpoint = |digest: u8| {
        let (digest, replica) = (Digest([digest; 32]), ReplicaId(1));
        Said::All(Message::Checkpoint(signed(Checkpoint { seq: ONE, digest, replica })))
    };
    let seq_and_digests = (ONE, Digest([1; 32]), Digest([2; 32]));
    let halts: Story<'a> = Box::new(move |oracle| {
        let (seq, ours, theirs) = seq_and_digests;
        oracle.on_halt(&HaltReason::StateDiverged { seq, ours, theirs });
    });
    let changed: Story<'a> = Box::new(move |oracle| {
        let input = Input::Timer(Timer::Status);
        oracle.on_changed_by_rejection(fresh, &input, &Rejection::TimerNotRunning);
    });
    BTreeMap::from([
        (Rule::Agreement, [execute(vec![request(1)], ONE, 7), execute(vec![request(2)], ONE, 7)]),
        (Rule::Order, [nothing(), execute(vec![], SeqNum(2), 8)]),
        (Rule::EqualStates, [execute(vec![request(1)], ONE, 7), execute(vec![request(1)], ONE, 8)]),
        (
            Rule::NoEquivocation,
            [
                says(vec![prepare(5, 1), prepare(5, 1)], disk()),
                says(vec![prepare(5, 1), prepare(5, 2)], disk()),
            ],
        ),
        (
            Rule::Promise,
            [
                says(vec![prepare(4, 1), view_change(5)], disk()),
                says(vec![view_change(5), prepare(4, 1)], disk()),
            ],
        ),
        (Rule::EvidenceKept, [keeps(vec![contradiction()]), keeps(Vec::new())]),
        (
            Rule::Durable,
            [says(vec![checkpoint(1)], disk()), says(vec![checkpoint(1)], Image::default())],
        ),
        (Rule::Monotonic, [states([fresh, later]), states([later, fresh])]),
        (Rule::RejectionChangesNothing, [nothing(), changed]),
        (Rule::NoHalt, [nothing(), halts]),
        (Rule::ClientResult, [accepts(right_result(&request(1))), accepts(Arc::from([9]))]),
    ])
}

#[test]
fn each_rule_fires_on_a_story_that_breaks_it_and_on_no_other() {
    let (fresh, later) = replicas();
    for (rule, [honest, broken]) in stories(&fresh, &later) {
        let mut oracle = told(&fresh);
        honest(&mut oracle);
        assert_eq!(oracle.violation, None, "{rule:?}");
        let mut oracle = told(&fresh);
        broken(&mut oracle);
        assert_eq!(oracle.violation.expect("it is broken").rule, rule);
    }
}

/// The rules about what is executed, which only the first execution of a sequence number is held against.
#[test]
fn what_is_executed_first_is_asked_for_new_and_answered_rightly() {
    let (fresh, _) = replicas();
    let wrong: Arc<[u8]> = Arc::from([9]);
    let (asked, right) = (request(1), right_result(&request(1)));
    let twice = [Arc::clone(&asked), Arc::clone(&asked)];
    let cases: [(Rule, &[_], &[_]); 3] = [
        (Rule::Validity, &[request(3)], &[right_result(&request(3))]),
        (Rule::ExactlyOnce, &twice, &[Arc::clone(&right), right]),
        (Rule::Results, std::slice::from_ref(&asked), &[wrong]),
    ];
    for (rule, requests, results) in cases {
        let mut oracle = Oracle::new(Vec::new(), false);
        oracle.on_request(&asked.body);
        oracle.on_execute(&fresh, ONE, requests, results, 7);
        oracle.on_kept();
        assert_eq!(oracle.violation.expect("it is broken").rule, rule);
    }
}

/// A replica's own vote may be on its way to the disk with the execution that rests on it. If it never arrives there,
/// others may come to execute something else. What is on the disk, or may have been told, counts.
#[test]
fn an_execution_counts_once_it_can_be_known() {
    let (fresh, later) = replicas();
    type Then<'a> = &'a dyn Fn(&mut Oracle);
    let stories: [(Then<'_>, Option<Rule>, u64); 3] = [
        (&|oracle| oracle.on_start(&fresh), None, 0),
        (&|oracle| oracle.on_start(&later), Some(Rule::Agreement), 0),
        (
            &|oracle| {
                oracle.on_kept();
                oracle.on_start(&fresh);
            },
            Some(Rule::Agreement),
            later.status().last_executed.0,
        ),
    ];
    for (then, broken, forgotten) in stories {
        let mut oracle = Oracle::new(Vec::new(), false);
        [1, 2].into_iter().for_each(|account| oracle.on_request(&request(account).body));
        oracle.on_execute(&fresh, ONE, &[request(1)], &[right_result(&request(1))], 7);
        oracle.on_state(&later);
        then(&mut oracle);
        assert_eq!((&oracle.violation, oracle.forgotten), (&None, forgotten));
        oracle.current = ReplicaId(1);
        oracle.on_execute(&fresh, ONE, &[request(2)], &[right_result(&request(2))], 7);
        oracle.on_kept();
        assert_eq!(oracle.violation.map(|violation| violation.rule), broken);
    }
}

#[test]
fn a_panic_is_a_violation() {
    let found = guarded(|| -> u8 { panic!("on purpose") }).expect_err("it panics");
    assert_eq!((found.rule, found.detail.as_str()), (Rule::NoPanic, "on purpose"));
}

/// While more than f replicas are faulty nothing is claimed, and what is seen is noted all the same.
#[test]
fn beyond_f_what_is_broken_is_noted_and_no_violation() {
    let (fresh, later) = replicas();
    let mut oracle = told(&fresh);
    oracle.excess = true;
    stories(&fresh, &later)[&Rule::Agreement][1](&mut oracle);
    assert_eq!(oracle.violation, None);
    assert_eq!(oracle.beyond.iter().map(|one| one.rule).collect::<Vec<_>>(), [Rule::Agreement]);
}

/// A replica that halts while its disk fails stops, but nothing of it is on the disk: that it runs again is no violation.
#[test]
fn a_halt_that_a_failing_disk_lost_is_not_one_that_was_forgotten() {
    let plan = Task::Seed { n: 7, seed: 4164 }.plan();
    let judged = judge(&plan, Judging { model: false, keep: false });
    assert_eq!(judged.violation, None);
}
