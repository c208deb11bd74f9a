//! `pbft status --all` and `pbft hash`: what every replica has, side by side.

use super::status::{agree, ask};
use super::{AsClient, CliError, Exit, Format, keys, print_json, runtime};
use clap::Args;
use comfy_table::{Table, presets};
use pbft_core::Membership;
use pbft_core::types::{Digest, SeqNum};
use pbft_ledger::{Account, Operation, Outcome};
use pbft_node::client::{Client, ClientOptions, ReplicaStatus, Timestamps};
use pbft_node::config::Cluster;
use pbft_node::frame::StatusReport;
use pbft_node::hex;
use pbft_output::{errln, outln};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::{Duration, Instant};

/// `pbft hash`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  pbft hash\n  pbft hash --format json\n\n\
    Shows the digest of every replica's state and of its last stable checkpoint. Waits until the replicas that answer \
    have executed the same batches. Exits with 1 if two that have executed the same differ, with 3 if they went on \
    executing different ones, and with 4 if fewer answer than a quorum needs.")]
pub struct HashArguments {
    /// Which cluster, as which client
    #[command(flatten)]
    pub who: AsClient,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// How long to wait for answers that can be compared
    #[arg(long, default_value_t = 2000, value_name = "MS")]
    pub wait: u64,
}

/// How long one round of questions may take.
const ROUND: Duration = Duration::from_millis(500);

/// The pause between two rounds.
const PAUSE: Duration = Duration::from_millis(50);

/// What a comparison comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict {
    reachable: usize,
    quorum: usize,
    /// Those with the same batches have the same.
    agree: bool,
    /// All that answer have executed the same batches.
    comparable: bool,
}

impl Verdict {
    fn exit(self) -> Exit {
        match self {
            Self { agree: false, .. } => Exit::Finding,
            Self { reachable, quorum, .. } if reachable < quorum => Exit::NoQuorum,
            Self { comparable: false, .. } => Exit::Inconclusive,
            Self { .. } => Exit::Done,
        }
    }

    fn line(self, replicas: usize) -> String {
        let Self { reachable, quorum, .. } = self;
        let says = match self.exit() {
            Exit::Finding => "replicas DIFFER after the same batches",
            Exit::NoQuorum => "too few to speak for the cluster",
            Exit::Inconclusive => {
                "they have not executed the same batches; ask again, or with a longer --wait"
            }
            _ => "in agreement",
        };
        format!("{reachable} of {replicas} replicas answer, a quorum is {quorum}: {says}")
    }
}

/// Connects, and asks until the answers can be compared or time is up.
fn observe<T, F: Future<Output = T>>(
    who: &AsClient,
    wait: u64,
    round: impl Fn(std::sync::Arc<Client>) -> F,
    is_final: impl Fn(&T) -> bool,
) -> Result<(Cluster, Membership, T), CliError> {
    let (cluster, name) = keys::choose(who)?;
    let until = Instant::now() + Duration::from_millis(wait);
    let options = ClientOptions { lanes: 1, ..ClientOptions::default() };
    runtime()?.block_on(async {
        // Nothing is submitted, so no timestamp is used.
        let timestamps = Timestamps::in_memory();
        let client = keys::connect(&who.dir, &cluster, &name, timestamps, options)?;
        let client = std::sync::Arc::new(client);
        let membership = client.membership();
        loop {
            let seen = round(std::sync::Arc::clone(&client)).await;
            if is_final(&seen) || Instant::now() >= until {
                return Ok((cluster, membership, seen));
            }
            tokio::time::sleep(PAUSE).await;
        }
    })
}

pub(super) fn hash(arguments: &HashArguments) -> Result<Exit, CliError> {
    let round = |client: std::sync::Arc<Client>| async move { ask(&client, ROUND).await };
    let complete = |replicas: &Vec<ReplicaStatus>| {
        replicas.iter().all(|replica| replica.report.is_ok())
            && same(reports(replicas).map(|report| report.last_executed))
    };
    let (cluster, membership, replicas) = observe(&arguments.who, arguments.wait, round, complete)?;
    let verdict = Verdict {
        reachable: reports(&replicas).count(),
        quorum: membership.quorum(),
        agree: agree(reports(&replicas).filter_map(|r| Some((r.last_executed.0, r.state?))))
            && agree(reports(&replicas).filter_map(|r| Some((r.low_water_mark.0, r.checkpoint?)))),
        comparable: same(reports(&replicas).map(|report| report.last_executed)),
    };
    match arguments.format {
        Format::Json => print_json(&json!({
            "cluster": hex::encode(&cluster.id().0),
            "reachable": verdict.reachable,
            "quorum": verdict.quorum,
            "agree": verdict.agree,
            "comparable": verdict.comparable,
            "replicas": replicas.iter().map(digests).collect::<Vec<_>>(),
        })),
        Format::Human => {
            for replica in &replicas {
                match &replica.report {
                    Ok(report) => outln!("{}", digest_line(report)),
                    Err(error) => {
                        errln!("replica {} does not answer: {error}", replica.replica.0)
                    }
                }
            }
            outln!("{}", verdict.line(replicas.len()));
        }
    }
    Ok(verdict.exit())
}

fn reports(replicas: &[ReplicaStatus]) -> impl Iterator<Item = &StatusReport> {
    replicas.iter().filter_map(|replica| replica.report.as_ref().ok())
}

fn same<T: PartialEq>(mut values: impl Iterator<Item = T>) -> bool {
    let first = values.next();
    values.all(|value| Some(value) == first)
}

fn digests(replica: &ReplicaStatus) -> Value {
    match &replica.report {
        Err(error) => json!({"id": replica.replica.0, "error": error}),
        Ok(report) => json!({
            "id": replica.replica.0,
            "executed": report.last_executed.0,
            "state": report.state.map(|digest| hex::encode(&digest.0)),
            "stable": report.low_water_mark.0,
            "checkpoint": report.checkpoint.map(|digest| hex::encode(&digest.0)),
        }),
    }
}

fn digest_line(report: &StatusReport) -> String {
    let text = |digest: Option<Digest>| {
        digest.map_or_else(|| "-".repeat(64), |digest| hex::encode(&digest.0))
    };
    let checkpoint = text(report.checkpoint);
    format!(
        "replica {}  executed {:<8} {}\n{:>11}stable   {:<8} {checkpoint}",
        report.replica.0,
        report.last_executed.0,
        text(report.state),
        "",
        report.low_water_mark.0,
    )
}

/// One replica's accounts after a batch.
type Book = (SeqNum, BTreeMap<Account, u64>);

/// `pbft status --all`.
pub(super) fn accounts(
    who: &AsClient,
    wait: u64,
    rows: usize,
    format: Format,
) -> Result<Exit, CliError> {
    let round = |client: std::sync::Arc<Client>| async move { books(&client).await };
    let complete = |books: &Vec<Result<Book, BookError>>| {
        books.iter().all(Result::is_ok) && same(books.iter().flatten().map(|(seq, _)| *seq))
    };
    let (_, membership, books) = observe(who, wait, round, complete)?;
    let read: Vec<&Book> = books.iter().flatten().collect();
    if books.iter().any(|book| matches!(book, Err(BookError::NotALedger))) {
        return Err(CliError::NotALedger);
    }
    let differing = differing(&read);
    let verdict = Verdict {
        reachable: read.len(),
        quorum: membership.quorum(),
        agree: differing.is_empty(),
        comparable: same(read.iter().map(|(seq, _)| *seq)),
    };
    match format {
        Format::Json => print_json(&as_json(&books, &differing, verdict)),
        Format::Human => {
            print_table(&books, &differing, rows);
            outln!("{}", verdict.line(books.len()));
        }
    }
    Ok(verdict.exit())
}

/// Why a replica's accounts are not known.
#[derive(Clone, Debug, PartialEq, Eq)]
enum BookError {
    NoAnswer(String),
    /// It executed something between two questions.
    Moving,
    NotALedger,
}

impl std::fmt::Display for BookError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoAnswer(why) => f.write_str(why),
            Self::Moving => f.write_str("it went on executing while it was asked"),
            Self::NotALedger => f.write_str("it is no ledger"),
        }
    }
}

/// Every account of every replica, a page at a time. The pages of all replicas end at the same account.
async fn books(client: &Client) -> Vec<Result<Book, BookError>> {
    let mut books: Vec<Option<Result<Book, BookError>>> = vec![None; client.membership().n()];
    let mut after: Option<Account> = None;
    loop {
        let query = Operation::Accounts { after: after.clone() }.encode();
        let mut pages = Vec::new();
        for (book, said) in books.iter_mut().zip(client.query_all(&query, ROUND).await) {
            match said.answer.map(|(seq, answer)| (seq, Outcome::decode(&answer))) {
                Err(why) => *book = Some(Err(BookError::NoAnswer(why))),
                Ok((seq, Some(Outcome::Accounts(page)))) => match book {
                    None => {
                        *book = Some(Ok((seq, BTreeMap::new())));
                        pages.push((book, page));
                    }
                    Some(Ok((before, _))) if *before == seq => pages.push((book, page)),
                    Some(Ok(_)) => *book = Some(Err(BookError::Moving)),
                    Some(Err(_)) => {}
                },
                Ok((_, _)) => *book = Some(Err(BookError::NotALedger)),
            }
        }
        // Behind the shortest page nothing is known of its replica yet. An empty page is the end of its accounts.
        let end = pages.iter().filter_map(|(_, page)| page.last()).map(|(account, _)| account);
        let Some(end) = end.min().cloned() else { break };
        for (book, page) in pages {
            let known = page.into_iter().take_while(|(account, _)| *account <= end);
            if let Some(Ok((_, accounts))) = book {
                accounts.extend(known);
            }
        }
        after = Some(end);
    }
    let unanswered = || Err(BookError::NoAnswer("no answer".to_owned()));
    books.into_iter().map(|book| book.unwrap_or_else(unanswered)).collect()
}

/// The accounts that two replicas have differently after the same batches.
fn differing(books: &[&Book]) -> BTreeSet<Account> {
    let mut differing = BTreeSet::new();
    for (position, (seq, accounts)) in books.iter().enumerate() {
        for (_, others) in books[..position].iter().filter(|(other, _)| other == seq) {
            let names = accounts.keys().chain(others.keys());
            let unequal = names.filter(|name| accounts.get(name) != others.get(name));
            differing.extend(unequal.cloned());
        }
    }
    differing
}

fn names(books: &[Result<Book, BookError>]) -> BTreeSet<&Account> {
    books.iter().flatten().flat_map(|(_, accounts)| accounts.keys()).collect()
}

fn as_json(
    books: &[Result<Book, BookError>],
    differing: &BTreeSet<Account>,
    verdict: Verdict,
) -> Value {
    let replica = |(id, book): (usize, &Result<Book, BookError>)| match book {
        Err(error) => json!({"id": id, "error": error.to_string()}),
        Ok((seq, accounts)) => {
            let balances: serde_json::Map<_, _> = accounts
                .iter()
                .map(|(name, balance)| (name.to_string(), (*balance).into()))
                .collect();
            json!({"id": id, "executed": seq.0, "accounts": balances})
        }
    };
    json!({
        "reachable": verdict.reachable,
        "quorum": verdict.quorum,
        "agree": verdict.agree,
        "comparable": verdict.comparable,
        "differing": differing.iter().map(Account::as_str).collect::<Vec<_>>(),
        "replicas": books.iter().enumerate().map(replica).collect::<Vec<_>>(),
    })
}

/// One line an account, one column a replica; those that differ come first, and are all shown.
fn print_table(books: &[Result<Book, BookError>], differing: &BTreeSet<Account>, rows: usize) {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let columns = (0..books.len()).map(|id| format!("replica {id}"));
    table.set_header(std::iter::once("account".to_owned()).chain(columns));
    let cell = |book: &Result<Book, BookError>, of: &dyn Fn(&Book) -> Option<u64>| match book {
        Ok(book) => of(book).map_or("none".to_owned(), |number| number.to_string()),
        Err(_) => "-".to_owned(),
    };
    let row = |name: String, of: &dyn Fn(&Book) -> Option<u64>, mark: &str| {
        let cells = books.iter().map(|book| cell(book, of)).chain([mark.to_owned()]);
        std::iter::once(name).chain(cells).collect::<Vec<_>>()
    };
    let names = names(books);
    let equal: Vec<&Account> =
        names.iter().filter(|name| !differing.contains(**name)).copied().collect();
    for name in differing {
        table.add_row(row(name.to_string(), &|(_, book)| book.get(name).copied(), "<- DIFFERS"));
    }
    for name in equal.iter().take(rows) {
        table.add_row(row(name.to_string(), &|(_, book)| book.get(name).copied(), ""));
    }
    table.add_row(row("(executed)".to_owned(), &|(seq, _)| Some(seq.0), ""));
    outln!("{table}");
    if equal.len() > rows {
        outln!("and {} accounts more; see them with --rows", equal.len() - rows);
    }
    for (id, error) in books.iter().enumerate().filter_map(|(id, b)| Some((id, b.as_ref().err()?)))
    {
        errln!("replica {id} is not compared: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(seq: u64, balances: &[(&str, u64)]) -> Book {
        let named = |(name, balance): &(&str, u64)| (Account::new(name).expect("a name"), *balance);
        (SeqNum(seq), balances.iter().map(named).collect())
    }

    #[test]
    fn accounts_differ_only_after_the_same_batches() {
        let (a, more, other, behind) = (
            book(7, &[("alice", 5)]),
            book(7, &[("alice", 5), ("bob", 0)]),
            book(7, &[("alice", 6)]),
            book(6, &[("alice", 9)]),
        );
        let names = |books: &[&Book]| {
            differing(books).iter().map(Account::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&[&a, &a, &behind]), "");
        assert_eq!(names(&[&a, &other]), "alice");
        assert_eq!(names(&[&behind, &a, &more, &a]), "bob");
    }

    #[test]
    fn the_exit_code_tells_what_is_known() {
        let good = Verdict { reachable: 4, quorum: 3, agree: true, comparable: true };
        assert_eq!(good.exit(), Exit::Done);
        assert_eq!(Verdict { comparable: false, ..good }.exit(), Exit::Inconclusive);
        assert_eq!(Verdict { reachable: 2, ..good }.exit(), Exit::NoQuorum);
        assert_eq!(Verdict { agree: false, reachable: 2, ..good }.exit(), Exit::Finding);
    }
}
