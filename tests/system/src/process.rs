//! One process of the `pbft` command, and what the operating system says of it.

use crate::binary::pbft_binary;
use rustix::process::{Pid, Signal};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long anything may take that normally takes a moment.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often conditions are looked at.
pub const POLL: Duration = Duration::from_millis(20);

/// The `pbft` command with these arguments, in `directory`, without colours and without what the caller's
/// environment says of it.
pub fn pbft(directory: &Path, arguments: &[&str]) -> Command {
    program_in(pbft_binary(), directory, arguments)
}

/// The same with this build of the command.
pub fn program_in(program: &Path, directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory).env("NO_COLOR", "1").env_remove("PBFT_LOG");
    command
}

/// Runs `pbft` to its end, which must come soon: one that goes on is killed, and has no exit code.
pub fn run_pbft(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = pbft(directory, arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("pbft can be executed");
    let pid = Pid::from_child(&child);
    let (done, ended) = mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if ended.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            // It was not waited for yet, so the id is still its own.
            rustix::process::kill_process(pid, Signal::KILL).ok();
        }
    });
    let output = child.wait_with_output().expect("its output can be read");
    drop(done);
    watchdog.join().expect("the watchdog does not panic");
    output
}

/// A running process. It is killed when this value is dropped, and ends by itself if the tests are killed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its standard error in the file `log`. Its standard input stays open as long as this value
    /// lives.
    pub fn spawn(command: &mut Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).expect("a log file");
        let child = command.stdin(Stdio::piped()).stderr(file).spawn().expect("pbft starts");
        Self { child, log: log.to_owned() }
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// What it has logged, this time and before.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("the log can be read")
    }

    /// The last lines that it has logged.
    pub fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }

    /// Its standard output, if it is piped and was not taken yet.
    pub fn take_stdout(&mut self) -> std::process::ChildStdout {
        self.child.stdout.take().expect("standard output is piped")
    }

    /// Sends a signal to it.
    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).expect("the process is there");
    }

    /// Sends a signal to its process group, as a terminal does on ^C. It must lead the group.
    pub fn signal_group(&self, signal: Signal) {
        rustix::process::kill_process_group(self.pid(), signal).expect("the group is there");
    }

    /// Kills it with SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().expect("SIGKILL");
        self.child.wait().expect("an exit status");
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            match self.ended() {
                Some(status) => return status,
                None if began.elapsed() < PATIENCE => std::thread::sleep(POLL),
                None => panic!("still running after {PATIENCE:?}:\n{}", self.last_words()),
            }
        }
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of this process")
    }

    /// Its memory in bytes (resident set size).
    pub fn resident_bytes(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    /// The most memory that it had so far, in bytes.
    pub fn peak_resident_bytes(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    fn status_bytes(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.id());
        let text = std::fs::read_to_string(path).expect("the process is there");
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        1024 * kibibytes.and_then(|number| number.parse::<u64>().ok()).expect("a number of kB")
    }

    /// How many files and sockets it has open.
    pub fn open_files(&self) -> usize {
        let path = format!("/proc/{}/fd", self.id());
        std::fs::read_dir(path).expect("the process is there").count()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The processor time that a process has used so far, in user and in kernel mode.
pub fn processor_time(id: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("the process is there");
    let (_, after_name) = stat.rsplit_once(')').expect("a name in parentheses");
    // Fields 14 and 15 of the line: the name is the second. Some before them are negative, -1 for no terminal.
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).flat_map(str::parse::<u64>).sum();
    let a_second = rustix::param::clock_ticks_per_second();
    Duration::from_millis(1000 * ticks / a_second)
}

/// The processes whose parent is `parent`.
pub fn children_of(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("processes can be listed");
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter(|id| parent_of(*id) == Some(parent)).collect()
}

/// Whether there is such a process; one that has ended and only waits to be noticed does not count.
pub fn is_running(id: u32) -> bool {
    stat_of(id).is_some_and(|(state, _)| state != "Z")
}

fn parent_of(id: u32) -> Option<u32> {
    stat_of(id)?.1.parse().ok()
}

/// State and parent of a process.
fn stat_of(id: u32) -> Option<(String, String)> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // `ID (NAME) STATE PARENT …`, where the name may contain anything.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut words = after_name.split_whitespace().map(str::to_owned);
    Some((words.next()?, words.next()?))
}

/// Looks at a condition until it holds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_processor_time() {
        let (own, began) = (std::process::id(), Instant::now());
        let before = processor_time(own);
        while processor_time(own) < before + Duration::from_millis(50) {
            assert!(began.elapsed() < PATIENCE, "no processor time is counted");
        }
    }

    #[test]
    fn children_are_found_and_missed() {
        let mut child = Command::new("sleep").arg("100").spawn().expect("sleep");
        let id = child.id();
        assert!(children_of(std::process::id()).contains(&id));
        assert!(is_running(id));
        child.kill().expect("killed");
        wait_until("a killed process does not run", || !is_running(id));
        child.wait().expect("gone");
        assert!(!children_of(std::process::id()).contains(&id));
    }
}
