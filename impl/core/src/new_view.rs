//! What a NEW-VIEW must order (§4.4): min-s, max-s and O, computed from V. Pure; the new primary uses it to make
//! O, and every backup to check it.

use crate::message::{Batch, Signed, StableCertificate, ViewChange};
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

/// Computes the plan. The order of V does not matter, except that equal claims are equal.
pub(crate) fn plan(v: &[Arc<Signed<ViewChange>>]) -> Plan {
    let latest = v.iter().max_by_key(|view_change| view_change.body.low_water_mark);
    let min_s = latest.map_or(SeqNum(0), |view_change| view_change.body.low_water_mark);
    let stable = latest.map(|view_change| view_change.body.stable.clone()).unwrap_or_default();
    let mut highest = BTreeMap::new();
    for certificate in v.iter().flat_map(|view_change| &view_change.body.prepared) {
        let claim = &certificate.pre_prepare.body;
        if claim.seq <= min_s {
            continue;
        }
        let best = highest.entry(claim.seq).or_insert(claim);
        if claim.view > best.view {
            *best = claim;
        }
    }
    let null = Batch::default().digest();
    let max_s = highest.last_key_value().map_or(min_s, |(seq, _)| *seq);
    let order = (min_s.0..max_s.0)
        .map(|before| SeqNum(before + 1))
        .map(|seq| (seq, highest.get(&seq).map_or(null, |claim| claim.digest)))
        .collect();
    Plan { min_s, stable: Arc::new(stable), order }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Checkpoint, PrePrepare, PreparedCertificate};
    use crate::types::{ReplicaId, Signature, View};
    use proptest::prelude::*;

    fn unsigned<B>(body: B) -> Signed<B> {
        Signed { body, signature: Signature::default() }
    }

    /// One digest for each view and sequence number: at most one can prepare.
    fn digest_of(view: u64, seq: u64) -> Digest {
        Digest([(10 * view + seq) as u8; 32])
    }

    fn view_change(replica: u32, low: u64, claims: &[(u64, u64)]) -> Arc<Signed<ViewChange>> {
        let prepared = claims.iter().map(|&(view, seq)| PreparedCertificate {
            pre_prepare: unsigned(PrePrepare {
                view: View(view),
                seq: SeqNum(seq),
                digest: digest_of(view, seq),
                replica: ReplicaId(0),
            }),
            prepares: Vec::new(),
        });
        let proof = Checkpoint { seq: SeqNum(low), digest: Digest([1; 32]), replica: ReplicaId(0) };
        Arc::new(unsigned(ViewChange {
            view: View(9),
            low_water_mark: SeqNum(low),
            stable: StableCertificate { checkpoints: vec![unsigned(proof)] },
            prepared: prepared.collect(),
            replica: ReplicaId(replica),
        }))
    }

    fn any_v() -> impl Strategy<Value = Vec<Arc<Signed<ViewChange>>>> {
        let claims = proptest::collection::vec((0u64..4, 1u64..9), 0..6);
        proptest::collection::vec((0u64..5, claims), 1..6).prop_map(|v| {
            v.iter().zip(0..).map(|((low, p), replica)| view_change(replica, *low, p)).collect()
        })
    }

    proptest! {
        /// §4.4: O follows from V as a set.
        #[test]
        fn o_does_not_depend_on_the_order_of_v(
            (v, shuffled) in any_v().prop_flat_map(|v| (Just(v.clone()), Just(v).prop_shuffle())),
        ) {
            prop_assert_eq!(plan(&v), plan(&shuffled));
        }

        /// §4.4, told the other way round: every number after min-s up to the highest claim, each with the claim of the
        /// highest view, or null.
        #[test]
        fn o_is_what_the_paper_says(v in any_v()) {
            let plan = plan(&v);
            let lows = v.iter().map(|known| known.body.low_water_mark);
            prop_assert_eq!(Some(plan.min_s), lows.max());
            let claims: Vec<_> = v
                .iter()
                .flat_map(|known| known.body.prepared.iter().map(|c| &c.pre_prepare.body))
                .filter(|claim| claim.seq > plan.min_s)
                .collect();
            let max_s = claims.iter().map(|claim| claim.seq).max().unwrap_or(plan.min_s);
            let numbers: Vec<_> = plan.order.keys().map(|seq| seq.0).collect();
            prop_assert_eq!(numbers, (plan.min_s.0 + 1..=max_s.0).collect::<Vec<_>>());
            for (seq, digest) in &plan.order {
                let here = claims.iter().filter(|claim| claim.seq == *seq);
                let best = here.max_by_key(|claim| claim.view).map(|claim| claim.digest);
                prop_assert_eq!(*digest, best.unwrap_or_else(|| Batch::default().digest()));
            }
        }
    }

    #[test]
    fn a_checkpoint_at_the_end_of_the_range_does_not_wrap() {
        let plan = plan(&[view_change(0, u64::MAX, &[(0, u64::MAX)])]);
        assert_eq!((plan.min_s, plan.order.len()), (SeqNum(u64::MAX), 0));
    }
}
