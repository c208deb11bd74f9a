//! The client's side (§4.1), asked with the replies of replicas that have executed its request: the replica that was asked
//! gives its own, those of the others are made with their keys. Whatever a client believes, believes every user.

use super::reaction::Scene;
use crate::divergence::{Difference, Kind};
use crate::refinement::layout::request_digest;
use crate::refinement::vocabulary::{replica_id, view as core_view};
use crate::subject::Subject;
use pbft_core::client::{ClientEffect, ClientInput, ClientLane, ClientRejection, Patience};
use pbft_core::message::{Reply, Request, Signed};
use pbft_core::types::{ClientId, Digest, Lane, ReplicaId, Timestamp, View};
use pbft_model as model;
use std::sync::Arc;
use std::time::Duration;

/// How long the client waits.
const PATIENCE: Patience =
    Patience { first: Duration::from_secs(1), max: Duration::from_millis(3500) };

/// A client with an outstanding request, and the reply of the replica that was asked.
struct Asking<'a> {
    scene: &'a Scene<'a>,
    lane: ClientLane,
    request: Arc<Signed<Request>>,
    reply: Signed<Reply>,
}

fn lane(scene: &Scene<'_>) -> ClientLane {
    let params = scene.place.source.vocabulary.params(scene.place.own);
    ClientLane::new(params.membership, PATIENCE)
}

/// Has the replica answer a request that it has executed, to a client that is waiting; `None` if it has executed none, or
/// does not answer, which another reaction is about.
fn asking<'a>(
    scene: &'a Scene<'a>,
    subject: &mut dyn Subject,
) -> Option<Result<Asking<'a>, Difference>> {
    let vocabulary = scene.place.source.vocabulary;
    let value = scene.place.last_answered()?;
    let request = Arc::clone(vocabulary.request(value)?);
    let seen = match subject.deliver(vocabulary, &scene.request(value)?) {
        Ok(outcome) => outcome.ok()?,
        Err(difference) => return Some(Err(difference)),
    };
    let reply = seen.replies.into_iter().next()?;
    let mut lane = lane(scene);
    let sent = lane.step(ClientInput::Submit(Arc::clone(&request)));
    let to = replica_id(scene.place.model.primary(model::View(0)));
    let asked = ClientEffect::Send { to, request: Arc::clone(&request) };
    let expected = Ok(vec![asked, ClientEffect::SetTimer(PATIENCE.first)]);
    let asking = Asking { scene, lane, request, reply };
    Some(match sent == expected {
        true => Ok(asking),
        false => Err(differs("a request goes to the primary, and is timed", &expected, &sent)),
    })
}

type Outcome = Result<Vec<ClientEffect>, ClientRejection>;

fn differs(what: &str, expected: &Outcome, got: &Outcome) -> Difference {
    let diff = vec![format!("- {expected:?}"), format!("+ {got:?}")];
    Difference::new(Kind::Reaction, format!("the client: {what}")).with_diff(diff)
}

impl Asking<'_> {
    /// The replica's reply, changed and signed as another's.
    fn reply_of(
        &self,
        replica: model::ReplicaId,
        change: impl FnOnce(&mut Reply),
    ) -> Signed<Reply> {
        let mut body = self.reply.body.clone();
        body.replica = replica_id(replica);
        change(&mut body);
        self.scene.place.source.vocabulary.sign_as(replica, body)
    }

    fn others(&self) -> impl Iterator<Item = model::ReplicaId> + use<'_> {
        self.scene.place.others()
    }

    /// Replicas of which one is correct.
    fn weak(&self) -> usize {
        self.scene.place.source.vocabulary.weak()
    }

    /// Replicas that may all lie.
    fn faults(&self) -> usize {
        self.weak() - 1
    }

    /// Gives the client a reply, and demands what comes of it.
    fn hears(
        &mut self,
        what: &str,
        reply: Signed<Reply>,
        expected: &Outcome,
    ) -> Result<(), Difference> {
        let got = self.lane.step(ClientInput::Reply(reply));
        match got == *expected {
            true => Ok(()),
            false => Err(differs(what, expected, &got)),
        }
    }

    /// What the client says when it believes the replica's result, and that f+1 replicas are in `view`.
    fn believes(&self, view: View) -> Outcome {
        let Reply { timestamp, result, .. } = self.reply.body.clone();
        Ok(vec![ClientEffect::CancelTimer, ClientEffect::Done { timestamp, result, view }])
    }
}

const NOTHING: Outcome = Ok(Vec::new());

/// §4.1: f liars say something else, f replies more are not enough, and the next one is.
pub(super) fn results(
    scene: &Scene<'_>,
    subject: &mut dyn Subject,
) -> Option<Result<(), Difference>> {
    let asking = asking(scene, subject)?;
    Some(asking.and_then(|mut asking| {
        let (faults, others) = (asking.faults(), asking.others().collect::<Vec<_>>());
        let (liars, honest) = others.split_at(faults);
        for liar in liars {
            let lie =
                asking.reply_of(*liar, |reply| reply.result = Arc::from([0xff; 3].as_slice()));
            asking.hears("f replies are no result", lie, &NOTHING)?;
        }
        let own = asking.reply.clone();
        asking.hears("f+1 replies with different results are none", own, &NOTHING)?;
        let view = asking.reply.body.view;
        for (replica, equal) in honest.iter().take(faults).zip(2..) {
            let expected = if equal > faults { asking.believes(view) } else { NOTHING };
            let reply = asking.reply_of(*replica, |_| {});
            asking.hears("f+1 equal replies are a result", reply, &expected)?;
        }
        let late = asking.reply.clone();
        asking.hears("a result is believed once", late, &Err(ClientRejection::Idle))?;
        next_request(&mut asking)
    }))
}

/// §4.1: timestamps rise, and one request of a lane is outstanding at a time.
fn next_request(asking: &mut Asking<'_>) -> Result<(), Difference> {
    let vocabulary = asking.scene.place.source.vocabulary;
    let last = asking.request.body.timestamp;
    let submit = |lane: &mut ClientLane, body: Request| {
        let request = Arc::new(vocabulary.sign(body));
        (lane.step(ClientInput::Submit(Arc::clone(&request))), request)
    };
    let (again, _) = submit(&mut asking.lane, asking.request.body.clone());
    let expected = Err(ClientRejection::OldTimestamp { last, got: last });
    if again != expected {
        return Err(differs("each request has a later timestamp", &expected, &again));
    }
    let next = Request { timestamp: Timestamp(last.0 + 1), ..asking.request.body.clone() };
    let (sent, request) = submit(&mut asking.lane, next.clone());
    let place = &asking.scene.place;
    let to = replica_id(place.model.primary(place.before().view));
    let asked = ClientEffect::Send { to, request };
    let expected = Ok(vec![asked, ClientEffect::SetTimer(PATIENCE.first)]);
    if sent != expected || asking.lane.view() != asking.reply.body.view {
        return Err(differs("the next request goes to the primary of the view", &expected, &sent));
    }
    let later = Request { timestamp: Timestamp(last.0 + 2), ..next };
    let (busy, _) = submit(&mut asking.lane, later);
    match busy == Err(ClientRejection::Busy) {
        true => Ok(()),
        false => Err(differs("one request at a time", &Err(ClientRejection::Busy), &busy)),
    }
}

/// §4.1: a replica's word counts once, however often it is heard.
pub(super) fn one_voice(
    scene: &Scene<'_>,
    subject: &mut dyn Subject,
) -> Option<Result<(), Difference>> {
    let asking = asking(scene, subject)?;
    Some(asking.and_then(|mut asking| {
        (0..=asking.weak()).try_for_each(|_| {
            let reply = asking.reply.clone();
            asking.hears("one replica's replies are one reply", reply, &NOTHING)
        })
    }))
}

/// §4.1: a reply is to a client, a lane and a timestamp, and to one request with it.
pub(super) fn other_requests(
    scene: &Scene<'_>,
    subject: &mut dyn Subject,
) -> Option<Result<(), Difference>> {
    type Change = fn(&mut Reply);
    let changes: [Change; 4] = [
        |reply| reply.timestamp = Timestamp(reply.timestamp.0 + 1),
        |reply| reply.timestamp = Timestamp(reply.timestamp.0 - 1),
        |reply| reply.lane = Lane(reply.lane.0 + 1),
        |reply| reply.client = ClientId(reply.client.0 + 1),
    ];
    let asking = asking(scene, subject)?;
    Some(asking.and_then(|mut asking| {
        let own = asking.scene.place.own;
        let (expected, got) = (request_digest(&asking.request.body), Digest([0xd1; 32]));
        let reply = asking.reply_of(own, |reply| reply.request = got);
        let refused = Err(ClientRejection::AnotherRequest { expected, got });
        asking.hears("replies to another request with its timestamp are none", reply, &refused)?;
        for change in changes {
            let reply = asking.reply_of(own, change);
            let (expected, got) = (asking.request.body.timestamp, reply.body.timestamp);
            let refused = Err(ClientRejection::OtherRequest { expected, got });
            asking.hears("replies to other requests are none to this one", reply, &refused)?;
        }
        Ok(())
    }))
}

/// §2: the replicas are n.
pub(super) fn strangers(
    scene: &Scene<'_>,
    subject: &mut dyn Subject,
) -> Option<Result<(), Difference>> {
    let asking = asking(scene, subject)?;
    Some(asking.and_then(|mut asking| {
        let stranger = ReplicaId(u32::from(asking.scene.place.model.config().replicas()));
        let mut reply = asking.reply.clone();
        reply.body.replica = stranger;
        let refused = Err(ClientRejection::NotAMember(stranger));
        asking.hears("strangers' replies do not count", reply, &refused)
    }))
}

/// §4.1: f liars name a view that nobody is in; the client follows the f+1st highest.
pub(super) fn views(
    scene: &Scene<'_>,
    subject: &mut dyn Subject,
) -> Option<Result<(), Difference>> {
    let asking = asking(scene, subject)?;
    Some(asking.and_then(|mut asking| {
        let faults = asking.faults();
        let liars: Vec<_> = asking.others().take(faults).collect();
        for liar in liars {
            let reply = asking.reply_of(liar, |reply| reply.view = View(reply.view.0 + 5));
            asking.hears("f replies are no result", reply, &NOTHING)?;
        }
        let (own, view) = (asking.reply.clone(), core_view(asking.scene.place.before().view));
        let expected = asking.believes(view);
        asking.hears("a view is believed when f+1 replicas are in it or beyond", own, &expected)?;
        // Another lane of the same client was told of a later view, and then of an earlier one.
        let mut lane = lane(asking.scene);
        [View(view.0 + 1), view].into_iter().for_each(|told| lane.learn_view(told));
        match lane.view() == View(view.0 + 1) {
            true => Ok(()),
            false => Err(Difference::new(Kind::Reaction, "the client: views only rise")),
        }
    }))
}

/// §4.1: a client that is not answered asks everybody, with doubling patience.
pub(super) fn impatience(
    scene: &Scene<'_>,
    subject: &mut dyn Subject,
) -> Option<Result<(), Difference>> {
    let asking = asking(scene, subject)?;
    Some(asking.and_then(|mut asking| {
        let waits = [PATIENCE.first * 2, PATIENCE.max, PATIENCE.max];
        for wait in waits {
            let ask = ClientEffect::Broadcast(Arc::clone(&asking.request));
            let expected = Ok(vec![ask, ClientEffect::SetTimer(wait)]);
            let got = asking.lane.step(ClientInput::Timeout);
            if got != expected {
                return Err(differs("who is not answered asks everybody", &expected, &got));
            }
        }
        let mut idle = lane(asking.scene);
        let got = idle.step(ClientInput::Timeout);
        match got == Err(ClientRejection::Idle) && !idle.is_busy() && asking.lane.is_busy() {
            true => Ok(()),
            false => {
                Err(differs("who waits for nothing asks nobody", &Err(ClientRejection::Idle), &got))
            }
        }
    }))
}
