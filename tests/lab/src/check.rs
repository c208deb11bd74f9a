//! What must be so, and whether it is.

use super::cluster::{Act, Cluster, Problem};
use super::command::{Expectation, Fact};
use super::eyes::Deed;
use super::words::{Kind, account_name, list};
use pbft_node::trace::format::RequestId;
use serde::Serialize;

/// An expectation, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// What was expected.
    pub expected: String,
    /// What was seen.
    pub seen: String,
    /// Whether it is what was expected.
    pub holds: bool,
}

/// Compares. `acts` is what happened in the last step.
pub fn check(
    cluster: &Cluster,
    acts: &[Act],
    expectation: &Expectation,
) -> Result<Checked, Problem> {
    let Expectation { not, what, at } = expectation;
    cluster.check(at)?;
    let (is_so, seen) = judge(cluster, acts, what, at)?;
    let not_word = if *not { "not " } else { "" };
    let place = if at.is_empty() { String::new() } else { format!(" at {}", list(at)) };
    let expected = format!("{not_word}{}{place}", words(what));
    Ok(Checked { expected, seen, holds: is_so != *not })
}

fn words(fact: &Fact) -> String {
    match fact {
        Fact::Balance(account, amount) => format!("balance {} {amount}", account_name(*account)),
        Fact::SameLedger => "ledger same".to_owned(),
        Fact::Executed(seq) => format!("executed #{seq}"),
        Fact::View(view) => format!("view v{view}"),
        Fact::Prepared(seq) => format!("prepared #{seq}"),
        Fact::Committed(seq) => format!("committed #{seq}"),
        Fact::Stable(seq) => format!("stable #{seq}"),
        Fact::Up => "up".to_owned(),
        Fact::Times(request, times) => format!("request {request} executed {times}"),
        Fact::Answer(request, answer) => format!("answer {request} {answer}"),
        Fact::NoAnswer(request) => format!("no answer {request}"),
        Fact::Refused(kind, Some(reason)) => format!("refused {} {reason}", kind.shown()),
        Fact::Refused(kind, None) => format!("refused {}", kind.shown()),
        Fact::Safe => "safe".to_owned(),
    }
}

type Judged = Result<(bool, String), Problem>;

/// Whether it is so, and what is seen.
fn judge(cluster: &Cluster, acts: &[Act], fact: &Fact, at: &[usize]) -> Judged {
    let same = |wanted: u64, value: &dyn Fn(usize) -> u64, prefix: &str| {
        everywhere(cluster, at, |host| (value(host) == wanted, format!("{prefix}{}", value(host))))
    };
    Ok(match fact {
        Fact::Balance(account, amount) => {
            same(*amount, &|host| cluster.accounts(host).balance(*account), "")
        }
        Fact::Executed(seq) => same(*seq, &|host| cluster.executed(host), "#"),
        Fact::Stable(seq) => same(*seq, &|host| stable(cluster, host), "#"),
        Fact::SameLedger => same_ledger(cluster, at),
        Fact::View(view) => everywhere(cluster, at, |host| in_view(cluster, host, *view)),
        Fact::Prepared(seq) => everywhere(cluster, at, |host| {
            let certificate = cluster.seen.get(&host).and_then(|seen| seen.prepared.get(seq));
            match certificate {
                Some((view, _)) => (true, format!("in v{view}")),
                None => (false, "not prepared".to_owned()),
            }
        }),
        Fact::Committed(seq) => {
            everywhere(cluster, at, |host| match cluster.executed(host) >= *seq {
                true => (true, "committed".to_owned()),
                false => (false, "not committed".to_owned()),
            })
        }
        Fact::Up => {
            let all: Vec<usize> =
                if at.is_empty() { cluster.replicas().collect() } else { at.to_vec() };
            everywhere(cluster, &all, |host| match cluster.is_up(host) {
                true => (true, "up".to_owned()),
                false => (false, "down".to_owned()),
            })
        }
        Fact::Times(request, times) => {
            let asked = asked(cluster, *request)?;
            let id = RequestId(asked.id.client, asked.id.lane.0, asked.id.timestamp.0);
            let count = |host: usize| {
                cluster
                    .seen
                    .get(&host)
                    .and_then(|seen| seen.executions.get(&id))
                    .copied()
                    .unwrap_or_default()
            };
            same(*times as u64, &|host| count(host) as u64, "")
        }
        Fact::Answer(request, answer) => {
            let asked = asked(cluster, *request)?;
            let seen = asked.answer.as_ref().map(|result| asked.ask.answer(result));
            (seen.as_ref() == Some(answer), seen.unwrap_or_else(|| "no answer".to_owned()))
        }
        Fact::NoAnswer(request) => {
            let asked = asked(cluster, *request)?;
            let seen = asked.answer.as_ref().map(|result| asked.ask.answer(result));
            (seen.is_none(), seen.unwrap_or_else(|| "no answer".to_owned()))
        }
        Fact::Refused(kind, reason) => refused(acts, *kind, reason.as_deref(), at),
        Fact::Safe => match &cluster.world().oracle.violation {
            None => (true, "no rule is broken".to_owned()),
            Some(violation) => (false, violation.detail.clone()),
        },
    })
}

/// Whether a replica takes part in a view, and which it is in.
fn in_view(cluster: &Cluster, host: usize, view: u64) -> (bool, String) {
    let replica = cluster.world().hosts[host].replica();
    let Some(status) = replica.map(pbft_core::Replica::status) else {
        return (false, "down".to_owned());
    };
    let waits = if status.active { "" } else { ", not active" };
    (status.view.0 == view && status.active, format!("{}{waits}", status.view))
}

fn asked(cluster: &Cluster, number: usize) -> Result<&super::cluster::Asked, Problem> {
    let known = number.checked_sub(1).and_then(|at| cluster.asked.get(at));
    known.ok_or(Problem::NoRequest(number, cluster.asked.len()))
}

/// The last stable checkpoint of a replica.
pub(super) fn stable(cluster: &Cluster, host: usize) -> u64 {
    cluster.world().hosts[host].replica().map_or(0, |replica| replica.status().low_water_mark.0)
}

/// The correct replicas that run, or those that were named.
fn places(cluster: &Cluster, at: &[usize]) -> Vec<usize> {
    match at.is_empty() {
        true => cluster.seen.keys().copied().filter(|host| cluster.is_up(*host)).collect(),
        false => at.to_vec(),
    }
}

/// Whether something is so at all replicas that count, and what is seen there, equal sights together.
fn everywhere(
    cluster: &Cluster,
    at: &[usize],
    look: impl Fn(usize) -> (bool, String),
) -> (bool, String) {
    let places = places(cluster, at);
    let mut sights: Vec<(String, Vec<usize>)> = Vec::new();
    let mut all = !places.is_empty();
    for host in places {
        let (is_so, sight) = look(host);
        all &= is_so;
        match sights.iter_mut().find(|(known, _)| *known == sight) {
            Some((_, hosts)) => hosts.push(host),
            None => sights.push((sight, vec![host])),
        }
    }
    let sights: Vec<_> =
        sights.iter().map(|(sight, hosts)| format!("{sight} at {}", list(hosts))).collect();
    (all, if sights.is_empty() { "nobody runs".to_owned() } else { sights.join(", ") })
}

fn same_ledger(cluster: &Cluster, at: &[usize]) -> (bool, String) {
    let places = places(cluster, at);
    let ledgers: Vec<_> = places.iter().map(|host| cluster.accounts(*host)).collect();
    let same = !ledgers.is_empty() && ledgers.windows(2).all(|two| two[0] == two[1]);
    let (_, seen) = everywhere(cluster, at, |host| (true, super::report::ledger_of(cluster, host)));
    (same, seen)
}

/// Whether everybody named refused such a message in the last step, or anybody did.
fn refused(acts: &[Act], kind: Kind, reason: Option<&str>, at: &[usize]) -> (bool, String) {
    let refusal = |act: &Act| match act {
        Act::Unread(host, of, why) if *of == kind => Some((*host, why.clone())),
        Act::Did(host, Deed::Refused { kind: of, reason: why, .. }) if *of == kind => {
            Some((*host, why.clone()))
        }
        _ => None,
    };
    let all: Vec<(usize, String)> = acts.iter().filter_map(refusal).collect();
    let fits = |(_, why): &&(usize, String)| reason.is_none_or(|reason| why == reason);
    let hosts: Vec<usize> = all.iter().filter(fits).map(|(host, _)| *host).collect();
    let is_so = match at.is_empty() {
        true => !hosts.is_empty(),
        false => at.iter().all(|host| hosts.contains(host)),
    };
    let mut seen: Vec<(String, Vec<String>)> = Vec::new();
    for (host, why) in all {
        match seen.iter_mut().find(|(known, _)| *known == why) {
            Some((_, hosts)) => hosts.push(who(host)),
            None => seen.push((why, vec![who(host)])),
        }
    }
    let seen: Vec<_> =
        seen.iter().map(|(why, hosts)| format!("{why} at {}", list(hosts))).collect();
    (is_so, if seen.is_empty() { "none was refused".to_owned() } else { seen.join(", ") })
}

/// A replica, or the client.
pub(super) fn who(host: usize) -> String {
    if host == usize::MAX { "client".to_owned() } else { host.to_string() }
}
