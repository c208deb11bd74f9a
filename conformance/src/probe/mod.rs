//! Negative probes: messages that a guard must refuse, given to a copy of a replica. Each must be refused with
//! the reason that its guard gives, and must change nothing; or, for votes that do not match, be taken without
//! any effect.

mod checkpoint;
mod normal_case;
mod view_change;

use crate::divergence::{Difference, Kind};
use crate::host::{Host, Subject};
use crate::refinement::action::Delivery;
use crate::refinement::byzantine::Source;
use crate::refinement::vocabulary::{Vocabulary, replica_id};
use crate::step::{World, describe};
use pbft_core::message::Message;
use pbft_model as model;

/// How many probes are made at each state; over the graph, all kinds are made many times.
const PROBES_PER_STATE: usize = 2;

/// What a probe must lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// A rejection of this kind.
    Refused(&'static str),
    /// Nothing: the vote is kept, but does not count.
    Nothing,
}

/// A probe: deliveries to one replica, the last of which must lead to what is expected, and none to a step.
pub struct Probe {
    deliveries: Vec<Delivery>,
    expected: Expected,
}

/// Makes probes.
#[derive(Clone, Copy)]
pub struct Probes<'a> {
    /// The model.
    pub model: &'a model::Pbft,
    /// The dictionary.
    pub vocabulary: &'a Vocabulary,
}

/// One place that probes are made at.
pub struct Place<'a> {
    source: Source<'a>,
    model: &'a model::Pbft,
    state: &'a model::State,
    own: model::ReplicaId,
}

/// Makes a probe for a place, if it can be made there.
pub type Maker = fn(&Place<'_>) -> Option<Probe>;

/// Every guard has a probe here that only it refuses.
pub const PROBES: &[(&str, Maker)] = &[
    ("a second pre-prepare for a view and sequence number", normal_case::conflicting_pre_prepare),
    ("a pre-prepare of a replica that is not the primary", normal_case::pre_prepare_from_another),
    ("a pre-prepare above the high water mark", normal_case::pre_prepare_above_the_window),
    ("a pre-prepare at the low water mark", normal_case::pre_prepare_below_the_window),
    ("a pre-prepare of a view that was left", normal_case::pre_prepare_of_an_earlier_view),
    ("a pre-prepare of a view that is not active", normal_case::pre_prepare_between_views),
    ("a batch with a request that its client did not sign", normal_case::unsigned_request),
    ("the null batch outside a NEW-VIEW", normal_case::null_batch),
    ("a pre-prepare whose batch has another digest", normal_case::wrong_batch),
    ("a PREPARE of the primary", normal_case::prepare_of_the_primary),
    ("a PREPARE over another replica's channel", normal_case::prepare_over_another_channel),
    ("PREPAREs for another digest", normal_case::prepares_that_do_not_match),
    ("COMMITs for another digest", normal_case::commits_that_do_not_match),
    ("a COMMIT of another view", normal_case::commit_of_another_view),
    ("a commit certificate one COMMIT short", normal_case::commit_certificate_one_short),
    ("a CHECKPOINT that is not at a multiple of K", checkpoint::checkpoint_between_checkpoints),
    ("a stable certificate one CHECKPOINT short", checkpoint::stable_certificate_one_short),
    ("a VIEW-CHANGE whose h has no proof", view_change::unproven_low_water_mark),
    ("a VIEW-CHANGE with a certificate one PREPARE short", view_change::thin_certificate_in_p),
    ("a VIEW-CHANGE for a view that was left", view_change::stale_view_change),
    ("a NEW-VIEW whose O does not follow from V", view_change::new_view_with_another_o),
    ("a NEW-VIEW with one VIEW-CHANGE too few", view_change::new_view_one_short),
    ("a NEW-VIEW with two VIEW-CHANGEs of one replica", view_change::new_view_with_a_sender_twice),
    (
        "a NEW-VIEW with a VIEW-CHANGE for an earlier view",
        view_change::new_view_with_a_stale_view_change,
    ),
    ("a NEW-VIEW of a replica that is not the primary", view_change::new_view_of_another),
    ("a request whose lane has executed a later one", normal_case::replayed_request),
];

impl Probes<'_> {
    /// Probes a replica; the names of the probes that were made.
    pub fn run(
        &self,
        state: &model::State,
        world: &World,
        replica: model::ReplicaId,
        choice: u64,
    ) -> Result<Vec<&'static str>, Difference> {
        let source = Source { vocabulary: self.vocabulary, network: &world.network };
        let place = Place { source, model: self.model, state, own: replica };
        let mut seen = Vec::new();
        for offset in 0..PROBES.len() {
            let at = (choice as usize).wrapping_add(offset * 7) % PROBES.len();
            let (name, maker) = PROBES[at];
            let Some(probe) = maker(&place) else { continue };
            self.probe(world.host(replica), name, &probe)?;
            seen.push(name);
            if seen.len() == PROBES_PER_STATE {
                break;
            }
        }
        Ok(seen)
    }

    fn probe(&self, host: &Host, name: &str, probe: &Probe) -> Result<(), Difference> {
        let mut probed = host.clone();
        let Some((last, earlier)) = probe.deliveries.split_last() else {
            return Err(Difference::new(Kind::Harness, "an empty probe"));
        };
        for delivery in earlier {
            let seen = probed.deliver(self.vocabulary, delivery)?;
            let silent = seen.is_ok_and(|seen| seen.is_silent());
            if !silent {
                return Err(accepted(name, probe, delivery));
            }
        }
        let before = probed.clone();
        let outcome = probed.deliver(self.vocabulary, last)?;
        match (outcome, probe.expected) {
            (Ok(seen), Expected::Nothing) if seen.is_silent() => Ok(()),
            (Ok(_), Expected::Nothing | Expected::Refused(_)) => Err(accepted(name, probe, last)),
            (Err(rejection), Expected::Refused(kind)) if rejection.kind() == kind => {
                match probed.replica == before.replica {
                    true => Ok(()),
                    false => Err(Difference::new(
                        Kind::StateChanged,
                        format!("probe {}: refused, but the replica changed", name),
                    )),
                }
            }
            (Err(rejection), expected) => Err(Difference::new(
                Kind::WrongRejection,
                format!("probe {}: {}", name, describe(last)),
            )
            .with_diff(vec![format!("- {expected:?}"), format!("+ {}", rejection.kind())])),
        }
    }
}

fn accepted(name: &str, probe: &Probe, delivery: &Delivery) -> Difference {
    let what = format!("probe {}: {} was acted on", name, describe(delivery));
    let diff = vec![format!("- {:?}", probe.expected), "+ accepted".to_owned()];
    Difference::new(Kind::Accepted, what).with_diff(diff)
}

impl Place<'_> {
    fn before(&self) -> &model::ReplicaState {
        self.state.replica(self.own)
    }

    fn primary(&self) -> model::ReplicaId {
        self.model.primary(self.before().view)
    }

    fn others(&self) -> impl Iterator<Item = model::ReplicaId> + use<'_> {
        let all = (0..self.model.config().replicas()).map(model::ReplicaId);
        all.filter(|other| *other != self.own)
    }

    fn backups(&self) -> impl Iterator<Item = model::ReplicaId> + use<'_> {
        let primary = self.primary();
        self.others().filter(move |other| *other != primary)
    }

    fn is_active_backup(&self) -> bool {
        self.before().active && self.primary() != self.own
    }

    /// A slot in the window, and what is accepted there.
    fn slots(&self) -> impl Iterator<Item = (model::Slot, model::Value)> + use<'_> {
        let low = self.before().low_water_mark;
        let high = self.model.config().high_water_mark(low);
        low.until(high).map(|slot| (slot, self.before().accepted[slot.index()]))
    }

    fn from(&self, from: model::ReplicaId, message: Message) -> Delivery {
        Delivery::Message { from: replica_id(from), message }
    }

    fn refused(
        &self,
        from: model::ReplicaId,
        message: Message,
        kind: &'static str,
    ) -> Option<Probe> {
        let deliveries = vec![self.from(from, message)];
        Some(Probe { deliveries, expected: Expected::Refused(kind) })
    }

    fn value_other_than(&self, value: model::Value) -> model::Value {
        let other = self.model.requests().find(|other| *other != value);
        other.unwrap_or(model::Value::NULL)
    }
}
