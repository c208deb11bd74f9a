//! Negative probes: messages that a guard must refuse, given to a copy of a replica. Each must be refused with
//! the reason that its guard gives, and must change nothing; or, for votes that do not match, be taken without
//! any effect.

mod bounds;
mod certificate;
mod checkpoint;
mod client;
pub(crate) mod evidence;
pub(crate) mod forgery;
pub mod frame;
pub mod handshake;
pub mod live;
mod normal_case;
pub mod reaction;
pub(crate) mod repeating;
pub(crate) mod restart;
pub mod teeth;
mod view_change;

use crate::divergence::{Difference, Kind};
use crate::refinement::action::Delivery;
use crate::refinement::byzantine::Source;
use crate::refinement::network::Network;
use crate::refinement::vocabulary::{Vocabulary, replica_id};
use crate::signpost::Fact;
use crate::subject::host::CoreHost;
use crate::subject::tally::Tally;
use crate::subject::world::{World, describe, refused};
use crate::subject::{Counted, Observation, Subject};
use pbft_core::Rejection;
use pbft_core::RejectionKind;
use pbft_core::message::Message;
use pbft_core::types::SeqNum;
use pbft_model as model;
use reaction::{REACTIONS, Scene};
use std::fmt::Debug;

/// How many probes are made at each state; over the graph, all kinds are made many times.
const PROBES_PER_STATE: usize = 2;

/// What a probe must lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// A rejection of this kind.
    Refused(RejectionKind),
    /// A rejection of one of these kinds.
    RefusedAs(&'static [RejectionKind]),
    /// Nothing: the vote is kept, but does not count.
    Nothing,
    /// The state of this checkpoint is not asked for.
    NoFetch(SeqNum),
}

impl Expected {
    fn allows(self, rejection: &Rejection) -> bool {
        match self {
            Self::Nothing | Self::NoFetch(_) => false,
            Self::Refused(kind) => rejection.kind() == kind,
            Self::RefusedAs(kinds) => kinds.contains(&rejection.kind()),
        }
    }

    /// Says of a message that was taken why it must not be.
    fn missed(self, difference: Difference) -> Difference {
        let reasons: &[RejectionKind] = match &self {
            Self::Refused(reason) => std::slice::from_ref(reason),
            Self::RefusedAs(reasons) => reasons,
            Self::Nothing | Self::NoFetch(_) => &[],
        };
        reasons.iter().copied().map(Fact::MustRefuse).fold(difference, Difference::with)
    }

    /// Says of a message that was refused for another reason, or for any.
    fn mistaken(self, delivery: &Delivery, rejection: &Rejection) -> Difference {
        let diff = vec![format!("- {self:?}"), format!("+ {}", rejection.kind())];
        let difference = Difference::new(Kind::WrongRejection, describe(delivery)).with_diff(diff);
        self.missed(difference.at(delivery)).with(Fact::Refused(rejection.kind()))
    }

    /// Whether the message is only too large: around the core, its frame is refused before it is read.
    fn is_of_size(self) -> bool {
        matches!(self, Self::Refused(RejectionKind::TooLong | RejectionKind::OperationTooLarge))
    }
}

/// From one probe to the next: not the neighbour, and all are tried because there is no common divisor.
const STRIDE: usize = 11;
const _: () = assert!(!PROBES.len().is_multiple_of(STRIDE), "some probes would never be tried");

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

/// One replica in one state.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The dictionary, and where messages come from.
    pub source: Source<'a>,
    /// The model.
    pub model: &'a model::Pbft,
    /// The state.
    pub state: &'a model::State,
    /// The replica.
    pub own: model::ReplicaId,
    /// Selects among the probes of one kind.
    pub choice: u64,
}

/// Makes a probe for a place, if it can be made there.
pub type Maker = fn(&Place<'_>) -> Option<Probe>;

/// Every guard has a probe here that only it refuses.
pub const PROBES: &[(&str, Maker)] = &[
    ("a second pre-prepare for a view and sequence number", normal_case::conflicting_pre_prepare),
    ("a pre-prepare twice", normal_case::pre_prepare_twice),
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
    ("a commit certificate one COMMIT short", certificate::one_short),
    ("a commit certificate with two COMMITs of one replica", certificate::a_signer_twice),
    ("a commit certificate whose COMMITs differ", certificate::mixed_votes),
    ("a commit certificate with another batch", certificate::another_batch),
    ("a commit certificate ahead of execution", certificate::ahead_of_execution),
    ("a CHECKPOINT that is not at a multiple of K", checkpoint::checkpoint_between_checkpoints),
    ("a stable certificate one CHECKPOINT short", checkpoint::stable_certificate_one_short),
    ("a VIEW-CHANGE whose h has no proof", view_change::unproven_low_water_mark),
    ("a VIEW-CHANGE with a certificate one PREPARE short", certificate::thin_certificate_in_p),
    (
        "a VIEW-CHANGE with a certificate of the view itself",
        certificate::certificate_of_the_view_itself,
    ),
    (
        "a VIEW-CHANGE with two certificates for one number",
        certificate::two_certificates_for_one_slot,
    ),
    ("a VIEW-CHANGE of a replica that is no member", view_change::view_change_of_a_stranger),
    ("one VIEW-CHANGE for a later view", view_change::one_view_change_for_a_later_view),
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
    (
        "a request whose lane has executed another one with its timestamp",
        normal_case::another_request_with_its_timestamp,
    ),
    ("a PREPARE of another view", normal_case::prepare_of_another_view),
    ("a PREPARE twice", normal_case::prepare_twice),
    ("a COMMIT twice", normal_case::commit_twice),
    ("a second PREPARE for another batch", normal_case::second_prepare),
    ("a second COMMIT for another batch", normal_case::second_commit),
    ("a CHECKPOINT twice", checkpoint::checkpoint_twice),
    ("CHECKPOINTs that do not match", checkpoint::checkpoints_that_do_not_match),
    (
        "a VIEW-CHANGE with a certificate above the window",
        certificate::certificate_above_the_window,
    ),
    ("a NEW-VIEW for a view that was left", view_change::new_view_for_a_view_that_was_left),
    ("a request on a lane beyond the bound", normal_case::request_on_a_lane_beyond_the_bound),
    ("a message that comes from the replica itself", bounds::own_message),
    ("a timer that does not run", bounds::stopped_timer),
    ("a certificate with more votes than there are replicas", bounds::surplus_votes),
    ("an operation larger than the cluster allows", bounds::large_operation),
    ("a batch that nobody asked for", bounds::unasked_batch),
    ("a question for a batch that is not here", bounds::unknown_batch),
    ("a question for a checkpoint that was not taken", bounds::unknown_state),
    ("a question for a part that a checkpoint does not have", bounds::unknown_part),
    ("a forged CHECKPOINT in a VIEW-CHANGE", forgery::checkpoint_in_c),
    ("a forged PRE-PREPARE in a VIEW-CHANGE", forgery::pre_prepare_in_p),
    ("a forged PREPARE in a VIEW-CHANGE", forgery::prepare_in_p),
    ("a forged VIEW-CHANGE in a NEW-VIEW", forgery::view_change_in_v),
    ("a forged CHECKPOINT in a NEW-VIEW", forgery::checkpoint_in_v),
    ("a forged PRE-PREPARE in V of a NEW-VIEW", forgery::pre_prepare_in_v),
    ("a forged PREPARE in a NEW-VIEW", forgery::prepare_in_v),
    ("a forged PRE-PREPARE in O of a NEW-VIEW", forgery::pre_prepare_in_o),
    ("a forged CHECKPOINT in a stable certificate", forgery::checkpoint_in_proof),
    ("a forged COMMIT in a commit certificate", forgery::commit_in_proof),
    ("a forged request in a commit certificate", forgery::request_in_committed),
    ("a forged request in a PRE-PREPARE", forgery::request_in_proposal),
    ("a forged request in a batch", forgery::request_in_batch),
    ("a forged request, relayed", forgery::relayed_request),
    ("a second and different VIEW-CHANGE", view_change::second_view_change),
];

/// The names of all probes and reactions: each must have been made.
pub fn names() -> impl Iterator<Item = &'static str> {
    let probes = PROBES.iter().map(|(name, _)| *name);
    probes.chain(REACTIONS.iter().map(|(name, _, _)| *name))
}

/// The names of all that is probed: on the core, at the node, and at its door.
pub fn all_names() -> impl Iterator<Item = &'static str> {
    names().chain(at_the_node())
}

/// The names of what can be probed at a node only: each must have been made there.
pub fn at_the_node() -> impl Iterator<Item = &'static str> {
    let frames = frame::FRAME_PROBES.iter().map(|(name, _)| *name);
    frames.chain(handshake::HANDSHAKES.iter().map(|(name, _)| *name))
}

impl Probes<'_> {
    /// Probes copies of the replica that has just taken `action`, and asks one for a reaction; the names of the
    /// probes and reactions that were made.
    pub fn run(
        &self,
        state: &model::State,
        world: &World,
        action: &model::Action,
        choice: u64,
        tally: &mut Tally,
    ) -> Result<Vec<&'static str>, Difference> {
        let source = Source { vocabulary: self.vocabulary, network: &world.network };
        let replica = action.replica();
        let place = Place { source, model: self.model, state, own: replica, choice };
        let mut seen = Vec::new();
        seen.extend(self.react(&Scene::new(place, action), world.host(replica), choice, tally)?);
        let made = seen.len();
        for offset in 0..PROBES.len() {
            let at = (choice as usize).wrapping_add(offset * STRIDE) % PROBES.len();
            let (name, maker) = PROBES[at];
            let Some(probe) = maker(&place) else { continue };
            self.probe(world.host(replica), &probe, tally)
                .map_err(|difference| difference.by_probe("probe", name))?;
            seen.push(name);
            if seen.len() == made + PROBES_PER_STATE {
                break;
            }
        }
        Ok(seen)
    }

    /// Makes one probe or asks for one reaction, by name, at the replica that has just taken `action`, if it can be
    /// made there.
    pub fn run_one(
        &self,
        state: &model::State,
        network: &Network,
        host: &CoreHost,
        action: &model::Action,
        name: &str,
    ) -> Option<Result<(), Difference>> {
        let source = Source { vocabulary: self.vocabulary, network };
        let place = Place { source, model: self.model, state, own: action.replica(), choice: 0 };
        if let Some((_, maker)) = PROBES.iter().find(|(known, _)| *known == name) {
            return maker(&place).map(|probe| self.probe(host, &probe, &mut Tally::default()));
        }
        let (_, _, reaction) = REACTIONS.iter().find(|(known, _, _)| *known == name)?;
        reaction(&Scene::new(place, action), &mut host.clone())
    }

    /// Asks a copy of the replica for the first reaction, from the `choice`-th on, that it owes here.
    fn react(
        &self,
        scene: &Scene<'_>,
        host: &CoreHost,
        choice: u64,
        tally: &mut Tally,
    ) -> Result<Option<&'static str>, Difference> {
        for offset in 0..REACTIONS.len() {
            let at = (choice as usize).wrapping_add(offset) % REACTIONS.len();
            let (name, _, reaction) = REACTIONS[at];
            let mut copy = host.clone();
            if let Some(outcome) = reaction(scene, &mut Counted { subject: &mut copy, tally }) {
                return outcome
                    .map(|()| Some(name))
                    .map_err(|difference| difference.by_probe("reaction", name));
            }
        }
        Ok(None)
    }

    fn probe(&self, host: &CoreHost, probe: &Probe, tally: &mut Tally) -> Result<(), Difference> {
        let mut probed = host.clone();
        let Some((last, earlier)) = probe.deliveries.split_last() else {
            return Err(Difference::new(Kind::Harness, "an empty probe"));
        };
        for delivery in earlier {
            let seen = probed.deliver(self.vocabulary, delivery);
            let seen = seen.map_err(|difference| difference.at(delivery))?;
            tally.outcome(&seen);
            match &seen {
                Ok(seen) if seen.is_silent() => {}
                Ok(seen) => return Err(accepted(delivery, "nothing yet", seen)),
                Err(rejection) if probe.expected.allows(rejection) => {}
                Err(rejection) => return Err(refused(delivery, rejection)),
            }
        }
        let before = probed.replica().clone();
        let outcome = probed.deliver(self.vocabulary, last);
        let outcome = outcome.map_err(|difference| difference.at(last))?;
        tally.outcome(&outcome);
        match (outcome, probe.expected) {
            (Ok(seen), Expected::Nothing) if seen.is_silent() => Ok(()),
            (Ok(seen), Expected::NoFetch(seq)) if !fetches(&seen, seq) => Ok(()),
            (Ok(seen), expected) => Err(expected.missed(accepted(last, expected, &seen))),
            (Err(rejection), expected) if expected.allows(&rejection) => {
                match *probed.replica() == before {
                    true if rejection.kind() == RejectionKind::Equivocation => {
                        let kept = evidence::check(self.vocabulary, probed.replica(), last);
                        kept.map_err(|wrong| wrong.with(Fact::Evidence).at(last))
                    }
                    true => Ok(()),
                    false => Err(changed(last, &rejection)),
                }
            }
            (Err(rejection), expected) => Err(expected.mistaken(last, &rejection)),
        }
    }
}

fn fetches(seen: &Observation, seq: SeqNum) -> bool {
    let asks = |message: &Message| matches!(message, Message::FetchState(part) if part.seq == seq);
    seen.sends.iter().any(|(_, message)| asks(message))
}

fn accepted(delivery: &Delivery, expected: impl Debug, seen: &Observation) -> Difference {
    let what = format!("{} was acted on", describe(delivery));
    let diff = vec![format!("- {expected:?}"), "+ accepted".to_owned()];
    let difference = Difference::new(Kind::Accepted, what).with_diff(diff).at(delivery);
    difference.with_deeds(seen.deeds())
}

fn changed(delivery: &Delivery, rejection: &Rejection) -> Difference {
    let difference = Difference::new(Kind::StateChanged, "refused, but the replica changed");
    difference.with(Fact::Refused(rejection.kind())).at(delivery)
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

    /// The last answered request of the first client that has an answer.
    fn last_answered(&self) -> Option<model::Value> {
        let served = self.before().served;
        let client = served.iter().next()?.client();
        let of_client = served.iter().filter(|value| value.client() == client);
        of_client.max_by_key(|value| value.number())
    }

    /// The earliest checkpoint that the replica took and still has, and its state.
    fn kept_checkpoint(&self) -> Option<(model::Slot, model::StateDigest)> {
        let before = self.before();
        let taken = before.sent.checkpoints.iter().enumerate();
        let mut taken =
            taken.filter_map(|(index, state)| Some((model::Slot::at(index), (*state)?)));
        taken.find(|(slot, _)| *slot >= before.low_water_mark)
    }

    fn from(&self, from: model::ReplicaId, message: Message) -> Delivery {
        Delivery::Message { from: replica_id(from), message }
    }

    fn refused(
        &self,
        from: model::ReplicaId,
        message: Message,
        kind: RejectionKind,
    ) -> Option<Probe> {
        let deliveries = vec![self.from(from, message)];
        Some(Probe { deliveries, expected: Expected::Refused(kind) })
    }

    fn value_other_than(&self, value: model::Value) -> model::Value {
        let other = self.model.requests().find(|other| *other != value);
        other.unwrap_or(model::Value::NULL)
    }
}
