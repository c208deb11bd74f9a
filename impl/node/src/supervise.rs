//! Tasks that must not end unnoticed. A panic in one of them is a bug, after which nobody knows what still works: a
//! replica that goes on with a task less is up and ready, and mute. So it ends, and says why.

use futures_util::FutureExt as _;
use pbft_host::panic_message;
use std::any::Any;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, resume_unwind};
use thiserror::Error;
use tokio::task::{JoinError, JoinSet};

/// A task or thread has panicked.
#[derive(Debug, Error)]
#[error("{task} panicked: {message}; this is a bug, please report it")]
pub struct Crash {
    /// Which.
    task: &'static str,
    /// What it said.
    message: String,
}

impl Crash {
    pub(crate) fn new(task: &'static str, panic: &(dyn Any + Send)) -> Self {
        Self { task, message: panic_message(panic).to_owned() }
    }
}

/// Runs `work`, and makes its panic an error.
pub(crate) async fn guarded(
    task: &'static str,
    work: impl Future<Output = ()>,
) -> Result<(), Crash> {
    // What it shared with others is not used any more: whoever gets the error stops.
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| Crash::new(task, &*panic))
}

/// What a finished task of somebody's own returned; its panic becomes the caller's, and one that was ended is `None`.
pub(crate) fn joined<T>(result: Result<T, JoinError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        Err(_) => None,
    }
}

/// Tasks that end when this is dropped, and none of which may panic.
#[derive(Debug, Default)]
pub struct Tasks(JoinSet<Result<(), Crash>>);

impl Tasks {
    /// Starts a task; `name` is for people.
    pub(crate) fn spawn(
        &mut self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        self.0.spawn(guarded(name, work));
    }

    /// Ends all of them, and waits until what they held is free: ports, above all.
    pub(crate) async fn end(&mut self) {
        self.0.shutdown().await;
    }

    /// Waits for a panic; for ever, if there is none.
    pub(crate) async fn crashed(&mut self) -> Crash {
        while let Some(ended) = self.0.join_next().await {
            if let Some(Err(crash)) = joined(ended) {
                return crash;
            }
        }
        pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    #[tokio::test]
    async fn what_tasks_held_is_free_when_they_have_ended() {
        let held = Arc::new(());
        let mut tasks = Tasks::default();
        let theirs = Arc::clone(&held);
        tasks.spawn("one that waits", async move {
            pending::<()>().await;
            drop(theirs);
        });
        assert_eq!(Arc::strong_count(&held), 2);
        tasks.end().await;
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_noticed_and_an_end_is_none() {
        let mut tasks = Tasks::default();
        tasks.spawn("the quiet one", async {});
        let patience = Duration::from_secs(60);
        assert!(tokio::time::timeout(patience, tasks.crashed()).await.is_err());
        tasks.spawn("the loud one", async { panic!("at {}", 5) });
        let crash = tokio::time::timeout(patience, tasks.crashed()).await.expect("it is noticed");
        let expected = "the loud one panicked: at 5; this is a bug, please report it";
        assert_eq!(crash.to_string(), expected);
    }
}
