//! The control socket: what an operator may ask of a running replica. It is a Unix socket in the replica's directory, so
//! whoever may ask is whoever may read the replica's key.
//!
//! A connection carries one question and one answer, each a line of JSON.

use crate::inbox::Inbox;
use pbft_core::Standing;
use pbft_core::types::View;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// The socket's name in a replica's directory.
pub const CONTROL_SOCKET: &str = "control.sock";

/// No question and no answer is longer.
const LINE_MAX: u64 = 1024;

/// How long either end waits for the other.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// Leave the primary.
    Suspect,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The replica is changing to this view.
    Left(View),
    /// It does not vote in a view that it could leave.
    Refused(Standing),
    /// It cannot do anything now: its disk is full, or it ends.
    NotNow,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ControlError {
    /// The socket cannot be used.
    #[error("{path}: {source}; is the replica running, and are you its user?")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Nothing came in time.
    #[error("{path}: no answer within {} s; `pbft probe live` tells whether the replica is stuck", PATIENCE.as_secs())]
    Timeout {
        /// The socket.
        path: PathBuf,
    },
    /// Something else came.
    #[error("{path}: an answer that is none; is the replica of the same version as this program?")]
    Unreadable {
        /// The socket.
        path: PathBuf,
    },
}

/// The replica's end.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
}

impl Control {
    /// Listens in `directory`, whose store is open: nobody else answers there.
    pub fn bind(directory: &Path) -> Result<Self, ControlError> {
        let path = directory.join(CONTROL_SOCKET);
        let bind = || {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = UnixListener::bind(&path)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
            Ok(listener)
        };
        match bind() {
            Ok(listener) => Ok(Self { listener }),
            Err(source) => Err(ControlError::Socket { path, source }),
        }
    }

    /// Answers one after the other. Who is slow is not waited for.
    pub async fn serve(self, inbox: Inbox) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let answered = tokio::time::timeout(PATIENCE, answer(stream, &inbox)).await;
                    if let Ok(Err(error)) = answered {
                        tracing::debug!("a question on the control socket: {error}");
                    }
                }
                Err(error) => {
                    tracing::warn!("the control socket: {error}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

async fn answer(stream: UnixStream, inbox: &Inbox) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    BufReader::new(reader.take(LINE_MAX)).read_line(&mut line).await?;
    let answer = match serde_json::from_str(&line)? {
        Question::Suspect => {
            tracing::warn!("an operator wants the primary to be left");
            match inbox.suspect().await {
                Some(Ok(view)) => Answer::Left(view),
                Some(Err(standing)) => Answer::Refused(standing),
                None => Answer::NotNow,
            }
        }
    };
    writer.write_all(format!("{}\n", serde_json::to_string(&answer)?).as_bytes()).await
}

/// Asks the replica that runs in `directory`.
pub async fn ask(directory: &Path, question: Question) -> Result<Answer, ControlError> {
    let path = directory.join(CONTROL_SOCKET);
    let exchange = async {
        let mut stream = UnixStream::connect(&path).await?;
        stream.write_all(format!("{}\n", serde_json::to_string(&question)?).as_bytes()).await?;
        let mut line = String::new();
        BufReader::new(stream.take(LINE_MAX)).read_line(&mut line).await?;
        Ok(line)
    };
    match tokio::time::timeout(PATIENCE, exchange).await {
        Ok(Ok(line)) => serde_json::from_str(&line).map_err(|_| ControlError::Unreadable { path }),
        Ok(Err(source)) => Err(ControlError::Socket { path, source }),
        Err(_) => Err(ControlError::Timeout { path }),
    }
}
