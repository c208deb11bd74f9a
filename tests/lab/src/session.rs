//! A session: the commands so far, and the cluster that they led to.

use super::cases;
use super::check::check;
use super::cluster::{Act, Cluster, Problem, Setup};
use super::command::{Choice, Command, Show};
use super::letter::Selector;
use super::parse::{Misread, parse};
use super::report::{Report, report};
use super::saved::{self, SaveError};
use super::words::Ask;
use super::{text, verbs};
use pbft_sim::bank::Operation;
use std::path::Path;

/// Why a line was not done. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// It is no command.
    #[error(transparent)]
    Misread(#[from] Misread),
    /// It cannot be done here.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// A file cannot be written or read.
    #[error(transparent)]
    Saved(#[from] SaveError),
    /// There is no such case.
    #[error("there is no case `{0}`; `cases` lists them")]
    NoCase(String),
    /// There are not so many commands.
    #[error("there are {0} commands to take back")]
    NothingToUndo(usize),
    /// A script in a script.
    #[error("a script cannot load another one; put its lines here")]
    Nested,
    /// A line of a script failed.
    #[error("{name}, line {line}, `{command}`: {source}")]
    InScript {
        /// The script.
        name: String,
        /// The line, from 1.
        line: usize,
        /// What is on it.
        command: String,
        /// What is wrong.
        source: Box<Self>,
    },
}

impl LabError {
    /// Whether a file that was given is to blame, not what was typed.
    #[must_use]
    pub const fn is_of_data(&self) -> bool {
        matches!(self, Self::Saved(_) | Self::InScript { .. })
    }
}

/// What a line led to.
#[derive(Debug)]
pub enum Step {
    /// Something to show.
    Reports(Vec<Report>),
    /// The lab ends.
    Quit,
}

/// A session.
#[derive(Debug)]
pub struct Session {
    /// The cluster.
    pub cluster: Cluster,
    /// The commands that led to it, beginning with `new`.
    pub script: Vec<String>,
    /// Expectations that did not hold.
    pub failed: usize,
    /// What happened in the last step begins here.
    last: usize,
}

/// The most batches that `checkpoint` orders.
const CHECKPOINT_BATCHES_MAX: u64 = 16;

impl Session {
    /// A session with a cluster that has just started.
    pub fn new(setup: Setup) -> Result<Self, LabError> {
        let script = vec![saved::new_line(&setup)];
        Ok(Self { cluster: Cluster::new(setup)?, script, failed: 0, last: 0 })
    }

    /// What happened in the last step.
    #[must_use]
    pub fn last_acts(&self) -> &[Act] {
        &self.cluster.acts[self.last.min(self.cluster.acts.len())..]
    }

    /// Does what a line says. If it fails, the cluster is as it was.
    pub fn run(&mut self, line: &str) -> Result<Step, LabError> {
        let Some(command) = parse(line)? else { return Ok(Step::Reports(Vec::new())) };
        let report = match command {
            Command::Quit => return Ok(Step::Quit),
            Command::Case(name) => return self.run_case(&name).map(Step::Reports),
            Command::Load(path) => return self.load(&path).map(Step::Reports),
            Command::Undo(count) => self.undo(count)?,
            Command::Save(path) => self.shown(line, vec![saved::save(self, &path)?]),
            Command::Log(None) => self.shown(line, text::log_lines(&self.cluster)),
            Command::Log(Some(path)) => {
                let dump = text::log_lines(&self.cluster).join("\n") + "\n";
                let written = saved::write(&path, dump.as_bytes())?;
                self.shown(line, vec![written])
            }
            Command::Help(verb) => self.help(line, verb)?,
            Command::Show(Show::Status) => news(report(&self.cluster, line.trim(), &[])),
            Command::Show(show) => self.shown(line, self.show(show)),
            step => self.step(line.trim(), step)?,
        };
        Ok(Step::Reports(vec![report]))
    }

    fn shown(&self, line: &str, shown: Vec<String>) -> Report {
        let bare = report(&self.cluster, line.trim(), &[]);
        Report { shown, replicas: Vec::new(), ..bare }
    }

    fn show(&self, show: Show) -> Vec<String> {
        match show {
            Show::Status => Vec::new(),
            Show::List => text::list_lines(&self.cluster),
            Show::Votes => text::votes_lines(&self.cluster),
            Show::Ledger => text::ledger_lines(&self.cluster),
            Show::Cases => {
                cases::cases().iter().flat_map(|case| text::wrap(&case.line(), 0, 15)).collect()
            }
        }
    }

    fn help(&self, line: &str, verb: Option<String>) -> Result<Report, LabError> {
        let verb = match &verb {
            None => None,
            Some(word) if word == "says" => verbs::named("say"),
            Some(word) => Some(verbs::named(word).ok_or_else(|| Misread::Verb(word.clone()))?),
        };
        Ok(self.shown(line, text::help_lines(verb)))
    }

    /// A command that changes the cluster, or expects something of it.
    fn step(&mut self, line: &str, command: Command) -> Result<Report, LabError> {
        if let Command::New { replicas, byzantine } = command {
            *self = Self::new(Setup { replicas, byzantine })?;
            let mut report = news(report(&self.cluster, line, &[]));
            report.notes.extend(excess(&self.cluster));
            return Ok(report);
        }
        if let Command::Expect(expectation) = &command {
            let checked = check(&self.cluster, self.last_acts(), expectation)?;
            self.failed += usize::from(!checked.holds);
            self.script.push(line.to_owned());
            let bare = report(&self.cluster, line, &[]);
            return Ok(Report { checked: vec![checked], replicas: Vec::new(), ..bare });
        }
        if let Command::Story(story) = &command {
            self.script.push(line.to_owned());
            let bare = report(&self.cluster, line, &[]);
            return Ok(Report { notes: vec![story.clone()], replicas: Vec::new(), ..bare });
        }
        let (before, stood) = (self.cluster.acts.len(), report(&self.cluster, line, &[]).replicas);
        let notes = match self.act(command) {
            Ok(notes) => notes,
            Err(problem) => {
                // A command that failed on its way may have done a part of what it should.
                if self.cluster.acts.len() > before {
                    self.rebuild(self.script.len())?;
                }
                return Err(problem.into());
            }
        };
        self.last = before;
        self.script.push(line.to_owned());
        let mut report = report(&self.cluster, line, self.last_acts());
        report.notes = notes;
        report.is_news = report.replicas != stood;
        Ok(report)
    }

    /// Changes the cluster. Returns what there is to say.
    fn act(&mut self, command: Command) -> Result<Vec<String>, Problem> {
        let cluster = &mut self.cluster;
        let mut notes = Vec::new();
        match command {
            Command::Ask(ask) => notes.push(asked(cluster, ask)?),
            Command::Deliver(Choice::All) => cluster.deliver_all()?,
            Command::Deliver(choice) => {
                for number in chosen(cluster, &choice, &mut notes) {
                    cluster.deliver(number)?;
                }
            }
            Command::Round => {
                let open = cluster.under_way().filter(|letter| !cluster.is_held(letter));
                for number in open.map(|letter| letter.number).collect::<Vec<_>>() {
                    // A later STATUS may have taken the place of an earlier one meanwhile.
                    if cluster.under_way().any(|letter| letter.number == number) {
                        cluster.deliver(number)?;
                    }
                }
            }
            Command::Drop(choice) => {
                for number in chosen(cluster, &choice, &mut notes) {
                    cluster.drop_letter(number)?;
                }
            }
            Command::Withhold(rule) => withhold(cluster, rule)?,
            Command::Release(rule) => release(cluster, rule, &mut notes),
            Command::Say { by, speech, to } => {
                cluster.check(&hosts(&to))?;
                cluster.say(by, &speech, &to)?;
            }
            Command::Crash(hosts) => {
                cluster.check(&hosts)?;
                hosts.into_iter().try_for_each(|host| cluster.crash(host))?;
            }
            Command::Recover(hosts) => {
                cluster.check(&hosts)?;
                hosts.into_iter().try_for_each(|host| cluster.recover(host))?;
            }
            Command::Time(time) => cluster.pass(time, false)?,
            Command::Run(time) => cluster.pass(time, true)?,
            Command::Timeout(hosts) => {
                cluster.check(&hosts)?;
                if cluster.timeout(&hosts).is_empty() {
                    notes.push(NO_TIMER.to_owned());
                }
            }
            Command::Checkpoint => notes.push(checkpoint(cluster)?),
            _ => {}
        }
        Ok(notes)
    }

    fn undo(&mut self, count: usize) -> Result<Report, LabError> {
        // The first line made the cluster.
        let steps = self.script.len() - 1;
        if count == 0 || count > steps {
            return Err(LabError::NothingToUndo(steps));
        }
        let taken = self.script[self.script.len() - count..].join("; ");
        self.rebuild(self.script.len() - count)?;
        let mut report = news(report(&self.cluster, "undo", &[]));
        report.notes = vec![format!("taken back: {taken}")];
        Ok(report)
    }

    /// Plays the first `count` lines of the script again.
    fn rebuild(&mut self, count: usize) -> Result<(), LabError> {
        let script: Vec<String> = self.script[..count].to_vec();
        let mut fresh = Self::new(self.cluster.setup.clone())?;
        for line in &script[1..] {
            fresh.run(line)?;
        }
        *self = fresh;
        Ok(())
    }

    /// The same session once more, from its beginning.
    pub fn again(&self) -> Result<Self, LabError> {
        let mut fresh = Self::new(self.cluster.setup.clone())?;
        for line in &self.script[1..] {
            fresh.run(line)?;
        }
        Ok(fresh)
    }

    /// Does all lines of a script, one report a line.
    pub fn run_script(&mut self, name: &str, script: &str) -> Result<Vec<Report>, LabError> {
        let mut reports = Vec::new();
        for (at, line) in script.lines().enumerate() {
            let done = match parse(line) {
                Ok(Some(Command::Load(_))) => Err(LabError::Nested),
                _ => self.run(line),
            };
            match done {
                Ok(Step::Reports(more)) => reports.extend(more),
                Ok(Step::Quit) => break,
                Err(source) => {
                    let (name, command) = (name.to_owned(), line.trim().to_owned());
                    return Err(LabError::InScript {
                        name,
                        line: at + 1,
                        command,
                        source: Box::new(source),
                    });
                }
            }
        }
        Ok(reports)
    }

    fn run_case(&mut self, name: &str) -> Result<Vec<Report>, LabError> {
        let case = cases::named(name).ok_or_else(|| LabError::NoCase(name.to_owned()))?;
        let mut fresh = Self::new(self.cluster.setup.clone())?;
        let mut reports = fresh.run_script(case.id, case.script)?;
        if let Some(first) = reports.first_mut() {
            first.notes.insert(0, format!("{}: {}", case.id, case.title));
        }
        if let Some(last) = reports.last_mut() {
            last.conclusion = Some(match fresh.failed {
                0 => format!("{} ends as expected.", case.id),
                failed => format!(
                    "{} does NOT end as expected: {failed} of what is said is not so.",
                    case.id
                ),
            });
        }
        let failed = self.failed + fresh.failed;
        *self = Self { failed, ..fresh };
        Ok(reports)
    }

    fn load(&mut self, path: &Path) -> Result<Vec<Report>, LabError> {
        let (name, script) = saved::read(path)?;
        let mut fresh = Self::new(self.cluster.setup.clone())?;
        let reports = fresh.run_script(&name, &script)?;
        let failed = self.failed + fresh.failed;
        *self = Self { failed, ..fresh };
        Ok(reports)
    }
}

/// Said when a timer is asked to run out, and none runs.
const NO_TIMER: &str = "no view-change timer runs there: a replica waits only when it knows of a request that it has not \
                        executed, or for a view to begin. The client sends its request to all replicas when it loses \
                        patience: `time 250ms`, then `deliver`.";

fn excess(cluster: &Cluster) -> Option<String> {
    let (byzantine, most) = (cluster.setup.byzantine.len(), cluster.membership().faults());
    (byzantine > most).then(|| {
        format!(
            "{byzantine} of {} replicas are Byzantine, and PBFT tolerates {most}: nothing is promised here",
            cluster.setup.replicas
        )
    })
}

/// The same report, with where each replica stands even if that is as before.
fn news(report: Report) -> Report {
    Report { is_news: true, ..report }
}

fn hosts(nodes: &[pbft_sim::event::Node]) -> Vec<usize> {
    nodes.iter().filter_map(|node| pbft_sim::driver::host_of(*node)).collect()
}

fn asked(cluster: &mut Cluster, ask: Ask) -> Result<String, Problem> {
    let is_nonsense = matches!(ask, Ask::Nonsense(_));
    let text = ask.to_string();
    let number = cluster.ask(ask)?;
    Ok(match is_nonsense {
        false => format!("the client asks: {text}. This is request {number}."),
        true => format!(
            "a correct client refuses such an amount. This one signs it all the same, and sends it to all: request {number}."
        ),
    })
}

/// The numbers of the messages that a choice points at.
fn chosen(cluster: &Cluster, choice: &Choice, notes: &mut Vec<String>) -> Vec<usize> {
    let numbers: Vec<usize> = match choice {
        Choice::All => cluster.under_way().map(|letter| letter.number).collect(),
        Choice::Numbers(numbers) => numbers.clone(),
        Choice::Fitting(selector) => {
            let fitting = cluster.under_way().filter(|letter| selector.fits(letter));
            fitting.map(|letter| letter.number).collect()
        }
    };
    if numbers.is_empty() {
        notes.push("nothing like that is under way; `list` shows what is".to_owned());
    }
    numbers
}

fn withhold(cluster: &mut Cluster, rule: Selector) -> Result<(), Problem> {
    cluster.check(&hosts(&rule.from))?;
    cluster.check(&hosts(&rule.to))?;
    cluster.held.push(rule);
    Ok(())
}

fn release(cluster: &mut Cluster, rule: Option<Selector>, notes: &mut Vec<String>) {
    let before = cluster.held.len();
    cluster.held.retain(|held| rule.as_ref().is_some_and(|rule| rule != held));
    if cluster.held.len() == before {
        notes.push("nothing like that is held; `list` shows the rules".to_owned());
    }
}

/// Orders reads until the next checkpoint is due.
fn checkpoint(cluster: &mut Cluster) -> Result<String, Problem> {
    let interval = cluster.plan().interval;
    let executed = |cluster: &Cluster| {
        cluster.replicas().map(|host| cluster.executed(host)).max().unwrap_or_default()
    };
    let due = (executed(cluster) / interval + 1) * interval;
    cluster.deliver_all()?;
    for _ in 0..CHECKPOINT_BATCHES_MAX {
        let before = executed(cluster);
        if before >= due {
            return Ok(format!("checkpoint #{due} is due; `log` prints what is in it"));
        }
        cluster.ask(Ask::Operation(Operation::Read { account: 0 }))?;
        cluster.deliver_all()?;
        if executed(cluster) == before {
            break;
        }
    }
    Ok(format!("checkpoint #{due} is not due: nothing is executed at the moment"))
}
