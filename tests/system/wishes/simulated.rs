//! Wishes about moments that no process can be made to have: in the simulator, from a seed.

use crate::watched::{End, Watched, end_of};
use pbft_sim::bank::Operation;
use pbft_sim::behaviour::Behaviour;
use pbft_sim::disk::Tail;
use pbft_sim::event::Event;
use pbft_sim::fault::{Fault, FaultKind, Plan, Submission};
use pbft_sim::judge::{Judging, judge};
use std::time::Duration;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn during(from: u64, until: u64, kind: FaultKind) -> Fault {
    Fault { from: ms(from), until: ms(until), kind }
}

/// A calm plan with this fault.
fn with(seed: u64, n: u32, faults: &[Fault]) -> Plan {
    let mut plan = Plan::calm(seed, n);
    plan.faults = faults.to_vec();
    plan
}

/// Operations that follow each other without a pause on every lane of every client: more than the replicas can take.
fn saturating(plan: &mut Plan, clients: u32, each: usize) {
    const LANES: u16 = 4;
    plan.clients = clients;
    plan.submissions.clear();
    for number in 0..each {
        for (client, lane) in (0..clients).flat_map(|client| (0..LANES).map(move |l| (client, l))) {
            let operation = Operation::Deposit { account: (number % 4) as u8, amount: 1 };
            plan.submissions.push(Submission { client, lane, think: Duration::ZERO, operation });
        }
    }
}

/// The log must be longer than what the others execute in some status intervals: from one STATUS to the next the laggard
/// would fall out of it again. Here it is three intervals and more, as it is with the default parameters up to some
/// hundred batches a second.
#[test]
fn i2_a_laggard_catches_up_under_saturating_load_in_bounded_time_and_memory() {
    const LAGGARD: usize = 3;
    const BACK: u64 = 2000;
    for seed in 1..=2 {
        let cut = during(200, BACK, FaultKind::Partition { side: vec![LAGGARD] });
        let mut plan = with(seed, 4, &[cut]);
        plan.interval = 32;
        saturating(&mut plan, 6, 120);
        let mut watched = Watched::new(&plan);
        let lag =
            |watched: &Watched| watched.run.world.oracle.frontier().0 - watched.executed(LAGGARD);
        watched.until(ms(BACK), |_| false);
        let window = 3 * plan.interval;
        assert!(lag(&watched) > 2 * window, "{} batches, the log has {window}", lag(&watched));

        watched.until(ms(BACK + 1000), |watched| lag(watched) == 0);
        let took = watched.run.now - ms(BACK);
        assert!(lag(&watched) == 0, "seed {seed}: not within {took:?} of virtual time");
        // From here on it keeps up, and the load goes on: each of the 24 lanes has an operation under way.
        let mut worst = 0;
        while watched.run.now < ms(BACK + 2000) && watched.step() {
            worst = worst.max(lag(&watched));
        }
        let (answered, submitted) = watched.answered();
        assert!(submitted - answered >= 12, "seed {seed}: {answered} of {submitted} are answered");
        assert!(worst <= 8, "seed {seed}: {worst} batches behind, after it had caught up");
        // What any replica holds was compared with its computed bound at every step (the rule `memory`).
        assert_eq!(watched.end(), End::after(&[], 4), "seed {seed}");
    }
}

#[test]
fn i3_links_that_come_up_late_heal_by_themselves() {
    const UP: u64 = 5000;
    for n in [4, 7] {
        let alone = |host| during(0, UP, FaultKind::Partition { side: vec![host] });
        let mut plan = with(3, n, &(0..n as usize).map(alone).collect::<Vec<_>>());
        plan.heal_at = ms(UP);
        let mut watched = Watched::new(&plan);
        watched.until(ms(UP - 10), |_| false);
        let waiting = watched.views();
        // Clients reach everybody, so everybody waits for a primary that hears of nothing.
        assert!(waiting.iter().all(|(view, active)| *view > 0 && !active), "{waiting:?}");
        assert_eq!(watched.answered().0, 0, "nobody has a quorum");
        let highest = waiting.iter().map(|(view, _)| *view).max().expect("replicas");
        let end = watched.end();
        assert!(end.views.iter().all(|one| *one == end.views[0] && one.1), "{end:?}");
        // One view more is enough: all are heard, and every primary is correct.
        let last = end.views[0].0;
        assert!(last <= highest + 1 && end.began == [last], "from {waiting:?} to {end:?}");
    }
}

#[test]
fn i4_every_failure_has_its_final_view_and_number_of_view_changes() {
    let crash =
        |host, from, until| during(from, until, FaultKind::Crash { host, tail: Tail::Lost });
    let pause = |host| during(500, 3000, FaultKind::Pause { host });
    let cut = |host| during(500, 3000, FaultKind::Partition { side: vec![host] });
    let liar = |host, lie| {
        let mut plan = Plan::calm(1, 4);
        plan.liars.insert(host, vec![lie]);
        plan
    };
    let cases: [(&str, Plan, End); 13] = [
        ("nothing", Plan::calm(1, 4), End::after(&[], 4)),
        ("nothing, seven", Plan::calm(1, 7), End::after(&[], 7)),
        ("a backup is killed", with(1, 4, &[crash(2, 500, 3000)]), End::after(&[], 4)),
        ("a backup stops", with(1, 4, &[pause(3)]), End::after(&[], 4)),
        ("a backup is cut off", with(1, 4, &[cut(1)]), End::after(&[], 4)),
        ("the primary is killed", with(1, 4, &[crash(0, 500, 3000)]), End::after(&[1], 4)),
        ("the primary stops", with(1, 4, &[pause(0)]), End::after(&[1], 4)),
        ("the primary is cut off", with(1, 4, &[cut(0)]), End::after(&[1], 4)),
        (
            "two primaries are killed, one after the other",
            with(1, 4, &[crash(0, 500, 1500), crash(1, 1800, 3500)]),
            End::after(&[1, 2], 4),
        ),
        (
            "two primaries of seven are killed together",
            with(1, 7, &[crash(0, 500, 3000), crash(1, 500, 3000)]),
            End::after(&[2], 7),
        ),
        ("a silent primary", liar(0, Behaviour::Silent), End::after(&[1], 3)),
        ("an equivocating primary", liar(0, Behaviour::Equivocate), End::after(&[1], 3)),
        ("a backup that votes twice", liar(2, Behaviour::DoubleVote), End::after(&[], 3)),
    ];
    for (name, plan, expected) in cases {
        assert_eq!(end_of(&plan), expected, "{name}");
    }
}

/// A replica ends in the middle of a view change, at once after it has left its view, and starts again, soon or when
/// view 1 has waited for it in vain.
#[test]
fn i7_a_crash_inside_a_view_change_forgets_no_promise() {
    const RESTARTED: usize = 2;
    for (down, began) in [(30, &[1][..]), (300, &[1, 2])] {
        for tail in [Tail::Lost, Tail::Torn(50), Tail::Kept] {
            let plan = with(2, 4, &[during(500, 3000, FaultKind::Pause { host: 0 })]);
            let mut watched = Watched::new(&plan);
            let leaves = |watched: &Watched| watched.view_of(RESTARTED) == Some((1, false));
            watched.until(ms(3000), leaves);
            assert!(leaves(&watched), "it leaves view 0");
            assert!(watched.run.world.apply(&Event::Crash { host: RESTARTED, tail }));
            let back = watched.run.now + ms(down);
            watched.until(back, |_| false);
            assert!(watched.run.world.apply(&Event::Start { host: RESTARTED }));
            // It said that it has left view 0, so it never takes part in it again.
            assert_eq!(watched.view_of(RESTARTED), Some((1, false)), "{down} ms, {tail:?}");
            assert_eq!(watched.end(), End::after(began, 4), "{down} ms, {tail:?}");
        }
    }
}

#[test]
fn i11_a_primary_that_censors_one_client_is_replaced_though_it_serves_the_others() {
    const CENSORED: u32 = 0;
    for seed in 1..=3 {
        let mut plan = Plan::calm(seed, 4);
        plan.liars.insert(0, vec![Behaviour::SkipClient]);
        let mut watched = Watched::new(&plan);
        watched.until(ms(4000), |watched| !watched.began.is_empty());
        let others: usize = (1..plan.clients).map(|client| watched.answered_to(client)).sum();
        assert!(others >= 2, "seed {seed}: {others} answers to others in view 0");
        assert_eq!(watched.answered_to(CENSORED), 0, "seed {seed}: in view 0");
        // `end` demands that every operation is answered, the censored client's too.
        assert_eq!(watched.end(), End::after(&[1], 3), "seed {seed}");
    }
}

/// Reads are ordered. While one replica is behind and another tells clients what it likes, each read says what the
/// last deposit before it said.
#[test]
fn i12_reads_are_linearizable_though_f_replicas_lie_and_others_lag() {
    let mut reads = 0;
    for seed in 1..=5 {
        let mut plan = Plan::calm(seed, 4);
        plan.liars.insert(1, vec![Behaviour::LieToClients]);
        plan.faults.push(during(300, 2500, FaultKind::SlowLink { host: 3, by: ms(250) }));
        for (number, one) in plan.submissions.iter_mut().enumerate() {
            let account = (number % 2) as u8;
            one.operation = match number % 3 {
                0 => Operation::Deposit { account, amount: 1 },
                _ => Operation::Read { account },
            };
        }
        reads += plan.submissions.len() * 2 / 3;
        let judged = judge(&plan, Judging { model: false, keep: false });
        assert_eq!(judged.violation, None, "seed {seed}: `linearizable` is one of the rules");
        assert_eq!(judged.answered, judged.operations, "seed {seed}");
        let lies = judged.coverage.behaviours.get("lie-to-clients").copied();
        assert!(lies.unwrap_or_default() > 5, "seed {seed}: {lies:?} lies");
        assert_eq!(judged.view, 0, "seed {seed}");
    }
    assert!(reads > 100, "{reads} reads");
}
