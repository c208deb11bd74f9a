//! Requests that convince some replicas and not others (D24): what a faulty client, or a faulty replica, can do with them.

use crate::common::craft::{batch_of, proposal, request};
use crate::common::keys::{TestVerifier, replica_key};
use crate::common::params;
use core::time::Duration;
use pbft_core::crypto::{Audience, Statement, Verifier, verify};
use pbft_core::message::{Message, Request, Signed};
use pbft_core::params::ClientAuthentication;
use pbft_core::types::{ClientId, Principal, ReplicaId, SeqNum, Signature, View};
use pbft_core::{Durable, Effect, Input, Params, Rejection, Replica, ServiceState, Timer};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Takes a request with an authenticator if its byte for this replica is 1.
struct Tags(ReplicaId);

impl Verifier for Tags {
    fn verify(&self, who: Principal, statement: &Statement<'_>, signature: &Signature) -> bool {
        match statement.audience() {
            Audience::Replicas => {
                signature.is_authenticator() && signature.to_bytes()[self.0.0 as usize] == 1
            }
            Audience::Everybody | Audience::Client(_) => {
                TestVerifier.verify(who, statement, signature)
            }
        }
    }
}

/// The same request with an authenticator, good for these replicas.
fn authenticated(request: &Arc<Signed<Request>>, good: &[usize]) -> Arc<Signed<Request>> {
    let mut bytes = [0; 64];
    bytes[56..].copy_from_slice(&Signature::AUTHENTICATOR_MARK);
    good.iter().for_each(|replica| bytes[*replica] = 1);
    Arc::new(Signed { body: request.body.clone(), signature: Signature::from_bytes(&bytes) })
}

/// What one replica executed at a number.
type Executed = (SeqNum, Vec<Arc<Signed<Request>>>);

/// Four replicas that take authenticators, on a network that delivers in order.
struct Cluster {
    params: Vec<Arc<Params>>,
    replicas: Vec<Replica>,
    queue: VecDeque<(u32, usize, Message)>,
    timers: BTreeMap<(usize, Timer), (Duration, u64)>,
    now: Duration,
    set: u64,
    executed: Vec<Vec<Executed>>,
    refused: Vec<(usize, Rejection)>,
}

impl Cluster {
    fn new() -> Self {
        let params: Vec<_> = (0..4)
            .map(|id| {
                let client_authentication = ClientAuthentication::Macs;
                Arc::new(Params { client_authentication, ..params(4, id) })
            })
            .collect();
        let mut cluster = Self {
            params: params.clone(),
            replicas: Vec::new(),
            queue: VecDeque::new(),
            timers: BTreeMap::new(),
            now: Duration::ZERO,
            set: 0,
            executed: vec![Vec::new(); 4],
            refused: Vec::new(),
        };
        for (id, params) in params.into_iter().enumerate() {
            let key = Arc::new(replica_key(id as u32));
            let (durable, state) = (Durable::default(), ServiceState::default());
            let (replica, effects) = Replica::recover(params, key, durable, state);
            cluster.replicas.push(replica);
            cluster.perform(id, effects);
        }
        cluster
    }

    fn perform(&mut self, id: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { to, message } => {
                    self.queue.push_back((id as u32, to.0 as usize, message));
                }
                Effect::Broadcast(message) => {
                    for to in (0..4).filter(|to| *to != id) {
                        self.queue.push_back((id as u32, to, message.clone()));
                    }
                }
                Effect::Execute { seq, requests, checkpoint } => {
                    let results = requests.iter().map(|_| Arc::from(*b"done")).collect();
                    self.executed[id].push((seq, requests));
                    let chunks = checkpoint.then(Vec::new);
                    self.step(id, Input::Executed { seq, results, chunks });
                }
                Effect::SetTimer { timer, after } => {
                    self.set += 1;
                    self.timers.insert((id, timer), (self.now + after, self.set));
                }
                Effect::CancelTimer(timer) => drop(self.timers.remove(&(id, timer))),
                _ => {}
            }
        }
    }

    fn step(&mut self, id: usize, input: Input) {
        match self.replicas[id].step(input) {
            Ok(effects) => self.perform(id, effects),
            Err(rejection) => self.refused.push((id, rejection)),
        }
    }

    /// A frame reaches a replica, and is verified there.
    fn arrive(&mut self, id: usize, message: Message, from: Option<u32>) {
        match (verify(&self.params[id], &Tags(ReplicaId(id as u32)), message), from) {
            (Ok(message), Some(from)) => {
                self.step(id, Input::Message { from: ReplicaId(from), message });
            }
            (Ok(message), None) => self.step(id, Input::Request(message)),
            (Err(rejection), _) => self.refused.push((id, rejection)),
        }
        while let Some((from, to, message)) = self.queue.pop_front() {
            self.arrive(to, message, Some(from));
        }
    }

    fn ask(&mut self, id: usize, request: &Arc<Signed<Request>>) {
        self.arrive(id, Message::Request(Arc::clone(request)), None);
    }

    fn pass(&mut self, milliseconds: u64) {
        let end = self.now + Duration::from_millis(milliseconds);
        let next = |cluster: &Self| {
            let all = cluster.timers.iter().map(|(timer, (at, set))| (*at, *set, *timer));
            all.min().filter(|(at, ..)| *at <= end)
        };
        while let Some((at, _, (id, timer))) = next(self) {
            self.now = at;
            self.timers.remove(&(id, timer));
            self.step(id, Input::Timer(timer));
            while let Some((from, to, message)) = self.queue.pop_front() {
                self.arrive(to, message, Some(from));
            }
        }
        self.now = end;
    }

    fn view(&self) -> View {
        self.replicas.iter().map(|replica| replica.status().view).max().unwrap_or_default()
    }

    fn operations(&self, id: usize) -> Vec<(u32, u64)> {
        let requests = self.executed[id].iter().flat_map(|(_, requests)| requests);
        requests.map(|one| (one.body.client.0, one.body.timestamp.0)).collect()
    }
}

/// An honest client: to the primary with an authenticator, and when nobody answers to all, signed.
fn honest(cluster: &mut Cluster, timestamp: u64) {
    let signed = request(2, timestamp);
    let primary = (cluster.view().0 % 4) as usize;
    cluster.ask(primary, &authenticated(&signed, &[0, 1, 2, 3]));
    cluster.pass(500);
    if !cluster.operations(3).contains(&(2, timestamp)) {
        (0..4).for_each(|id| cluster.ask(id, &signed));
    }
    cluster.pass(20_000);
    (0..4).for_each(|id| assert!(cluster.operations(id).contains(&(2, timestamp)), "{id}"));
}

#[test]
fn good_authenticators_are_ordered_by_the_primary_without_a_signature() {
    let mut cluster = Cluster::new();
    cluster.ask(0, &authenticated(&request(1, 1), &[0, 1, 2, 3]));
    (0..4).for_each(|id| assert_eq!(cluster.operations(id), [(1, 1)]));
    assert_eq!((cluster.view(), cluster.refused.len()), (View(0), 0));
}

/// Outside fault F5: One request that convinces f+1 replicas changes views for ever.
#[test]
fn a_poisoned_request_costs_one_view_change_and_is_let_go_of() {
    let mut cluster = Cluster::new();
    // Sent once, to all; it convinces the primary and one backup.
    let poisoned = authenticated(&request(1, 1), &[0, 1]);
    (0..4).for_each(|id| cluster.ask(id, &poisoned));
    honest(&mut cluster, 1);
    assert_eq!(cluster.view(), View(1));
    cluster.pass(600_000);
    assert_eq!(cluster.view(), View(1), "once");
    honest(&mut cluster, 2);
    assert_eq!(cluster.view(), View(1));
    assert_eq!(cluster.operations(2), [(2, 1), (2, 2)], "exactly once, and nothing poisoned");
}

/// Outside fault F5: A faulty client poisons one view after the other.
#[test]
fn a_client_that_poisons_again_and_again_soon_has_to_sign() {
    let mut cluster = Cluster::new();
    for timestamp in 1..=12 {
        let poisoned = authenticated(&request(1, timestamp), &[0, 1, 2]);
        // One whose tags convince two: the primary, and another.
        let primary = (cluster.view().0 % 4) as usize;
        let good = [primary, (primary + 1) % 4];
        let poisoned = authenticated(&poisoned, &good);
        (0..4).for_each(|id| cluster.ask(id, &poisoned));
        honest(&mut cluster, timestamp);
    }
    assert!(cluster.view() <= View(4), "one a primary at the most: {}", cluster.view());
    let not_signed = Rejection::NotSigned { client: ClientId(1) };
    assert!(cluster.refused.iter().any(|(_, rejection)| *rejection == not_signed));
    // What it signs is taken.
    let signed = request(1, 13);
    (0..4).for_each(|id| cluster.ask(id, &signed));
    (0..4).for_each(|id| assert!(cluster.operations(id).contains(&(1, 13)), "{id}"));
}

/// Outside fault F5: A replica spoils a correct client's tags when it relays the request, and a correct primary is deposed.
#[test]
fn what_a_replica_hands_on_is_proposed_only_if_it_is_signed() {
    let mut cluster = Cluster::new();
    let mine = request(1, 1);
    // Replica 3 hands on what it should not: the authenticator as it is, and spoiled.
    for good in [&[0, 1, 2, 3][..], &[0, 3]] {
        let message = Message::Request(authenticated(&mine, good));
        cluster.arrive(0, message, Some(3));
    }
    let not_signed = Rejection::NotSigned { client: ClientId(1) };
    assert_eq!(cluster.refused, [(0, not_signed.clone()), (0, not_signed)]);
    cluster.pass(60_000);
    assert_eq!((cluster.view(), cluster.operations(1)), (View(0), Vec::new()));
    // With its signature it goes through any hands.
    cluster.arrive(0, Message::Request(Arc::clone(&mine)), Some(3));
    (0..4).for_each(|id| assert_eq!(cluster.operations(id), [(1, 1)]));
}

#[test]
fn a_backup_takes_no_authenticator_and_protects_what_is_signed() {
    let mut cluster = Cluster::new();
    let not_signed = Rejection::NotSigned { client: ClientId(1) };
    cluster.ask(2, &authenticated(&request(1, 1), &[0, 1, 2, 3]));
    assert_eq!(cluster.refused, [(2, not_signed)]);
    assert!(!cluster.timers.contains_key(&(2, Timer::ViewChange)));
    cluster.ask(2, &request(1, 1));
    assert_eq!(cluster.operations(2), [(1, 1)], "relayed and ordered");
}

/// A primary that has proposed the one form takes the other in its place, so that it survives the view.
#[test]
fn a_signature_that_comes_later_proves_what_waits() {
    let mut cluster = Cluster::new();
    let poisoned = authenticated(&request(1, 1), &[0, 1]);
    cluster.ask(0, &poisoned);
    let mine = request(2, 1);
    cluster.ask(0, &authenticated(&mine, &[0, 1, 2, 3]));
    assert_eq!(cluster.operations(0), [], "the poisoned one is before it");
    (0..4).for_each(|id| cluster.ask(id, &mine));
    cluster.pass(30_000);
    assert_eq!(cluster.view(), View(1));
    (0..4).for_each(|id| assert_eq!(cluster.operations(id), [(2, 1)]));
}

/// Who was caught beside a poisoned request signs for a while, and may then go back to authenticators.
#[test]
fn whoever_has_to_sign_is_trusted_again_in_time() {
    let mut cluster = Cluster::new();
    cluster.ask(0, &authenticated(&request(1, 1), &[0]));
    // Client 2's request is in the next proposal, which prepares: nothing is held against it.
    cluster.ask(0, &authenticated(&request(2, 1), &[0, 1, 2, 3]));
    (0..4).for_each(|id| cluster.ask(id, &request(3, 1)));
    cluster.pass(10_000);
    assert_eq!(cluster.view(), View(1));
    // View 4 is replica 0's again.
    for _ in 0..3 {
        (0..4).for_each(|id| cluster.step(id, Input::Suspect));
        cluster.pass(1000);
    }
    assert_eq!(cluster.view(), View(4));
    cluster.refused.clear();
    cluster.ask(0, &authenticated(&request(2, 2), &[0, 1, 2, 3]));
    cluster.ask(0, &authenticated(&request(1, 2), &[0, 1, 2, 3]));
    let asked_to_sign = |cluster: &Cluster| {
        let refused = cluster.refused.iter().map(|(_, rejection)| rejection);
        refused
            .filter(|one| matches!(one, Rejection::NotSigned { .. }))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(asked_to_sign(&cluster), [Rejection::NotSigned { client: ClientId(1) }]);
    cluster.pass(1200 * 100);
    cluster.ask(0, &authenticated(&request(1, 3), &[0, 1, 2, 3]));
    assert_eq!(asked_to_sign(&cluster).len(), 1);
    assert!(cluster.operations(3).ends_with(&[(1, 3)]));
}

#[test]
fn a_bad_tag_in_a_proposal_is_not_a_bad_signature() {
    let params = Params { client_authentication: ClientAuthentication::Macs, ..params(4, 1) };
    let check = |request: Arc<Signed<Request>>| {
        let message = proposal(0, 1, &batch_of(&[request]), 0);
        verify(&params, &Tags(ReplicaId(1)), message).err()
    };
    let mine = request(1, 1);
    assert_eq!(check(authenticated(&mine, &[1])), None);
    let bad = Rejection::BadAuthenticator { client: ClientId(1) };
    assert_eq!(check(authenticated(&mine, &[0, 2, 3])), Some(bad));
    let mut forged = Signed::clone(&mine);
    forged.signature.r[0] ^= 1;
    let bad = Rejection::BadSignature { signer: Principal::Client(ClientId(1)) };
    assert_eq!(check(Arc::new(forged)), Some(bad.clone()));
    // Where everybody signs, codes are no signature.
    let params =
        Params { client_authentication: ClientAuthentication::Signatures, ..params.clone() };
    let codes = Message::Request(authenticated(&mine, &[1]));
    assert_eq!(verify(&params, &Tags(ReplicaId(1)), codes).err(), Some(bad));
}
