//! Counts of states and edges on record. A change of the model changes them, and is to be looked at.
//!
//! They are those of a complete search with all reductions, in `golden.tsv`: a line for each configuration with its name,
//! states and edges.

use pbft_model::config::Config;

const TABLE: &str = include_str!("golden.tsv");

/// The configurations on record with their states and edges.
pub fn table() -> impl Iterator<Item = (Config, u64, u64)> {
    TABLE.lines().filter_map(|line| {
        let mut fields = line.split('\t');
        let config = fields.next()?.parse().ok()?;
        Some((config, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

/// States and edges of a configuration, if they are on record.
#[must_use]
pub fn counts(config: &Config) -> Option<(u64, u64)> {
    let found = table().find(|(name, _, _)| name == config);
    found.map(|(_, states, edges)| (states, edges))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_line_can_be_read_and_none_is_there_twice() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count();
        let names: BTreeSet<_> = table().map(|(config, _, _)| config).collect();
        assert_eq!(names.len(), lines);
        assert!(table().all(|(_, states, edges)| states > 0 && edges >= states - 1));
    }
}
