//! Clusters of production replicas over TCP and TLS on loopback, in one process.

mod crashes;
mod harness;
mod intruders;
mod macs;
mod recovery;
mod services;
mod survival;
