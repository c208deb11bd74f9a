//! Why the Explorer cannot open.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;

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
    /// Stateright's Explorer, which serves the states, did not come up.
    #[error("Stateright's Explorer did not start on a loopback port: {reason}; try again")]
    Backend {
        /// The reason.
        reason: String,
    },
}
