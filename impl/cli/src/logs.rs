//! Logs on standard error. They may be lost, and never stop anything: a thread of its own writes them, from a bounded
//! queue. What finds no room in it, or cannot be written, is counted
//! ([`pbft_node::metrics::Metrics::log_lines_dropped`]).

use super::CliError;
use super::settings::LogFormat;
use pbft_node::lost_lines;
use std::io::{self, IsTerminal as _, Write};
use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Whether standard error may be coloured.
pub(super) fn colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::io::stderr().is_terminal()
}

/// The most lines that wait to be written: some seconds of a busy log, some hundred kilobytes of memory.
const LINES_MAX: usize = 4096;

/// Lines that could not be written.
static UNWRITTEN: AtomicU64 = AtomicU64::new(0);

/// Counts the lines for which there was no room in the queue.
static UNQUEUED: OnceLock<ErrorCounter> = OnceLock::new();

fn lost() -> u64 {
    let unqueued = UNQUEUED.get().map_or(0, ErrorCounter::dropped_lines);
    UNWRITTEN.load(Ordering::Relaxed).saturating_add(unqueued as u64)
}

/// Writes, and counts what cannot be written.
struct Counting<W>(W);

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        // The next line is another attempt.
        self.0.write_all(line).or_else(|_| {
            UNWRITTEN.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

/// The log, until this is dropped, which waits for a moment until what was logged is written.
pub(super) struct Logs(Option<WorkerGuard>);

impl Drop for Logs {
    fn drop(&mut self) {
        // It prints where nobody takes the lines any more, which may panic.
        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| drop(self.0.take())));
    }
}

/// From now on a panic is a line of the log like any other.
pub(super) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current().name().unwrap_or("without a name").to_owned();
        tracing::error!(thread, "{panic}");
    }));
}

/// Starts logging.
pub(super) fn init(filter: &str, format: LogFormat) -> Result<Logs, CliError> {
    let parsed = EnvFilter::try_new(filter).map_err(|e| {
        CliError::usage(format!("--log {filter}: {e}"), "write, for example, --log debug")
    })?;
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES_MAX);
    let (writer, guard) = builder.thread_name("log").finish(Counting(io::stderr()));
    let _ = UNQUEUED.set(writer.error_counter());
    lost_lines::count_with(lost);
    let logs = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_ansi(colours())
        .with_target(false)
        .log_internal_errors(false)
        .with_writer(writer);
    // A second initialisation (in tests) changes nothing.
    let _ = match format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
    Ok(Logs(Some(guard)))
}
