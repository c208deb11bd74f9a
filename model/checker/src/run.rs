//! What the verification tools share: exit codes, output formats, progress, run directories.

use pbft_output::{Stdout, errln, out};
use std::fmt::Display;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// What a tool's exit status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitCode {
    /// Everything that was checked holds.
    Holds = 0,
    /// A violation, a divergence, a surviving mutant.
    Finding = 1,
    /// Bad arguments or configuration.
    Usage = 2,
    /// No verdict: a limit was hit, nothing ran, something that must happen did not.
    Inconclusive = 3,
    /// No quorum, a timeout, not ready.
    NoQuorum = 4,
    /// Data is corrupt or belongs to another cluster.
    DataRefused = 5,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

/// How results are written to standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Tables and sentences.
    #[default]
    Human,
    /// One JSON object.
    Json,
}

impl Format {
    /// Writes a result to standard output in this form.
    pub fn print<T: Serialize>(self, value: &T, text: impl Fn(&T) -> String) {
        match self {
            Self::Human => say(&text(value)),
            Self::Json => match serde_json::to_string(value) {
                Ok(json) => say(&format_args!("{json}\n")),
                Err(error) => errln!("error: the result cannot be written as JSON: {error}"),
            },
        }
    }
}

/// Writes to standard output: see [`pbft_output`].
pub fn say(text: &dyn Display) {
    out!("{text}");
    // The result is remembered, and becomes the exit code.
    let _ = Stdout.flush();
}

/// How far a search has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Distinct states found.
    pub unique: u64,
    /// Successor states generated.
    pub edges: u64,
    /// Longest path or number of levels so far.
    pub depth: u64,
    /// States found and not yet visited, where the engine can tell.
    pub queue: Option<u64>,
}

/// Somebody to tell how far the work has come.
pub trait Progress {
    /// A piece of work begins.
    fn begin(&mut self, what: &str);
    /// The work has come this far. May be called as often as convenient.
    fn tick(&mut self, counts: &Counts);
    /// The piece of work ended.
    fn end(&mut self);
}

/// Nobody listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&mut self, _: &str) {}
    fn tick(&mut self, _: &Counts) {}
    fn end(&mut self) {}
}

/// Progress on standard error: a spinner on a terminal, else a line every few seconds.
#[derive(Debug)]
pub struct Stderr {
    bar: Option<ProgressBar>,
    /// Which piece of work this is, of how many.
    position: String,
    what: String,
    started: Instant,
    reported: Instant,
}

const LINE_EVERY: Duration = Duration::from_secs(5);
const REDRAW_EVERY: Duration = Duration::from_millis(100);

impl Stderr {
    /// Looks whether standard error is a terminal.
    #[must_use]
    pub fn new() -> Self {
        let bar = io::stderr().is_terminal().then(ProgressBar::new_spinner);
        if let Some(bar) = &bar
            && let Ok(style) = ProgressStyle::with_template("{spinner} {msg}")
        {
            bar.set_style(style);
        }
        let now = Instant::now();
        Self { bar, position: String::new(), what: String::new(), started: now, reported: now }
    }
}

impl Stderr {
    /// The next piece of work is this one of so many.
    pub fn count(&mut self, at: usize, of: usize) {
        self.position = if of > 1 { format!("[{at}/{of}] ") } else { String::new() };
    }
}

impl Default for Stderr {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress for Stderr {
    fn begin(&mut self, what: &str) {
        what.clone_into(&mut self.what);
        self.started = Instant::now();
        self.reported = self.started;
    }

    fn tick(&mut self, counts: &Counts) {
        let every = if self.bar.is_some() { REDRAW_EVERY } else { LINE_EVERY };
        if self.reported.elapsed() < every {
            return;
        }
        self.reported = Instant::now();
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = counts.unique as f64 / seconds;
        let queue = counts.queue.map_or(String::new(), |queue| format!(", queue {queue}"));
        let line = format!(
            "{}{}: {} states, {} edges, depth {}{queue}, {rate:.0} states/s",
            self.position, self.what, counts.unique, counts.edges, counts.depth
        );
        match &self.bar {
            Some(bar) => {
                bar.set_message(line);
                bar.tick();
            }
            None => errln!("{line}"),
        }
    }

    fn end(&mut self) {
        if let Some(bar) = &self.bar {
            bar.set_message("");
            bar.tick();
        }
    }
}

/// What a run directory says about the run.
#[derive(Clone, Debug, Serialize)]
pub struct RunRecord<T> {
    /// The command line.
    pub argv: Vec<String>,
    /// Version of the tool.
    pub version: &'static str,
    /// The commit of the checkout it ran in, if there is one.
    pub commit: Option<String>,
    /// Configurations, seeds.
    pub config: Vec<String>,
    /// The seed, for runs that draw anything.
    pub seed: Option<u64>,
    /// Results.
    pub counts: T,
    /// Whether everything that was to be explored was.
    pub complete: bool,
}

impl<T: Serialize> RunRecord<T> {
    /// A record of this process.
    pub fn new(config: Vec<String>, seed: Option<u64>, counts: T, complete: bool) -> Self {
        Self {
            argv: std::env::args().collect(),
            version: env!("CARGO_PKG_VERSION"),
            commit: commit(),
            config,
            seed,
            counts,
            complete,
        }
    }
}

/// What this program was built from, as far as it can tell: its version and a fingerprint of the executable.
#[must_use]
pub fn build() -> String {
    let of = |bytes: Vec<u8>| crate::bfs::fingerprint(crate::bfs::SEEDS[0], &bytes);
    let executable = std::env::current_exe().and_then(fs::read).map(of).unwrap_or_default();
    format!("{} {executable:016x}", env!("CARGO_PKG_VERSION"))
}

fn commit() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// A directory for the results of one run: `runs/<UTC time>-<name>`.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// Creates it under `base`. A second run within the same second gets a number.
    pub fn create(base: &Path, name: &str) -> io::Result<Self> {
        fs::create_dir_all(base)?;
        let stamp = utc_stamp(SystemTime::now());
        for attempt in 1u32.. {
            let suffix = if attempt == 1 { String::new() } else { format!("-{attempt}") };
            let path = base.join(format!("{stamp}-{name}{suffix}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("no free name for a run directory"))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a text file into it.
    pub fn write(&self, file: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.path.join(file);
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Writes a JSON file into it.
    pub fn write_json<T: Serialize>(&self, file: &str, value: &T) -> io::Result<PathBuf> {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
        self.write(file, &(text + "\n"))
    }
}

/// A day as `2026-01-31`, in UTC.
#[must_use]
pub fn utc_date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A time as `20260131T235959Z`.
fn utc_stamp(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, in_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (in_day / 3600, in_day / 60 % 60, in_day % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Year, month and day of a number of days since 1970: years are counted from March, so that the leap day ends one.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let in_era = days % 146_097;
    let year = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * in_year + 2) / 153;
    let day = in_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// The most memory this process held at once, where the system says.
#[must_use]
pub fn peak_memory() -> Option<u64> {
    memory_in("/proc/self/status", "VmHWM:")
}

/// Bytes, where a file of the system has them in kB behind a label.
pub(crate) fn memory_in(file: &str, label: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_calendar_dates() {
        let at = |seconds| utc_stamp(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "19700101T000000Z");
        assert_eq!(at(951_782_400), "20000229T000000Z");
        assert_eq!(at(1_767_225_599), "20251231T235959Z");
        assert_eq!(utc_date(UNIX_EPOCH + Duration::from_secs(1_767_225_599)), "2025-12-31");
    }

    #[test]
    fn two_runs_get_two_directories() -> io::Result<()> {
        let base = tempfile::tempdir()?;
        let one = RunDir::create(base.path(), "check")?;
        let two = RunDir::create(base.path(), "check")?;
        assert_ne!(one.path(), two.path());
        let file = one.write_json("run.json", &RunRecord::new(Vec::new(), None, 3, true))?;
        assert!(fs::read_to_string(file)?.contains("\"counts\": 3"));
        Ok(())
    }
}
