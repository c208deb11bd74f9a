//! Reads trace files: group by group, so that memory does not depend on their length, and trusting nothing.

use super::facts::only_executes;
use pbft_core::membership::REPLICAS_MAX;
use pbft_core::params::WINDOW_MAX;
use pbft_node::trace::format::{Header, Output, Resumed, Step};
use pbft_node::trace::{FORMAT, LINE_BYTES_MAX, Line};
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The most steps of a group. The node's groups are a hundred times smaller.
const GROUP_STEPS_MAX: usize = 1 << 16;

/// A file that is no recording, or one that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path}:{line}: {problem}; record the run again, or leave this file out", path = path.display())]
pub struct Refused {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1; 0 for the file as a whole.
    pub line: u64,
    /// What is wrong.
    pub problem: String,
}

/// A step with the line that it stands on.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The line, from 1.
    pub line: u64,
    /// The step.
    pub step: Box<Step>,
}

/// What a file has next.
#[derive(Debug)]
pub enum Part {
    /// The replica starts from this state.
    Start(u64, Box<Header>),
    /// Steps that became durable together.
    Group(Vec<Placed>),
    /// Steps are missing.
    Gap(u64, u64),
    /// The file ends; whether the replica stopped in order.
    End {
        /// Whether an end is written down.
        marked: bool,
    },
}

/// One file, read from its beginning.
#[derive(Debug)]
pub struct Recording<R = BufReader<File>> {
    path: PathBuf,
    input: R,
    line: u64,
    /// The line that was read and not yet used.
    ahead: Option<(u64, Line)>,
    /// What the first header says of the cluster and the replica.
    identity: Option<Header>,
    /// The last step since the header.
    steps: u64,
    group: u64,
    marked: bool,
    ended: bool,
}

impl Recording {
    /// Opens a file.
    pub fn open(path: &Path) -> Result<Self, Refused> {
        let refused = |error: std::io::Error| Refused {
            path: path.to_owned(),
            line: 0,
            problem: error.to_string(),
        };
        let file = File::open(path).map_err(refused)?;
        match file.metadata().map_err(refused)?.is_file() {
            true => Ok(Self::new(path.to_owned(), BufReader::with_capacity(1 << 18, file))),
            false => Err(refused(std::io::Error::other("not a regular file"))),
        }
    }
}

impl<R: BufRead> Recording<R> {
    /// Reads `input`, which messages call `path`.
    pub fn new(path: PathBuf, input: R) -> Self {
        Self {
            path,
            input,
            line: 0,
            ahead: None,
            identity: None,
            steps: 0,
            group: 0,
            marked: false,
            ended: false,
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn refuse(&self, line: u64, problem: impl Into<String>) -> Refused {
        Refused { path: self.path.clone(), line, problem: problem.into() }
    }

    /// The next line; `None` at the end. A line that is cut off is passed over where a crash or a full disk can have cut
    /// it: at the end, before a start, and before a gap.
    fn next_line(&mut self) -> Result<Option<(u64, Line)>, Refused> {
        if let Some(ahead) = self.ahead.take() {
            return Ok(Some(ahead));
        }
        let mut torn: Option<(u64, String)> = None;
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let mut limited = (&mut self.input).take(LINE_BYTES_MAX as u64 + 1);
            let read = limited.read_until(b'\n', &mut bytes);
            read.map_err(|error| self.refuse(self.line + 1, error.to_string()))?;
            if bytes.is_empty() {
                return Ok(None);
            }
            self.line += 1;
            if bytes.len() > LINE_BYTES_MAX {
                return Err(
                    self.refuse(self.line, format!("a line of more than {LINE_BYTES_MAX} bytes"))
                );
            }
            let last = bytes.last() != Some(&b'\n');
            match (serde_json::from_slice::<Line>(&bytes), torn) {
                (Ok(line), None) if !last => return Ok(Some((self.line, line))),
                (Ok(line @ (Line::Header(_) | Line::Gap { .. })), Some(_)) if !last => {
                    return Ok(Some((self.line, line)));
                }
                (Ok(_) | Err(_), Some((at, problem))) => return Err(self.refuse(at, problem)),
                (Ok(_), None) => torn = Some((self.line, "a line without an end".to_owned())),
                (Err(error), None) => torn = Some((self.line, error.to_string())),
            }
        }
    }

    /// What comes next. After the end there is only the end.
    pub fn next_part(&mut self) -> Result<Part, Refused> {
        let line = if self.ended { None } else { self.next_line()? };
        let Some((at, line)) = line else {
            self.ended = true;
            return match self.identity {
                Some(_) => Ok(Part::End { marked: self.marked }),
                None => Err(self.refuse(0, "nothing is recorded in it")),
            };
        };
        if self.identity.is_none() && !matches!(line, Line::Header(_)) {
            return Err(self.refuse(at, "a recording begins with a header"));
        }
        match line {
            Line::Header(header) => self.start(at, header),
            Line::Gap { steps } => Ok(Part::Gap(at, steps)),
            Line::End { steps } if steps == self.steps && !self.marked => {
                self.marked = true;
                self.next_part()
            }
            Line::End { steps } => {
                let problem = format!("the end speaks of {steps} steps, {} are here", self.steps);
                Err(self.refuse(at, problem))
            }
            Line::Step(step) => self.group(Placed { line: at, step }),
        }
    }

    fn start(&mut self, at: u64, header: Box<Header>) -> Result<Part, Refused> {
        if header.format != FORMAT {
            let problem = format!("format {}; this program reads {FORMAT}", header.format);
            return Err(self.refuse(at, problem));
        }
        if !(4..=REPLICAS_MAX).contains(&header.replicas) || header.replica >= header.replicas {
            let problem = format!("replica {} of {}", header.replica, header.replicas);
            return Err(self.refuse(at, problem));
        }
        if header.interval == 0 || header.window == 0 || header.window > WINDOW_MAX {
            let problem = format!("K = {} with L = {}", header.interval, header.window);
            return Err(self.refuse(at, problem));
        }
        let identity = self
            .identity
            .get_or_insert_with(|| Header { state: Resumed::default(), ..(*header).clone() });
        let same = (identity.cluster, identity.replicas, identity.replica, identity.interval)
            == (header.cluster, header.replicas, header.replica, header.interval)
            && (identity.window, identity.null) == (header.window, header.null);
        if !same {
            return Err(
                self.refuse(at, "the header names another replica or cluster than the first")
            );
        }
        (self.steps, self.group, self.marked) = (0, 0, false);
        Ok(Part::Start(at, header))
    }

    /// The steps of one group. The last group before a start is left out if the state there knows nothing of it: the
    /// replica was killed before it was durable. A group that only executes need not be durable, and has happened.
    fn group(&mut self, first: Placed) -> Result<Part, Refused> {
        let number = first.step.group;
        self.count(&first)?;
        let mut group = vec![first];
        loop {
            match self.next_line()? {
                Some((line, Line::Step(step))) if step.group == number => {
                    let placed = Placed { line, step };
                    self.count(&placed)?;
                    group.push(placed);
                    if group.len() > GROUP_STEPS_MAX {
                        let problem = format!("a group of more than {GROUP_STEPS_MAX} steps");
                        return Err(self.refuse(line, problem));
                    }
                }
                Some((line, Line::Header(header))) => {
                    if !has_happened(&group, &header) {
                        group.clear();
                    }
                    self.ahead = Some((line, Line::Header(header)));
                    return Ok(Part::Group(group));
                }
                other => {
                    self.ahead = other;
                    return Ok(Part::Group(group));
                }
            }
        }
    }

    fn count(&mut self, placed: &Placed) -> Result<(), Refused> {
        let (number, group) = (placed.step.number, placed.step.group);
        if self.marked {
            return Err(self.refuse(placed.line, "a step after the end"));
        }
        if number != self.steps + 1 {
            let problem = format!("step {number} follows step {}", self.steps);
            return Err(self.refuse(placed.line, problem));
        }
        if group < self.group {
            return Err(self.refuse(placed.line, format!("group {group} follows {}", self.group)));
        }
        (self.steps, self.group) = (number, group);
        Ok(())
    }
}

/// Whether what a group wrote down is part of the state that the replica restarted from. A group is durable as a whole
/// or not at all. VIEW-CHANGEs of others, which are handed on, are written down by nobody.
fn has_happened(group: &[Placed], header: &Header) -> bool {
    let (own, state) = (header.replica, &header.state);
    let outputs = group.iter().flat_map(|placed| &placed.step.out);
    let in_view = |view: u64| state.view > view || (state.view == view && state.active);
    let executed = |placed: &Placed| match placed.step.input {
        pbft_node::trace::format::Input::Executed { seq }
        | pbft_node::trace::format::Input::Installed { seq } => seq <= state.executed,
        _ => true,
    };
    use pbft_node::trace::format::Body;
    let mut written = outputs.map(|output| match output {
        Output::All(Body::PrePrepare(proposal)) => {
            accepted(state, proposal.view, proposal.seq, proposal.digest)
        }
        Output::All(Body::Prepare(vote)) => accepted(state, vote.view, vote.seq, vote.digest),
        Output::All(Body::Checkpoint(vote)) => vote.seq <= state.executed,
        Output::All(Body::ViewChange(change)) => change.replica != own || change.view <= state.view,
        Output::All(Body::NewView(new_view)) => in_view(new_view.view),
        Output::Enter { view } => in_view(*view),
        Output::Stable(proof) => proof.seq <= state.low,
        Output::Prepared(proof) => {
            let later = |one: &&(u64, u64, _)| one.0 == proof.seq && one.1 >= proof.view;
            proof.seq <= state.low || state.prepared.iter().any(|one| later(&one))
        }
        Output::All(_) | Output::To(..) | Output::Execute { .. } => true,
        Output::Install { .. } | Output::Halt(_) => true,
    });
    let put_off = group.iter().all(|placed| only_executes(&placed.step));
    put_off || (group.iter().all(executed) && written.all(|is_there| is_there))
}

fn accepted(state: &Resumed, view: u64, seq: u64, digest: pbft_node::trace::ShortDigest) -> bool {
    state.view > view
        || seq <= state.low
        || (state.view == view && (!state.active || state.accepted.contains(&(seq, digest))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_node::trace::ShortDigest;
    use pbft_node::trace::format::{Body, Input, ViewChange};

    fn says(view_changes: &[(u32, u64)]) -> Placed {
        let body = |(replica, view)| {
            let (low, stable, prepared) = (0, None, Vec::new());
            Output::All(Body::ViewChange(ViewChange { view, replica, low, stable, prepared }))
        };
        let out = view_changes.iter().copied().map(body).collect();
        let input = Input::StatusTimer;
        Placed { line: 2, step: Box::new(Step { number: 1, group: 1, input, refused: None, out }) }
    }

    #[test]
    fn a_group_happened_if_the_state_has_what_the_replica_itself_wrote() {
        let digest = ShortDigest(7);
        let header = Header {
            format: FORMAT,
            program: String::new(),
            cluster: digest,
            replicas: 4,
            replica: 1,
            interval: 2,
            window: 4,
            null: digest,
            state: Resumed { view: 1, ..Resumed::default() },
        };
        assert!(has_happened(&[says(&[(1, 1)])], &header));
        assert!(!has_happened(&[says(&[(1, 2)])], &header), "its own of a later view is lost");
        assert!(has_happened(&[says(&[(0, 2), (1, 1)])], &header), "another one's is handed on");
    }
}
