//! Where the bounds of a preset meet.
//!
//! A rule may be needed only where two bounds are large: a restart between two view changes, a checkpoint below a slot of a
//! later view. Configurations that have each bound large alone do not see that it is missing.

use std::fmt;

use pbft_model::config::Config;
use pbft_model::ids::{ReplicaId, View};
use serde::Serialize;

use crate::golden;
use crate::preset::Preset;

/// A bound that is large enough to matter, or a place of the Byzantine replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Axis {
    /// A view change.
    ViewChange,
    /// A second view change.
    SecondViewChange,
    /// Two slots.
    Slots,
    /// Two clients.
    Clients,
    /// A second request of a client.
    Timestamps,
    /// A checkpoint that a replica can fetch.
    Checkpoints,
    /// Crashes and restarts.
    Restarts,
    /// More than four replicas.
    Replicas,
    /// Nobody is Byzantine.
    NoLiar,
    /// A Byzantine replica leads the first view.
    FirstLeader,
    /// A Byzantine replica leads a later view, and none leads the first.
    LaterLeader,
    /// Byzantine replicas lead no view.
    Follower,
}

use Axis::{
    Checkpoints, Clients, FirstLeader, Follower, LaterLeader, NoLiar, Replicas, Restarts,
    SecondViewChange, Slots, Timestamps, ViewChange,
};

impl Axis {
    /// All of them.
    pub const ALL: [Self; 12] = [
        ViewChange,
        SecondViewChange,
        Slots,
        Clients,
        Timestamps,
        Checkpoints,
        Restarts,
        Replicas,
        NoLiar,
        FirstLeader,
        LaterLeader,
        Follower,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ViewChange => "view change",
            SecondViewChange => "second view change",
            Slots => "two slots",
            Clients => "two clients",
            Timestamps => "two requests a client",
            Checkpoints => "checkpoint and transfer",
            Restarts => "restart",
            Replicas => "n > 4",
            NoLiar => "no Byzantine replica",
            FirstLeader => "Byzantine first primary",
            LaterLeader => "Byzantine later primary",
            Follower => "Byzantine backup",
        }
    }

    /// Whether a configuration has it.
    #[must_use]
    pub fn is_in(self, config: &Config) -> bool {
        let leads = |views: std::ops::RangeInclusive<u8>| {
            let mut leaders = views.map(|view| ReplicaId(view % config.replicas()));
            leaders.any(|leader| config.is_byzantine(leader))
        };
        let View(last) = config.max_view();
        let (has_liar, first) = (config.byzantine_count() > 0, leads(0..=0));
        match self {
            ViewChange => last >= 1,
            SecondViewChange => last >= 2,
            Slots => config.last_slot().0 >= 2,
            Clients => config.clients() >= 2,
            Timestamps => config.timestamps() >= 2,
            Checkpoints => config.checkpoint_interval().is_some(),
            Restarts => config.restarts(),
            Replicas => config.replicas() > 4,
            NoLiar => !has_liar,
            FirstLeader => first,
            LaterLeader => !first && leads(0..=last),
            Follower => has_liar && !leads(0..=last),
        }
    }

    /// Whether this is a place of the Byzantine replicas, of which a configuration has one.
    const fn is_place(self) -> bool {
        matches!(self, NoLiar | FirstLeader | LaterLeader | Follower)
    }

    /// Whether both can be in one configuration, and neither is there whenever the other is.
    fn can_meet(self, other: Self) -> bool {
        let implied = [(ViewChange, SecondViewChange), (ViewChange, LaterLeader)];
        self < other && !(self.is_place() && other.is_place()) && !implied.contains(&(self, other))
    }
}

/// Several axes that some configuration may have, and the smallest that has them.
#[derive(Clone, Debug, Serialize)]
pub struct Meeting {
    /// The axes.
    pub axes: Vec<Axis>,
    /// The smallest configuration on record that has all of them; none if there is none.
    pub config: Option<String>,
    /// Its states, if they are on record.
    pub states: Option<u64>,
}

/// Where the axes of a preset meet.
#[derive(Clone, Debug, Serialize)]
pub struct Meetings {
    /// Every pair that can be.
    pub pairs: Vec<Meeting>,
    /// Every triple whose pairs can be.
    pub triples: Vec<Meeting>,
}

impl Meetings {
    /// Those of a preset, in configurations that tolerate their Byzantine replicas.
    #[must_use]
    pub fn of(preset: Preset) -> Self {
        let entries = preset.entries().into_iter().filter(|entry| entry.property.is_none());
        let states = |config: &Config| golden::counts(config).map(|(states, _)| states);
        let mut configs: Vec<(Option<u64>, Config)> =
            entries.map(|entry| (states(&entry.config), entry.config)).collect();
        configs.sort_by_key(|(states, _)| states.unwrap_or(u64::MAX));
        let meet = |axes: &[Axis]| {
            let has_all = |config: &Config| axes.iter().all(|axis| axis.is_in(config));
            let found = configs.iter().find(|(_, config)| has_all(config));
            Meeting {
                axes: axes.to_vec(),
                config: found.map(|(_, config)| config.to_string()),
                states: found.and_then(|(states, _)| *states),
            }
        };
        let (mut pairs, mut triples) = (Vec::new(), Vec::new());
        for one in Axis::ALL {
            for two in Axis::ALL.into_iter().filter(|two| one.can_meet(*two)) {
                pairs.push(meet(&[one, two]));
                let third = |three: &Axis| one.can_meet(*three) && two.can_meet(*three);
                let thirds = Axis::ALL.into_iter().filter(third);
                triples.extend(thirds.map(|three| meet(&[one, two, three])));
            }
        }
        Self { pairs, triples }
    }

    /// The pairs that no configuration has.
    pub fn missing(&self) -> impl Iterator<Item = &Meeting> {
        self.pairs.iter().filter(|pair| pair.config.is_none())
    }
}

impl fmt::Display for Meeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.axes.iter().map(|axis| axis.name()).collect();
        write!(f, "| {} | ", names.join(" × "))?;
        match (&self.config, self.states) {
            (Some(config), Some(states)) => {
                write!(f, "`{config}` | {} |", crate::output::grouped(states))
            }
            (Some(config), None) => write!(f, "`{config}` | not on record |"),
            (None, _) => write!(f, "none | |"),
        }
    }
}

/// A table in Markdown: each pair with the smallest configuration that has it, and how many triples there are.
impl fmt::Display for Meetings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| pair | smallest configuration | states |\n|---|---|---:|")?;
        self.pairs.iter().try_for_each(|pair| writeln!(f, "{pair}"))?;
        let covered = |all: &[Meeting]| all.iter().filter(|one| one.config.is_some()).count();
        writeln!(
            f,
            "\n{} of {} pairs, {} of {} triples",
            covered(&self.pairs),
            self.pairs.len(),
            covered(&self.triples),
            self.triples.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes(config: &str) -> Vec<Axis> {
        let config: Config = config.parse().expect("a configuration");
        Axis::ALL.into_iter().filter(|axis| axis.is_in(&config)).collect()
    }

    #[test]
    fn what_a_configuration_has_is_known() {
        assert_eq!(axes("n4-bnone-v0-s1-d1"), [NoLiar]);
        assert_eq!(axes("n4-b0-v0-s2-d2-k1"), [Slots, Clients, Checkpoints, FirstLeader]);
        assert_eq!(axes("n4-b2-v1-s1-d1-r"), [ViewChange, Restarts, Follower]);
        assert_eq!(
            axes("n5-b2-v2-s1-d1-t2"),
            [ViewChange, SecondViewChange, Timestamps, Replicas, LaterLeader]
        );
    }

    /// A second view change with crashes has more than twenty million states at the smallest bounds, which is too much for
    /// every day.
    const TOO_LARGE: [[Axis; 2]; 1] = [[SecondViewChange, Restarts]];

    #[test]
    fn every_other_pair_meets_in_the_quick_preset() {
        let meetings = Meetings::of(Preset::Quick);
        let missing: Vec<_> = meetings.missing().map(|pair| pair.axes.clone()).collect();
        assert_eq!(missing, TOO_LARGE.map(Vec::from));
    }

    #[test]
    fn four_of_five_triples_meet_at_night() {
        let triples = Meetings::of(Preset::Nightly).triples;
        let missing = triples.iter().filter(|one| one.config.is_none()).map(ToString::to_string);
        let missing: Vec<_> = missing.collect();
        assert!(
            missing.len() * 5 <= triples.len(),
            "{} of {}: {missing:#?}",
            missing.len(),
            triples.len()
        );
    }
}
