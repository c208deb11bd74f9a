//! Stateright's Explorer, on a loopback port of its own, and a client for it.
//!
//! Stateright panics on a port that it cannot have, does not say which one it got, and ends when a browser breaks off a
//! response. So it gets a port that was free a moment ago, is asked whether it is there, and is spoken to by the front alone,
//! which reads every response to its end.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use stateright::Model;

use super::{Explorable, ExploreError};

/// How often to try another port, should somebody else take the one found.
const ATTEMPTS: usize = 3;
/// How long Stateright may take to listen: it has nothing to do before.
const START: Duration = Duration::from_secs(10);
const BETWEEN_TRIES: Duration = Duration::from_millis(5);
/// How long it may take to answer: it recomputes a path for each successor.
const ANSWER: Duration = Duration::from_secs(60);

/// A Stateright Explorer that runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backend {
    address: SocketAddr,
}

/// What it answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Backend {
    /// Starts one. It runs until the process ends.
    pub(super) fn start(explorable: &Explorable) -> Result<Self, ExploreError> {
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            match Self::start_once(explorable.clone()) {
                Ok(backend) => return Ok(backend),
                Err(error) => reason = error.to_string(),
            }
        }
        Err(ExploreError::Backend { reason })
    }

    fn start_once(explorable: Explorable) -> io::Result<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let backend = Self { address };
        let server =
            thread::Builder::new().name("stateright-explorer".to_owned()).spawn(move || {
                explorable.checker().serve(address);
            })?;
        let deadline = Instant::now() + START;
        while !server.is_finished() && Instant::now() < deadline {
            if backend.is_ours() {
                return Ok(backend);
            }
            thread::sleep(BETWEEN_TRIES);
        }
        Err(io::Error::new(
            io::ErrorKind::AddrNotAvailable,
            format!("nothing answers on {address}"),
        ))
    }

    /// Whether a Stateright Explorer of this model answers.
    fn is_ours(self) -> bool {
        let Ok(Answer { status: 200, body }) = self.get("/.status") else { return false };
        let status: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        let model = status.as_ref().and_then(|status| status["model"].as_str());
        model == Some(std::any::type_name::<Explorable>())
    }

    /// Asks it for a path, which must not contain white space.
    pub(super) fn get(self, path: &str) -> io::Result<Answer> {
        let mut stream = TcpStream::connect_timeout(&self.address, ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        // HTTP/1.0: the end of the body is the end of the stream.
        write!(
            stream,
            "GET {path} HTTP/1.0\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.address
        )?;
        let mut response = Vec::new();
        stream.read_to_end(&mut response)?;
        parse(&response).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not HTTP"))
    }
}

fn parse(response: &[u8]) -> Option<Answer> {
    const BLANK_LINE: &[u8] = b"\r\n\r\n";
    let end = response.windows(BLANK_LINE.len()).position(|bytes| bytes == BLANK_LINE)?;
    let head = std::str::from_utf8(&response[..end]).ok()?;
    let status = head.lines().next()?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: response[end + BLANK_LINE.len()..].to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_taken_apart() {
        let answer = parse(b"HTTP/1.0 404 Not Found\r\nServer: x\r\n\r\nno\r\n\r\nsuch");
        assert_eq!(answer, Some(Answer { status: 404, body: b"no\r\n\r\nsuch".to_vec() }));
        assert_eq!(parse(b"HTTP/1.0 200 OK\r\n"), None);
        assert_eq!(parse(b"\r\n\r\n"), None);
    }
}
