//! One story: what was done so far, where to look if something differs, and the clock.

use crate::divergence::{Difference, Kind};
use crate::replay::node;
use crate::signpost::Handler;
use std::cell::{Cell, RefCell};
use std::fmt::{Debug, Display};
use std::future::Future;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::Instant;

/// What comes of a story, or of a part of it.
pub(super) type Outcome<T = ()> = Result<T, Difference>;

/// The ground of one story: a runtime whose clock is paused, so that it runs only while everybody waits, and then from timer
/// to timer.
pub(super) struct Story {
    runtime: Runtime,
    steps: RefCell<Vec<String>>,
    places: Cell<&'static [Handler]>,
    replica: Cell<u32>,
    began: Instant,
}

impl Story {
    /// A story that begins. A difference leads to `places`, the first of them above all.
    pub(super) fn begin(places: &'static [Handler]) -> Outcome<Self> {
        let runtime = node::runtime().map_err(harness)?;
        let began = runtime.block_on(async { Instant::now() });
        let (steps, places) = (RefCell::default(), Cell::new(places));
        Ok(Self { runtime, steps, places, replica: Cell::new(0), began })
    }

    /// What is done now, and where to look if something differs from here on.
    pub(super) fn about(&self, step: impl Into<String>, places: &'static [Handler]) {
        self.places.set(places);
        self.note(step);
    }

    /// What is done now.
    pub(super) fn note(&self, step: impl Into<String>) {
        self.steps.borrow_mut().push(step.into());
    }

    /// What was done so far.
    pub(super) fn steps(&self) -> Vec<String> {
        self.steps.borrow().clone()
    }

    /// Where to look.
    pub(super) fn places(&self) -> &'static [Handler] {
        self.places.get()
    }

    /// The replica that is looked at.
    pub(super) fn look_at(&self, replica: u32) {
        self.replica.set(replica);
    }

    /// The replica that was looked at last.
    pub(super) fn replica(&self) -> u32 {
        self.replica.get()
    }

    /// Lets everybody run until `future` is ready.
    pub(super) fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Lets so much time pass.
    pub(super) fn sleep(&self, duration: Duration) {
        self.wait(async { tokio::time::sleep(duration).await });
    }

    /// The time since the story began.
    pub(super) fn now(&self) -> Duration {
        self.wait(async { Instant::now() }) - self.began
    }

    /// When the story began.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Starts a task.
    pub(super) fn spawn<F>(&self, future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.runtime.spawn(future)
    }
}

/// The story cannot go on.
pub(super) fn harness(error: impl Display) -> Difference {
    Difference::new(Kind::Harness, error.to_string())
}

/// Demands that two things are the same.
pub(super) fn expect<T: PartialEq + Debug>(kind: Kind, what: &str, expected: T, got: T) -> Outcome {
    match expected == got {
        true => Ok(()),
        false => {
            let (expected, got) = (format!("{expected:?}"), format!("{got:?}"));
            let diff = vec![
                format!("- {}", part(&expected, &got)),
                format!("+ {}", part(&got, &expected)),
            ];
            Err(Difference::new(kind, what).with_diff(diff))
        }
    }
}

/// More than so many characters are not shown.
const SHOWN: usize = 300;

/// Of a long text what is around the place from which on it differs from another.
fn part(text: &str, other: &str) -> String {
    let same = text.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    let from = if text.len() > SHOWN { same.saturating_sub(SHOWN / 2) } else { 0 };
    let part: String = text.chars().skip(from).take(SHOWN).collect();
    let before = if from > 0 { "… " } else { "" };
    let behind = if from + SHOWN < text.chars().count() { " …" } else { "" };
    format!("{before}{part}{behind}")
}

/// Demands something.
pub(super) fn demand(kind: Kind, what: &str, holds: bool) -> Outcome {
    if holds { Ok(()) } else { Err(Difference::new(kind, what)) }
}
