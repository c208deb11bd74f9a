//! The line editor in a pseudo terminal.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

/// What the editor says when it is ready for a line (it switches bracketed paste on).
const READY: &[u8] = b"\x1b[?2004h";

/// `pbft-sim lab` at a terminal, which is that of `script`.
struct Terminal {
    process: Child,
    shown: Vec<u8>,
    lines: usize,
}

impl Terminal {
    /// `None` if there is no `script` here.
    fn open() -> Option<Self> {
        let mut command = Command::new("script");
        command.args(["-qec", &format!("{} lab", env!("CARGO_BIN_EXE_pbft-sim")), "/dev/null"]);
        command.env("TERM", "xterm").stdin(Stdio::piped()).stdout(Stdio::piped());
        Some(Self { process: command.spawn().ok()?, shown: Vec::new(), lines: 0 })
    }

    /// Types a line when the editor is ready for it.
    fn types(&mut self, keys: &str) {
        self.lines += 1;
        let mut byte = [0];
        while self.shown.windows(READY.len()).filter(|bytes| *bytes == READY).count() < self.lines {
            let output = self.process.stdout.as_mut().expect("a pipe");
            output.read_exact(&mut byte).expect("it shows something");
            self.shown.extend(byte);
        }
        let input = self.process.stdin.as_mut().expect("a pipe");
        input.write_all(keys.as_bytes()).and_then(|()| input.flush()).expect("typed");
    }

    /// Everything that was shown.
    fn end(mut self) -> String {
        self.process.stdout.take().expect("a pipe").read_to_end(&mut self.shown).expect("it ends");
        let shown = String::from_utf8_lossy(&self.shown).into_owned();
        assert_eq!(self.process.wait().expect("it ends").code(), Some(0), "{shown}");
        shown
    }
}

#[test]
fn words_are_completed_and_lines_come_back() {
    let Some(mut terminal) = Terminal::open() else {
        eprintln!("skipped: there is no `script` here");
        return;
    };
    // Tab completes; up, up brings the first line back; a mistake is explained and ends nothing.
    for keys in
        ["depos\tal\t100\r", "delivr\r", "\u{1b}[A\u{1b}[A\r", "deliver\r", "ledger\r", "quit\r"]
    {
        terminal.types(keys);
    }
    let shown = terminal.end();
    assert!(shown.contains("did you mean `deliver`"), "{shown}");
    assert!(shown.contains("This is request 2"), "the first line came back: {shown}");
    let ledger = shown.lines().find(|line| line.trim_start().starts_with("alice  "));
    assert!(ledger.is_some_and(|line| line.contains("200")), "{shown}");
}
