//! Four replicas that do what a scenario says, dialed by the client library of production: it cannot tell them from
//! replicas, and they hear every word of it.

use super::wire::{End, Heard, STATUS_REQUEST, VERSION, accepting, hello, next, waiting};
use super::world::{File, Outcome, Pending, World, demand, expect, harness};
use crate::divergence::{Difference, Kind};
use crate::refinement::layout;
use crate::subject::node::keys::secret;
use pbft_core::client::Patience;
use pbft_core::message::{Reply, Request, Signed};
use pbft_core::types::{ClientId, Lane, Principal, ReplicaId, Signature, View};
use pbft_node::client::{Client, ClientError, ClientOptions, Timestamps};
use pbft_node::codec;
use pbft_node::config::Cluster;
use pbft_node::frame::{ClientFrame, RefusalReason, ReplicaFrame};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

/// When the client asks everybody: after a second, then after two, then every four.
pub(super) const PATIENCE: Patience =
    Patience { first: Duration::from_secs(1), max: Duration::from_secs(4) };

/// How long an operation may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

pub(super) const MOMENT: Duration = Duration::from_millis(10);

/// An operation under way.
pub(super) type Asked = Pending<Result<Vec<u8>, ClientError>>;

/// Client 1 and its four replicas.
pub(super) struct Replicas {
    pub(super) world: World,
    pub(super) cluster: Cluster,
    pub(super) client: Arc<Client>,
    listeners: Vec<TcpListener>,
    ends: Vec<Option<End>>,
}

impl Replicas {
    /// A client with so many lanes, connected to all.
    pub(super) fn of_client(lanes: u16, setting: &str) -> Outcome<Self> {
        Self::with(Timestamps::in_memory(), lanes, setting)
    }

    pub(super) fn with(times: Timestamps, lanes: u16, setting: &str) -> Outcome<Self> {
        let world = World::with_a_clock_that_stands()?;
        let mut file = File::default().with(setting);
        let listen = || TcpListener::bind("127.0.0.1:0").map_err(harness);
        let listeners: Vec<_> = (0..4).map(|_| listen()).collect::<Outcome<_>>()?;
        for (listener, address) in listeners.iter().zip(&mut file.addresses) {
            *address = listener.local_addr().map_err(harness)?.to_string();
        }
        let cluster = file.cluster()?;
        let (own, key) = (cluster.clone(), secret(Principal::Client(ClientId(1))));
        let options = ClientOptions { deadline: DEADLINE, patience: PATIENCE, lanes };
        let client = world.block(async move { Client::connect(&own, key, times, options) })?;
        let client = Arc::new(client.map_err(harness)?);
        let ends = (0..4).map(|_| None).collect();
        let mut replicas = Self { world, cluster, client, listeners, ends };
        (0..4).try_for_each(|id| replicas.greets(id))?;
        Ok(replicas)
    }

    /// Lets the client connect to a replica.
    pub(super) fn greets(&mut self, id: usize) -> Outcome {
        let stream = next(&self.listeners[id], "the client")?;
        let mut end = End::of(stream, accepting(&self.cluster, id as u32)?).map_err(harness)?;
        end.say(&hello(VERSION, self.cluster.id()));
        end.hears_hello(self.cluster.id())?;
        self.ends[id] = Some(end);
        Ok(())
    }

    /// Whether the client has dialed this replica again.
    pub(super) fn is_dialed(&self, id: usize) -> Outcome<bool> {
        Ok(waiting(&self.listeners[id])?.is_some())
    }

    pub(super) fn end(&mut self, id: usize) -> Outcome<&mut End> {
        self.ends[id].as_mut().ok_or_else(|| harness("a replica that is not connected"))
    }

    /// A replica hangs up.
    pub(super) fn hangs_up(&mut self, id: usize) {
        if let Some(end) = self.ends[id].take() {
            end.hangs_up();
        }
    }

    /// The client asks for an operation.
    pub(super) fn asks(&self, operation: &[u8]) -> Asked {
        let (client, operation) = (Arc::clone(&self.client), operation.to_vec());
        self.world.begin(async move { client.submit(operation).await })
    }

    /// The next frame that a replica gets is a request of this operation, signed by the client.
    pub(super) fn hears(&mut self, id: usize, operation: &[u8]) -> Outcome<Request> {
        let request = self.hears_any(id)?;
        let what = format!("what replica {id} hears of");
        expect(&what, operation, &request.operation).map(|()| request)
    }

    /// The next frame that a replica gets is a request that the client has signed.
    pub(super) fn hears_any(&mut self, id: usize) -> Outcome<Request> {
        let what = format!("replica {id} hears of a request");
        let frame = self.end(id)?.hears(&what)?;
        let request = match codec::decode(&frame) {
            Ok(ClientFrame::Request(request)) => request,
            other => return Err(harness(format!("{what}: {other:?}"))),
        };
        let body = request.body.clone();
        expect(&what, ClientId(1), body.client)?;
        let bytes = layout::statement(self.cluster.id(), &body);
        let key = secret(Principal::Client(ClientId(1))).public();
        demand("requests are signed", key.verify(&bytes, &request.signature.to_bytes()))?;
        Ok(body)
    }

    /// Demands that replicas have heard nothing more.
    pub(super) fn are_quiet(&mut self, ids: impl IntoIterator<Item = usize>) -> Outcome {
        self.world.settle()?;
        ids.into_iter().try_for_each(|id| {
            self.end(id)?.is_quiet(&format!("replica {id} is told nothing that it need not know"))
        })
    }

    /// A reply of replica `id`, changed.
    pub(super) fn reply(
        &self,
        id: usize,
        request: &Request,
        result: &[u8],
        change: impl FnOnce(&mut Reply),
    ) -> Vec<u8> {
        let mut body = Reply {
            view: View(0),
            client: request.client,
            lane: request.lane,
            timestamp: request.timestamp,
            request: layout::request_digest(request),
            replica: ReplicaId(id as u32),
            result: result.into(),
        };
        change(&mut body);
        let bytes = layout::statement(self.cluster.id(), &body);
        let signature = secret(Principal::Replica(ReplicaId(id as u32))).sign(&bytes);
        let signature = Signature::from_bytes(&signature);
        // Encoded by what is held to docs/wire.md by the test `layout`.
        codec::encode(&ReplicaFrame::Reply(Signed { body, signature })).unwrap_or_default()
    }

    /// A replica answers.
    pub(super) fn replies(&mut self, id: usize, request: &Request, result: &[u8]) -> Outcome {
        let frame = self.reply(id, request, result, |_| {});
        self.end(id).map(|end| end.say(&frame))
    }

    /// A replica refuses.
    pub(super) fn refuses(&mut self, id: usize, of: &Request, reason: RefusalReason) -> Outcome {
        let (lane, timestamp, request) = (of.lane, of.timestamp, layout::request_digest(of));
        let frame = ReplicaFrame::Refused { lane, timestamp, request, reason };
        let frame = codec::encode(&frame).map_err(harness)?;
        self.end(id).map(|end| end.say(&frame))
    }

    /// Two replicas answer, which is enough.
    pub(super) fn answer(&mut self, asked: Asked, request: &Request, result: &[u8]) -> Outcome {
        self.replies(1, request, result)?;
        self.replies(3, request, result)?;
        got(asked, result)
    }

    /// What each of these replicas hears next is a question for its status: nothing else was said to it.
    pub(super) fn are_asked_for_their_status(&mut self, ids: &[usize]) -> Outcome {
        let client = Arc::clone(&self.client);
        let asking = self.world.begin(async move { client.status(MOMENT).await.len() });
        for id in ids {
            let heard = self.end(*id)?.hear()?;
            let what = format!("replica {id} was told nothing that it need not know");
            expect(&what, Heard::Frame(STATUS_REQUEST.to_vec()), heard)?;
        }
        self.world.advance(2 * MOMENT)?;
        expect("the status of four replicas", 4, asking.end()?)
    }
}

/// Demands that an operation had this result.
pub(super) fn got(asked: Asked, result: &[u8]) -> Outcome {
    match asked.end()? {
        Ok(got) => expect("the result", result.to_vec(), got),
        Err(error) => Err(Difference::new(Kind::Reaction, format!("no result: {error}"))),
    }
}

/// Demands that an operation ended for this reason.
pub(super) fn failed(asked: Asked, reason: &str) -> Outcome {
    let error = asked.end()?.map_err(|error| format!("{error:?}"));
    match &error {
        Err(got) if got.starts_with(reason) => Ok(()),
        _ => expect(reason, Err(reason.to_owned()), error),
    }
}

/// A lane's number.
pub(super) fn lane(request: &Request) -> u16 {
    let Lane(number) = request.lane;
    number
}
