//! The network and the clocks of a run: which frame arrives when, or never.

use super::driver::host_of;
use super::event::Node;
use super::fault::{FaultKind, Plan};
use super::rng::Rng;
use super::tuning::Link;
use core::time::Duration;
use std::collections::BTreeMap;

/// Frames that leave a host are under way at least this long.
const LEAST: Duration = Duration::from_micros(100);

/// The state of the network.
#[derive(Clone, Debug)]
pub struct Network {
    delay: (Duration, Duration),
    link: Option<Link>,
    rng: Rng,
    hosts: usize,
    active: BTreeMap<usize, FaultKind>,
    paused: BTreeMap<usize, Duration>,
}

impl Network {
    /// A network in which nothing is wrong yet.
    #[must_use]
    pub fn new(plan: &Plan, rng: Rng) -> Self {
        let hosts = plan.n as usize;
        let link = plan.tuning.map(|tuning| tuning.link);
        let (active, paused) = (BTreeMap::new(), BTreeMap::new());
        Self { delay: plan.delay, link, rng, hosts, active, paused }
    }

    /// A fault begins.
    pub fn begin(&mut self, index: usize, kind: &FaultKind, until: Duration) {
        if let FaultKind::Pause { host } = kind {
            self.paused.insert(*host, until);
        }
        self.active.insert(index, kind.clone());
    }

    /// A fault is over.
    pub fn end(&mut self, index: usize) {
        self.active.remove(&index);
    }

    /// Everything is over, and nobody is paused.
    pub fn heal(&mut self) {
        self.active.clear();
        self.paused.clear();
    }

    /// Until when a host does nothing.
    #[must_use]
    pub fn paused_until(&self, host: usize) -> Option<Duration> {
        self.paused.get(&host).copied()
    }

    /// How long a host's timer really takes.
    #[must_use]
    pub fn skewed(&self, host: usize, after: Duration) -> Duration {
        let skew = self.active.values().find_map(|kind| match kind {
            FaultKind::ClockSkew { host: one, percent } if *one == host => Some(*percent),
            _ => None,
        });
        skew.map_or(after, |percent| after * u32::from(percent) / 100)
    }

    /// When a frame that leaves now arrives: never, once, or twice.
    pub fn arrivals(&mut self, leaves: Duration, from: Node, to: Node) -> Vec<Duration> {
        let (least, most) = self.delay;
        let mut delay = LEAST + self.rng.span(least, most);
        let (mut lost, mut twice) = (false, false);
        for kind in self.active.values() {
            match kind {
                FaultKind::Loss { percent } => lost |= self.rng.percent(u64::from(*percent)),
                FaultKind::Duplicate { percent } => twice |= self.rng.percent(u64::from(*percent)),
                FaultKind::Reorder { by } => delay += self.rng.span(Duration::ZERO, *by),
                FaultKind::SlowLink { host, by } => {
                    if host_of(from) == Some(*host) || host_of(to) == Some(*host) {
                        delay += *by;
                    }
                }
                kind => lost |= cuts(kind, from, to, self.hosts),
            }
        }
        if let Some(link) = self.link {
            let luck = link.luck(&mut self.rng, most, host_of(from).is_some());
            (lost, twice, delay) = (lost | luck.lost, twice | luck.twice, delay + luck.late);
        }
        let first = leaves + delay;
        match (lost, twice) {
            (true, _) => Vec::new(),
            (false, false) => vec![first],
            (false, true) => vec![first, first + self.rng.span(LEAST, most * 4)],
        }
    }
}

/// Whether a fault cuts this direction.
fn cuts(kind: &FaultKind, from: Node, to: Node, hosts: usize) -> bool {
    match (kind, host_of(from), host_of(to)) {
        (FaultKind::Partition { side }, Some(from), Some(to)) => {
            side.contains(&from) != side.contains(&to)
        }
        (FaultKind::OneWay { from: cut_from, to: cut_to }, Some(from), Some(to)) => {
            (from, to) == (*cut_from, *cut_to)
        }
        (FaultKind::Ring {}, Some(from), Some(to)) => to != (from + 1) % hosts,
        (FaultKind::DeafClient { client }, Some(_), None) => to == Node::Client(*client),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        Network::new(&Plan::calm(1, 4), Rng::new(1))
    }

    fn passes(network: &mut Network, from: usize, to: usize) -> bool {
        !network.arrivals(Duration::ZERO, Node::Host(from), Node::Host(to)).is_empty()
    }

    #[test]
    fn cuts_have_sides_and_directions() {
        let mut network = network();
        network.begin(0, &FaultKind::Partition { side: vec![0, 1] }, Duration::ZERO);
        network.begin(1, &FaultKind::OneWay { from: 3, to: 2 }, Duration::ZERO);
        assert!(passes(&mut network, 0, 1) && passes(&mut network, 2, 3));
        assert!(!passes(&mut network, 0, 2) && !passes(&mut network, 3, 1));
        assert!(!passes(&mut network, 3, 2));
        network.end(0);
        assert!(passes(&mut network, 0, 2) && !passes(&mut network, 3, 2));
        network.heal();
        assert!(passes(&mut network, 3, 2));
        network.begin(2, &FaultKind::Ring {}, Duration::ZERO);
        assert!(passes(&mut network, 3, 0) && !passes(&mut network, 0, 3));
    }

    #[test]
    fn loss_duplication_delay_and_skew_do_what_they_are_called() {
        let mut network = network();
        let mut arrivals = |kind: Option<FaultKind>| -> Vec<Duration> {
            network.heal();
            kind.iter().for_each(|kind| network.begin(0, kind, Duration::ZERO));
            let link = (Node::Host(0), Node::Client(1));
            (0..1000).flat_map(|_| network.arrivals(Duration::ZERO, link.0, link.1)).collect()
        };
        assert_eq!(arrivals(None).len(), 1000);
        let lossy = arrivals(Some(FaultKind::Loss { percent: 30 })).len();
        assert!((600..800).contains(&lossy), "{lossy}");
        let doubled = arrivals(Some(FaultKind::Duplicate { percent: 30 })).len();
        assert!((1200..1400).contains(&doubled), "{doubled}");
        let late = Duration::from_millis(900);
        let slow = arrivals(Some(FaultKind::SlowLink { host: 0, by: late }));
        assert!(slow.iter().all(|at| *at > late));
        network.heal();
        network.begin(0, &FaultKind::ClockSkew { host: 2, percent: 50 }, Duration::ZERO);
        assert_eq!(network.skewed(2, late), late / 2);
        assert_eq!(network.skewed(1, late), late);
    }
}
