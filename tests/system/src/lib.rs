//! Whole clusters of real `pbft` processes on loopback, with real disks in a temporary directory.
//!
//! * [`binary`]: the `pbft` command, built when it is needed.
//! * [`process`]: one process, its log, its memory, its end.
//! * [`cluster`]: the replicas of a cluster, each a process; started, killed, frozen, asked.
//! * [`direct`]: a client that speaks to one replica only.
//! * [`proxy`]: the links between the replicas, which can be held up, delayed and cut.
//! * [`liar`]: a Byzantine replica as a process, the command `pbft-liar`.
//! * [`workload`]: clients that deposit and transfer without a pause, and remember what was acknowledged.
//! * [`history`]: what they remember, and whether it is what one ledger would have said.
//! * [`snapshot`]: everything that is in a directory, to show that nothing changed.
//!
//! The tests themselves are in `chaos/`, `e2e/`, `fuzz/`, `tidy/` and `wishes/`. They need `/proc`, so they run on Linux.

pub mod binary;
pub mod cluster;
pub mod direct;
pub mod history;
pub mod liar;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod snapshot;
pub mod workload;
