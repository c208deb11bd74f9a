//! The verbs, with what `help` says about them.

/// A verb.
#[derive(Clone, Copy, Debug)]
pub struct Verb {
    /// The word.
    pub name: &'static str,
    /// What may follow it.
    pub usage: &'static str,
    /// What it does, in a line.
    pub line: &'static str,
    /// What else there is to say.
    pub more: &'static str,
}

const fn verb(
    name: &'static str,
    usage: &'static str,
    line: &'static str,
    more: &'static str,
) -> Verb {
    Verb { name, usage, line, more }
}

/// All verbs, in the order of `help`.
pub const VERBS: &[Verb] = &[
    verb(
        "deposit",
        "ACCOUNT AMOUNT",
        "the client asks to add to an account",
        "The request goes to the primary that the client knows. `deliver` lets it arrive.\nExample: deposit alice 100",
    ),
    verb(
        "withdraw",
        "ACCOUNT AMOUNT",
        "the client asks to take from an account",
        "A withdrawal of more than there is, is ordered like any other request; when it is executed, every replica refuses \
         it in the same way, and the client is answered `overdraft`.\nExample: withdraw alice 20",
    ),
    verb(
        "transfer",
        "FROM TO AMOUNT",
        "the client asks to move money",
        "Example: transfer alice bob 30",
    ),
    verb(
        "balance",
        "ACCOUNT",
        "the client asks for a balance, through the protocol",
        "`ledger` looks at the replicas' accounts without asking anybody.\nExample: balance alice",
    ),
    verb(
        "deliver",
        "[NUMBER… | KIND|all [from WHO] [to WHO]]",
        "messages arrive",
        "Without a word: everything that is under way and not held, and what follows from it, until nothing is left. With \
         numbers (see `list`) or a kind: those messages and nothing else, also if they are held.\nExamples: deliver 3    \
         deliver prepare from 1 to 2    deliver all to 0",
    ),
    verb(
        "round",
        "",
        "what is under way now arrives; what follows stays under way",
        "One phase of the protocol after the other, if everything is delivered.",
    ),
    verb(
        "drop",
        "NUMBER… | KIND|all [from WHO] [to WHO]",
        "messages are lost",
        "Example: drop commit from 0 to 1 2",
    ),
    verb(
        "withhold",
        "KIND|all [from WHO] [to WHO]",
        "messages are held from now on, until `release`",
        "That is how a replica refuses to vote: PBFT has no vote against, a replica withholds its vote.\nExamples: withhold \
         prepare from 1 2    withhold all from 0",
    ),
    verb(
        "release",
        "[KIND|all [from WHO] [to WHO]]",
        "what was held is under way again",
        "Without a word: everything.",
    ),
    verb(
        "say",
        "",
        "a Byzantine replica says something: `3 says WHAT [to WHO]`",
        "WHAT is one of\n  pre-prepare for N       a proposal of the client's request N\n  prepare, commit         a vote, `for N` or for the latest proposal\n  checkpoint              with a digest of nothing\n  view-change [empty]     \
         `empty` hides what has prepared\n  new-view [twice]        `twice` counts its own VIEW-CHANGE twice\n  reply AMOUNT for N      \
         an answer to the client\nand may be followed by `wrong` (a digest of nothing), `as N` (in another's name; the signature is its \
         own), `in V` (a view) and `seq N`. Without `to` it is said to all.\nExamples: 3 says prepare to 0    3 says \
         commit wrong to 1 2    0 says pre-prepare for 2 to 3",
    ),
    verb("crash", "WHO", "processes end; their disks stay", "Example: crash 0"),
    verb("recover", "WHO", "processes start again from their disks", "Example: recover 0"),
    verb(
        "time",
        "TIME",
        "time passes and nothing arrives; timers run out",
        "The client sends its request to all after 250 ms. A backup that knows of a request waits 400 ms for its \
         execution, then twice as long with each view. Every 150 ms a replica says what it has.\nExamples: time 250ms    time 1s",
    ),
    verb(
        "run",
        "TIME",
        "time passes and everything that is not held arrives at once",
        "Example: run 2s",
    ),
    verb(
        "timeout",
        "[WHO]",
        "view-change timers that run, run out now",
        "A timer runs at a backup that waits for a request, and at a replica that waits for a view to begin.\nExample: \
         timeout 1 2",
    ),
    verb(
        "checkpoint",
        "",
        "orders reads until the next checkpoint, every 4 batches, is due",
        "A checkpoint is stable when a quorum has signed the same digest of the state. `log` prints what is in it.",
    ),
    verb(
        "expect",
        "[not] FACT [at WHO]",
        "says what must be so now; if it is not, the exit status is 1",
        "FACT is one of\n  balance ACCOUNT AMOUNT    ledger same          executed N\n  view N                    prepared N           \
         committed N\n  stable N                  up                   safe\n  answer N RESULT           no answer N\n  request N executed T      \
         refused KIND [REASON]\nWithout `at`: all correct replicas that run.\nExample: expect balance alice 100 at 0 1 2",
    ),
    verb("status", "", "where each replica stands", ""),
    verb("list", "", "the messages under way, with their numbers", ""),
    verb("votes", "", "votes and certificates, slot by slot", ""),
    verb("ledger", "", "the accounts, replica by replica", ""),
    verb(
        "log",
        "[FILE]",
        "a readable dump of the last checkpoint and of all replicas",
        "Example: log checkpoint.log",
    ),
    verb("undo", "[COUNT]", "takes the last commands back", ""),
    verb(
        "save",
        "DIRECTORY | FILE.lab | FILE.svg",
        "keeps the session",
        "A directory gets the commands (session.lab), what the correct replicas did (r0.jsonl and so on, for `cargo conform \
         validate`) and a picture (session.svg). A file gets the commands or the picture alone.",
    ),
    verb("load", "DIRECTORY | FILE", "plays a saved session again", ""),
    verb("case", "NAME", "runs a case", "Example: case s3.1"),
    verb("cases", "", "the cases by name", ""),
    verb(
        "new",
        "[REPLICAS] [byzantine WHO]",
        "begins anew",
        "Four replicas of which 3 is Byzantine, unless said.\nExamples: new    new 7 byzantine 5 6    new 4 byzantine 0",
    ),
    verb("help", "[VERB]", "this, or more about a verb", ""),
    verb("quit", "", "ends the lab", ""),
];

/// The verb with this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Verb> {
    VERBS.iter().find(|verb| verb.name == name)
}

/// The verb that was probably meant: one that begins like it, or differs in a letter or two.
#[must_use]
pub fn similar(word: &str) -> Option<&'static str> {
    let begins = VERBS.iter().find(|verb| word.len() > 1 && verb.name.starts_with(word));
    let close = || VERBS.iter().min_by_key(|verb| distance(word, verb.name));
    let close = || close().filter(|verb| distance(word, verb.name) <= 2 && word.len() > 2);
    begins.or_else(close).map(|verb| verb.name)
}

/// How many letters differ (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut before = row[0];
        row[0] = at + 1;
        for (column, wanted) in other.iter().enumerate() {
            let change = before + usize::from(*wanted != letter);
            before = row[column + 1];
            row[column + 1] = change.min(before + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

/// What is said of words of other protocols.
#[must_use]
pub fn hint(line: &str) -> Option<&'static str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let says_no = words.iter().any(|word| ["no", "abort", "reject", "against"].contains(word));
    match *words.first()? {
        "prepare" | "commit" | "ack" | "vote" | "abort" if says_no || words[0] == "abort" => Some(
            "in PBFT a replica does not vote no: it withholds its vote (`withhold prepare from 1`), and an overdraft is \
             refused when it is executed, at all replicas in the same way",
        ),
        "prepare" | "commit" | "ack" | "vote" => Some(
            "correct replicas vote by themselves as soon as they may: `deliver` lets their votes arrive, `withhold` holds \
             them, and `3 says prepare to 0` puts a vote into the Byzantine replica's mouth",
        ),
        "progress" => Some("`round` lets one phase arrive, `deliver` everything"),
        "tx" => Some("`deposit alice 100`, `withdraw alice 20` or `transfer alice bob 5`"),
        "view" => Some("a view changes when backups wait too long: `timeout`, then `deliver`"),
        "exit" => Some("`quit` ends the lab"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_verb_is_recognised_and_nonsense_is_not() {
        assert_eq!(similar("delivr"), Some("deliver"));
        assert_eq!(similar("dep"), Some("deposit"));
        assert_eq!(similar("withold"), Some("withhold"));
        assert_eq!(similar("xyzzy"), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn a_vote_against_is_explained() {
        assert!(hint("prepare no").is_some_and(|hint| hint.contains("withholds its vote")));
        assert!(hint("prepare to 1 no").is_some_and(|hint| hint.contains("withholds its vote")));
        assert!(hint("ack commit").is_some_and(|hint| hint.contains("by themselves")));
        assert_eq!(hint("deposit alice 1"), None);
    }
}
