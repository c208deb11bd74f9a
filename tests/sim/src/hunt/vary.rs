//! Changes of a plan: small ones, so that what made it interesting mostly stays.

use crate::behaviour::Behaviour;
use crate::client::ClientLie;
use crate::disk::Tail;
use crate::fault::{Fault, FaultKind, Plan};
use crate::rng::Rng;
use core::time::Duration;

/// The most faults of a plan: more only hide one another.
const FAULTS_MAX: usize = 24;

/// The most operations of a plan.
const SUBMISSIONS_MAX: usize = 96;

/// The most strategies of one liar.
const BEHAVIOURS_MAX: usize = 5;

/// A plan like `plan`, with a few changes, or with parts of `other`, which is of a cluster of the same size.
#[must_use]
pub(super) fn vary(plan: &Plan, other: &Plan, rng: &mut Rng) -> Plan {
    let mut varied = plan.clone();
    for _ in 0..1 + rng.below(4) {
        change(&mut varied, other, rng);
    }
    varied.faults.sort_by_key(|fault| fault.from);
    varied
}

fn change(plan: &mut Plan, other: &Plan, rng: &mut Rng) {
    match rng.below(14) {
        // The same faults, with another network.
        0 => plan.seed = rng.number(),
        1 | 2 => add_fault(plan, rng),
        3 => {
            let at = rng.index(plan.faults.len());
            if at < plan.faults.len() {
                plan.faults.remove(at);
            }
        }
        4 | 5 => move_fault(plan, rng),
        6 => repeat_fault(plan, rng),
        7 => cross(plan, other, rng),
        8 => vary_liars(plan, rng),
        9 => vary_submissions(plan, rng),
        10 => vary_times(plan, rng),
        11 => press(plan, rng),
        12 => shorten(plan, rng),
        _ => plan.interval = 2 + rng.below(4),
    }
}

fn add_fault(plan: &mut Plan, rng: &mut Rng) {
    if plan.faults.len() < FAULTS_MAX {
        let fault = plan.draw_fault(rng);
        plan.faults.push(fault);
    }
}

/// A fault comes earlier or later, or lasts for another time.
fn move_fault(plan: &mut Plan, rng: &mut Rng) {
    let end = plan.heal_at;
    let at = rng.index(plan.faults.len());
    let Some(fault) = plan.faults.get_mut(at) else { return };
    let by = Duration::from_millis(1 + rng.below(800));
    let length = fault.until.saturating_sub(fault.from);
    match rng.below(4) {
        0 => fault.from = fault.from.saturating_sub(by),
        1 => fault.from = (fault.from + by).min(end),
        2 => {
            fault.until += by;
            return;
        }
        _ => {
            fault.until = fault.from + length / 2;
            return;
        }
    }
    fault.until = fault.from + length;
}

/// A fault happens once more, shortly afterwards or at the same time, and maybe to another replica.
fn repeat_fault(plan: &mut Plan, rng: &mut Rng) {
    let at = rng.index(plan.faults.len());
    let Some(mut fault) = plan.faults.get(at).cloned() else { return };
    if plan.faults.len() >= FAULTS_MAX || breaks(&fault.kind) {
        return;
    }
    let by = Duration::from_millis(rng.below(500));
    (fault.from, fault.until) = (fault.from + by, fault.until + by);
    let to = rng.below(u64::from(plan.n)) as usize;
    if let FaultKind::Crash { host, .. }
    | FaultKind::CrashAt { host, .. }
    | FaultKind::Pause { host }
    | FaultKind::ClockForward { host }
    | FaultKind::Suspect { host } = &mut fault.kind
    {
        *host = to;
    }
    plan.faults.push(fault);
}

/// Whether whoever a fault strikes is faulty for good. Only as many may be as the plan has drawn.
const fn breaks(kind: &FaultKind) -> bool {
    use FaultKind::{DiskLies, Diverge, Flip, Wipe};
    matches!(kind, Flip { .. } | Wipe { .. } | DiskLies { .. } | Diverge { .. })
}

/// The early faults of one plan, and the late ones of another.
fn cross(plan: &mut Plan, other: &Plan, rng: &mut Rng) {
    let at = rng.span(Duration::ZERO, plan.heal_at);
    plan.faults.retain(|fault| fault.from < at || breaks(&fault.kind));
    let late = other.faults.iter().filter(|fault| fault.from >= at && !breaks(&fault.kind));
    plan.faults.extend(late.cloned());
    plan.faults.truncate(FAULTS_MAX);
}

/// Who lies goes on lying, in another way.
fn vary_liars(plan: &mut Plan, rng: &mut Rng) {
    let hosts: Vec<usize> = plan.liars.keys().copied().collect();
    if let Some(host) = rng.pick(&hosts)
        && let Some(behaviours) = plan.liars.get_mut(host)
    {
        let at = rng.index(behaviours.len());
        if rng.percent(60) && behaviours.len() < BEHAVIOURS_MAX {
            behaviours.extend(rng.pick(Behaviour::ALL));
        } else if at < behaviours.len() {
            behaviours.remove(at);
        }
    } else if plan.faulty().is_empty() {
        let host = rng.below(u64::from(plan.n)) as usize;
        plan.liars.insert(host, rng.pick(Behaviour::ALL).copied().into_iter().collect());
    }
    if rng.percent(30) {
        plan.lying_clients.entry(plan.clients).or_default().extend(rng.pick(ClientLie::ALL));
    }
}

fn vary_submissions(plan: &mut Plan, rng: &mut Rng) {
    let count = plan.submissions.len();
    match rng.below(4) {
        // Requests come closer together, or further apart.
        0 => plan.submissions.iter_mut().for_each(|one| one.think /= 2),
        1 => plan.submissions.iter_mut().for_each(|one| one.think = one.think * 3 / 2),
        2 => plan.submissions.truncate(count - count / 4),
        _ => {
            let again: Vec<_> = plan.submissions.iter().take(count / 4).copied().collect();
            plan.submissions.extend(again);
            plan.submissions.truncate(SUBMISSIONS_MAX);
        }
    }
}

/// Primaries are suspected, clocks jump and processes end, one shortly after the other.
fn press(plan: &mut Plan, rng: &mut Rng) {
    let mut at = rng.span(Duration::ZERO, plan.heal_at);
    for _ in 0..2 + rng.below(4) {
        if plan.faults.len() >= FAULTS_MAX {
            return;
        }
        let host = rng.below(u64::from(plan.n)) as usize;
        let kind = match rng.below(4) {
            0 => FaultKind::Suspect { host },
            1 => FaultKind::ClockForward { host },
            2 => FaultKind::Crash { host, tail: Tail::Kept },
            _ => FaultKind::SlowLink { host, by: Duration::from_millis(20 + rng.below(200)) },
        };
        let until = at + Duration::from_millis(20 + rng.below(200));
        plan.faults.push(Fault { from: at, until, kind });
        at += Duration::from_millis(rng.below(120));
    }
}

/// Fewer operations, that come at once, and faults that follow each other sooner.
fn shorten(plan: &mut Plan, rng: &mut Rng) {
    plan.submissions.truncate(6 + rng.below(12) as usize);
    plan.submissions.iter_mut().for_each(|one| one.think /= 4);
    plan.heal_at = plan.heal_at / 2 + Duration::from_millis(100);
    for fault in &mut plan.faults {
        (fault.from, fault.until) = (fault.from / 2, fault.until / 2);
    }
}

fn vary_times(plan: &mut Plan, rng: &mut Rng) {
    match rng.below(3) {
        0 => plan.delay.1 = plan.delay.0 + Duration::from_millis(1 + rng.below(60)),
        1 => plan.heal_at = plan.heal_at * 3 / 4 + Duration::from_millis(200),
        _ => plan.heal_at = (plan.heal_at * 5 / 4).min(Duration::from_secs(12)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_core::Membership;

    #[test]
    fn however_often_a_plan_is_varied_no_more_than_f_replicas_are_faulty() {
        for n in [4, 7] {
            let faults = Membership::new(n).expect("a size").faults();
            let mut rng = Rng::new(u64::from(n));
            let mut plan = Plan::draw(1, n);
            for number in 0..3000 {
                let other = Plan::draw(rng.number(), n);
                plan = vary(&plan, &other, &mut rng);
                assert!(plan.faulty().len() <= faults, "{number}: {:?}", plan.faulty());
                for fault in plan.faults.iter().filter(|fault| breaks(&fault.kind)) {
                    use FaultKind::{DiskLies, Diverge, Flip, Wipe};
                    let (Flip { host, .. } | Wipe { host } | DiskLies { host } | Diverge { host }) =
                        fault.kind
                    else {
                        unreachable!("of these four")
                    };
                    assert!(plan.broken.contains(&host), "{number}: {fault:?}");
                }
                assert!(plan.faults.len() <= FAULTS_MAX);
                assert!(plan.submissions.len() <= SUBMISSIONS_MAX);
                if number % 100 == 99 {
                    plan = Plan::draw(rng.number(), n);
                }
            }
        }
    }
}
