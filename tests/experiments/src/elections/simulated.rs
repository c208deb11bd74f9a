//! The scenes that need a replica that lies, or hours: the production core in the simulator.

use super::story::{Different, Story};
use core::time::Duration;
use pbft_sim::behaviour::Behaviour;
use pbft_sim::disk::Tail;
use pbft_sim::fault::{Fault, FaultKind, Plan};
use pbft_sim::judge::{Judged, Judging, judge};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn during(from: u64, until: u64, kind: FaultKind) -> Fault {
    Fault { from: ms(from), until: ms(until), kind }
}

fn run(plan: &Plan) -> Judged {
    judge(plan, Judging { model: true, keep: false })
}

/// What a run came to, in a few words.
fn words(judged: &Judged) -> String {
    let end = match &judged.violation {
        Some(violation) => format!("BROKEN: {violation}"),
        None => "no rule broken".to_owned(),
    };
    format!("view {}, {} of {} answered, {end}", judged.view, judged.answered, judged.operations)
}

/// Whether every operation was answered, and no rule broken.
fn is_well(judged: &Judged) -> bool {
    judged.violation.is_none() && judged.answered > 0 && judged.answered == judged.operations
}

/// Runs in which the primary of view 0 ends for two seconds, and the next one lies: one for each of some seeds.
fn next_primary_lies(lie: Behaviour) -> Vec<Judged> {
    let judged = |seed| {
        let mut plan = Plan::calm(seed, 4);
        plan.liars.insert(1, vec![lie]);
        plan.faults.push(during(600, 2600, FaultKind::Crash { host: 0, tail: Tail::Lost }));
        run(&plan)
    };
    (1..=4).map(judged).collect()
}

/// A way to forge what a view change rests on.
struct Forgery {
    lie: Behaviour,
    text: &'static str,
    /// Why it must be rejected, each time for one of these reasons.
    reasons: &'static [&'static str],
    /// The view that the cluster must reach at the least: 2 where nobody can follow the liar into view 1.
    view: u64,
}

const FORGERIES: [Forgery; 5] = [
    Forgery {
        lie: Behaviour::WrongNewView,
        text: "NEW-VIEWs that order something else than the signed VIEW-CHANGEs in them say",
        reasons: &["wrong-new-view"],
        view: 2,
    },
    Forgery {
        lie: Behaviour::FakeNewView,
        text: "NEW-VIEWs on too few or doubled VIEW-CHANGEs, and of views that others lead",
        reasons: &["wrong-quorum-size", "signers-not-rising", "not-primary"],
        view: 1,
    },
    Forgery {
        lie: Behaviour::ForgeCertificates,
        text: "VIEW-CHANGEs with certificates that are none",
        reasons: &[
            "certificate-from-future",
            "certificates-not-rising",
            "signers-not-rising",
            "wrong-quorum-size",
        ],
        view: 1,
    },
    Forgery {
        lie: Behaviour::UnprovenCheckpoint,
        text: "VIEW-CHANGEs that claim a checkpoint without its proof",
        reasons: &["unproven-checkpoint"],
        view: 1,
    },
    Forgery {
        lie: Behaviour::VoteAsOther,
        text: "votes in other replicas' names",
        reasons: &["bad-signature", "not-from-signer"],
        view: 1,
    },
];

/// S1.2: what a new view rests on is signed; forged, doubled and missing parts are rejected, and the next view follows.
pub(super) fn forgeries(story: &mut Story) -> Result<(), Different> {
    story.note(
        "replica 0 ends; replica 1, the next primary, lies with its own key, each lie in four runs",
        "in simulation, where there are such replicas: four of them, three clients",
    );
    for Forgery { lie, text, reasons, view } in FORGERIES {
        let runs = next_primary_lies(lie);
        let times =
            |reason| runs.iter().filter_map(|run| run.coverage.rejections.get(reason)).sum();
        let counted = reasons.iter().map(|reason| (*reason, times(*reason)));
        let counted: Vec<(&str, u64)> = counted.filter(|(_, times)| *times > 0).collect();
        let rejected = counted.iter().map(|(reason, times)| format!("{times} {reason}"));
        let rejected = rejected.collect::<Vec<_>>().join(", ");
        let views = runs.iter().map(|run| run.view);
        let (least, most) = (views.clone().min().unwrap_or_default(), views.max());
        let answered: u64 = runs.iter().map(|run| run.answered).sum();
        let broken = runs.iter().find_map(|run| run.violation.as_ref());
        let broken = broken.map_or("no rule broken".to_owned(), |one| format!("BROKEN: {one}"));
        story.check(
            text,
            format!(
                "rejected: {rejected}; view {least} to {}, {answered} answered, {broken}",
                most.unwrap_or_default()
            ),
            format!("rejected; view {view} or a later one in each run; all are answered"),
            runs.iter().all(is_well) && least >= view && !counted.is_empty(),
        )?;
    }
    Ok(())
}

/// Replicas that suspect the primary for no reason, once.
fn suspicious(n: u32, hosts: &[usize]) -> Plan {
    let mut plan = Plan::calm(2, n);
    for host in hosts {
        plan.faults.push(during(1000, 1100, FaultKind::Suspect { host: *host }));
    }
    plan
}

/// S1.3: one replica, or f, cannot move the others; f+1 can, for one of them is correct.
pub(super) fn lone_callers(story: &mut Story) -> Result<(), Different> {
    let mut plan = Plan::calm(2, 4);
    plan.liars.insert(2, vec![Behaviour::ViewChangeStorm]);
    let judged = run(&plan);
    let said = judged.coverage.behaviours.get("view-change-storm").copied().unwrap_or_default();
    story.check(
        "one of four asks for one view after the other, all the time",
        format!("asked {said} times; {}", words(&judged)),
        "view 0",
        is_well(&judged) && judged.view == 0 && said > 10,
    )?;
    let mut plan = Plan::calm(2, 7);
    for host in [2, 3] {
        plan.liars.insert(host, vec![Behaviour::ViewChangeStorm]);
    }
    let judged = run(&plan);
    story.check(
        "two of seven do, which is f",
        words(&judged),
        "view 0",
        is_well(&judged) && judged.view == 0,
    )?;
    let judged = run(&suspicious(4, &[2, 3]));
    story.check(
        "two of four, f+1, suspect the primary once",
        words(&judged),
        "view 1: one of f+1 is correct, so the others join",
        is_well(&judged) && judged.view == 1,
    )
}

/// A cluster that nobody asks for anything until the end, for so long.
fn quiet(virtual_time: Duration) -> Plan {
    let mut plan = Plan::calm(3, 4);
    plan.submissions.clear();
    plan.heal_at = virtual_time;
    plan
}

/// S1.10 in virtual time: hours without a request, and view changes that f replicas shout.
pub(super) fn idle_and_spam(story: &mut Story, hours: u64) -> Result<(), Different> {
    let judged =
        judge(&quiet(Duration::from_secs(3600 * hours)), Judging { model: false, keep: false });
    let asked = judged.coverage.messages.get("view-change").copied().unwrap_or_default();
    let seconds = judged.virtual_time.as_secs();
    story.check(
        format!(
            "in simulation: nobody asks for anything for {hours} h, then each client reads once"
        ),
        format!("after {seconds} s of virtual time {}; {asked} VIEW-CHANGEs", words(&judged)),
        "view 0, no VIEW-CHANGE",
        is_well(&judged) && judged.view == 0 && asked == 0 && seconds >= 3600 * hours,
    )?;
    let mut plan = Plan::calm(4, 4);
    plan.liars.insert(2, vec![Behaviour::ViewChangeStorm, Behaviour::HugeNumbers]);
    let judged = run(&plan);
    let said = judged.coverage.behaviours.values().sum::<u64>();
    story.check(
        "one of four spams with VIEW-CHANGEs, also for views at the end of the range",
        format!("{said} lies; {}", words(&judged)),
        "view 0; every replica's memory stays below its computed bound (rule `memory`)",
        is_well(&judged) && judged.view == 0 && said > 10,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgeries_are_rejected_and_lone_callers_move_nobody() {
        for scene in [forgeries, lone_callers] {
            let mut story = Story::default();
            let ended = scene(&mut story);
            assert_eq!(ended, Ok(()), "{:#?}", story.into_steps().0);
        }
    }

    #[test]
    fn a_quiet_cluster_stays_in_its_view() {
        let judged = judge(&quiet(ms(60_000)), Judging { model: false, keep: false });
        assert!(is_well(&judged), "{}", words(&judged));
        assert_eq!(judged.coverage.messages.get("view-change"), None);
    }
}
