//! Merges the logs of a cluster along causality.
//!
//! A work list, no sorting: each log goes on until a step has heard something that its sender's log has not come to yet,
//! and is woken when it does. Every step is looked at once, and woken at most once for each statement that it waits
//! for.

use super::cluster::Cluster;
use super::recording::{Part, Placed, Recording, Refused};
use super::refusal::Refusal;
use super::report::{Divergence, Validation, Validity};
use super::theorem::{Theorem, TheoremError};
use crate::refinement::kind::ActionKind;
use crate::statement::Statement;
use pbft_node::trace::format::{Header, Resumed};
use pbft_proof::theory::Theory;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io::BufRead;
use std::time::Instant;
use thiserror::Error;

/// Steps of one log before the next has its turn, so that none runs far ahead.
const TURN: usize = 64;

/// The steps of a replica that a divergence shows.
const HISTORY: usize = 10;

/// How to validate.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Replicas that may have said anything; their files are left out.
    pub byzantine: BTreeSet<u32>,
    /// Whether a log may end without saying so: its replica was killed, or still runs.
    pub truncated_ok: bool,
}

/// Why there is nothing to validate.
#[derive(Debug, Error)]
pub enum ValidateError {
    /// A file is refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The arguments do not fit the cluster.
    #[error("{0}")]
    Usage(String),
    /// There is no theorem to evaluate.
    #[error(transparent)]
    Theorem(#[from] TheoremError),
}

/// One log under way.
struct Log<R> {
    recording: Recording<R>,
    id: u32,
    waiting: VecDeque<Placed>,
    /// The last steps taken.
    history: VecDeque<Placed>,
    /// Whether it has been read to its end.
    ended: bool,
    /// Whether its end is written down.
    marked: bool,
    /// What its first start says.
    started: bool,
    /// Why it was given up: nothing can be said of the rest.
    given_up: Option<String>,
}

/// What became of a turn.
enum Turn {
    /// There may be more.
    Again,
    /// It waits for something to be said.
    Blocked(Statement),
    /// Nothing is left.
    Over,
}

/// Decides whether the recorded run is one that the model allows.
pub fn validate<R: BufRead>(
    recordings: Vec<Recording<R>>,
    options: &Options,
) -> Result<Validation, ValidateError> {
    let theory = Theory::pbft().map_err(TheoremError::from)?;
    validate_against(recordings, options, theory)
}

/// The same with another theory: for tests that a conjunct that does not hold is found.
pub fn validate_against<R: BufRead>(
    recordings: Vec<Recording<R>>,
    options: &Options,
    theory: Theory,
) -> Result<Validation, ValidateError> {
    let begun = Instant::now();
    let (logs, header) = open(recordings, options)?;
    let ids: Vec<u32> = logs.keys().copied().collect();
    let cluster = Cluster::new(&header, ids.iter().copied());
    let mut merge = Merge {
        theorem: Theorem::new(theory, &header, &cluster)?,
        cluster,
        ready: ids.iter().copied().collect(),
        logs,
        blocked: HashMap::new(),
        steps: 0,
        remembered: 0,
    };
    let outcome = merge.run();
    let divergence = match outcome {
        Ok(()) => None,
        Err(Stop::Refused(refused)) => return Err(refused.into()),
        Err(Stop::Divergence(divergence)) => Some(*divergence),
    };
    Ok(merge.validation(&header, options, divergence, begun.elapsed().as_secs_f64()))
}

/// Reads the first header of each file, and puts away the files of Byzantine replicas.
fn open<R: BufRead>(
    recordings: Vec<Recording<R>>,
    options: &Options,
) -> Result<(BTreeMap<u32, Log<R>>, Header), ValidateError> {
    let mut logs: BTreeMap<u32, Log<R>> = BTreeMap::new();
    let mut cluster: Option<Header> = None;
    for mut recording in recordings {
        let refuse = |recording: &Recording<R>, problem: String| Refused {
            path: recording.path().to_owned(),
            line: 1,
            problem,
        };
        let Part::Start(_, header) = recording.next_part()? else {
            return Err(refuse(&recording, "it does not begin with a header".to_owned()).into());
        };
        let known = cluster.get_or_insert_with(|| (*header).clone());
        if (known.cluster, known.replicas, known.interval, known.window, known.null)
            != (header.cluster, header.replicas, header.interval, header.window, header.null)
        {
            return Err(refuse(&recording, "it is of another cluster".to_owned()).into());
        }
        let id = header.replica;
        if options.byzantine.contains(&id) {
            continue;
        }
        let mut log = Log {
            recording,
            id,
            waiting: VecDeque::new(),
            history: VecDeque::new(),
            ended: false,
            marked: false,
            started: false,
            given_up: None,
        };
        log.start(&header);
        if let Some(other) = logs.get(&id) {
            let other = other.recording.path().display();
            let problem = format!("{other} is of replica {id}, too; append one to the other");
            return Err(refuse(&log.recording, problem).into());
        }
        logs.insert(id, log);
    }
    let Some(header) = cluster else {
        return Err(ValidateError::Usage("no file; name those of a cluster's replicas".to_owned()));
    };
    let faulty = usize::from(pbft_model::Quorums::of(header.replicas as u8).faulty);
    if let Some(stranger) = options.byzantine.iter().find(|id| **id >= header.replicas) {
        let last = header.replicas - 1;
        let problem = format!("--byzantine {stranger}: the replicas are 0 to {last}");
        return Err(ValidateError::Usage(problem));
    }
    if options.byzantine.len() > faulty {
        let (named, n) = (options.byzantine.len(), header.replicas);
        let problem = format!(
            "--byzantine names {named} replicas; of {n} at most {faulty} may be, or the protocol claims nothing"
        );
        return Err(ValidateError::Usage(problem));
    }
    Ok((logs, header))
}

impl<R> Log<R> {
    fn start(&mut self, header: &Header) {
        let first = !std::mem::replace(&mut self.started, true);
        let genesis = header.state == Resumed { active: true, ..Resumed::default() };
        if first && !genesis {
            self.given_up =
                Some("begins in the middle: what was said before is not known".to_owned());
        }
    }
}

enum Stop {
    Refused(Refused),
    Divergence(Box<Divergence>),
}

impl From<Divergence> for Stop {
    fn from(divergence: Divergence) -> Self {
        Self::Divergence(Box::new(divergence))
    }
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

struct Merge<R> {
    cluster: Cluster,
    theorem: Theorem,
    logs: BTreeMap<u32, Log<R>>,
    ready: VecDeque<u32>,
    blocked: HashMap<Statement, Vec<u32>>,
    steps: u64,
    /// The most statements remembered at a time.
    remembered: usize,
}

impl<R: BufRead> Merge<R> {
    fn run(&mut self) -> Result<(), Stop> {
        while let Some(id) = self.ready.pop_front() {
            match self.turn(id)? {
                Turn::Again => self.ready.push_back(id),
                Turn::Blocked(place) => self.blocked.entry(place).or_default().push(id),
                Turn::Over => self.cluster.finish(id),
            }
            self.remembered = self.remembered.max(self.cluster.remembered());
        }
        let given_up = self.logs.values().any(|log| log.given_up.is_some());
        let waiting =
            self.logs.values().find(|log| log.given_up.is_none() && !log.waiting.is_empty());
        match waiting {
            Some(log) if !given_up => Err(self.stuck(log).into()),
            Some(_) | None => Ok(()),
        }
    }

    fn turn(&mut self, id: u32) -> Result<Turn, Stop> {
        for _ in 0..TURN {
            let Some(log) = self.logs.get_mut(&id) else { return Ok(Turn::Over) };
            if log.given_up.is_some() {
                return Ok(Turn::Over);
            }
            let Some(placed) = log.waiting.front() else {
                if log.ended {
                    return Ok(Turn::Over);
                }
                self.read(id)?;
                continue;
            };
            let missing = self.cluster.missing(&placed.step);
            match missing {
                Ok(Some(place)) => return Ok(Turn::Blocked(place)),
                Ok(None) => self.take(id)?,
                Err(refusal) => return Err(self.divergence(id, &refusal).into()),
            }
        }
        Ok(Turn::Again)
    }

    /// Reads the next part of a log.
    fn read(&mut self, id: u32) -> Result<(), Stop> {
        let Some(log) = self.logs.get_mut(&id) else { return Ok(()) };
        match log.recording.next_part()? {
            Part::Group(group) => log.waiting.extend(group),
            Part::Gap(line, steps) => {
                log.given_up = Some(format!("line {line}: {steps} steps are missing"));
            }
            Part::End { marked } => (log.ended, log.marked) = (true, marked),
            Part::Start(line, header) => {
                log.start(&header);
                if let Err(refusal) = self.cluster.start(id, &header.state) {
                    return Err(self.divergence_at(id, line, &refusal).into());
                }
                self.cluster.count(id, ActionKind::Restart);
            }
        }
        Ok(())
    }

    /// Takes the step that is next, and wakes whom it lets go on.
    fn take(&mut self, id: u32) -> Result<(), Stop> {
        let Some(log) = self.logs.get_mut(&id) else { return Ok(()) };
        let Some(placed) = log.waiting.front() else { return Ok(()) };
        let refused = self.cluster.step(id, &placed.step).err();
        let broken = self.theorem.step(id, &placed.step, &self.cluster, refused.is_none());
        let names = || broken.iter().map(|breach| &*breach.conjunct).collect::<Vec<_>>().join(", ");
        let invariant = || (!broken.is_empty()).then(|| Box::new(Refusal::invariant(names())));
        if let Some(refusal) = refused.or_else(invariant) {
            return Err(Divergence { broken, ..self.divergence(id, &refusal) }.into());
        }
        self.steps += 1;
        if log.history.len() == HISTORY {
            log.history.pop_front();
        }
        log.history.extend(log.waiting.pop_front());
        for place in self.cluster.take_fresh() {
            self.ready.extend(self.blocked.remove(&place).into_iter().flatten());
        }
        Ok(())
    }

    /// At the step that is next.
    fn divergence(&self, id: u32, refusal: &Refusal) -> Divergence {
        let line = self.logs.get(&id).and_then(|log| log.waiting.front()).map_or(0, |p| p.line);
        self.divergence_at(id, line, refusal)
    }

    fn divergence_at(&self, id: u32, line: u64, refusal: &Refusal) -> Divergence {
        let log = self.logs.get(&id);
        let path = log.map(|log| log.recording.path().to_owned()).unwrap_or_default();
        let step = log.and_then(|log| log.waiting.front());
        let history = log.into_iter().flat_map(|log| &log.history);
        let outlook = self.cluster.outlook(id);
        Divergence::new(
            (path, line),
            id,
            step.filter(|step| step.line == line),
            refusal,
            history,
            outlook,
        )
    }

    /// Every log that is left waits for another.
    fn stuck(&self, log: &Log<R>) -> Divergence {
        let place = log.waiting.front().map(|placed| self.cluster.missing(&placed.step));
        let refusal = match place {
            Some(Ok(Some(place))) => {
                let signer = self.logs.get(&place.signer);
                let detail = match signer.map(|signer| signer.waiting.front()) {
                    Some(Some(next)) => format!(
                        "the log of replica {} waits at line {} itself: a circle, or a message that is nowhere",
                        place.signer, next.line
                    ),
                    Some(None) => format!("the log of replica {} ends without it", place.signer),
                    None => format!("replica {} has no log", place.signer),
                };
                Refusal::never_said(place, detail)
            }
            Some(Err(refusal)) => *refusal,
            Some(Ok(None)) | None => Refusal::effect("waits", "for nothing"),
        };
        self.divergence(log.id, &refusal)
    }

    fn validation(
        self,
        header: &Header,
        options: &Options,
        divergence: Option<Divergence>,
        seconds: f64,
    ) -> Validation {
        let faulty = usize::from(self.cluster.quorums.faulty);
        let unknown = |id: &u32| !self.logs.contains_key(id) && !options.byzantine.contains(id);
        let absent: Vec<u32> = (0..header.replicas).filter(unknown).collect();
        let mut doubts = Vec::new();
        if absent.len() + options.byzantine.len() > faulty {
            doubts.push(format!(
                "no log of {absent:?}: at most {faulty} of {} replicas may be left out",
                header.replicas
            ));
        }
        for (id, log) in &self.logs {
            let path = log.recording.path().display();
            if let Some(reason) = &log.given_up {
                doubts.push(format!("{path}, replica {id}: {reason}"));
            } else if log.ended && !log.marked && !options.truncated_ok {
                doubts.push(format!(
                    "{path}: it ends without an end, so steps may be missing; \
                     --truncated-ok takes that for a kill"
                ));
            }
        }
        let coverage = self.cluster.coverage.clone();
        if coverage.executed == 0 {
            doubts.push("nothing was executed".to_owned());
        }
        let theorem = self.theorem.evaluated();
        if theorem.applies && theorem.instances == 0 && coverage.executed > 0 {
            doubts.push("nothing of the theorem's invariant was evaluated".to_owned());
        }
        // What nobody can know is no divergence: the message may be in the part that is missing.
        let lost =
            self.logs.values().any(|log| log.given_up.is_some() || (log.ended && !log.marked));
        let (divergence, doubt) = match divergence {
            Some(found) if found.is_about_what_is_missing() && lost => {
                (None, Some(format!("{}:{}: {}", found.path.display(), found.line, found.detail)))
            }
            other => (other, None),
        };
        doubts.extend(doubt);
        let verdict = match (&divergence, doubts.is_empty()) {
            (Some(_), _) => Validity::Divergence,
            (None, true) => Validity::Valid,
            (None, false) => Validity::Inconclusive,
        };
        Validation {
            verdict,
            replicas: header.replicas,
            recorded: self.logs.keys().copied().collect(),
            byzantine: options.byzantine.iter().copied().chain(absent).collect(),
            steps: self.steps,
            remembered: self.remembered,
            seconds,
            doubts,
            divergence,
            coverage,
            theorem,
        }
    }
}
