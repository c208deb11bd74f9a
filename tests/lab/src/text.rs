//! Reports as text, 80 columns wide.

use super::check::Checked;
use super::cluster::Cluster;
use super::report::{Happening, Report, Row, certificate, digits, letter_words, request_of};
use super::verbs::{VERBS, Verb};
use super::words::{list, node_name};
use std::fmt::Write as _;

/// The width of every line.
pub const WIDTH: usize = 80;

/// Above so many replicas, votes are counted instead of listed.
const LISTED_MAX: usize = 6;

/// Breaks a text at spaces, so that no line is wider than the terminal. Lines after the first are indented further.
#[must_use]
pub fn wrap(text: &str, indent: usize, hanging: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for part in text.split('\n') {
        let mut line = " ".repeat(indent);
        let mut is_empty = true;
        for word in part.split_inclusive(' ') {
            let width = |text: &str| text.chars().count();
            if !is_empty && width(&line) + width(word.trim_end()) > WIDTH {
                lines.push(line.trim_end().to_owned());
                line = " ".repeat(hanging);
            }
            line += word;
            is_empty = false;
            while width(line.trim_end()) > WIDTH {
                let head: String = line.chars().take(WIDTH - 1).collect();
                let tail: String = line.chars().skip(WIDTH - 1).collect();
                lines.push(head + "…");
                line = " ".repeat(hanging) + tail.trim_end();
            }
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// Cuts a line to the terminal's width.
fn fit(line: &str) -> String {
    let line = line.trim_end();
    match line.chars().count() > WIDTH {
        true => line.chars().take(WIDTH - 1).chain(['…']).collect(),
        false => line.to_owned(),
    }
}

/// The report in lines.
#[must_use]
pub fn lines(report: &Report) -> Vec<String> {
    let mut all = Vec::new();
    report.happened.iter().for_each(|one| all.extend(happening(one)));
    match report.command.starts_with('#') {
        true => report.notes.iter().for_each(|story| all.extend(wrap(&format!("# {story}"), 0, 2))),
        false => report.notes.iter().for_each(|note| all.extend(wrap(note, 2, 2))),
    }
    report.checked.iter().for_each(|one| all.extend(checked(one)));
    all.extend(report.shown.iter().flat_map(|line| line.split('\n').map(fit)));
    if report.is_news {
        all.extend(table(&report.replicas));
    }
    if !report.replicas.is_empty() {
        all.push(fit(&waiting(report)));
    }
    all.extend(report.conclusion.iter().flat_map(|conclusion| wrap(conclusion, 0, 2)));
    if let Some(broken) = &report.broken {
        all.extend(wrap(&format!("A RULE IS BROKEN: {broken}"), 0, 2));
    }
    all
}

fn happening(one: &Happening) -> Vec<String> {
    let Happening { who, did, what, to, held, times } = one;
    let line = match (did.as_str(), to.is_empty()) {
        ("sent", false) => {
            let held = if *held { "  (held)" } else { "" };
            let times = times.map_or(String::new(), |times| format!("  ({times} times)"));
            format!("{who:>8} → {:<8} {what}{held}{times}", list(to))
        }
        ("sent", true) => format!("{who:>8}   {:<8} {what}", ""),
        _ => format!("{who:>8} {did:<10} {what}"),
    };
    wrap(&line, 0, 20)
}

fn checked(one: &Checked) -> Vec<String> {
    let Checked { expected, seen, holds } = one;
    let verdict = if *holds { "as expected" } else { "NOT AS EXPECTED" };
    wrap(&format!("{verdict}: {expected} (seen: {seen})"), 2, 4)
}

fn waiting(report: &Report) -> String {
    let mut line =
        format!("{:.3} s, {} under way", report.time_ms as f64 / 1000.0, report.under_way);
    if report.held > 0 {
        let _ = write!(line, ", {} held", report.held);
    }
    if !report.unanswered.is_empty() {
        let plural = if report.unanswered.len() == 1 { "" } else { "s" };
        let _ = write!(line, "; the client waits for request{plural} {}", list(&report.unanswered));
    }
    line
}

/// Where each replica stands.
#[must_use]
pub fn table(rows: &[Row]) -> Vec<String> {
    let mut all = vec![format!(
        "{:<14} {:<5} {:<7} {:<4} {:<24} {}",
        "replica", "view", "h..H", "done", "newest slot", "ledger"
    )];
    let many = rows.len() > LISTED_MAX;
    for row in rows {
        let role = match (row.byzantine, row.primary) {
            (true, true) => "Byz. primary",
            (true, false) => "Byzantine",
            (false, true) => "primary",
            (false, false) => "",
        };
        let name = format!("{} {role}", row.replica);
        let ledger: Vec<_> =
            row.ledger.iter().map(|(name, balance)| format!("{name} {balance}")).collect();
        let ledger = ledger.join(", ");
        let done = format!("#{}", row.executed);
        let line = match &row.down {
            Some(down) => format!("{name:<14} {down:<13} {done:<4} {:<24} {ledger}", ""),
            None => {
                let view = format!("{}v{}", if row.active { "" } else { "→" }, row.view);
                let marks = format!("{}..{}", row.low, row.high);
                let slot = slot(row, many);
                format!("{name:<14} {view:<5} {marks:<7} {done:<4} {slot:<24} {ledger}")
            }
        };
        all.push(fit(&line));
    }
    all
}

/// The newest slot of a row: `#1 P 12 C 012 committed`.
fn slot(row: &Row, many: bool) -> String {
    let Some(slot) = &row.slot else { return String::new() };
    let votes = |who: &[u32]| match (many, who.is_empty()) {
        (true, _) => who.len().to_string(),
        (false, true) => "-".to_owned(),
        (false, false) => who.iter().map(u32::to_string).collect(),
    };
    let mark = match slot.certificate {
        "committed" => "done",
        other => other,
    };
    format!("#{} P {} C {} {mark}", slot.seq, votes(&slot.prepares), votes(&slot.commits))
}

/// The messages under way.
#[must_use]
pub fn list_lines(cluster: &Cluster) -> Vec<String> {
    let shown = cluster.under_way().filter(|letter| !letter.about.kind.is_housekeeping());
    let line = |letter: &super::letter::Letter| {
        let (from, to) = (node_name(letter.from), node_name(letter.to));
        let held = if cluster.is_held(letter) { "  (held)" } else { "" };
        fit(&format!(
            "{:>5}  {from:>6} → {to:<6}  {}{held}",
            letter.number,
            letter_words(cluster, &letter.about)
        ))
    };
    let mut all: Vec<String> = shown.map(line).collect();
    let hidden = cluster.under_way().count() - all.len();
    if all.is_empty() {
        all.push("nothing is under way".to_owned());
    }
    if hidden > 0 {
        all.push(format!("and {hidden} STATUS or TRANSFER"));
    }
    let rules = cluster.held.iter().map(|rule| fit(&format!("held from now on: {rule}")));
    all.extend(rules);
    all
}

/// Votes and certificates, slot by slot, as each correct replica counts them.
#[must_use]
pub fn votes_lines(cluster: &Cluster) -> Vec<String> {
    let membership = cluster.membership();
    let mut slots: Vec<_> =
        cluster.seen.values().flat_map(|seen| seen.votes.keys().copied()).collect();
    slots.sort_unstable();
    slots.dedup();
    let mut all = vec![format!(
        "a certificate takes {} PREPAREs of backups, or {} COMMITs",
        membership.prepares(),
        membership.quorum()
    )];
    for (seq, view, digest) in slots {
        let request = request_of(cluster, &digits(digest));
        let request = request.map_or(String::new(), |number| {
            format!("  request {number}: {}", cluster.asked[number - 1].ask)
        });
        all.push(fit(&format!("#{seq} v{view} {}{request}", digits(digest))));
        for (host, seen) in &cluster.seen {
            let Some(votes) = seen.votes.get(&(seq, view, digest)) else { continue };
            let state = match (votes.pre_prepared, certificate(cluster, *host, seq, view, digest)) {
                (false, "accepted") => "no PRE-PREPARE",
                (_, state) => state,
            };
            let (prepares, commits) = (list(&votes.prepares), list(&votes.commits));
            all.push(fit(&format!(
                "  at {host}  PREPARE {prepares:<12} COMMIT {commits:<12} {state}"
            )));
        }
    }
    for (host, seen) in &cluster.seen {
        let wanted = |view: &u64| {
            let replica = cluster.world().hosts[*host].replica();
            replica.is_some_and(|replica| replica.status().view.0 <= *view && *view > 0)
        };
        for (view, senders) in seen.view_changes.iter().filter(|(view, _)| wanted(view)) {
            all.push(fit(&format!("VIEW-CHANGE v{view} at {host}: {}", list(senders))));
        }
        for (seq, senders) in &seen.checkpoints {
            all.push(fit(&format!("CHECKPOINT #{seq} at {host}: {}", list(senders))));
        }
    }
    all
}

/// The accounts, replica by replica.
#[must_use]
pub fn ledger_lines(cluster: &Cluster) -> Vec<String> {
    let accounts = cluster.open_accounts();
    if accounts.is_empty() {
        return vec!["no account has any money".to_owned()];
    }
    let head: String = cluster.replicas().map(|host| format!("{host:>8}")).collect();
    let mut all = vec![fit(&format!("{:<10}{head}", "account"))];
    for account in accounts {
        let name = super::words::account_name(account);
        let balances = cluster.replicas().map(|host| cluster.accounts(host).balance(account));
        let balances: String = balances.map(|balance| format!("{balance:>8}")).collect();
        all.push(fit(&format!("{name:<10}{balances}")));
    }
    all
}

/// A readable dump: the last stable checkpoint, and every replica with its accounts and votes.
#[must_use]
pub fn log_lines(cluster: &Cluster) -> Vec<String> {
    let stable = |host: usize| super::check::stable(cluster, host);
    let highest = cluster.replicas().map(stable).max().unwrap_or_default();
    let mut all = vec![format!(
        "{} replicas, {:.3} s, last stable checkpoint #{highest}",
        cluster.setup.replicas,
        cluster.now.as_secs_f64()
    )];
    for (host, seen) in &cluster.seen {
        let (seq, signers) = &seen.stable;
        let proof = if signers.is_empty() { "from its disk".to_owned() } else { list(signers) };
        if *seq > 0 {
            all.push(format!("checkpoint #{seq} is stable at {host}, signed by {proof}"));
        }
    }
    let rows: Vec<Row> = cluster.replicas().map(|host| super::report::row(cluster, host)).collect();
    all.extend(table(&rows));
    all.extend(ledger_lines(cluster));
    all.extend(votes_lines(cluster));
    all
}

/// All verbs, or one of them.
#[must_use]
pub fn help_lines(verb: Option<&Verb>) -> Vec<String> {
    let Some(Verb { name, usage, line, more }) = verb else {
        let row = |verb: &Verb| fit(&format!("  {:<10} {}", verb.name, verb.line));
        let mut all: Vec<String> = VERBS.iter().map(row).collect();
        all.push(
            "`help deliver` says more about `deliver`. Words are completed with the tab key."
                .to_owned(),
        );
        return all;
    };
    let usage =
        if *name == "say" { "3 says WHAT [to WHO]".to_owned() } else { format!("{name} {usage}") };
    let mut all = vec![usage.trim_end().to_owned()];
    all.extend(wrap(line, 2, 2));
    if !more.is_empty() {
        all.extend(wrap(more, 2, 4));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let long = "word ".repeat(40) + &"x".repeat(200);
        for line in wrap(&long, 2, 6) {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        assert_eq!(wrap("a b", 2, 2), ["  a b"]);
        let exact = "x".repeat(WIDTH);
        assert_eq!(wrap(&format!("{exact} y"), 0, 2), [exact, "  y".to_owned()]);
        let verbs = VERBS.iter().flat_map(|verb| help_lines(Some(verb)));
        for line in verbs.chain(help_lines(None)) {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
    }
}
