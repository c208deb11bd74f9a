//! Every good message spoiled at every place in every way, and given to the core's check of messages that nobody asked for:
//! it must find what is wrong, and take what is good.

use super::map::{Map, sort_of};
use super::rules::Rules;
use super::spoil::{Change, Forge, ForgeError, Reorder, Spoiled};
use super::valid::Faults;
use crate::divergence::{Difference, Kind, Moment};
use crate::refinement::keys::SealKeys;
use crate::refinement::layout::Signable as _;
use crate::refinement::pick::Pick;
use crate::signpost::Fact;
use crate::signpost::given::Given;
use pbft_core::Rejection::BadSignature;
use pbft_core::RejectionKind;
use pbft_core::crypto::{verify, verify_reply};
use pbft_core::message::{Message, Reply, Signed};
use pbft_core::types::{Digest, ReplicaId};
use pbft_core::{Membership, Params, Rejection};
use pbft_model as model;
use pbft_node::codec;
use std::collections::BTreeMap;

/// Messages that are spoiled at two places, for each good one.
const TWICE_SPOILED: u64 = 200;

/// A field of all votes of a certificate that is changed in all of them alike.
const COMMON: [&str; 3] = ["view", "seq", "digest"];

/// What was made and judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Messages, by the sort of place that was spoiled.
    pub places: BTreeMap<String, u64>,
    /// How many of all were to be refused, by each of the reasons.
    pub refused: BTreeMap<RejectionKind, u64>,
    /// How many were good all the same.
    pub taken: u64,
}

/// All reasons that a message can be refused for whatever the state: each must have been given.
pub const REASONS: [RejectionKind; 20] = [
    RejectionKind::BadSignature,
    RejectionKind::CertificateFromFuture,
    RejectionKind::CertificatesNotRising,
    RejectionKind::LaneTooHigh,
    RejectionKind::MixedCertificate,
    RejectionKind::NotACheckpoint,
    RejectionKind::NotAMember,
    RejectionKind::NotPrimary,
    RejectionKind::NullBatch,
    RejectionKind::OperationTooLarge,
    RejectionKind::OutsideWindow,
    RejectionKind::PrepareFromPrimary,
    RejectionKind::SignersNotRising,
    RejectionKind::TimestampTooHigh,
    RejectionKind::TooLong,
    RejectionKind::UnprovenCheckpoint,
    RejectionKind::WrongDigest,
    RejectionKind::WrongNewView,
    RejectionKind::WrongQuorumSize,
    RejectionKind::WrongView,
];

/// The campaign against one size of cluster.
struct Campaign<'a> {
    forge: Forge<'a>,
    params: &'a Params,
    made: Made,
}

/// Spoils messages of a cluster of `replicas`; what was made, or the first message about which core and rules differ.
pub fn run(replicas: u32) -> Result<Made, Difference> {
    let membership = Membership::new(replicas).map_err(harness)?;
    let mut params = Params::new(ReplicaId(1), membership, Digest([7; 32]));
    (params.checkpoint_interval, params.window, params.pipeline) = (4, 8, 8);
    (params.batch_requests_max, params.operation_bytes_max, params.lanes_max) = (3, 4, 2);
    let config: model::Config = format!("n{replicas}-bnone-v0-s1-d1").parse().map_err(harness)?;
    let rules = Rules::new(replicas, usize::from(config.quorums().quorum), &params);
    let forge = Forge { rules: &rules, keys: &SealKeys };
    let mut campaign = Campaign { forge, params: &params, made: Made::default() };
    for (turn, good) in campaign.forge.all_good().into_iter().enumerate() {
        if !Faults::of(&rules, &SealKeys, &good).is_none() {
            return Err(harness(format!("a good {} is none", good.kind())));
        }
        if Map::of(&good).map_err(harness)?.bytes != codec::encode(&good).map_err(harness)? {
            return Err(harness(format!("the map of a {} is not its bytes", good.kind())));
        }
        campaign.judge(&good, "good", &"a good message")?;
        campaign.forgeries(&good)?;
        let once = campaign.shapes_of(&good)?;
        campaign.shapes(&once)?;
        campaign.common(&good)?;
        campaign.twice(&once, turn as u64)?;
    }
    campaign.replies()?;
    match REASONS.iter().find(|reason| !campaign.made.refused.contains_key(*reason)) {
        None => Ok(campaign.made),
        Some(reason) => Err(harness(format!("no message was to be refused as {reason}"))),
    }
}

fn harness(error: impl std::fmt::Display) -> Difference {
    Difference::new(Kind::Harness, error.to_string())
}

impl From<ForgeError> for Difference {
    fn from(error: ForgeError) -> Self {
        harness(error)
    }
}

impl Campaign<'_> {
    /// Each signature, each as something that it is not.
    fn forgeries(&mut self, good: &Message) -> Result<(), Difference> {
        let map = Map::of(good).map_err(harness)?;
        for at in &map.signed {
            for how in self.forge.forgeries(&map, at)? {
                let spoiled = self.forge.forged(&map, at, how)?;
                self.one(&spoiled, &format!("{} signature", sort_of(&at.path)))?;
            }
        }
        Ok(())
    }

    /// What a client is told is signed by who says it, to the last byte.
    fn replies(&mut self) -> Result<(), Difference> {
        let good = self.forge.reply();
        let verifier = self.forge.keys.verifier();
        let got = |reply| verify_reply(self.params, &*verifier, reply).err();
        if let Some(rejection) = got(good.clone()) {
            let difference = Difference::new(Kind::Refused, format!("a good reply: {rejection}"));
            return Err(difference.given(Given::Reply).with(Fact::Refused(rejection.kind())));
        }
        let map = Map::of(&good).map_err(harness)?;
        let own = BadSignature { signer: good.body.signer() };
        for at in &map.signed {
            for how in self.forge.forgeries(&map, at)? {
                let bytes = self.forge.forged_bytes(&map, at, how)?;
                let reply: Signed<Reply> = codec::decode(&bytes).map_err(harness)?;
                *self.made.places.entry("reply: signature".to_owned()).or_default() += 1;
                if got(reply) != Some(own.clone()) {
                    let what = format!("a reply spoiled by {how:?} is believed");
                    let difference = Difference::new(Kind::Accepted, what).given(Given::Reply);
                    return Err(difference.with(Fact::MustRefuse(RejectionKind::BadSignature)));
                }
            }
        }
        Ok(())
    }

    /// As it is, and mended.
    fn one(&mut self, spoiled: &Spoiled, sort: &str) -> Result<(), Difference> {
        self.judge(&spoiled.message, sort, spoiled)?;
        if let Some(mended) = self.forge.mended(spoiled)? {
            self.judge(&mended.message, sort, &mended)?;
        }
        Ok(())
    }

    /// Each value and each list, everything around it signed again.
    fn shapes(&mut self, once: &[Spoiled]) -> Result<(), Difference> {
        once.iter().try_for_each(|spoiled| self.one(spoiled, &sort_of(&spoiled.path)))
    }

    fn shapes_of(&self, good: &Message) -> Result<Vec<Spoiled>, Difference> {
        let map = Map::of(good).map_err(harness)?;
        let mut all = Vec::new();
        for leaf in &map.leaves {
            for change in Change::ALL {
                all.extend(self.forge.changed(&map, leaf, change)?);
            }
        }
        for list in &map.lists {
            for how in Reorder::all(list.elements.len()) {
                all.extend(self.forge.reordered(&map, list, how)?);
            }
        }
        Ok(all)
    }

    /// What all votes of a certificate say, changed in all of them.
    fn common(&mut self, good: &Message) -> Result<(), Difference> {
        let map = Map::of(good).map_err(harness)?;
        let certificates: Vec<_> = map.certificates().collect();
        for (certificate, field) in
            certificates.iter().flat_map(|one| COMMON.map(|field| (*one, field)))
        {
            for change in Change::ALL {
                let mut last = None;
                for leaf in map.leaves_named(certificate, field) {
                    let before = last.as_ref().map(|one: &Spoiled| Map::of(&one.message));
                    let before = before.transpose().map_err(harness)?;
                    last =
                        self.forge.changed(before.as_ref().unwrap_or(&map), leaf, change)?.or(last);
                }
                if let Some(spoiled) = last {
                    self.one(&spoiled, &format!("{}.* {field}", sort_of(certificate)))?;
                }
            }
        }
        Ok(())
    }

    /// Two places at once, drawn.
    fn twice(&mut self, once: &[Spoiled], seed: u64) -> Result<(), Difference> {
        for turn in 0..TWICE_SPOILED {
            let number = (seed << 32 | turn).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let pick = Pick::seeded(number ^ number >> 29);
            let Some(first) = once.get(pick.index(once.len())) else { return Ok(()) };
            let map = Map::of(&first.message).map_err(harness)?;
            let second = match pick.index(2) {
                0 => {
                    let leaf = &map.leaves[pick.index(map.leaves.len())];
                    let change = Change::ALL[pick.index(Change::ALL.len())];
                    self.forge.changed(&map, leaf, change)?
                }
                _ => match map.lists.get(pick.index(map.lists.len())) {
                    None => None,
                    Some(list) => {
                        let all = Reorder::all(list.elements.len());
                        self.forge.reordered(&map, list, all[pick.index(all.len())])?
                    }
                },
            };
            if let Some(spoiled) = second {
                self.one(&spoiled, "two places")?;
            }
        }
        Ok(())
    }

    fn judge(
        &mut self,
        message: &Message,
        sort: &str,
        what: &dyn std::fmt::Display,
    ) -> Result<(), Difference> {
        *self.made.places.entry(format!("{}: {sort}", message.kind())).or_default() += 1;
        let faults = Faults::of(self.forge.rules, self.forge.keys, message);
        for kind in &faults.kinds {
            *self.made.refused.entry(*kind).or_default() += 1;
        }
        self.made.taken += u64::from(faults.is_none());
        let got = verify(self.params, &*self.forge.keys.verifier(), message.clone());
        let got = got.err();
        compare(&faults, got.as_ref()).map_err(|(kind, diff)| {
            let replicas = self.forge.rules.replicas;
            let what = format!("{} of {replicas} replicas: {what}", message.kind());
            let difference = Difference::new(kind, what).with_diff(diff);
            let reasons = faults.kinds.iter().map(|reason| Fact::MustRefuse(*reason));
            let refused = got.iter().map(|rejection| Fact::Refused(rejection.kind()));
            let difference = difference.given(Given::of_message(message));
            let moment = Moment {
                replica: self.params.replica.0 as u8,
                step: self.made.places.values().sum::<u64>() as usize,
                action: format!("{} from a liar", message.kind()),
                path: Vec::new(),
            };
            reasons.chain(refused).fold(difference, Difference::with).then(moment)
        })
    }
}

/// Whether a message with these faults is refused as it must be.
pub fn compare(faults: &Faults, got: Option<&Rejection>) -> Result<(), (Kind, Vec<String>)> {
    let expected: Vec<_> = faults.kinds.iter().map(|kind| kind.as_str()).collect();
    let diff = |got: &str| {
        let expected = if expected.is_empty() { "taken".to_owned() } else { expected.join(" or ") };
        vec![format!("- {expected}"), format!("+ {got}")]
    };
    match got {
        None if faults.is_none() => Ok(()),
        None => Err((Kind::Accepted, diff("taken"))),
        Some(rejection) if faults.is_none() => {
            Err((Kind::Refused, diff(rejection.kind().as_str())))
        }
        Some(Rejection::BadSignature { signer }) if !faults.forged.contains(signer) => {
            Err((Kind::WrongRejection, diff(&format!("bad-signature of {signer:?}"))))
        }
        Some(rejection) if faults.kinds.contains(&rejection.kind()) => Ok(()),
        Some(rejection) => Err((Kind::WrongRejection, diff(rejection.kind().as_str()))),
    }
}
