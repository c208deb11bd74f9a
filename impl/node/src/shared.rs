//! What a driver and the tasks of its connections both see.

use pbft_core::Position;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How far the replica has come, for everybody to read. Published before anything that it says from there leaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Published(Arc<Mutex<Position>>);

impl Published {
    pub(crate) fn set(&self, position: Position) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = position;
    }

    pub(crate) fn get(&self) -> Position {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the driver waits for its disk: then it takes no events, and is alive all the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct AtDisk(Arc<AtomicBool>);

impl AtDisk {
    /// Does something with the disk that may take long.
    pub(crate) fn during<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.store(true, Ordering::Relaxed);
        let done = write();
        self.0.store(false, Ordering::Relaxed);
        done
    }

    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
