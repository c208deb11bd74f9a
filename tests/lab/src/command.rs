//! What can be typed.

use super::letter::Selector;
use super::speech::Speech;
use super::words::Ask;
use core::time::Duration;
use pbft_sim::event::Node;
use std::path::PathBuf;

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Begins anew, with so many replicas of which these are Byzantine.
    New {
        /// The number of replicas, n.
        replicas: u32,
        /// Those that may say anything.
        byzantine: Vec<usize>,
    },
    /// The client asks for something.
    Ask(Ask),
    /// Messages arrive.
    Deliver(Choice),
    /// What is under way now arrives, and what follows from it stays under way.
    Round,
    /// Messages are lost.
    Drop(Choice),
    /// Messages are held from now on.
    Withhold(Selector),
    /// They are not held any longer.
    Release(Option<Selector>),
    /// A Byzantine replica says something.
    Say {
        /// Who.
        by: usize,
        /// What.
        speech: Speech,
        /// To whom; nobody stands for everybody.
        to: Vec<Node>,
    },
    /// Processes end.
    Crash(Vec<usize>),
    /// Processes start again from their disks.
    Recover(Vec<usize>),
    /// Time passes, and nothing arrives.
    Time(Duration),
    /// Time passes, and everything arrives.
    Run(Duration),
    /// View-change timers run out, at these replicas or at all where one runs.
    Timeout(Vec<usize>),
    /// Orders reads until the next checkpoint is due.
    Checkpoint,
    /// States what must be so now.
    Expect(Expectation),
    /// Shows something.
    Show(Show),
    /// Runs a case by its name.
    Case(String),
    /// Writes a readable dump of the last stable checkpoint and of all replicas; without a file to the terminal.
    Log(Option<PathBuf>),
    /// Saves the session.
    Save(PathBuf),
    /// Loads a session.
    Load(PathBuf),
    /// Takes the last commands back.
    Undo(usize),
    /// Says what can be typed.
    Help(Option<String>),
    /// Ends the lab.
    Quit,
    /// A line for the reader.
    Story(String),
}

/// Which messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// All, and what follows from them.
    All,
    /// Those with these numbers.
    Numbers(Vec<usize>),
    /// Those that are under way and fit.
    Fitting(Selector),
}

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// Where each replica stands.
    Status,
    /// What is under way.
    List,
    /// Votes and certificates, slot by slot.
    Votes,
    /// The accounts, replica by replica.
    Ledger,
    /// The cases.
    Cases,
}

/// What must be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// Whether it must not be so.
    pub not: bool,
    /// What.
    pub what: Fact,
    /// At these replicas; nobody stands for all correct ones that run.
    pub at: Vec<usize>,
}

/// Something that can be so at a replica or with the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The account holds so much.
    Balance(u8, u64),
    /// All correct replicas that run hold the same accounts.
    SameLedger,
    /// The last batch executed has this number.
    Executed(u64),
    /// The replica takes part in this view.
    View(u64),
    /// The batch with this number has prepared in the replica's view or before.
    Prepared(u64),
    /// The batch with this number is committed.
    Committed(u64),
    /// The checkpoint with this number is stable.
    Stable(u64),
    /// The replica's process runs.
    Up,
    /// The request with this number was executed so many times.
    Times(usize, usize),
    /// The client accepted this answer to the request.
    Answer(usize, String),
    /// The client has accepted no answer to the request.
    NoAnswer(usize),
    /// A message of this kind was refused in the last step, for this reason.
    Refused(super::words::Kind, Option<String>),
    /// No rule was broken: no fork, nothing executed twice, nothing lost.
    Safe,
}
