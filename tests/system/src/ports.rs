//! Free ports for a cluster's replicas.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that operating systems give to outgoing connections, so that no connection takes one of ours
/// while its replica is down.
const FIRST: u16 = 11_000;
const BLOCKS: u16 = 500;
const BLOCK: u16 = 32;

/// The first of `count` ports in a row that nobody listens on.
pub fn free_ports(count: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    assert!(count <= BLOCK, "a block has {BLOCK} ports");
    // Processes begin at different places.
    let offset = (std::process::id() % u32::from(BLOCKS)) as u16;
    for _ in 0..BLOCKS {
        let block = (NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(offset)) % BLOCKS;
        let base = FIRST + block * BLOCK;
        let listeners = (base..base + count).map(|port| TcpListener::bind(("127.0.0.1", port)));
        if listeners.collect::<Result<Vec<_>, _>>().is_ok() {
            return base;
        }
    }
    panic!("no {count} free ports in a row between {FIRST} and {}", FIRST + BLOCKS * BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_do_not_overlap_and_taken_ones_are_passed_over() {
        let first = free_ports(4);
        let second = free_ports(BLOCK);
        assert!(first.abs_diff(second) >= BLOCK);
        // Somebody else takes the last port of the next block.
        let taken = second + BLOCK + 3;
        let Ok(_listener) = TcpListener::bind(("127.0.0.1", taken)) else { return };
        assert_ne!(free_ports(4), second + BLOCK);
    }
}
