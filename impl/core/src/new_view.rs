//! What a NEW-VIEW must order (§4.4): min-s, max-s and O, computed from V. Pure; the new primary uses it to make
//! O, and every backup to check it.

use crate::message::{Signed, StableCertificate, ViewChange};
use crate::params::Params;
use crate::planted::planted;
use crate::types::{Digest, SeqNum};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The content of a NEW-VIEW.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The latest stable checkpoint in V, min-s.
    pub(crate) min_s: SeqNum,
    /// Its proof.
    pub(crate) stable: Arc<StableCertificate>,
    /// The digest to pre-prepare at each sequence number after min-s up to max-s.
    pub(crate) order: BTreeMap<SeqNum, Digest>,
}

/// Computes the plan. The order of `view_changes` does not matter, except that equal claims are equal.
pub(crate) fn plan<'a>(
    params: &Params,
    null: Digest,
    view_changes: impl Iterator<Item = &'a Signed<ViewChange>> + Clone,
) -> Plan {
    let latest = view_changes.clone().max_by_key(|view_change| view_change.body.low_water_mark);
    let min_s = latest.map_or(SeqNum(0), |view_change| view_change.body.low_water_mark);
    let stable = latest.map(|view_change| view_change.body.stable.clone()).unwrap_or_default();
    let start = if planted!(params, MinSIgnored) { SeqNum(0) } else { min_s };
    let mut highest = BTreeMap::new();
    for certificate in view_changes.flat_map(|view_change| &view_change.body.prepared) {
        let claim = &certificate.pre_prepare.body;
        if claim.seq <= start {
            continue;
        }
        let best = highest.entry(claim.seq).or_insert(claim);
        let better = match planted!(params, NewViewTakesLowestView) {
            true => claim.view < best.view,
            false => claim.view > best.view,
        };
        if better {
            *best = claim;
        }
    }
    let max_s = highest.last_key_value().map_or(start, |(seq, _)| *seq);
    let order = (start.0..max_s.0)
        .map(|before| SeqNum(before + 1))
        .map(|seq| (seq, highest.get(&seq).map_or(null, |claim| claim.digest)))
        .collect();
    Plan { min_s, stable: Arc::new(stable), order }
}
