//! Why the Explorer cannot open.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;

use crate::trace::TraceError;

/// Why the Explorer cannot open, and what to do.
#[derive(Debug, Error)]
pub enum ExploreError {
    /// Something else listens on the address.
    #[error(
        "{address} is in use, perhaps by another Explorer: end that, or name another address with \
         `--address 127.0.0.1:PORT` (port 0 takes any that is free)"
    )]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened on for another reason.
    #[error(
        "cannot listen on {address}: {source}; name another address with `--address 127.0.0.1:PORT`"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The reason.
        source: io::Error,
    },
    /// The path cannot be written down.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The page cannot be written.
    #[error("the page cannot be written: {0}")]
    Page(String),
}

impl ExploreError {
    /// Why an address cannot be listened on.
    pub(super) fn listening(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address },
            _ => Self::Listen { address, source },
        }
    }
}
