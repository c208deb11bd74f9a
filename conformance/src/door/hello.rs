//! The first moments of a connection: who is refused, and what for, at the end that listens and at the one that dials;
//! how long that may take; how many may try at a time, and how often from one address.

use super::wire::{End, PROTOCOL, VERSION, accepting, dialing, hello, next, tcp};
use super::world::{File, Hall, Outcome, World, await_that, counted, expect, harness};
use crate::divergence::{Difference, Kind};
use crate::subject::node::keys::secret;
use pbft_core::types::{ClientId, Digest, Principal, ReplicaId};
use pbft_node::config::Cluster;
use pbft_node::keys::SecretKey;
use pbft_node::transport::{Connection, HandshakeError, connect};
use rustls::ServerConfig;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// Who dials in these scenarios.
const PEER: Principal = Principal::Replica(ReplicaId(2));

/// How long a handshake may take (docs/wire.md).
const DEADLINE: Duration = Duration::from_secs(5);

/// A moment, before or after something is due.
const MOMENT: Duration = Duration::from_millis(10);

fn door() -> Outcome<Hall> {
    Hall::open(File::default().with("operation_bytes_max = 1000"))
}

impl Hall {
    fn refused(&self) -> Vec<(&'static str, u64)> {
        counted(&self.node.metrics.handshakes_refused)
    }

    fn taken(&self) -> u64 {
        self.node.metrics.handshakes.get()
    }

    /// Dials with the names of these protocols.
    fn dial_with(&self, key: &SecretKey, protocols: &[&[u8]]) -> Outcome<std::io::Result<End>> {
        let mut tls = dialing(key, 0)?;
        tls.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(End::over(tcp(self.node.address)?, tls))
    }

    fn dial(&self) -> Outcome<End> {
        self.dial_as(PEER)
    }

    fn dial_as(&self, who: Principal) -> Outcome<End> {
        let dialed = self.dial_with(&secret(who), &[PROTOCOL])?;
        dialed.map_err(|error| Difference::new(Kind::Refused, error.to_string()))
    }

    /// Connects, and says these bytes without TLS.
    fn without_tls(&self, bytes: &[u8]) -> Outcome<TcpStream> {
        let mut stream = tcp(self.node.address)?;
        stream.write_all(bytes).map_err(harness)?;
        Ok(stream)
    }

    /// Dials, hears the first word, and says this one.
    fn first_word(&self, word: &[u8]) -> Outcome<End> {
        let mut end = self.dial()?;
        // Also those who turn out to be wrong are to be able to say why.
        end.hears_hello(self.cluster.id())?;
        end.say(word);
        Ok(end)
    }

    /// Demands that one connection more was refused, for this reason, and none was taken.
    fn refuses(&self, what: &str, reason: &'static str, before: &[(&'static str, u64)]) -> Outcome {
        let total = |counts: &[(&str, u64)]| counts.iter().map(|(_, count)| count).sum::<u64>();
        await_that(what, || self.taken() > 0 || total(&self.refused()) > total(before))?;
        let mut expected = before.to_vec();
        match expected.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => expected.push((reason, 1)),
        }
        expected.sort_unstable();
        expect(&format!("{what}: {reason}"), (0, expected), (self.taken(), self.refused()))
    }
}

/// Somebody who is to be refused.
type Wrong = fn(&Hall) -> Outcome<Box<dyn std::any::Any>>;

fn kept<T: 'static>(connection: T) -> Outcome<Box<dyn std::any::Any>> {
    Ok(Box::new(connection))
}

const WRONG: &[(&str, &str, Wrong)] = &[
    ("bytes that are no TLS", "not-tls", |door| kept(door.without_tls(b"GET / HTTP/1.1\r\n\r\n")?)),
    ("who hangs up at once", "hung-up", |door| {
        drop(tcp(door.node.address)?);
        kept(())
    }),
    ("an earlier protocol", "wrong-version", |door| {
        kept(door.dial_with(&secret(PEER), &[b"pbft/2"])?.is_ok())
    }),
    ("a later protocol", "wrong-version", |door| {
        kept(door.dial_with(&secret(PEER), &[b"pbft/4"])?.is_ok())
    }),
    ("a protocol without a name", "wrong-version", |door| {
        kept(door.dial_with(&secret(PEER), &[])?.ok())
    }),
    ("a key that is nobody's", "unknown-key", |door| {
        kept(door.dial_with(&SecretKey::from_seed(&[9; 32]), &[PROTOCOL])?.ok())
    }),
    ("a version earlier", "wrong-version", |door| {
        kept(door.first_word(&hello(VERSION - 1, door.cluster.id()))?)
    }),
    ("a version later", "wrong-version", |door| {
        kept(door.first_word(&hello(VERSION + 1, door.cluster.id()))?)
    }),
    ("another cluster", "wrong-cluster", |door| {
        let mut id = door.cluster.id().0;
        id[31] ^= 1;
        kept(door.first_word(&hello(VERSION, Digest(id)))?)
    }),
    ("a first word with a byte too many", "no-hello", |door| {
        kept(door.first_word(&[hello(VERSION, door.cluster.id()), vec![0]].concat())?)
    }),
    ("a first word with a byte too few", "no-hello", |door| {
        let word = hello(VERSION, door.cluster.id());
        kept(door.first_word(&word[..word.len() - 1])?)
    }),
    // An operation of 1000 bytes, and 98 around it.
    ("a client's first word as long as its frames may be", "no-hello", |door| {
        let mut end = door.dial_as(Principal::Client(ClientId(1)))?;
        end.say(&[0; 1098]);
        kept(end)
    }),
    ("a client's first word longer than its frames", "io", |door| {
        let mut end = door.dial_as(Principal::Client(ClientId(1)))?;
        end.begin(1099);
        kept(end)
    }),
];

/// Each reason for which the end that listens refuses a connection.
pub(super) fn refusals() -> Outcome {
    let door = door()?;
    for (what, reason, wrong) in WRONG {
        let before = door.refused();
        let _connection = wrong(&door)?;
        door.refuses(what, reason, &before)?;
    }
    let _good = End::greeted(&door.cluster, door.node.address, PEER, 0)?;
    await_that("who is right is let in", || door.taken() == 1)?;
    door.node.stop(&door.world)
}

/// A handshake has so much time: to begin, and to its last word.
pub(super) fn deadline() -> Outcome {
    let door = door()?;
    let silent = tcp(door.node.address)?;
    let (mut slow, slower) = (door.dial()?, door.dial()?);
    slow.hears_hello(door.cluster.id())?;
    door.world.advance(DEADLINE - MOMENT)?;
    expect("before the deadline nobody is refused", Vec::new(), door.refused())?;
    slow.say(&hello(VERSION, door.cluster.id()));
    await_that("who is slow, and in time, is let in", || door.taken() == 1)?;
    door.world.advance(2 * MOMENT)?;
    let both = [("deadline", 2)];
    await_that("who is too slow is refused", || door.refused() == both)?;
    slow.is_quiet("who was let in stays")?;
    drop((silent, slower));
    door.node.stop(&door.world)
}

/// 256 handshakes at a time; one more takes the place of the oldest.
pub(super) fn crowd() -> Outcome {
    const AT_A_TIME: usize = 256;
    let door = door()?;
    let mut crowd = Vec::new();
    for _ in 0..AT_A_TIME {
        crowd.push(tcp(door.node.address)?);
    }
    door.world.settle()?;
    let good = End::greeted(&door.cluster, door.node.address, PEER, 0)?;
    await_that("a crowd keeps nobody out", || door.taken() == 1)?;
    expect("the oldest gives way, and no other", vec![("crowded-out", 1)], door.refused())?;
    let mut crowd = crowd.into_iter();
    let oldest = crowd.next().ok_or_else(|| harness("no crowd"))?;
    let heard = std::io::Read::read(&mut &oldest, &mut [0]).ok();
    expect("the oldest of the crowd is closed", Some(0), heard)?;
    // The second oldest may still be somebody.
    let second = crowd.next().ok_or_else(|| harness("no crowd"))?;
    let tls = dialing(&secret(Principal::Client(ClientId(1))), 0)?;
    let refused = |error: std::io::Error| Difference::new(Kind::Refused, error.to_string());
    let mut second = End::over(second, tls).map_err(refused)?;
    second.say(&hello(VERSION, door.cluster.id()));
    await_that("another one of the crowd is let in", || door.taken() == 2)?;
    drop((crowd, good));
    door.node.stop(&door.world)
}

/// 256 handshakes at once with one address, then fifty a second; who would wait longer than three seconds is refused. No
/// other address waits.
pub(super) fn often() -> Outcome {
    const AT_ONCE: u64 = 256;
    const WAITING: u64 = 150;
    let door = door()?;
    let greet = |client| {
        let who = Principal::Client(ClientId(client));
        let mut end = End::over(tcp(door.node.address)?, dialing(&secret(who), 0)?);
        if let Ok(end) = &mut end {
            end.say(&hello(VERSION, door.cluster.id()));
        }
        Ok::<_, Difference>(end)
    };
    for number in 1..=AT_ONCE {
        let end = greet(1)?.map_err(harness)?;
        await_that("a burst of handshakes", || door.taken() == number)?;
        end.hangs_up();
    }
    let waiting: Vec<_> = (0..WAITING).map(|_| half_greeted(&door)).collect::<Outcome<_>>()?;
    door.world.settle()?;
    expect("those who wait are not refused", Vec::new(), door.refused())?;
    let too_often = half_greeted(&door)?;
    let expected = [("too-often", 1)];
    await_that("one more would wait too long", || door.refused() == expected)?;
    expect("nobody has had a turn yet", AT_ONCE, door.taken())?;
    let other = from_another_address(&door)?;
    await_that("another address has its turn at once", || door.taken() == AT_ONCE + 1)?;
    drop((waiting, too_often, other));
    door.world.advance(Duration::from_millis(21))?;
    let _later = half_greeted(&door)?;
    door.world.settle()?;
    expect("who was refused delays nobody", expected.to_vec(), refusals_of_often(&door))?;
    door.node.stop(&door.world)
}

fn refusals_of_often(door: &Hall) -> Vec<(&'static str, u64)> {
    door.refused().into_iter().filter(|(reason, _)| *reason == "too-often").collect()
}

/// Says the first word of TLS, which is worth a turn, and waits for nothing.
fn half_greeted(door: &Hall) -> Outcome<TcpStream> {
    let tls = Arc::new(dialing(&secret(PEER), 0)?);
    let name = rustls::pki_types::ServerName::try_from("replica").map_err(harness)?;
    let mut words = rustls::ClientConnection::new(tls, name).map_err(harness)?;
    let mut stream = tcp(door.node.address)?;
    while words.wants_write() {
        words.write_tls(&mut stream).map_err(harness)?;
    }
    Ok(stream)
}

fn from_another_address(door: &Hall) -> Outcome<End> {
    let to = door.node.address;
    let stream = door.world.block(async move {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(([127, 0, 0, 2], 0).into())?;
        socket.connect(to).await?.into_std()
    })?;
    let stream = stream.map_err(harness)?;
    stream.set_nonblocking(false).map_err(harness)?;
    let refused = |error: std::io::Error| Difference::new(Kind::Refused, error.to_string());
    let mut end = End::over(stream, dialing(&secret(PEER), 0)?).map_err(refused)?;
    end.say(&hello(VERSION, door.cluster.id()));
    Ok(end)
}

/// What a listening end does to one that dials.
struct Trap {
    listener: TcpListener,
    cluster: Cluster,
    world: World,
}

impl Trap {
    /// Has it dialed by replica 2, which takes it for replica 0.
    fn dialed(
        &self,
        answer: impl FnOnce(&Self, TcpStream) -> Outcome,
    ) -> Outcome<Result<Connection, HandshakeError>> {
        let address = self.listener.local_addr().map_err(harness)?.to_string();
        let (tls, cluster) = (Arc::new(dialing(&secret(PEER), 0)?), self.cluster.id());
        let dialing =
            self.world.begin(async move { connect(&address, tls, cluster, 1 << 16).await });
        answer(self, next(&self.listener, "the end that dials")?)?;
        dialing.end()
    }

    fn settings(&self, protocols: &[&[u8]]) -> Outcome<ServerConfig> {
        let mut tls = accepting(&self.cluster, 0)?;
        tls.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(tls)
    }

    /// Has it dialed, and answers with this first word; the name of what the dialing end says.
    fn answers(&self, word: &[u8]) -> Outcome<String> {
        let dialed = self.dialed(|trap, stream| {
            let mut end = End::of(stream, trap.settings(&[PROTOCOL])?).map_err(harness)?;
            end.say(word);
            end.hears_hello(trap.cluster.id())
        });
        Ok(name(&dialed?))
    }

    /// The same of an end that has names of other protocols.
    fn speaks(&self, protocols: &[&[u8]]) -> Outcome<String> {
        let dialed = self.dialed(|trap, stream| {
            let _ = End::of(stream, trap.settings(protocols)?).map(End::hangs_up);
            Ok(())
        });
        Ok(name(&dialed?))
    }
}

fn name(dialed: &Result<Connection, HandshakeError>) -> String {
    match dialed {
        Ok(_) => "connected".to_owned(),
        Err(HandshakeError::Cluster { theirs, ours }) => {
            format!("Cluster {:x?} {:x?}", &theirs.0[..1], &ours.0[..1])
        }
        Err(HandshakeError::Io(_)) => "Io".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

/// Each reason that the end that dials gives.
pub(super) fn dialing_end() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(harness)?;
    let (cluster, world) = (File::default().cluster()?, World::with_a_clock_that_stands()?);
    let trap = Trap { listener, cluster, world };
    let id = trap.cluster.id();
    let is = |what: &str, expected: &str, got: String| expect(what, expected.to_owned(), got);
    is("a good answer", "connected", trap.answers(&hello(VERSION, id))?)?;
    is("a version earlier", "Version(2)", trap.answers(&hello(VERSION - 1, id))?)?;
    is("a version later", "Version(4)", trap.answers(&hello(VERSION + 1, id))?)?;
    let clusters = format!("Cluster [5] {:x?}", &id.0[..1]);
    is("another cluster", &clusters, trap.answers(&hello(VERSION, Digest([5; 32])))?)?;
    is("another word", "NoHello", trap.answers(b"good morning")?)?;
    is("an earlier protocol", "Protocol", trap.speaks(&[b"pbft/2"])?)?;
    is("no protocol", "Protocol", trap.speaks(&[])?)?;
    let closed = trap.dialed(|_, stream| {
        drop(stream);
        Ok(())
    })?;
    is("an end that hangs up", "Io", name(&closed))?;
    let held = trap.dialed(|trap, stream| {
        trap.world.advance(DEADLINE + MOMENT)?;
        drop(stream);
        Ok(())
    });
    is("an end that is silent", "Deadline", name(&held?))?;
    let door = door()?;
    let (to, tls) = (door.node.address.to_string(), dialing(&SecretKey::from_seed(&[9; 32]), 0)?);
    let id = door.cluster.id();
    let unknown = door.world.block(async move { connect(&to, Arc::new(tls), id, 64).await })?;
    is("an end that does not know this one's key", "Unwelcome", name(&unknown))?;
    door.node.stop(&door.world)
}
