//! Timestamps that rise for ever (§4.1), also over restarts and clocks that go back.
//!
//! A timestamp is the number of microseconds since 1970, or one more than the last if that is higher. A file says
//! up to where timestamps may have been used; it is written before they are, for a second's worth at a time. What is left
//! of them is given back in the end: otherwise many short processes would run ahead of time.

use super::ClientError;
use pbft_core::types::Timestamp;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How many timestamps are reserved at a time.
const RESERVED: u64 = 1_000_000;

/// How long to wait for another process that uses the same key.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// A client's source of timestamps.
#[derive(Debug)]
pub struct Timestamps {
    last: u64,
    /// Timestamps up to this one may be used.
    reserved: u64,
    file: Option<(PathBuf, File)>,
}

impl Timestamps {
    /// Timestamps that nothing remembers; for a key that is used once.
    pub fn in_memory() -> Self {
        Self { last: 0, reserved: u64::MAX, file: None }
    }

    /// Timestamps kept in a file, locked while this value lives: one key, one process. Waits some seconds for
    /// another process to let go.
    pub fn open(path: &Path) -> Result<Self, ClientError> {
        let io = |source| ClientError::Timestamps { path: path.to_owned(), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io)?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(std::fs::TryLockError::WouldBlock) if began.elapsed() < LOCK_PATIENCE => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(std::fs::TryLockError::WouldBlock) => {
                    return Err(ClientError::KeyInUse { path: path.to_owned() });
                }
                Err(std::fs::TryLockError::Error(source)) => return Err(io(source)),
            }
        }
        let mut text = String::new();
        (&file).take(64).read_to_string(&mut text).map_err(io)?;
        let last = match text.trim() {
            "" => 0,
            number => {
                number.parse().map_err(|_| ClientError::BadTimestamps { path: path.to_owned() })?
            }
        };
        Ok(Self { last, reserved: last, file: Some((path.to_owned(), file)) })
    }

    /// The next timestamp.
    pub fn take(&mut self) -> Result<Timestamp, ClientError> {
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64;
        let next = now.max(self.last.saturating_add(1));
        if next > Timestamp::MAX.0 {
            return Err(ClientError::NoTimestampLeft { last: Timestamp(self.last) });
        }
        if next > self.reserved {
            self.reserve(next.saturating_add(RESERVED).min(Timestamp::MAX.0))?;
        }
        self.last = next;
        Ok(Timestamp(next))
    }

    /// Others have used timestamps up to `last`.
    pub(super) fn raise(&mut self, last: Timestamp) {
        self.last = self.last.max(last.0);
    }

    fn reserve(&mut self, up_to: u64) -> Result<(), ClientError> {
        if let Some((path, file)) = &mut self.file {
            // The digits never become fewer, so writing over the old number leaves nothing of it behind.
            let write = |file: &mut File| {
                file.seek(SeekFrom::Start(0))?;
                file.write_all(format!("{up_to:020}\n").as_bytes())?;
                file.sync_data()
            };
            write(file).map_err(|source| ClientError::Timestamps { path: path.clone(), source })?;
        }
        self.reserved = up_to;
        Ok(())
    }
}

impl Drop for Timestamps {
    fn drop(&mut self) {
        if self.last != self.reserved && self.file.is_some() {
            // If it cannot be written, the file holds a higher number, which wastes a second and does no harm.
            let _ = self.reserve(self.last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_rise_over_restarts() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("client.clock");
        let mut last = Timestamp(0);
        for _ in 0..3 {
            let mut timestamps = Timestamps::open(&path).expect("opened");
            for _ in 0..1000 {
                let next = timestamps.take().expect("written");
                assert!(next > last);
                last = next;
            }
        }
    }

    #[test]
    fn a_clock_that_went_back_makes_no_difference() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("client.clock");
        std::fs::write(&path, "9000000000000000000\n").expect("written");
        let mut timestamps = Timestamps::open(&path).expect("opened");
        assert_eq!(timestamps.take().expect("written"), Timestamp(9_000_000_000_000_000_001));
        drop(timestamps);
        let mut timestamps = Timestamps::open(&path).expect("opened");
        assert!(timestamps.take().expect("written") > Timestamp(9_000_000_000_000_000_001));
    }

    #[test]
    fn a_file_that_holds_something_else_is_refused() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("client.clock");
        std::fs::write(&path, "yesterday").expect("written");
        let refused = Timestamps::open(&path);
        assert!(matches!(refused, Err(ClientError::BadTimestamps { .. })), "{refused:?}");
    }
}
