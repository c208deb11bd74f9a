//! Negative probes: messages that a guard must refuse, given to a copy of a replica. Each must be refused with
//! the reason that its guard gives, and must change nothing; or, for votes that do not match, be taken without
//! any effect.

use crate::divergence::{Difference, Kind};
use crate::host::{Host, Subject};
use crate::refinement::action::Delivery;
use crate::refinement::byzantine::Source;
use crate::refinement::vocabulary::{Vocabulary, replica_id, seq, view as core_view};
use crate::step::{World, describe};
use pbft_core::message::{Message, NewView, Signed, StableCertificate, ViewChange};
use pbft_core::types::SeqNum;
use pbft_model as model;
use std::sync::Arc;

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
    ("a second pre-prepare for a view and sequence number", conflicting_pre_prepare),
    ("a pre-prepare of a replica that is not the primary", pre_prepare_from_another),
    ("a pre-prepare above the high water mark", pre_prepare_above_the_window),
    ("a pre-prepare at the low water mark", pre_prepare_below_the_window),
    ("a pre-prepare of a view that was left", pre_prepare_of_an_earlier_view),
    ("a pre-prepare of a view that is not active", pre_prepare_between_views),
    ("a batch with a request that its client did not sign", unsigned_request),
    ("the null batch outside a NEW-VIEW", null_batch),
    ("a pre-prepare whose batch has another digest", wrong_batch),
    ("a PREPARE of the primary", prepare_of_the_primary),
    ("a PREPARE over another replica's channel", prepare_over_another_channel),
    ("PREPAREs for another digest", prepares_that_do_not_match),
    ("COMMITs for another digest", commits_that_do_not_match),
    ("a COMMIT of another view", commit_of_another_view),
    ("a commit certificate one COMMIT short", commit_certificate_one_short),
    ("a CHECKPOINT that is not at a multiple of K", checkpoint_between_checkpoints),
    ("a stable certificate one CHECKPOINT short", stable_certificate_one_short),
    ("a VIEW-CHANGE whose h has no proof", unproven_low_water_mark),
    ("a VIEW-CHANGE with a certificate one PREPARE short", thin_certificate_in_p),
    ("a VIEW-CHANGE for a view that was left", stale_view_change),
    ("a NEW-VIEW whose O does not follow from V", new_view_with_another_o),
    ("a NEW-VIEW with one VIEW-CHANGE too few", new_view_one_short),
    ("a NEW-VIEW with two VIEW-CHANGEs of one replica", new_view_with_a_sender_twice),
    ("a NEW-VIEW with a VIEW-CHANGE for an earlier view", new_view_with_a_stale_view_change),
    ("a NEW-VIEW of a replica that is not the primary", new_view_of_another),
    ("a request whose lane has executed a later one", replayed_request),
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

fn conflicting_pre_prepare(place: &Place<'_>) -> Option<Probe> {
    let (slot, accepted) = place.slots().find(|(_, accepted)| accepted.is_some())?;
    let other = place.model.requests().find(|other| *other != accepted)?;
    if !place.is_active_backup() {
        return None;
    }
    let primary = place.primary();
    let proposal = place.source.make_proposal(primary, place.before().view, slot, other);
    place.refused(primary, Message::PrePrepare(proposal), "equivocation")
}

fn pre_prepare_from_another(place: &Place<'_>) -> Option<Probe> {
    let (slot, _) = place.slots().find(|(_, accepted)| accepted.is_none())?;
    let another = place.backups().next().filter(|_| place.before().active)?;
    let value = model::Value::request(1);
    let proposal = place.source.make_proposal(another, place.before().view, slot, value);
    place.refused(another, Message::PrePrepare(proposal), "not-primary")
}

fn pre_prepare_at(place: &Place<'_>, seq: SeqNum) -> Option<Probe> {
    if !place.is_active_backup() {
        return None;
    }
    let primary = place.primary();
    let value = model::Value::request(1);
    let proposal = place.source.make_proposal(primary, place.before().view, model::Slot(1), value);
    let mut body = proposal.pre_prepare.body.clone();
    body.seq = seq;
    let pre_prepare = place.source.vocabulary.sign_as(primary, body);
    let batch = Arc::clone(&proposal.batch);
    let proposal = Arc::new(pbft_core::message::Proposal { pre_prepare, batch });
    place.refused(primary, Message::PrePrepare(proposal), "outside-window")
}

fn pre_prepare_above_the_window(place: &Place<'_>) -> Option<Probe> {
    let window = place.source.vocabulary.params(place.own).window;
    let above = seq(place.before().low_water_mark).0 + window + 1;
    pre_prepare_at(place, SeqNum(above))
}

fn pre_prepare_below_the_window(place: &Place<'_>) -> Option<Probe> {
    let low = seq(place.before().low_water_mark);
    pre_prepare_at(place, low)
}

fn pre_prepare_of_an_earlier_view(place: &Place<'_>) -> Option<Probe> {
    let earlier = model::View(place.before().view.0.checked_sub(1)?);
    let primary = place.model.primary(earlier);
    let (slot, _) = place.slots().next()?;
    if primary == place.own {
        return None;
    }
    let value = model::Value::request(1);
    let proposal = place.source.make_proposal(primary, earlier, slot, value);
    place.refused(primary, Message::PrePrepare(proposal), "wrong-view")
}

fn pre_prepare_between_views(place: &Place<'_>) -> Option<Probe> {
    let (slot, _) = place.slots().next()?;
    let primary = place.primary();
    if place.before().active || primary == place.own {
        return None;
    }
    let value = model::Value::request(1);
    let proposal = place.source.make_proposal(primary, place.before().view, slot, value);
    place.refused(primary, Message::PrePrepare(proposal), "view-not-active")
}

fn unsigned_request(place: &Place<'_>) -> Option<Probe> {
    let (slot, _) = place.slots().find(|(_, accepted)| accepted.is_none())?;
    let primary = place.primary();
    if !place.is_active_backup() {
        return None;
    }
    let pre_prepare =
        place.source.pre_prepare(primary, place.before().view, slot, model::Value::FORGED);
    let mut batch = (*place.source.vocabulary.batch(model::Value::FORGED)).clone();
    batch.requests.iter_mut().for_each(|request| request.signature = Default::default());
    let digest = batch.digest();
    let body = pbft_core::message::PrePrepare { digest, ..pre_prepare.body };
    let pre_prepare = place.source.vocabulary.sign_as(primary, body);
    let proposal = Arc::new(pbft_core::message::Proposal { pre_prepare, batch: Arc::new(batch) });
    place.refused(primary, Message::PrePrepare(proposal), "bad-signature")
}

fn null_batch(place: &Place<'_>) -> Option<Probe> {
    let (slot, _) = place.slots().find(|(_, accepted)| accepted.is_none())?;
    let primary = place.primary();
    if !place.is_active_backup() {
        return None;
    }
    let value = model::Value::NULL;
    let proposal = place.source.make_proposal(primary, place.before().view, slot, value);
    place.refused(primary, Message::PrePrepare(proposal), "null-batch")
}

fn wrong_batch(place: &Place<'_>) -> Option<Probe> {
    let (slot, _) = place.slots().find(|(_, accepted)| accepted.is_none())?;
    let primary = place.primary();
    if !place.is_active_backup() {
        return None;
    }
    let value = model::Value::request(1);
    let pre_prepare = place.source.pre_prepare(primary, place.before().view, slot, value);
    let batch = place.source.vocabulary.batch(model::Value::NULL);
    let proposal = Arc::new(pbft_core::message::Proposal { pre_prepare, batch });
    place.refused(primary, Message::PrePrepare(proposal), "wrong-digest")
}

fn prepare_of_the_primary(place: &Place<'_>) -> Option<Probe> {
    let (slot, accepted) = place.slots().next()?;
    let primary = place.primary();
    if primary == place.own {
        return None;
    }
    let value = if accepted.is_some() { accepted } else { model::Value::request(1) };
    let prepare = place.source.make_prepare(primary, place.before().view, slot, value);
    place.refused(primary, Message::Prepare(prepare), "prepare-from-primary")
}

fn prepare_over_another_channel(place: &Place<'_>) -> Option<Probe> {
    let (slot, _) = place.slots().next()?;
    let mut backups = place.backups();
    let (signer, channel) = (backups.next()?, backups.next()?);
    let value = model::Value::request(1);
    let prepare = place.source.make_prepare(signer, place.before().view, slot, value);
    place.refused(channel, Message::Prepare(prepare), "not-from-signer")
}

/// A slot where `own` accepted a value and which is not prepared in its view; votes of nobody were delivered for
/// it yet.
fn open_slot(place: &Place<'_>) -> Option<(model::Slot, model::Value)> {
    let view = place.before().view;
    place.slots().find(|(slot, accepted)| {
        let certificate = place.before().certificates[slot.index()];
        accepted.is_some()
            && place.before().active
            && certificate.is_none_or(|certificate| certificate.view != view)
    })
}

fn prepares_that_do_not_match(place: &Place<'_>) -> Option<Probe> {
    let (slot, accepted) = open_slot(place)?;
    let other = place.value_other_than(accepted);
    let view = place.before().view;
    let vote = |backup| {
        let prepare = place.source.make_prepare(backup, view, slot, other);
        place.from(backup, Message::Prepare(prepare))
    };
    let deliveries = place.backups().map(vote).collect();
    Some(Probe { deliveries, expected: Expected::Nothing })
}

fn commits_that_do_not_match(place: &Place<'_>) -> Option<Probe> {
    let view = place.before().view;
    let slot = place.before().last_executed.next();
    let (_, accepted) = place.slots().find(|(at, _)| *at == slot)?;
    let prepared = model::Certificate { view, value: accepted };
    if !place.before().active || place.before().certificates[slot.index()] != Some(prepared) {
        return None;
    }
    let other = place.value_other_than(accepted);
    let vote = |voter| {
        let commit = place.source.make_commit(voter, view, slot, other);
        place.from(voter, Message::Commit(commit))
    };
    let deliveries = place.others().map(vote).collect();
    Some(Probe { deliveries, expected: Expected::Nothing })
}

fn commit_of_another_view(place: &Place<'_>) -> Option<Probe> {
    let (slot, _) = place.slots().next()?;
    let voter = place.others().next()?;
    let view = place.before().view;
    let other = model::View(if view.0 == 0 { 1 } else { view.0 - 1 });
    let commit = place.source.make_commit(voter, other, slot, model::Value::request(1));
    place.refused(voter, Message::Commit(commit), "wrong-view")
}

fn commit_certificate_one_short(place: &Place<'_>) -> Option<Probe> {
    let (slot, _) = place.slots().next()?;
    let sender = place.others().next()?;
    let (view, value) = (place.before().view, model::Value::request(1));
    let votes = (0..place.model.config().replicas()).map(model::ReplicaId);
    let quorum = place.source.vocabulary.membership().quorum();
    let commits = votes
        .take(quorum - 1)
        .map(|voter| place.source.make_commit(voter, view, slot, value))
        .collect();
    let batch = place.source.vocabulary.batch(value);
    let certificate = pbft_core::message::CommitCertificate { commits, batch };
    let message = Message::Committed(Arc::new(certificate));
    place.refused(sender, message, "wrong-quorum-size")
}

fn checkpoint_between_checkpoints(place: &Place<'_>) -> Option<Probe> {
    let interval = place.source.vocabulary.params(place.own).checkpoint_interval;
    let sender = place.others().next().filter(|_| interval > 1)?;
    let state = place.before().digest();
    let mut body = place.source.make_checkpoint(sender, model::Slot(1), &state).body;
    body.seq = SeqNum(interval + 1);
    let checkpoint = place.source.vocabulary.sign_as(sender, body);
    place.refused(sender, Message::Checkpoint(checkpoint), "not-a-checkpoint")
}

fn stable_certificate_one_short(place: &Place<'_>) -> Option<Probe> {
    let slot = place.before().low_water_mark.next();
    let sender = place.others().next()?;
    let state = place.before().digest();
    let voters = (0..place.model.config().replicas()).map(model::ReplicaId);
    let quorum = place.source.vocabulary.membership().quorum();
    let vote = |voter| place.source.make_checkpoint(voter, slot, &state);
    let checkpoints = voters.take(quorum - 1).map(vote).collect();
    let message = Message::Stable(Arc::new(StableCertificate { checkpoints }));
    place.refused(sender, message, "wrong-quorum-size")
}

/// The first view that this replica could still be asked to enter.
fn next_view(place: &Place<'_>) -> model::View {
    let view = place.before().view;
    if place.before().active { view.next() } else { view }
}

fn forged_view_change(
    place: &Place<'_>,
    view: model::View,
    change: impl FnOnce(&mut ViewChange),
) -> Option<(model::ReplicaId, Arc<Signed<ViewChange>>)> {
    let sender = place.others().next()?;
    let mut body = ViewChange {
        view: core_view(view),
        low_water_mark: SeqNum(0),
        stable: StableCertificate::default(),
        prepared: Vec::new(),
        replica: replica_id(sender),
    };
    change(&mut body);
    Some((sender, Arc::new(place.source.vocabulary.sign_as(sender, body))))
}

fn unproven_low_water_mark(place: &Place<'_>) -> Option<Probe> {
    // A view beyond all that the sender may have been heard of.
    let view = place.model.config().max_view().next();
    let interval = place.source.vocabulary.params(place.own).checkpoint_interval;
    let claim = |body: &mut ViewChange| body.low_water_mark = SeqNum(interval);
    let (sender, view_change) = forged_view_change(place, view, claim)?;
    place.refused(sender, Message::ViewChange(view_change), "unproven-checkpoint")
}

fn thin_certificate_in_p(place: &Place<'_>) -> Option<Probe> {
    let view = place.model.config().max_view().next();
    let (primary, value) = (place.model.primary(model::View(0)), model::Value::request(1));
    let backups = (0..place.model.config().replicas()).map(model::ReplicaId);
    let backups = backups.filter(|backup| *backup != primary);
    let needed = place.source.vocabulary.membership().prepares();
    let (first, slot) = (model::View(0), model::Slot(1));
    let prepares = backups
        .take(needed - 1)
        .map(|backup| place.source.make_prepare(backup, first, slot, value))
        .collect();
    let pre_prepare = place.source.pre_prepare(primary, first, slot, value);
    let certificate = pbft_core::message::PreparedCertificate { pre_prepare, prepares };
    let claim = |body: &mut ViewChange| body.prepared = vec![certificate];
    let (sender, view_change) = forged_view_change(place, view, claim)?;
    place.refused(sender, Message::ViewChange(view_change), "wrong-quorum-size")
}

fn stale_view_change(place: &Place<'_>) -> Option<Probe> {
    let view = place.before().view;
    let stale = if place.before().active { view } else { model::View(view.0.checked_sub(1)?) };
    let (sender, view_change) = forged_view_change(place, stale, |_| {})?;
    place.refused(sender, Message::ViewChange(view_change), "wrong-view")
}

/// A NEW-VIEW for the next view that would be valid, if the view's primary is another replica and V exists.
fn valid_new_view(place: &Place<'_>) -> Option<(model::ReplicaId, NewView)> {
    let view = next_view(place);
    let primary = place.model.primary(view);
    if view > place.model.config().max_view() || primary == place.own {
        return None;
    }
    let witnesses = place.model.new_view_witnesses(place.state, view);
    let new_view = place.source.make_new_view(primary, view, witnesses.first()?).ok()?;
    Some((primary, new_view.body.clone()))
}

fn new_view_probe(
    place: &Place<'_>,
    kind: &'static str,
    change: impl FnOnce(&mut NewView) -> Option<()>,
) -> Option<Probe> {
    let (primary, mut body) = valid_new_view(place)?;
    change(&mut body)?;
    let new_view = place.source.vocabulary.sign_as(primary, body);
    place.refused(primary, Message::NewView(Arc::new(new_view)), kind)
}

fn new_view_with_another_o(place: &Place<'_>) -> Option<Probe> {
    new_view_probe(place, "wrong-new-view", |body| {
        let last = body.pre_prepares.last().map(|signed| signed.body.seq);
        let marks = body.view_changes.iter().map(|known| known.body.low_water_mark);
        let next = last.or(marks.max())?.next();
        let (view, primary) = (next_view(place), place.model.primary(next_view(place)));
        let mut surplus =
            place.source.pre_prepare(primary, view, model::Slot(1), model::Value::request(1)).body;
        surplus.seq = next;
        body.pre_prepares.push(place.source.vocabulary.sign_as(primary, surplus));
        Some(())
    })
}

fn new_view_one_short(place: &Place<'_>) -> Option<Probe> {
    new_view_probe(place, "wrong-quorum-size", |body| body.view_changes.pop().map(drop))
}

fn new_view_with_a_sender_twice(place: &Place<'_>) -> Option<Probe> {
    new_view_probe(place, "signers-not-rising", |body| {
        let last = body.view_changes.pop()?;
        let first = Arc::clone(body.view_changes.last()?);
        drop(last);
        body.view_changes.push(first);
        Some(())
    })
}

fn new_view_with_a_stale_view_change(place: &Place<'_>) -> Option<Probe> {
    let stale = model::View(next_view(place).0.checked_sub(1)?);
    new_view_probe(place, "wrong-view", |body| {
        let last = body.view_changes.pop()?;
        let mut earlier = last.body.clone();
        earlier.view = core_view(stale);
        earlier.prepared.clear();
        let signer = model::ReplicaId(earlier.replica.0 as u8);
        body.view_changes.push(Arc::new(place.source.vocabulary.sign_as(signer, earlier)));
        Some(())
    })
}

fn new_view_of_another(place: &Place<'_>) -> Option<Probe> {
    let (primary, mut body) = valid_new_view(place)?;
    let another = place.others().find(|other| *other != primary)?;
    body.replica = replica_id(another);
    let new_view = place.source.vocabulary.sign_as(another, body);
    place.refused(another, Message::NewView(Arc::new(new_view)), "not-primary")
}

fn replayed_request(place: &Place<'_>) -> Option<Probe> {
    let served = place.before().served.iter().next()?;
    let mut body = place.source.vocabulary.request(served)?.body.clone();
    body.timestamp = pbft_core::types::Timestamp(0);
    let client = pbft_core::types::Principal::Client(body.client);
    let signer = place.source.vocabulary.keys.signer(client);
    let request = pbft_core::crypto::sign(&*signer, place.source.vocabulary.cluster(), body);
    let deliveries = vec![Delivery::Client(Message::Request(Arc::new(request)))];
    Some(Probe { deliveries, expected: Expected::Refused("old-timestamp") })
}
