//! The Explorer as a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// An Explorer that runs until this is dropped.
pub(crate) struct Served {
    process: Child,
    pub(crate) address: SocketAddr,
    /// The link that it printed.
    pub(crate) link: String,
}

impl Served {
    /// Runs `pbft-model explore` with these arguments on a free port, and waits for its link.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_pbft-model"))
            .args(["explore", "--address", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let mut link = String::new();
        let stdout = process.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut link).expect("a line");
        let link = link.trim_end().to_owned();
        let rest = link.strip_prefix("http://").unwrap_or_else(|| panic!("no link: {link:?}"));
        let (address, _) = rest.split_once('/').expect("a path");
        let address = address.parse().expect("an address");
        Self { process, address, link }
    }

    /// The indices of the path that it opens at, as in `0/3/1`.
    pub(crate) fn opens_at(&self) -> &str {
        self.link.split_once("#/steps/").expect("a fragment").1
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
