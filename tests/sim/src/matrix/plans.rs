//! The runs of the matrix's scenarios, and what is demanded of them.

use crate::behaviour::Behaviour;
use crate::client::ClientLie;
use crate::disk::{DiskError, Tail};
use crate::event::Boundary;
use crate::fault::{Fault, FaultKind, Plan};
use crate::judge::Judged;
use crate::oracle::Rule;
use core::time::Duration;
use pbft_core::params::ClientAuthentication;

/// Seeds of a scenario that needs no more than chance.
const SEEDS: u64 = 6;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Calm plans that are changed, one a seed, at four and at seven replicas.
fn each(change: impl Fn(&mut Plan)) -> Vec<Plan> {
    let plan = |seed, n| {
        let mut plan = Plan::calm(seed, n);
        change(&mut plan);
        plan
    };
    let four = (1..=SEEDS).map(|seed| plan(seed, 4));
    four.chain([plan(101, 7)]).collect()
}

fn during(from: u64, until: u64, kind: FaultKind) -> Fault {
    Fault { from: ms(from), until: ms(until), kind }
}

/// One fault, from half a second to the end of the faulty time.
fn with_fault(kind: &FaultKind) -> Vec<Plan> {
    each(|plan| plan.faults.push(during(500, 3900, kind.clone())))
}

/// A liar, and everybody else is correct.
fn with_liar(host: usize, behaviours: &[Behaviour]) -> Vec<Plan> {
    each(|plan| drop(plan.liars.insert(host, behaviours.to_vec())))
}

fn with_client(lies: &[ClientLie]) -> Vec<Plan> {
    each(|plan| drop(plan.lying_clients.insert(plan.clients, lies.to_vec())))
}

/// Nothing beyond the rules, which every run is held to.
pub(super) fn nothing_more(_: &Plan, judged: &Judged) -> Result<(), String> {
    match judged.answered {
        0 => Err("no operation was answered".to_owned()),
        _ => Ok(()),
    }
}

pub(super) fn changes_no_view(plan: &Plan, judged: &Judged) -> Result<(), String> {
    nothing_more(plan, judged)?;
    match judged.view {
        0 => Ok(()),
        view => Err(format!("views up to {view}, but nothing was wrong with the primary")),
    }
}

pub(super) fn changes_views(plan: &Plan, judged: &Judged) -> Result<(), String> {
    nothing_more(plan, judged)?;
    match judged.view {
        0 => Err("no view change".to_owned()),
        _ => Ok(()),
    }
}

pub(super) fn crashed_backup() -> Vec<Plan> {
    with_fault(&FaultKind::Crash { host: 2, tail: Tail::Lost })
}

pub(super) fn crashed_primary() -> Vec<Plan> {
    with_fault(&FaultKind::Crash { host: 0, tail: Tail::Lost })
}

/// Every boundary at every replica, at several moments.
pub(super) fn crash_boundaries() -> Vec<Plan> {
    let torn = (0..100).step_by(9).map(|hundredths| Boundary::Written(Tail::Torn(hundredths)));
    let sent = (0..4).map(Boundary::Sent);
    let ends =
        [Boundary::BeforeWrite, Boundary::Written(Tail::Lost), Boundary::Written(Tail::Kept)];
    let boundaries: Vec<Boundary> = ends.into_iter().chain(torn).chain(sent).collect();
    let mut plans = Vec::new();
    for (number, boundary) in boundaries.into_iter().enumerate() {
        for host in 0..4 {
            let mut plan = Plan::calm(number as u64, 4);
            plan.interval = 2;
            for at in [300, 1300, 2300] {
                plan.faults.push(during(at, at + 400, FaultKind::CrashAt { host, boundary }));
            }
            plans.push(plan);
        }
    }
    plans
}

fn broken_disks(hosts: &[usize], kind: impl Fn(usize) -> FaultKind) -> Vec<Plan> {
    each(|plan| {
        for host in hosts {
            plan.broken.push(*host);
            plan.faults.push(during(1000, 1500, kind(*host)));
        }
    })
}

pub(super) fn one_disk_lost() -> Vec<Plan> {
    broken_disks(&[1], |host| FaultKind::Wipe { host })
}

pub(super) fn stays_down_as_lost(_: &Plan, judged: &Judged) -> Result<(), String> {
    demand_refused(judged, &[1], DiskError::Lost)
}

fn demand_refused(judged: &Judged, hosts: &[usize], error: DiskError) -> Result<(), String> {
    let expected: Vec<_> = hosts.iter().map(|host| (*host, error)).collect();
    match judged.refused == expected {
        true => Ok(()),
        false => {
            Err(format!("{:?} refuse their disks, expected were {expected:?}", judged.refused))
        }
    }
}

pub(super) fn two_disks_lost() -> Vec<Plan> {
    let mut plans = broken_disks(&[1, 2], |host| FaultKind::Wipe { host });
    plans.retain(|plan| plan.n == 4);
    plans
}

pub(super) fn both_refuse_and_nothing_goes_on(_: &Plan, judged: &Judged) -> Result<(), String> {
    demand_refused(judged, &[1, 2], DiskError::Lost)?;
    // A client may have its answer from the two that had executed first, and then lost it: f+1 are enough for it.
    match judged.beyond[..] {
        [Rule::Progress] | [Rule::ClientResult, Rule::Progress] => Ok(()),
        _ => Err(format!("expected is a stall, and nothing else: {:?}", judged.beyond)),
    }
}

pub(super) fn torn_tails() -> Vec<Plan> {
    let plan = |hundredths: u8| {
        let mut plan = Plan::calm(u64::from(hundredths), 4);
        for host in 0..4 {
            let boundary = Boundary::Written(Tail::Torn(hundredths));
            let at = 400 + 700 * host as u64;
            plan.faults.push(during(at, at + 500, FaultKind::CrashAt { host, boundary }));
        }
        plan
    };
    (0..100).step_by(4).map(plan).collect()
}

pub(super) fn flipped_bits() -> Vec<Plan> {
    let mut plans = Vec::new();
    for bit in (0..40_000).step_by(1009) {
        let mut plan = Plan::calm(bit, 4);
        plan.broken.push(3);
        plan.faults.push(during(1500, 2000, FaultKind::Flip { host: 3, bit }));
        plans.push(plan);
    }
    plans
}

pub(super) fn refuses_as_corrupt(_: &Plan, judged: &Judged) -> Result<(), String> {
    demand_refused(judged, &[3], DiskError::Corrupt)
}

pub(super) fn full_disks() -> Vec<Plan> {
    let mut plans = with_fault(&FaultKind::DiskFull { host: 0 });
    plans.extend(with_fault(&FaultKind::DiskFull { host: 2 }));
    plans
}

pub(super) fn failing_syncs() -> Vec<Plan> {
    let mut plans = with_fault(&FaultKind::SyncFails { host: 0 });
    plans.extend(with_fault(&FaultKind::SyncFails { host: 3 }));
    plans
}

pub(super) fn lying_disks() -> Vec<Plan> {
    broken_disks(&[1], |host| FaultKind::DiskLies { host })
}

/// All ways to cut four replicas in two.
pub(super) fn all_partitions() -> Vec<Plan> {
    let plan = |mask: u64| {
        let mut plan = Plan::calm(mask, 4);
        let side = (0..4).filter(|host| (mask >> host) & 1 == 1).collect();
        plan.faults.push(during(300, 3000, FaultKind::Partition { side }));
        plan
    };
    (0..16).map(plan).collect()
}

/// Each direction between two replicas, and a ring.
pub(super) fn one_way_cuts() -> Vec<Plan> {
    let cut = |(from, to): (usize, usize)| {
        let mut plan = Plan::calm((4 * from + to) as u64, 4);
        plan.faults.push(during(300, 3000, FaultKind::OneWay { from, to }));
        plan
    };
    let pairs =
        (0..4).flat_map(|from| (0..4).map(move |to| (from, to))).filter(|(from, to)| from != to);
    pairs.map(cut).chain(with_fault(&FaultKind::Ring {})).collect()
}

pub(super) fn bad_networks() -> Vec<Plan> {
    let losses = [1, 5, 20, 40, 60].map(|percent| FaultKind::Loss { percent });
    let others = [
        FaultKind::Duplicate { percent: 50 },
        FaultKind::Reorder { by: ms(400) },
        FaultKind::SlowLink { host: 0, by: ms(300) },
    ];
    losses.iter().chain(&others).flat_map(with_fault).collect()
}

/// Nobody hears anybody for a minute.
pub(super) fn long_isolation() -> Vec<Plan> {
    each(|plan| {
        plan.heal_at = ms(60_000);
        for host in 0..plan.n as usize {
            plan.faults.push(during(500, 60_000, FaultKind::Partition { side: vec![host] }));
        }
    })
}

pub(super) fn bad_clocks() -> Vec<Plan> {
    let mut plans = Vec::new();
    for host in [0, 2] {
        plans.extend(with_fault(&FaultKind::ClockForward { host }));
        plans.extend(with_fault(&FaultKind::ClockSkew { host, percent: 10 }));
        plans.extend(with_fault(&FaultKind::ClockSkew { host, percent: 1000 }));
        plans.extend(with_fault(&FaultKind::Pause { host }));
    }
    plans
}

pub(super) fn equivocating_primary() -> Vec<Plan> {
    let mut plans = with_liar(0, &[Behaviour::Equivocate]);
    plans.extend(with_liar(0, &[Behaviour::Equivocate, Behaviour::SupportAll]));
    plans.extend(with_liar(
        0,
        &[Behaviour::Equivocate, Behaviour::SupportAll, Behaviour::HideCertificates],
    ));
    plans
}

pub(super) fn silent_primary() -> Vec<Plan> {
    with_liar(0, &[Behaviour::Silent])
}

pub(super) fn slow_primary() -> Vec<Plan> {
    with_liar(0, &[Behaviour::Slow])
}

pub(super) fn selective_primary() -> Vec<Plan> {
    let mut plans = with_liar(0, &[Behaviour::SkipReplicas]);
    plans.extend(with_liar(0, &[Behaviour::SkipClient]));
    plans
}

pub(super) fn bad_batches() -> Vec<Plan> {
    with_liar(0, &[Behaviour::BadBatches])
}

pub(super) fn bad_votes() -> Vec<Plan> {
    let lies = [
        Behaviour::DoubleVote,
        Behaviour::WrongDigest,
        Behaviour::VoteAsOther,
        Behaviour::OffByOne,
    ];
    lies.iter().flat_map(|lie| with_liar(2, &[*lie])).collect()
}

pub(super) fn bad_signatures() -> Vec<Plan> {
    with_liar(2, &[Behaviour::BadSignatures])
}

pub(super) fn malformed_frames() -> Vec<Plan> {
    with_liar(2, &[Behaviour::Malformed])
}

pub(super) fn huge_numbers() -> Vec<Plan> {
    with_liar(2, &[Behaviour::HugeNumbers])
}

/// The liar leads a view: with the primary of view 0 dead, it is the next one.
fn with_next_primary(behaviours: &[Behaviour]) -> Vec<Plan> {
    let mut plans = with_liar(1, behaviours);
    for plan in &mut plans {
        plan.faults.push(during(600, 2600, FaultKind::Crash { host: 0, tail: Tail::Lost }));
    }
    plans
}

pub(super) fn stale_view_changes() -> Vec<Plan> {
    with_next_primary(&[Behaviour::Replay, Behaviour::StaleCertificates, Behaviour::FakeNewView])
}

pub(super) fn view_change_storm() -> Vec<Plan> {
    with_liar(2, &[Behaviour::ViewChangeStorm])
}

pub(super) fn fake_new_views() -> Vec<Plan> {
    let lies = [
        Behaviour::WrongNewView,
        Behaviour::FakeNewView,
        Behaviour::ForgeCertificates,
        Behaviour::UnprovenCheckpoint,
    ];
    lies.iter().flat_map(|lie| with_next_primary(&[*lie])).collect()
}

pub(super) fn partial_new_views() -> Vec<Plan> {
    with_next_primary(&[Behaviour::PartialNewView])
}

pub(super) fn bad_checkpoints() -> Vec<Plan> {
    with_liar(2, &[Behaviour::BadCheckpoints])
}

/// The service of one replica computes something else, or of f+1.
pub(super) fn diverging_services() -> Vec<Plan> {
    let mut plans = broken_disks(&[2], |host| FaultKind::Diverge { host });
    let two = broken_disks(&[1, 2], |host| FaultKind::Diverge { host });
    plans.extend(two.into_iter().filter(|plan| plan.n == 4));
    plans.iter_mut().for_each(|plan| plan.interval = 2);
    plans
}

/// One stops itself. With two, the correct ones never say anything wrong: without a quorum of equal states no checkpoint is
/// stable, and everything stops at the high water mark.
pub(super) fn stops_or_stalls(plan: &Plan, judged: &Judged) -> Result<(), String> {
    if plan.broken.len() > 1 {
        // With f+1 wrong replicas a client may believe them before a correct one has answered.
        let harmless = |rule: &Rule| matches!(rule, Rule::Progress | Rule::ClientResult);
        return match judged.beyond.iter().all(harmless) && judged.beyond.contains(&Rule::Progress) {
            true => Ok(()),
            false => Err(format!("a stall is expected, and nothing else: {:?}", judged.beyond)),
        };
    }
    match judged.halted[..] {
        [(2, _)] => Ok(()),
        _ => Err(format!("replica 2 is to stop itself, and nobody else: {:?}", judged.halted)),
    }
}

/// A replica is cut off until it needs the others' state, and one of the sources lies.
pub(super) fn lying_sources() -> Vec<Plan> {
    let mut plans = with_liar(2, &[Behaviour::LyingSource]);
    for plan in &mut plans {
        plan.interval = 2;
        plan.faults.push(during(200, 3000, FaultKind::Partition { side: vec![3] }));
    }
    plans
}

/// One replica was away, and one source of its state is slow or silent; as a primary it would be a slow one, too.
pub(super) fn slow_sources() -> Vec<Plan> {
    let sources = [Behaviour::WithholdBodies, Behaviour::Trickle];
    let mut plans: Vec<_> = sources.iter().flat_map(|lie| with_liar(2, &[*lie])).collect();
    for plan in &mut plans {
        plan.interval = 2;
        plan.faults.push(during(200, 3000, FaultKind::Partition { side: vec![3] }));
    }
    plans
}

/// One replica was away, and finds all others at work, with K = 2 and links on which a part of a state takes longer than
/// two requests do.
pub(super) fn overtaking_checkpoints() -> Vec<Plan> {
    each(|plan| {
        plan.interval = 2;
        plan.delay = (ms(15), ms(16));
        plan.faults.push(during(200, 3000, FaultKind::Partition { side: vec![3] }));
    })
}

/// The same as with a source that lies, and the replica that fetches state is ended again and again.
pub(super) fn crashes_during_transfer() -> Vec<Plan> {
    let ends =
        [Boundary::BeforeWrite, Boundary::Written(Tail::Torn(50)), Boundary::Written(Tail::Kept)];
    let mut plans = Vec::new();
    for boundary in ends.into_iter().chain((0..3).map(Boundary::Sent)) {
        for plan in &mut each(|plan| plan.interval = 2) {
            plan.faults.push(during(200, 2500, FaultKind::Partition { side: vec![3] }));
            for at in (2500..3700).step_by(120) {
                let kind = FaultKind::CrashAt { host: 3, boundary };
                plan.faults.push(during(at, at + 60, kind));
            }
            plans.push(plan.clone());
        }
    }
    plans
}

pub(super) fn two_operations_at_one_timestamp() -> Vec<Plan> {
    with_client(&[ClientLie::SameTimestamp])
}

pub(super) fn unacceptable_operations() -> Vec<Plan> {
    let lies = [
        ClientLie::MalformedOperation,
        ClientLie::HugeOperation,
        ClientLie::Unauthorised,
        ClientLie::HighLane,
        ClientLie::MalformedFrame,
        ClientLie::OtherClient,
    ];
    lies.iter().flat_map(|lie| with_client(&[*lie])).collect()
}

pub(super) fn odd_timestamps() -> Vec<Plan> {
    let mut plans = with_client(&[ClientLie::MaxTimestamp]);
    plans.extend(with_client(&[ClientLie::OldRequests]));
    plans
}

pub(super) fn flooding_and_deaf_clients() -> Vec<Plan> {
    let floods = [ClientLie::Flood, ClientLie::RepeatRequest].map(|lie| with_client(&[lie]));
    [floods.concat(), with_fault(&FaultKind::DeafClient { client: 1 })].concat()
}

/// Two of four lie, one of them as primary: with a split network they can make the others disagree.
pub(super) fn beyond_f() -> Vec<Plan> {
    let plan = |seed: u64| {
        let mut plan = Plan::calm(seed, 4);
        plan.liars.insert(0, vec![Behaviour::Equivocate, Behaviour::SupportAll]);
        plan.liars.insert(1, vec![Behaviour::SupportAll]);
        plan.faults.push(during(0, 3000, FaultKind::Partition { side: vec![2] }));
        plan.faults.push(during(0, 3000, FaultKind::OneWay { from: 3, to: 2 }));
        plan
    };
    (1..=20).map(plan).collect()
}

/// No safety is claimed. Where two correct replicas disagree and then see each other's certificates, one stops.
pub(super) fn forks_are_noticed(_: &Plan, judged: &Judged) -> Result<(), String> {
    let forked = judged.beyond.contains(&Rule::Agreement);
    match forked && judged.halted.is_empty() {
        true => Err("the correct replicas disagree, and none stopped itself".to_owned()),
        false => Ok(()),
    }
}

pub(super) fn twins() -> Vec<Plan> {
    (0..60).map(|index| crate::twins::plan(crate::twins::spread(index, 60))).collect()
}

/// All at once, twice, in the middle of a view change among others.
pub(super) fn power_cuts() -> Vec<Plan> {
    let tails = [Tail::Lost, Tail::Torn(50), Tail::Kept];
    let mut plans = Vec::new();
    for tail in tails {
        plans.extend(each(|plan| {
            plan.faults.push(during(600, 1500, FaultKind::Partition { side: vec![0] }));
            for at in [500, 1050, 1900] {
                plan.faults.push(during(at, at + 100, FaultKind::PowerCut { tail }));
            }
        }));
    }
    plans
}

/// Plans of clusters that take authenticators.
fn with_macs(change: impl Fn(&mut Plan)) -> Vec<Plan> {
    each(|plan| {
        plan.authentication = ClientAuthentication::Macs;
        change(plan);
    })
}

pub(super) fn poisoned_requests() -> Vec<Plan> {
    with_macs(|plan| drop(plan.lying_clients.insert(plan.clients, vec![ClientLie::PoisonedTags])))
}

/// Each replica is poisoned once at the most, as primary; then the client has to sign.
pub(super) fn poisons_each_primary_once(plan: &Plan, judged: &Judged) -> Result<(), String> {
    nothing_more(plan, judged)?;
    match (1..=u64::from(plan.n)).contains(&judged.view) {
        true => Ok(()),
        false => Err(format!("view {}, expected was one change a primary", judged.view)),
    }
}

/// A replica that is not the primary spoils what it hands on.
pub(super) fn spoiled_relays() -> Vec<Plan> {
    with_macs(|plan| drop(plan.liars.insert(2, vec![Behaviour::SpoilTags])))
}

/// The primary spoils what it proposes.
pub(super) fn spoiled_proposals() -> Vec<Plan> {
    with_macs(|plan| drop(plan.liars.insert(0, vec![Behaviour::SpoilTags])))
}
