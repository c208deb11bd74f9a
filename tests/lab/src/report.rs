//! What a command led to: what was said, refused and done, and where each replica stands then.

use super::check::{Checked, stable, who};
use super::cluster::{Act, Cluster};
use super::eyes::{Deed, Votes};
use super::letter::{About, short};
use super::words::{Kind, account_name, list, node_name};
use pbft_node::trace::format::ShortDigest;
use pbft_sim::event::Node;
use pbft_sim::process::Down;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What a command led to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The command.
    pub command: String,
    /// The virtual time in milliseconds.
    pub time_ms: u64,
    /// What happened, in order.
    pub happened: Vec<Happening>,
    /// What was expected, and seen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checked: Vec<Checked>,
    /// What there is to say besides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What was asked to be shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shown: Vec<String>,
    /// Where each replica stands, if the command may have changed that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<Row>,
    /// Whether that is news.
    #[serde(skip)]
    pub is_news: bool,
    /// What a whole case came to, after its last command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conclusion: Option<String>,
    /// Messages under way that are not held.
    pub under_way: usize,
    /// Messages that are held.
    pub held: usize,
    /// Requests that the client has no answer to.
    pub unanswered: Vec<usize>,
    /// A rule of the protocol that was broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

/// One line of what happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Happening {
    /// Who.
    pub who: String,
    /// What it did: `sent` a message, or another verb.
    pub did: String,
    /// What.
    pub what: String,
    /// To whom, of a message.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// Whether the message is held.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// How often the message was sent, if more than once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<usize>,
}

/// Where a replica stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The replica.
    pub replica: usize,
    /// Whether it leads its view.
    pub primary: bool,
    /// Whether it may say anything.
    pub byzantine: bool,
    /// Why it does not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down: Option<String>,
    /// Its view.
    pub view: u64,
    /// Whether it takes part in it.
    pub active: bool,
    /// The low water mark, h.
    pub low: u64,
    /// The high water mark, H.
    pub high: u64,
    /// The last batch executed.
    pub executed: u64,
    /// The votes for the highest sequence number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<SlotRow>,
    /// The accounts.
    pub ledger: BTreeMap<String, u64>,
}

/// The votes that a replica holds for one batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SlotRow {
    /// The sequence number.
    pub seq: u64,
    /// The view of the votes.
    pub view: u64,
    /// The first digits of the digest.
    pub digest: String,
    /// Whose PREPAREs.
    pub prepares: Vec<u32>,
    /// Whose COMMITs.
    pub commits: Vec<u32>,
    /// `accepted`, `prepared` or `committed`.
    pub certificate: &'static str,
}

/// The first digits of a digest in a recording, as those of a message are shown.
#[must_use]
pub fn digits(digest: ShortDigest) -> String {
    digest.to_string()[..4].to_owned()
}

/// The accounts of a replica in words.
#[must_use]
pub fn ledger_of(cluster: &Cluster, host: usize) -> String {
    let accounts = cluster.accounts(host).iter();
    let words: Vec<_> =
        accounts.map(|(account, balance)| format!("{} {balance}", account_name(account))).collect();
    if words.is_empty() { "no money".to_owned() } else { words.join(", ") }
}

/// How far a batch has come at a replica.
#[must_use]
pub fn certificate(
    cluster: &Cluster,
    host: usize,
    seq: u64,
    view: u64,
    digest: ShortDigest,
) -> &'static str {
    let Some(seen) = cluster.seen.get(&host) else { return "" };
    // What a replica knew when it started is not among what was seen since.
    let is_certain = |(_, prepared): &(u64, ShortDigest)| *prepared == digest;
    let executed = seq <= cluster.executed(host) && seen.prepared.get(&seq).is_some_and(is_certain);
    if seen.committed.get(&seq) == Some(&digest) || (executed && !seen.committed.contains_key(&seq))
    {
        "committed"
    } else if seen.prepared.get(&seq) == Some(&(view, digest)) {
        "prepared"
    } else {
        "accepted"
    }
}

fn slot_row(cluster: &Cluster, host: usize) -> Option<SlotRow> {
    let ((seq, view, digest), votes) = cluster.seen.get(&host)?.newest()?;
    let Votes { prepares, commits, pre_prepared } = votes.clone();
    let mut certificate = certificate(cluster, host, seq, view, digest);
    if certificate == "accepted" && !pre_prepared {
        certificate = "not accepted";
    }
    let (prepares, commits) = (prepares.into_iter().collect(), commits.into_iter().collect());
    Some(SlotRow { seq, view, digest: digits(digest), prepares, commits, certificate })
}

/// Where a replica stands.
#[must_use]
pub fn row(cluster: &Cluster, host: usize) -> Row {
    let process = &cluster.world().hosts[host];
    let status = process.replica().map(pbft_core::Replica::status);
    let down = match (&status, process.down()) {
        (Some(_), _) => None,
        (None, Some(Down::Halted(reason))) => Some(format!("stopped: {reason}")),
        (None, Some(Down::Disk(error))) => Some(format!("disk: {error:?}")),
        (None, _) => Some("down".to_owned()),
    };
    let view = status.as_ref().map_or(0, |status| status.view.0);
    let low = stable(cluster, host);
    let accounts = cluster.accounts(host).iter();
    Row {
        replica: host,
        primary: down.is_none()
            && cluster.membership().primary(pbft_core::types::View(view)).0 as usize == host,
        byzantine: cluster.is_byzantine(host),
        view,
        active: status.as_ref().is_some_and(|status| status.active),
        low,
        high: low + process.params().window,
        executed: cluster.executed(host),
        slot: slot_row(cluster, host).filter(|_| down.is_none()),
        ledger: accounts.map(|(account, balance)| (account_name(account), balance)).collect(),
        down,
    }
}

/// Reports what happened.
#[must_use]
pub fn report(cluster: &Cluster, command: &str, acts: &[Act]) -> Report {
    let held = cluster.under_way().filter(|letter| cluster.is_held(letter)).count();
    let waits =
        |(at, asked): (usize, &super::cluster::Asked)| asked.answer.is_none().then_some(at + 1);
    Report {
        command: command.to_owned(),
        time_ms: cluster.now.as_millis() as u64,
        happened: happened(cluster, acts),
        replicas: cluster.replicas().map(|host| row(cluster, host)).collect(),
        under_way: cluster.under_way().count() - held,
        held,
        unanswered: cluster.asked.iter().enumerate().filter_map(waits).collect(),
        broken: cluster.world().oracle.violation.as_ref().map(|violation| violation.detail.clone()),
        ..Report::default()
    }
}

/// What is told apart when equal things at several replicas become one line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    Sent(Node, About, bool),
    Other { did: &'static str, what: String },
}

struct Line {
    key: Key,
    who: BTreeSet<usize>,
    name: Option<String>,
    to: Vec<Node>,
    /// How often the first recipient was sent it.
    times: usize,
}

/// What happened, equal things together.
fn happened(cluster: &Cluster, acts: &[Act]) -> Vec<Happening> {
    let mut lines: Vec<Line> = Vec::new();
    let mut housekeeping: BTreeMap<Kind, usize> = BTreeMap::new();
    for act in acts {
        if let Act::Sent(number) = act {
            let letter = &cluster.letters[number - 1];
            if letter.about.kind.is_housekeeping() {
                *housekeeping.entry(letter.about.kind).or_default() += 1;
                continue;
            }
            let key = Key::Sent(letter.from, letter.about.clone(), cluster.is_held(letter));
            match lines.iter_mut().find(|line| line.key == key) {
                Some(line) if line.to.contains(&letter.to) => {
                    line.times += usize::from(line.to[0] == letter.to);
                }
                Some(line) => line.to.push(letter.to),
                None => {
                    let name = Some(node_name(letter.from));
                    lines.push(Line {
                        key,
                        who: BTreeSet::new(),
                        name,
                        to: vec![letter.to],
                        times: 1,
                    });
                }
            }
            continue;
        }
        let Some((host, name, did, what)) = told(cluster, act) else { continue };
        let key = Key::Other { did, what };
        match (lines.iter_mut().find(|line| line.key == key), host) {
            (Some(line), Some(host)) => drop(line.who.insert(host)),
            (Some(_), None) => {}
            (None, host) => lines.push(Line {
                key,
                who: host.into_iter().collect(),
                name,
                to: Vec::new(),
                times: 1,
            }),
        }
    }
    let mut all: Vec<Happening> = lines.into_iter().map(|line| happening(cluster, line)).collect();
    all.extend(housekeeping.into_iter().map(|(kind, count)| Happening {
        who: "all".to_owned(),
        did: "sent".to_owned(),
        what: format!("{count} {} messages", kind.shown()),
        to: Vec::new(),
        held: false,
        times: None,
    }));
    all
}

fn happening(cluster: &Cluster, line: Line) -> Happening {
    let who = line.name.unwrap_or_else(|| list(line.who.iter().map(|host| self::who(*host))));
    match line.key {
        Key::Sent(_, about, held) => Happening {
            who,
            did: "sent".to_owned(),
            what: letter_words(cluster, &about),
            to: line.to.into_iter().map(node_name).collect(),
            held,
            times: (line.times > 1).then_some(line.times),
        },
        Key::Other { did, what } => {
            Happening { who, did: did.to_owned(), what, to: Vec::new(), held: false, times: None }
        }
    }
}

/// A message in words, with the request that it is about.
#[must_use]
pub fn letter_words(cluster: &Cluster, about: &About) -> String {
    let number = about.request.and_then(|id| cluster.request_number(id));
    match (about.kind, number) {
        (Kind::Request, Some(number)) => {
            format!("REQUEST {number} {}", cluster.asked[number - 1].ask)
        }
        (Kind::Reply, Some(number)) => format!("REPLY to request {number}"),
        (Kind::PrePrepare, Some(number)) => format!("{about} request {number}"),
        _ => about.to_string(),
    }
}

type Told = (Option<usize>, Option<String>, &'static str, String);

/// One act that is no sending, in words: who (as a number, or a name), and what.
fn told(cluster: &Cluster, act: &Act) -> Option<Told> {
    let at = |host: usize, did: &'static str, what: String| Some((Some(host), None, did, what));
    match act {
        Act::Sent(_) | Act::Dropped(_) => None,
        Act::Arrived(number) => {
            let letter = &cluster.letters[number - 1];
            let Node::Host(host) = letter.to else { return None };
            let is_lost =
                letter.fate == super::letter::Fate::Lost && !letter.about.kind.is_housekeeping();
            is_lost.then(|| {
                (Some(host), None, "down", format!("{} is lost", letter.about.kind.shown()))
            })
        }
        Act::TimedOut(Node::Host(host), what) => at(*host, "timeout", (*what).to_owned()),
        Act::TimedOut(Node::Client(_), _) => Some((
            None,
            Some("client".to_owned()),
            "waits",
            "too long, and asks all replicas".to_owned(),
        )),
        Act::Ended(host) => at(*host, "crashed", String::new()),
        Act::Started(host) => at(*host, "started", "from its disk".to_owned()),
        Act::Unread(host, kind, reason) => {
            at(*host, "refused", format!("{}: {reason}", kind.shown()))
        }
        Act::Answered(number) => {
            let asked = &cluster.asked[number - 1];
            let answer = asked.answer.as_ref()?;
            let matching = asked.replies.iter().filter(|(_, result)| *result == answer);
            let senders = list(matching.map(|(host, _)| host));
            let what =
                format!("{} for request {number}, as {senders} say", asked.ask.answer(answer));
            Some((None, Some("client".to_owned()), "accepts", what))
        }
        Act::Did(host, deed) => {
            let (did, what) = deed_words(deed)?;
            at(*host, did, what)
        }
    }
}

fn deed_words(deed: &Deed) -> Option<(&'static str, String)> {
    Some(match deed {
        // Whoever repeats something is told so all the time.
        Deed::Refused { kind, reason, .. } if kind.is_housekeeping() || reason == "duplicate" => {
            return None;
        }
        Deed::Refused { from, kind, reason } => {
            let of = from.map_or("the client".to_owned(), |id| id.to_string());
            ("refused", format!("{} of {of}: {reason}", kind.shown()))
        }
        Deed::Prepared(view, seq, digest, _) => {
            ("prepared", format!("#{seq} v{view} {}", digits(*digest)))
        }
        Deed::Executed(seq, digest, _, 0) => {
            ("executed", format!("#{seq} {}, nothing new in it", digits(*digest)))
        }
        Deed::Executed(seq, digest, ..) => ("executed", format!("#{seq} {}", digits(*digest))),
        Deed::Stable(seq, signers) => {
            ("stable", format!("checkpoint #{seq}, signed by {}", list(signers)))
        }
        Deed::Entered(view) => ("entered", format!("v{view}")),
        Deed::Installed(seq) => ("installed", format!("the state of checkpoint #{seq}")),
        Deed::Halted(reason) => ("stopped", reason.clone()),
    })
}

/// The request that a digest stands for.
#[must_use]
pub fn request_of(cluster: &Cluster, digest: &str) -> Option<usize> {
    let names = |about: &About| {
        about.kind == Kind::PrePrepare
            && about.digest.as_ref().map(short).as_deref() == Some(digest)
    };
    let letter = cluster.letters.iter().find(|letter| names(&letter.about))?;
    cluster.request_number(letter.about.request?)
}
