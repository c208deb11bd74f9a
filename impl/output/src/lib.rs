//! How every program of this workspace prints, and how it ends when what it prints cannot be written.
//!
//! `println!` panics where the reader of a pipe has gone, and a program that ignores the error ends with 0 although
//! its result is on a full disk and lost. So nothing here panics and nothing is ignored: the first error on standard
//! output is remembered, what comes after it is dropped, and [`finish`] makes it the program's exit code. A reader that
//! has seen enough (`| head`) is no mistake of anybody: the program says nothing about it.
//!
//! Nothing of the protocol is in this crate, so that the model and the implementation may both use it.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

/// The exit code of a program that did its work, but could not write what it had to say.
pub const OUTPUT_LOST: u8 = 7;

/// What went wrong first on standard output.
static TROUBLE: Mutex<Option<Trouble>> = Mutex::new(None);

/// Why standard output does not take any more.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trouble {
    ReaderGone,
    Lost(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Lost(error.to_string()),
        }
    }
}

fn trouble() -> std::sync::MutexGuard<'static, Option<Trouble>> {
    TROUBLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `print!` that does not panic: see [`finish`].
#[macro_export]
macro_rules! out {
    ($($arguments:tt)*) => { $crate::write_out(format_args!($($arguments)*)) };
}

/// `println!` that does not panic: see [`finish`].
#[macro_export]
macro_rules! outln {
    () => { $crate::write_out(format_args!("\n")) };
    ($($arguments:tt)*) => {
        $crate::write_out(format_args!("{}\n", format_args!($($arguments)*)))
    };
}

/// `eprint!` that does not panic. Where standard error is broken there is nobody left to tell.
#[macro_export]
macro_rules! err {
    ($($arguments:tt)*) => { $crate::write_err(format_args!($($arguments)*)) };
}

/// `eprintln!` that does not panic. Where standard error is broken there is nobody left to tell.
#[macro_export]
macro_rules! errln {
    () => { $crate::write_err(format_args!("\n")) };
    ($($arguments:tt)*) => {
        $crate::write_err(format_args!("{}\n", format_args!($($arguments)*)))
    };
}

/// Writes to standard output; for [`out!`].
pub fn write_out(text: Arguments<'_>) {
    // The result is in TROUBLE.
    let _ = Stdout.write_fmt(text);
}

/// Writes to standard error; for [`err!`].
pub fn write_err(text: Arguments<'_>) {
    let _ = io::stderr().lock().write_fmt(text);
}

/// Standard output as a writer. An error is returned, so that a long answer need not be computed to its end, and it
/// is remembered, so that whoever gets it need not report it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stdout;

impl Stdout {
    fn attempt<T>(work: impl FnOnce(&mut io::StdoutLock<'_>) -> io::Result<T>) -> io::Result<T> {
        let mut trouble = trouble();
        if trouble.is_some() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        work(&mut io::stdout().lock()).inspect_err(|error| {
            *trouble = Some(io::Error::new(error.kind(), error.to_string()).into());
        })
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::attempt(|out| out.write(bytes))
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        Self::attempt(|out| out.write_all(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Self::attempt(|out| out.flush())
    }
}

/// Whether standard output still takes what is written: a program that would go on for long only to print may stop.
pub fn is_heard() -> bool {
    trouble().is_none()
}

/// Parses the command line; or prints the help or the mistake, and says how the program is to end.
pub fn arguments<A: clap::Parser>() -> Result<A, ExitCode> {
    A::try_parse().map_err(|error| {
        let text = error.render();
        let coloured = match error.use_stderr() {
            true => io::IsTerminal::is_terminal(&io::stderr()),
            false => io::IsTerminal::is_terminal(&io::stdout()),
        } || std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value != "0");
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let coloured = coloured && !refused;
        let text = if coloured { text.ansi().to_string() } else { text.to_string() };
        match error.use_stderr() {
            true => err!("{text}"),
            false => out!("{text}"),
        }
        finish(u8::try_from(error.exit_code()).unwrap_or(u8::MAX))
    })
}

/// How `main` ends: with `code`, unless the program did what it should (0) and could not say so. A reader that has gone
/// has heard enough, and changes no verdict.
pub fn finish(code: u8) -> ExitCode {
    // The result is in TROUBLE.
    let _ = Stdout.flush();
    let trouble = trouble().clone();
    if let Some(Trouble::Lost(why)) = &trouble {
        errln!(
            "error: standard output cannot be written: {why}; what the program did is done, but what it said is lost: \
             make room, or write elsewhere"
        );
    }
    ExitCode::from(match (code, trouble) {
        (0, Some(Trouble::Lost(_))) => OUTPUT_LOST,
        (code, _) => code,
    })
}

/// Escapes what has a meaning in XML or HTML, for a text or an attribute; what XML cannot hold becomes U+FFFD.
#[must_use]
pub fn escape_xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '\'' => escaped += "&apos;",
            '"' => escaped += "&quot;",
            '\n' => escaped.push('\n'),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[test]
fn what_has_a_meaning_in_xml_is_escaped() {
    assert_eq!(escape_xml("P<1> & 'x' \"y\""), "P&lt;1&gt; &amp; &apos;x&apos; &quot;y&quot;");
    assert_eq!(escape_xml("a\nb\u{1}\u{7f}\u{ffff}"), "a\nb\u{fffd}\u{fffd}\u{fffd}");
}
