//! Writes a trace file, at the driver's trace point.

use super::describe;
use super::format::Line;
use crate::driver::Observer;
use pbft_core::{Effect, Input, Rejection, Replica};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The most bytes of a group that wait to be written; the steps beyond are a gap.
const GROUP_BYTES_MAX: usize = 64 << 20;

/// Why a trace file cannot be written.
#[derive(Debug, Error)]
pub enum TraceError {
    /// The file cannot be opened.
    #[error("{path}: {source}; choose another file with --trace", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is a pipe, a device or a directory, which could keep the replica waiting.
    #[error("{path}: not a regular file; choose another with --trace", path = path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
}

/// Writes what it observes, as lines of a trace file. A group of steps is one write, made before the group is
/// committed. A write that fails never stops the replica: what is missing is a gap, and says so in the file as soon as
/// it can be written again.
#[derive(Debug)]
pub struct Recorder<W: Write + Send> {
    out: W,
    /// The lines of the group under way.
    pending: Vec<u8>,
    /// The steps in them.
    pending_steps: u64,
    /// Steps since the header.
    steps: u64,
    group: u64,
    /// Steps that are missing in the file before those of the group, and after them.
    lost: [u64; 2],
    /// Whether the last write may have left a part of a line.
    torn: bool,
}

impl Recorder<File> {
    /// Appends to the file at `path`, which is made if it is not there.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        let failed = |source| TraceError::Open { path: path.to_owned(), source };
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Err(TraceError::NotAFile { path: path.to_owned() });
        }
        let mut options = File::options();
        let file = options.read(true).append(true).create(true).mode(0o600).open(path);
        let mut file = file.map_err(failed)?;
        let torn = ends_in_a_line(&mut file).map_err(failed)?;
        Ok(Self { torn, ..Self::new(file) })
    }
}

/// Whether the file ends in the middle of a line.
fn ends_in_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != [b'\n'])
}

impl<W: Write + Send> Recorder<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        let pending = Vec::new();
        Self { out, pending, pending_steps: 0, steps: 0, group: 1, lost: [0; 2], torn: false }
    }

    fn append(&mut self, line: &Line) -> bool {
        let before = self.pending.len();
        let written = serde_json::to_writer(&mut self.pending, line).is_ok();
        if !written || self.pending.len() > GROUP_BYTES_MAX {
            self.pending.truncate(before);
            return false;
        }
        self.pending.push(b'\n');
        true
    }

    /// Writes the lines of the group, between the gaps before and after them.
    fn flush(&mut self) {
        let [before, after] = self.lost;
        if self.pending.is_empty() && before + after == 0 {
            return;
        }
        let mut bytes = if self.torn { b"\n".to_vec() } else { Vec::new() };
        put_gap(before, &mut bytes);
        bytes.append(&mut self.pending);
        put_gap(after, &mut bytes);
        match self.out.write_all(&bytes).and_then(|()| self.out.flush()) {
            Ok(()) => (self.lost, self.torn) = ([0; 2], false),
            Err(error) => {
                if before == 0 {
                    tracing::warn!("the trace has a gap from here on: {error}");
                }
                (self.lost, self.torn) = ([before + self.pending_steps + after, 0], true);
            }
        }
        self.pending_steps = 0;
    }
}

fn put_gap(steps: u64, bytes: &mut Vec<u8>) {
    if steps > 0 && serde_json::to_writer(&mut *bytes, &Line::Gap { steps }).is_ok() {
        bytes.push(b'\n');
    }
}

impl<W: Write + Send> Observer for Recorder<W> {
    fn on_start(&mut self, replica: &Replica) {
        (self.steps, self.group) = (0, 1);
        self.append(&Line::Header(Box::new(describe::header(replica))));
        self.flush();
    }

    fn on_step(
        &mut self,
        input: &Input,
        outcome: &Result<Vec<Effect>, Rejection>,
        replica: &Replica,
    ) {
        self.steps += 1;
        let step = describe::step(self.steps, self.group, input, outcome, replica);
        // After a step that could not be kept, the rest of the group is missing, too.
        match self.lost[1] == 0 && self.append(&Line::Step(Box::new(step))) {
            true => self.pending_steps += 1,
            false => self.lost[1] += 1,
        }
    }

    fn on_commit(&mut self) {
        self.flush();
        self.group += 1;
    }

    fn on_stop(&mut self) {
        self.append(&Line::End { steps: self.steps });
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a number of bytes, then fails as often as told, and then takes everything.
    struct Disk {
        written: Vec<u8>,
        room: usize,
        failures: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 && self.failures > 0 {
                self.failures -= 1;
                return Err(io::ErrorKind::StorageFull.into());
            }
            let len = if self.failures > 0 { bytes.len().min(self.room) } else { bytes.len() };
            self.room = self.room.saturating_sub(len);
            self.written.extend(&bytes[..len]);
            Ok(len)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn recorder(room: usize, failures: usize) -> Recorder<Disk> {
        Recorder::new(Disk { written: Vec::new(), room, failures })
    }

    /// A line of a group with one step.
    fn group(recorder: &mut Recorder<Disk>, number: u64) {
        assert!(recorder.append(&Line::End { steps: number }));
        recorder.pending_steps = 1;
        recorder.on_commit();
    }

    fn text(recorder: Recorder<Disk>) -> String {
        String::from_utf8(recorder.out.written).expect("text")
    }

    #[test]
    fn what_could_not_be_written_is_a_gap() {
        let mut recorder = recorder(25, 2);
        (1..=4).for_each(|number| group(&mut recorder, number));
        let expected =
            "{\"end\":{\"steps\":1}}\n{\"end\n{\"gap\":{\"steps\":2}}\n{\"end\":{\"steps\":4}}\n";
        assert_eq!(text(recorder), expected, "lines 2 and 3 are lost, the first of them torn");
    }

    #[test]
    fn the_rest_of_a_group_that_is_too_long_is_a_gap() {
        let mut recorder = recorder(0, 0);
        recorder.lost[1] = 3;
        group(&mut recorder, 1);
        group(&mut recorder, 2);
        let expected =
            "{\"end\":{\"steps\":1}}\n{\"gap\":{\"steps\":3}}\n{\"end\":{\"steps\":2}}\n";
        assert_eq!(text(recorder), expected);
    }

    #[test]
    fn a_file_that_ends_in_a_torn_line_is_continued_on_the_next() -> Result<(), TraceError> {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("trace");
        std::fs::write(&path, "{\"step").expect("written");
        let mut recorder = Recorder::open(&path)?;
        recorder.append(&Line::End { steps: 0 });
        recorder.flush();
        let text = std::fs::read_to_string(&path).expect("a file");
        assert_eq!(text, "{\"step\n{\"end\":{\"steps\":0}}\n");
        let refused = Recorder::open(directory.path()).expect_err("a directory");
        assert!(matches!(refused, TraceError::NotAFile { .. }), "{refused}");
        Ok(())
    }
}
