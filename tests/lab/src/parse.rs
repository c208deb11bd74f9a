//! From a line to a command.

use super::command::{Choice, Command, Expectation, Fact, Show};
use super::letter::Selector;
use super::speech::{Speech, Utterance};
use super::verbs;
use super::words::{ACCOUNTS, Ask, Kind, account};
use core::time::Duration;
use pbft_core::membership::REPLICAS_MAX;
use pbft_sim::bank::Operation;
use pbft_sim::event::Node;
use std::path::PathBuf;

/// Why a line is no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misread {
    /// There is no such verb.
    #[error("there is no `{0}`; did you mean `{1}`? `help` lists the verbs")]
    NearVerb(String, &'static str),
    /// There is no such verb, and none like it.
    #[error("there is no `{0}`; `help` lists the verbs")]
    Verb(String),
    /// Another protocol's word.
    #[error("{0}")]
    Hint(&'static str),
    /// Something is missing or wrong after the verb.
    #[error("{problem}; usage: {verb} {usage}")]
    Usage {
        /// What is wrong.
        problem: String,
        /// The verb.
        verb: &'static str,
        /// What may follow it.
        usage: &'static str,
    },
}

/// The longest time that may pass at once.
const TIME_MAX: Duration = Duration::from_secs(600);

/// The words after a verb.
struct Words<'a> {
    verb: &'static verbs::Verb,
    rest: Vec<&'a str>,
    at: usize,
}

impl<'a> Words<'a> {
    fn wrong(&self, problem: impl Into<String>) -> Misread {
        let verbs::Verb { name, usage, .. } = *self.verb;
        let (verb, usage) = if name == "say" {
            ("3", "says WHAT [to WHO]; `help say` has more")
        } else {
            (name, usage)
        };
        Misread::Usage { problem: problem.into(), verb, usage }
    }

    fn peek(&self) -> Option<&'a str> {
        self.rest.get(self.at).copied()
    }

    fn take(&mut self, what: &str) -> Result<&'a str, Misread> {
        let word = self.peek().ok_or_else(|| self.wrong(format!("{what} is missing")))?;
        self.at += 1;
        Ok(word)
    }

    /// Takes this word, if it is next.
    fn eat(&mut self, word: &str) -> bool {
        let is_next = self.peek() == Some(word);
        self.at += usize::from(is_next);
        is_next
    }

    fn number<T: std::str::FromStr>(&mut self, what: &str) -> Result<T, Misread> {
        let word = self.take(what)?;
        let digits = word.trim_start_matches(['#', 'r', 'v']);
        digits.parse().map_err(|_| self.wrong(format!("`{word}` is no {what}")))
    }

    /// Numbers up to the next word that is none: `0 1 2`, `0,1,2`, `r0`.
    fn numbers(&mut self, what: &str) -> Result<Vec<usize>, Misread> {
        let mut all = Vec::new();
        while let Some(word) = self.peek() {
            let parts = word.split(',').filter(|part| !part.is_empty());
            let parsed: Result<Vec<usize>, _> =
                parts.map(|part| part.trim_start_matches(['#', 'r']).parse()).collect();
            let Ok(parsed) = parsed else { break };
            all.extend(parsed);
            self.at += 1;
        }
        if all.is_empty() { Err(self.wrong(format!("{what} is missing"))) } else { Ok(all) }
    }

    fn nodes(&mut self) -> Result<Vec<Node>, Misread> {
        if self.eat("client") {
            return Ok(vec![Node::Client(0)]);
        }
        if self.eat("all") {
            return Ok(Vec::new());
        }
        Ok(self.numbers("a replica's number")?.into_iter().map(Node::Host).collect())
    }

    fn end(&self) -> Result<(), Misread> {
        match self.peek() {
            Some(word) => Err(self.wrong(format!("`{word}` does not belong here"))),
            None => Ok(()),
        }
    }

    fn kind(&mut self) -> Result<Option<Kind>, Misread> {
        let word = self.take("a kind of message")?;
        if word == "all" {
            return Ok(None);
        }
        let kinds = || Kind::ALL.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(", ");
        match Kind::named(word) {
            Some(kind) => Ok(Some(kind)),
            None => {
                Err(self.wrong(format!("`{word}` is no kind of message; there are {}", kinds())))
            }
        }
    }

    fn selector(&mut self) -> Result<Selector, Misread> {
        let mut selector = Selector { kind: self.kind()?, ..Selector::default() };
        loop {
            if self.eat("from") {
                selector.from = self.nodes()?;
            } else if self.eat("to") {
                selector.to = self.nodes()?;
            } else {
                return Ok(selector);
            }
        }
    }

    fn choice(&mut self) -> Result<Choice, Misread> {
        match self.peek() {
            Some(word) if word.starts_with(|c: char| c.is_ascii_digit()) => {
                Ok(Choice::Numbers(self.numbers("a message's number")?))
            }
            _ => Ok(Choice::Fitting(self.selector()?)),
        }
    }

    fn account(&mut self) -> Result<u8, Misread> {
        let name = self.take("an account")?;
        account(name).ok_or_else(|| {
            self.wrong(format!("there is no account `{name}`; there are {}", ACCOUNTS.join(", ")))
        })
    }

    fn time(&mut self) -> Result<Duration, Misread> {
        let word = self.take("a time")?;
        let at = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
        let (number, unit) = word.split_at(at);
        let seconds = match (number.parse::<f64>(), unit) {
            (Ok(number), "ms") => number / 1000.0,
            (Ok(number), "s" | "") => number,
            (Ok(number), "min") => number * 60.0,
            _ => return Err(self.wrong(format!("`{word}` is no time; 250ms, 1s and 2min are"))),
        };
        let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= TIME_MAX);
        time.ok_or_else(|| self.wrong(format!("`{word}` is too long; at most 10min at once")))
    }

    fn path(&mut self) -> Result<PathBuf, Misread> {
        Ok(PathBuf::from(self.take("a file")?))
    }
}

/// Reads a line; `None` if there is nothing on it.
pub fn parse(line: &str) -> Result<Option<Command>, Misread> {
    let line = line.trim();
    if let Some(story) = line.strip_prefix('#') {
        return Ok(Some(Command::Story(story.trim().to_owned())));
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let Some(first) = words.first().copied() else { return Ok(None) };
    let is_said =
        matches!(words.get(1).copied(), Some("says" | "say")) && verbs::named(first).is_none();
    let (name, rest) = if is_said { ("say", words.clone()) } else { (first, words[1..].to_vec()) };
    let Some(verb) = verbs::named(name) else {
        return Err(match (verbs::hint(line), verbs::similar(first)) {
            (Some(hint), _) => Misread::Hint(hint),
            (None, Some(near)) => Misread::NearVerb(first.to_owned(), near),
            (None, None) => Misread::Verb(first.to_owned()),
        });
    };
    let mut words = Words { verb, rest, at: 0 };
    let command = command(&mut words)?;
    words.end()?;
    Ok(Some(command))
}

fn command(words: &mut Words<'_>) -> Result<Command, Misread> {
    let nothing_follows = words.peek().is_none();
    Ok(match words.verb.name {
        "deposit" | "withdraw" | "transfer" | "balance" => Command::Ask(ask(words)?),
        "deliver" if nothing_follows => Command::Deliver(Choice::All),
        "deliver" => Command::Deliver(words.choice()?),
        "round" => Command::Round,
        "drop" => Command::Drop(words.choice()?),
        "withhold" => Command::Withhold(words.selector()?),
        "release" if nothing_follows => Command::Release(None),
        "release" => Command::Release(Some(words.selector()?)),
        "say" => say(words)?,
        "crash" => Command::Crash(words.numbers("a replica's number")?),
        "recover" => Command::Recover(words.numbers("a replica's number")?),
        "time" => Command::Time(words.time()?),
        "run" => Command::Run(words.time()?),
        "timeout" if nothing_follows => Command::Timeout(Vec::new()),
        "timeout" => Command::Timeout(words.numbers("a replica's number")?),
        "checkpoint" => Command::Checkpoint,
        "expect" => Command::Expect(expectation(words)?),
        "status" => Command::Show(Show::Status),
        "list" => Command::Show(Show::List),
        "votes" => Command::Show(Show::Votes),
        "ledger" => Command::Show(Show::Ledger),
        "cases" => Command::Show(Show::Cases),
        "log" if nothing_follows => Command::Log(None),
        "log" => Command::Log(Some(words.path()?)),
        "undo" if nothing_follows => Command::Undo(1),
        "undo" => Command::Undo(words.number("count")?),
        "save" => Command::Save(words.path()?),
        "load" => Command::Load(words.path()?),
        "case" => Command::Case(words.take("a case's name (see `cases`)")?.to_lowercase()),
        "new" => new(words)?,
        "help" => Command::Help(words.take("a verb").ok().map(str::to_owned)),
        _ => Command::Quit,
    })
}

fn new(words: &mut Words<'_>) -> Result<Command, Misread> {
    let is_number = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    let replicas = match words.peek() {
        Some(word) if is_number(word) => words.number("number of replicas")?,
        _ => 4,
    };
    if !(4..=REPLICAS_MAX).contains(&replicas) {
        let most =
            format!("a cluster has 4 to {REPLICAS_MAX} replicas: with fewer it tolerates no fault");
        return Err(words.wrong(most));
    }
    let byzantine = match words.eat("byzantine") {
        true if words.eat("nobody") => Vec::new(),
        true => words.numbers("a replica's number")?,
        false => vec![replicas as usize - 1],
    };
    Ok(Command::New { replicas, byzantine })
}

fn ask(words: &mut Words<'_>) -> Result<Ask, Misread> {
    let verb = words.verb.name;
    let account = words.account()?;
    if verb == "balance" {
        return Ok(Ask::Operation(Operation::Read { account }));
    }
    let other = if verb == "transfer" { Some(words.account()?) } else { None };
    let word = words.take("an amount")?;
    let is_number = word.parse::<i64>().is_ok();
    let amount = word.parse::<u16>().ok().filter(|amount| *amount > 0);
    let Some(amount) = amount else {
        return match is_number && other.is_none() {
            // What a client may sign, it may send: the replicas have to deal with it.
            true if words.rest.join(" ").len() < 40 => {
                Ok(Ask::Nonsense(format!("{verb} {}", words.rest.join(" "))))
            }
            _ => Err(words.wrong(format!("`{word}` is no amount from 1 to 65535"))),
        };
    };
    Ok(Ask::Operation(match (verb, other) {
        ("deposit", _) => Operation::Deposit { account, amount },
        (_, Some(to)) => Operation::Transfer { from: account, to, amount },
        _ => Operation::Withdraw { account, amount },
    }))
}

fn say(words: &mut Words<'_>) -> Result<Command, Misread> {
    let by = words.number("replica's number")?;
    if !words.eat("says") {
        words.eat("say");
    }
    let kind = words.kind()?;
    let what = match kind {
        Some(Kind::PrePrepare) => Utterance::PrePrepare,
        Some(Kind::Prepare) => Utterance::Prepare,
        Some(Kind::Commit) => Utterance::Commit,
        Some(Kind::Checkpoint) => Utterance::Checkpoint,
        Some(Kind::ViewChange) => Utterance::ViewChange { empty: words.eat("empty") },
        Some(Kind::NewView) => Utterance::NewView { twice: words.eat("twice") },
        Some(Kind::Reply) => Utterance::Reply(words.number("amount")?),
        _ => return Err(words.wrong("that cannot be said")),
    };
    let mut speech =
        Speech { what, name: None, view: None, seq: None, request: None, wrong: false };
    let mut to = Vec::new();
    while let Some(word) = words.peek() {
        words.at += 1;
        match word {
            "to" => to = words.nodes()?,
            "as" => speech.name = Some(words.number("replica's number")?),
            "in" => speech.view = Some(words.number("view")?),
            "seq" => speech.seq = Some(words.number("sequence number")?),
            "for" => speech.request = Some(words.number("request's number")?),
            "wrong" => speech.wrong = true,
            _ => return Err(words.wrong(format!("`{word}` does not belong here"))),
        }
    }
    Ok(Command::Say { by, speech, to })
}

fn expectation(words: &mut Words<'_>) -> Result<Expectation, Misread> {
    let not = words.eat("not");
    let what = match words.take("a fact")? {
        "balance" => Fact::Balance(words.account()?, words.number("amount")?),
        "ledger" if words.eat("same") => Fact::SameLedger,
        "executed" => Fact::Executed(words.number("sequence number")?),
        "view" => Fact::View(words.number("view")?),
        "prepared" => Fact::Prepared(words.number("sequence number")?),
        "committed" => Fact::Committed(words.number("sequence number")?),
        "stable" => Fact::Stable(words.number("sequence number")?),
        "up" => Fact::Up,
        "safe" => Fact::Safe,
        "answer" => {
            Fact::Answer(words.number("request's number")?, words.take("an answer")?.to_owned())
        }
        "no" if words.eat("answer") => Fact::NoAnswer(words.number("request's number")?),
        "request" => {
            let request = words.number("request's number")?;
            match words.eat("executed") {
                true => Fact::Times(request, words.number("count")?),
                false => return Err(words.wrong("`executed` is missing")),
            }
        }
        "refused" => {
            let kind = words.kind()?.ok_or_else(|| words.wrong("a kind of message is missing"))?;
            let reason = words.peek().filter(|word| *word != "at").map(str::to_owned);
            words.at += usize::from(reason.is_some());
            Fact::Refused(kind, reason)
        }
        other => return Err(words.wrong(format!("`{other}` is no fact; `help expect` lists them"))),
    };
    let at = if words.eat("at") { words.numbers("a replica's number")? } else { Vec::new() };
    Ok(Expectation { not, what, at })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Command {
        parse(line).expect("a command").expect("not empty")
    }

    #[test]
    fn lines_are_read() {
        let deposit = Operation::Deposit { account: 0, amount: 100 };
        assert_eq!(read("deposit alice 100"), Command::Ask(Ask::Operation(deposit)));
        assert_eq!(read("deliver"), Command::Deliver(Choice::All));
        assert_eq!(read("deliver 3 5"), Command::Deliver(Choice::Numbers(vec![3, 5])));
        let selector = Selector {
            kind: Some(Kind::Prepare),
            from: vec![Node::Host(1), Node::Host(2)],
            to: vec![Node::Host(0)],
        };
        assert_eq!(read("withhold PREPAREs from 1,2 to r0"), Command::Withhold(selector));
        assert_eq!(read("time 1.5s"), Command::Time(Duration::from_millis(1500)));
        assert_eq!(read("help say"), Command::Help(Some("say".to_owned())));
        assert_eq!(read("# why"), Command::Story("why".to_owned()));
        assert_eq!(read("new 7"), Command::New { replicas: 7, byzantine: vec![6] });
        assert_eq!(parse("   "), Ok(None));
        let Command::Say { by: 3, speech, to } = read("3 says commit wrong as 1 in v2 to 0 1")
        else {
            panic!("a speech")
        };
        assert_eq!((speech.name, speech.view, speech.wrong), (Some(1), Some(2), true));
        assert_eq!(to, [Node::Host(0), Node::Host(1)]);
        let expected = Expectation { not: true, what: Fact::Prepared(2), at: vec![0, 1] };
        assert_eq!(read("expect not prepared #2 at 0 1"), Command::Expect(expected));
        assert_eq!(
            read("deposit alice -500"),
            Command::Ask(Ask::Nonsense("deposit alice -500".into()))
        );
    }

    #[test]
    fn lines_that_are_none_are_refused_with_advice() {
        let advice = |line: &str| parse(line).expect_err(line).to_string();
        assert!(advice("delivr").contains("did you mean `deliver`"));
        assert!(advice("prepare no").contains("does not vote no"));
        assert!(advice("deposit alice").contains("an amount is missing; usage: deposit ACCOUNT"));
        assert!(advice("deposit zoe 5").contains("there are alice, bob"));
        assert!(advice("transfer alice bob -3").contains("no amount"));
        assert!(advice("crash").contains("a replica's number is missing"));
        assert!(advice("crash 1 now").contains("`now` does not belong here"));
        assert!(advice("time soon").contains("250ms"));
        assert!(advice("time 9999999999999999999999s").contains("too long"));
        assert!(advice("new 3").contains("4 to"));
        assert!(advice("3 says hello").contains("no kind of message"));
        assert!(advice("undo -1").contains("no count"));
        for line in [
            "say",
            "3 says",
            "expect",
            "expect not",
            "case",
            "save",
            "deliver all from",
            "3 says reply",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
