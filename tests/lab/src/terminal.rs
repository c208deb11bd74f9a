//! The line editor: history, and completion with the tab key.

use super::cases::cases;
use super::verbs::{VERBS, named};
use super::words::{ACCOUNTS, Kind};
use rustyline::completion::{Completer, Pair};
use rustyline::config::Config;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Context, Editor, Helper};

/// Reads lines from a terminal.
pub(super) struct Terminal {
    editor: Editor<Words, MemHistory>,
}

impl Terminal {
    pub(super) fn new() -> Result<Self, ReadlineError> {
        let config = Config::builder().completion_type(CompletionType::List).build();
        let mut editor = Editor::with_history(config.clone(), MemHistory::with_config(&config))?;
        editor.set_helper(Some(Words));
        Ok(Self { editor })
    }

    /// The next line; `None` at the end (^D). ^C empties the line.
    pub(super) fn line(&mut self) -> Result<Option<String>, ReadlineError> {
        loop {
            match self.editor.readline("lab> ") {
                Ok(line) => {
                    self.editor.add_history_entry(line.as_str())?;
                    return Ok(Some(line));
                }
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Knows which words may follow.
struct Words;

impl Helper for Words {}
impl Highlighter for Words {}
impl Validator for Words {}
impl Hinter for Words {
    type Hint = String;
}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> Result<(usize, Vec<Pair>), ReadlineError> {
        let before = &line[..at];
        let start = before.rfind(' ').map_or(0, |space| space + 1);
        let fitting = candidates(&before[..start])
            .into_iter()
            .filter(|word| word.starts_with(&before[start..]));
        let pair = |word: String| Pair { replacement: format!("{word} "), display: word };
        Ok((start, fitting.map(pair).collect()))
    }
}

/// The words that may follow those before.
fn candidates(before: &str) -> Vec<String> {
    let words: Vec<&str> = before.split_whitespace().collect();
    let own = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let kinds = || Kind::ALL.iter().map(|kind| kind.word().to_owned()).collect::<Vec<_>>();
    let accounts = || own(&ACCOUNTS);
    match (words.as_slice(), words.len()) {
        ([], _) => VERBS
            .iter()
            .filter(|verb| verb.name != "say")
            .map(|verb| verb.name.to_owned())
            .collect(),
        ([.., "for"], _) | ([_, "says", "reply"], _) => Vec::new(),
        ([_, "says"], _) => own(&[
            "pre-prepare",
            "prepare",
            "commit",
            "checkpoint",
            "view-change",
            "new-view",
            "reply",
        ]),
        ([_, "says", "view-change"], _) => own(&["empty", "in", "to"]),
        ([_, "says", "new-view"], _) => own(&["twice", "in", "to", "as"]),
        ([_, "says", ..], _) => own(&["for", "to", "wrong", "as", "in", "seq"]),
        (["deposit" | "withdraw" | "balance"], 1) => accounts(),
        (["transfer", ..], 1 | 2) => accounts(),
        (["deliver" | "drop" | "withhold" | "release"], 1) => {
            let mut all = kinds();
            all.push("all".to_owned());
            all
        }
        (["deliver" | "drop" | "withhold" | "release", ..], _) => own(&["from", "to"]),
        (["expect"], _) | (["expect", "not"], _) => own(&[
            "not",
            "balance",
            "ledger",
            "executed",
            "view",
            "prepared",
            "committed",
            "stable",
            "up",
            "safe",
            "answer",
            "no",
            "request",
            "refused",
        ]),
        (["expect", "balance"], _) => accounts(),
        (["expect", "ledger"], _) => own(&["same"]),
        (["expect", "refused"], _) => kinds(),
        (["expect", ..], _) => own(&["at", "executed"]),
        (["case"], _) => cases().iter().map(|case| case.id.to_lowercase()).collect(),
        (["new", ..], 1 | 2) => own(&["byzantine"]),
        (["help"], _) => VERBS.iter().map(|verb| verb.name.to_owned()).collect(),
        ([number], _) if number.parse::<usize>().is_ok() => own(&["says"]),
        ([verb, ..], _) if named(verb).is_some() => Vec::new(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(line: &str) -> Vec<String> {
        let history = MemHistory::new();
        let (_, pairs) = Words.complete(line, line.len(), &Context::new(&history)).expect("words");
        pairs.into_iter().map(|pair| pair.replacement).collect()
    }

    #[test]
    fn the_words_that_may_follow_are_offered() {
        assert_eq!(completed("dep"), ["deposit "]);
        assert_eq!(completed("deposit al"), ["alice "]);
        assert_eq!(completed("transfer alice b"), ["bob "]);
        assert_eq!(completed("withhold pre"), ["pre-prepare ", "prepare "]);
        assert_eq!(completed("withhold prepare f"), ["from "]);
        assert_eq!(completed("3 s"), ["says "]);
        assert_eq!(completed("3 says new"), ["new-view "]);
        assert!(completed("case s3.1").contains(&"s3.1 ".to_owned()));
        assert!(completed("xyzzy ").is_empty());
    }
}
