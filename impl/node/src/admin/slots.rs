//! The connections of the admin endpoint: so many, so many from one address, and the oldest that has asked nothing yet
//! gives way to a new one. So whoever holds connections open, or asks a byte at a time, keeps nobody out for longer
//! than a probe takes to send its request.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::net::{IpAddr, Ipv6Addr};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::{AbortHandle, Id, JoinSet};

/// The most connections at a time.
pub(super) const CONNECTIONS_MAX: usize = 64;

/// The most connections at a time from one address: a probe, a scraper, and people that look.
pub(super) const PER_ADDRESS_MAX: usize = 8;

/// Whether a connection's request is here and being answered: then it does not give way.
#[derive(Clone, Debug, Default)]
pub(super) struct Answering(Arc<AtomicBool>);

impl Answering {
    pub(super) fn set(&self, is_so: bool) {
        self.0.store(is_so, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Slot {
    task: AbortHandle,
    from: IpAddr,
    answering: Answering,
}

/// What became of a new connection, and of an old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admitted {
    /// There was room.
    Freely,
    /// An older one had to go.
    InPlaceOfAnother,
    /// All others are being answered: it had to go itself.
    No,
}

/// The connections, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: VecDeque<Slot>,
    tasks: JoinSet<()>,
}

impl Slots {
    /// Lets a connection from `from` in, if that is possible.
    pub(super) fn admit<F>(
        &mut self,
        from: IpAddr,
        converse: impl FnOnce(Answering) -> F,
    ) -> Admitted
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let from = network_of(from);
        let own = self.slots.iter().filter(|slot| slot.from == from).count();
        let full = self.slots.len() >= CONNECTIONS_MAX;
        let admitted = match (own >= PER_ADDRESS_MAX, full) {
            (true, _) if self.close_oldest(Some(from)) => Admitted::InPlaceOfAnother,
            (false, true) if self.close_oldest(self.most_crowded()) || self.close_oldest(None) => {
                Admitted::InPlaceOfAnother
            }
            (false, false) => Admitted::Freely,
            (true, _) | (false, true) => Admitted::No,
        };
        if admitted != Admitted::No {
            let answering = Answering::default();
            let task = self.tasks.spawn(converse(answering.clone()));
            self.slots.push_back(Slot { task, from, answering });
        }
        admitted
    }

    /// Waits until a connection has ended; for ever, if there is none.
    pub(super) async fn ended(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => self.forget(id),
            Some(Err(error)) if error.is_panic() => resume_unwind(error.into_panic()),
            Some(Err(error)) => self.forget(error.id()),
            None => std::future::pending().await,
        }
    }

    fn forget(&mut self, id: Id) {
        self.slots.retain(|slot| slot.task.id() != id);
    }

    /// Closes the oldest connection, of one address or of any, that is not being answered.
    fn close_oldest(&mut self, from: Option<IpAddr>) -> bool {
        let fits = |slot: &Slot| from.is_none_or(|from| slot.from == from) && !slot.answering.get();
        let oldest = self.slots.iter().position(fits).and_then(|at| self.slots.remove(at));
        if let Some(slot) = &oldest {
            slot.task.abort();
        }
        oldest.is_some()
    }

    fn most_crowded(&self) -> Option<IpAddr> {
        let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
        self.slots.iter().for_each(|slot| *counts.entry(slot.from).or_default() += 1);
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(from, _)| from)
    }
}

/// Whom an address stands for: a whole network of 64 bits in IPv6, where one machine can have all of it.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(network: u8, host: u8) -> IpAddr {
        IpAddr::from([10, 0, network, host])
    }

    fn admit(slots: &mut Slots, from: IpAddr) -> (Admitted, Answering) {
        let mut own = Answering::default();
        let admitted = slots.admit(from, |answering| {
            own = answering;
            std::future::pending()
        });
        (admitted, own)
    }

    #[tokio::test]
    async fn one_address_has_so_many_and_its_oldest_gives_way() {
        let mut slots = Slots::default();
        for _ in 0..PER_ADDRESS_MAX {
            assert_eq!(admit(&mut slots, address(0, 1)).0, Admitted::Freely);
        }
        assert_eq!(admit(&mut slots, address(0, 2)).0, Admitted::Freely, "another address");
        let oldest = slots.slots[0].task.id();
        assert_eq!(admit(&mut slots, address(0, 1)).0, Admitted::InPlaceOfAnother);
        assert!(slots.slots.iter().all(|slot| slot.task.id() != oldest));
        assert_eq!(slots.slots.len(), PER_ADDRESS_MAX + 1);
        slots.ended().await;
        assert_eq!(slots.slots.len(), PER_ADDRESS_MAX + 1, "the closed one was forgotten already");

        // Those that are being answered stay.
        slots.slots.iter().for_each(|slot| slot.answering.set(true));
        assert_eq!(admit(&mut slots, address(0, 1)).0, Admitted::No);
        slots.slots[3].answering.set(false);
        assert_eq!(admit(&mut slots, address(0, 1)).0, Admitted::InPlaceOfAnother);
    }

    #[tokio::test]
    async fn when_all_are_taken_the_most_crowded_address_gives_way() {
        let mut slots = Slots::default();
        assert_eq!(admit(&mut slots, address(9, 9)).0, Admitted::Freely);
        for network in 0..8 {
            for _ in 0..PER_ADDRESS_MAX {
                admit(&mut slots, address(network, 1));
            }
        }
        assert_eq!(slots.slots.len(), CONNECTIONS_MAX);
        assert!(slots.slots.iter().any(|slot| slot.from == address(9, 9)), "alone, so it stays");
        let before = slots.slots.len();
        assert_eq!(admit(&mut slots, address(9, 8)).0, Admitted::InPlaceOfAnother);
        assert_eq!(slots.slots.len(), before);
        slots.slots.iter().for_each(|slot| slot.answering.set(true));
        assert_eq!(admit(&mut slots, address(9, 7)).0, Admitted::No);
    }

    #[test]
    fn a_machine_is_one_whatever_address_it_takes() {
        let same = |a: &str, b: &str| {
            network_of(a.parse().expect("one")) == network_of(b.parse().expect("one"))
        };
        assert!(same("2001:db8::1", "2001:db8::ffff:1"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
        assert!(same("::ffff:10.0.0.1", "10.0.0.1"));
        assert!(!same("10.0.0.1", "10.0.0.2"));
    }
}
