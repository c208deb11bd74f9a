//! What a search will take, before it starts.

use std::fmt;

use crate::golden;
use crate::output::grouped;
use crate::preset::Entry;
use crate::run;

/// Bytes of memory for each state of a depth-first search: a table of fingerprints that is between a half and full.
const BYTES_PER_STATE: u64 = 20;
/// Distinct states a second on two cores, from the benchmark; slow rather than fast.
const STATES_PER_SECOND: u64 = 500_000;
/// States taken for a configuration that is not on record: most that are not are of this order.
const UNKNOWN: u64 = 500_000_000;

/// States, memory and time that some configurations will take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    states: u64,
    unknown: usize,
    memory: u64,
    available: Option<u64>,
}

impl Estimate {
    /// Adds up what is on record. Memory is that of the largest: they run one after the other.
    #[must_use]
    pub fn of(entries: &[Entry]) -> Self {
        let recorded = |entry: &Entry| golden::counts(&entry.config).map(|(states, _)| states);
        let broken = |entry: &&Entry| entry.property.is_none();
        let states = entries.iter().filter(broken).map(|entry| recorded(entry).unwrap_or(UNKNOWN));
        let largest = states.clone().max().unwrap_or(0);
        Self {
            states: states.sum(),
            unknown: entries
                .iter()
                .filter(broken)
                .filter(|entry| recorded(entry).is_none())
                .count(),
            memory: largest * BYTES_PER_STATE,
            available: available_memory(),
        }
    }

    /// Whether memory is expected to be enough, as far as is known.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.available.is_none_or(|available| self.memory <= available)
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.states / STATES_PER_SECOND / 60;
        write!(
            f,
            "estimate: {} states, {minutes} minutes on two cores, {:.1} GiB of memory",
            grouped(self.states),
            self.memory as f64 / f64::from(1 << 30),
        )?;
        if let Some(available) = self.available {
            write!(f, " ({:.1} GiB are available)", available as f64 / f64::from(1 << 30))?;
        }
        match self.unknown {
            0 => Ok(()),
            unknown => write!(
                f,
                "; {unknown} configurations are not on record and taken for {} states each",
                grouped(UNKNOWN)
            ),
        }
    }
}

/// Memory that can be had without swapping, where the system says.
fn available_memory() -> Option<u64> {
    run::memory_in("/proc/meminfo", "MemAvailable:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_record_is_added_up_and_the_largest_must_fit()
    -> Result<(), pbft_model::ConfigError> {
        let entry = |name: &str| Ok(Entry { config: name.parse()?, property: None });
        let known: Vec<_> = golden::table().take(2).collect();
        let entries = known.iter().map(|(config, _, _)| entry(&config.to_string()));
        let entries = entries.collect::<Result<Vec<_>, pbft_model::ConfigError>>()?;
        let estimate = Estimate::of(&entries);
        assert_eq!(estimate.states, known.iter().map(|(_, states, _)| states).sum::<u64>());
        let with_unknown = [entries, vec![entry("n7-bnone-v4-s3-d3")?]].concat();
        let larger = Estimate::of(&with_unknown);
        assert_eq!((larger.unknown, larger.states), (1, estimate.states + UNKNOWN));
        assert!(!Estimate { available: Some(larger.memory - 1), ..larger }.fits());
        assert!(Estimate { available: Some(larger.memory), ..larger }.fits());
        Ok(())
    }
}
