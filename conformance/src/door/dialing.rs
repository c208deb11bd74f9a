//! A replica dials: how long it waits between attempts, and what the other end gets, after it was away and when it had
//! been given more than is held for it.

use super::wire::{End, Heard, VERSION, accepting, hello, next, waiting};
use super::world::{File, Outcome, Start, World, counted, demand, expect, harness};
use crate::refinement::service::History;
use crate::subject::node::keys::secret;
use bytes::Bytes;
use pbft_core::types::{Principal, ReplicaId};
use pbft_node::config::Cluster;
use pbft_node::driver::{Driver, Parts};
use pbft_node::keyring::VerifiedCache;
use pbft_node::metrics::Metrics;
use pbft_node::network::Network as _;
use pbft_node::queries::Queries;
use pbft_node::service::Service;
use pbft_node::store::{Identity, MemoryDisk, Store};
use pbft_node::supervise::Tasks;
use pbft_node::transport::{FrameQueue, TcpNetwork, serve};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// The first pause between attempts.
const SHORTEST: Duration = Duration::from_millis(50);

/// The longest.
const LONGEST: Duration = Duration::from_secs(1);

/// A connection that lasted so long was one.
const STEADY: Duration = Duration::from_secs(10);

const MOMENT: Duration = Duration::from_millis(2);

/// So many frames are held for a replica, and for a client.
const FRAMES: [usize; 2] = [8192, 2048];

/// So many bytes.
const BYTES: [usize; 2] = [32 << 20, 4 << 20];

/// A replica's end that is dialed by replica 0.
struct Peer {
    listener: TcpListener,
    id: u32,
}

impl Peer {
    fn new(id: u32) -> Outcome<Self> {
        Ok(Self { listener: TcpListener::bind("127.0.0.1:0").map_err(harness)?, id })
    }

    fn address(&self) -> Outcome<String> {
        Ok(self.listener.local_addr().map_err(harness)?.to_string())
    }

    /// The next attempt, before a word.
    fn attempt(&self) -> Outcome<TcpStream> {
        next(&self.listener, &format!("replica {}", self.id))
    }

    /// Lets the next attempt succeed.
    fn greets(&self, cluster: &Cluster) -> Outcome<End> {
        let tls = accepting(cluster, self.id)?;
        let mut end = End::of(self.attempt()?, tls).map_err(harness)?;
        end.say(&hello(VERSION, cluster.id()));
        end.hears_hello(cluster.id())?;
        Ok(end)
    }
}

/// A cluster file in which these replicas listen.
fn file_of(peers: &[&Peer]) -> Outcome<File> {
    let mut file = File::default();
    for peer in peers {
        file.addresses[peer.id as usize] = peer.address()?;
    }
    Ok(file)
}

/// Ends an attempt, and waits until the dialing end has noticed.
fn fail(mut attempt: TcpStream) -> Outcome {
    attempt.shutdown(Shutdown::Write).map_err(harness)?;
    std::io::copy(&mut attempt, &mut std::io::sink()).map(drop).or(Ok(()))
}

/// The next attempt comes between half of `pause` and all of it.
fn pauses(world: &World, peer: &Peer, pause: Duration) -> Outcome<TcpStream> {
    world.advance(pause / 2 - MOMENT)?;
    let early = waiting(&peer.listener)?.is_some();
    demand(&format!("no attempt before half of {pause:?}"), !early)?;
    world.advance(pause / 2 + 2 * MOMENT)?;
    peer.attempt()
}

/// Pauses double up to a second; a connection that lasted is what they begin anew after, and no other.
pub(super) fn back_off() -> Outcome {
    let peer = Peer::new(1)?;
    let (world, cluster) = (World::with_a_clock_that_stands()?, file_of(&[&peer])?.cluster()?);
    let node = world.node(Start::fresh(&cluster, 0, &MemoryDisk::default()))?;
    let mut attempt = peer.attempt()?;
    let mut pause = SHORTEST;
    for _ in 0..8 {
        fail(attempt)?;
        attempt = pauses(&world, &peer, pause)?;
        pause = (pause * 2).min(LONGEST);
    }
    expect("pauses have become as long as they get", LONGEST, pause)?;
    // Up for a moment, which is not enough.
    let answer = |attempt: TcpStream| {
        let mut end = End::of(attempt, accepting(&cluster, 1)?).map_err(harness)?;
        end.say(&hello(VERSION, cluster.id()));
        end.hears_hello(cluster.id()).map(|()| end)
    };
    let end = answer(attempt)?;
    world.advance(STEADY - 2 * MOMENT)?;
    end.hangs_up();
    let attempt = pauses(&world, &peer, LONGEST)?;
    let end = answer(attempt)?;
    world.advance(STEADY + MOMENT)?;
    end.hangs_up();
    fail(pauses(&world, &peer, SHORTEST)?)?;
    fail(pauses(&world, &peer, SHORTEST * 2)?)?;
    node.stop(&world)
}

/// A node whose driver does not run: it says what the scenario has it say, and nothing else.
struct Mute {
    network: TcpNetwork,
    metrics: Arc<Metrics>,
    _driver: Driver,
    _tasks: Tasks,
}

fn mute(world: &World, cluster: &Cluster) -> Outcome<Mute> {
    let own = Principal::Replica(ReplicaId(0));
    let store = Store::in_memory(&MemoryDisk::default(), Identity::new(cluster.id(), ReplicaId(0)));
    let (cluster, store) = (cluster.clone(), store.map_err(harness)?);
    world.block(async move {
        let (params, metrics) = (cluster.params(ReplicaId(0)), Arc::new(Metrics::default()));
        let network = TcpNetwork::new(&params, Arc::clone(&metrics));
        let service: Arc<dyn Service> = Arc::new(History);
        let queries = Queries::new(Arc::clone(&service), store.reader(), 100);
        let (signer, ring) = cluster.hand_and_ring(own, secret(own));
        let (driver, inbox) = Driver::new(Parts {
            params: Arc::new(params),
            signer: Arc::new(signer),
            verifier: Arc::new(VerifiedCache::new(ring)),
            store,
            service: Box::new(service),
            network: Box::new(network.clone()),
            observer: None,
            metrics: Arc::clone(&metrics),
        })
        .map_err(harness)?;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(harness)?;
        let tasks = serve(&cluster, &secret(own), listener, inbox, queries, &network);
        Ok(Mute { network, metrics, _driver: driver, _tasks: tasks.map_err(harness)? })
    })?
}

impl Mute {
    /// Says frames with these numbers to everybody.
    fn says(&mut self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            self.network.broadcast(Bytes::copy_from_slice(&number.to_be_bytes()));
        }
        self.network.flush();
    }
}

/// Demands that exactly these numbers come next.
fn hears(end: &mut End, numbers: std::ops::Range<u32>, what: &str) -> Outcome {
    for number in numbers {
        let expected = Heard::Frame(number.to_be_bytes().to_vec());
        expect(what, expected, end.hear()?)?;
    }
    Ok(())
}

/// A peer that was away gets what was said meanwhile, in order and once; and the others get it at once.
pub(super) fn away() -> Outcome {
    let peers = [Peer::new(1)?, Peer::new(2)?];
    let world = World::with_a_clock_that_stands()?;
    let cluster = file_of(&[&peers[0], &peers[1]])?.cluster()?;
    let mut node = mute(&world, &cluster)?;
    let mut present = peers[1].greets(&cluster)?;
    let absent = peers[0].attempt()?;
    node.says(0..5);
    hears(&mut present, 0..5, "what is said to everybody comes at once")?;
    fail(absent)?;
    world.advance(SHORTEST + MOMENT)?;
    let mut back = peers[0].greets(&cluster)?;
    hears(&mut back, 0..5, "what was said meanwhile")?;
    node.says(5..8);
    hears(&mut back, 5..8, "and what is said then")?;
    back.hangs_up();
    node.says(8..10);
    world.advance(LONGEST + MOMENT)?;
    let mut again = peers[0].greets(&cluster)?;
    hears(&mut again, 8..10, "nothing that it has had")?;
    again.is_quiet("and no more than was said")?;
    hears(&mut present, 5..10, "the others have it once, too")?;
    present.is_quiet("and no more")?;
    expect("nothing was dropped", 0, counted(&node.metrics.frames_dropped).len())?;
    let queues = (0..=4).map(|id| node.network.queue(ReplicaId(id)).is_some());
    let expected = vec![false, true, true, true, false];
    expect("a queue for each other replica", expected, queues.collect())
}

/// Who has more waiting than is held loses the oldest frames, which are counted; nobody else loses any.
pub(super) fn full() -> Outcome {
    let peers = [Peer::new(1)?, Peer::new(2)?];
    let world = World::with_a_clock_that_stands()?;
    let cluster = file_of(&[&peers[0], &peers[1]])?.cluster()?;
    let mut node = mute(&world, &cluster)?;
    let (mut present, absent) = (peers[1].greets(&cluster)?, peers[0].attempt()?);
    let most = FRAMES[0] as u32;
    let send = |node: &mut Mute, to, numbers: std::ops::Range<u32>| {
        numbers.for_each(|number| {
            node.network.send(ReplicaId(to), Bytes::copy_from_slice(&number.to_be_bytes()));
        });
        node.network.flush();
    };
    send(&mut node, 1, 0..most);
    expect("as many as are held", 0, node.metrics.frames_dropped.get("peer"))?;
    send(&mut node, 1, most..most + 3);
    expect("three more", 3, node.metrics.frames_dropped.get("peer"))?;
    send(&mut node, 2, 0..3);
    hears(&mut present, 0..3, "nobody else waits")?;
    fail(absent)?;
    world.advance(SHORTEST + MOMENT)?;
    let mut back = peers[0].greets(&cluster)?;
    hears(&mut back, 3..most + 3, "the oldest are gone, and the others in order")?;
    send(&mut node, 1, 7..8);
    hears(&mut back, 7..8, "what comes then comes")?;
    expect("no other was dropped", 3, node.metrics.frames_dropped.get("peer"))?;
    for (queue, (frames, bytes)) in
        [FrameQueue::for_peer(), FrameQueue::for_client()].iter().zip(FRAMES.into_iter().zip(BYTES))
    {
        bounds(&world, queue, frames, bytes)?;
    }
    Ok(())
}

/// The bounds of a queue, to the frame and to the byte.
fn bounds(world: &World, queue: &FrameQueue, frames: usize, bytes: usize) -> Outcome {
    let take = || {
        let mut taken = Box::pin(queue.take());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match taken.as_mut().poll(&mut context) {
            std::task::Poll::Ready(Some(frames)) => frames.into_iter().map(|one| one[0]).collect(),
            _ => Vec::new(),
        }
    };
    (0..=frames).for_each(|number| queue.push(Bytes::copy_from_slice(&[u8::from(number == 0)])));
    expect("as many frames as are held, the first is gone", vec![0; frames], take())?;
    let quarter = |number: u8| Bytes::from(vec![number; bytes / 4]);
    (1..=4).for_each(|number| queue.push(quarter(number)));
    expect("as many bytes as are held", vec![1, 2, 3, 4], take())?;
    (1..=4).for_each(|number| queue.push(quarter(number)));
    queue.push(Bytes::from_static(&[5]));
    expect("one byte more", vec![2, 3, 4, 5], take())?;
    queue.push(quarter(1));
    queue.push(Bytes::from(vec![2; bytes + 1]));
    expect("what is longer than all goes alone", vec![2], take())?;
    expect("what was taken is gone", Vec::<u8>::new(), take())?;
    queue.push(quarter(1));
    queue.close();
    expect("nothing comes from a closed queue", Vec::<u8>::new(), take())?;
    world.settle()
}
