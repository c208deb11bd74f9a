//! The first moments of a connection: bytes instead of a handshake, and handshakes that somebody on the way changes.

use crate::bytes::CLUSTER;
use crate::edit::edited;
use crate::turn;
use pbft_conformance::probe::handshake::{certified, claiming};
use pbft_core::Position;
use pbft_core::types::ClientId;
use pbft_node::codec;
use pbft_node::frame::{Hello, WIRE_VERSION};
use pbft_node::keyring::KeyRing;
use pbft_node::keys::SecretKey;
use pbft_node::transport::{TlsIdentity, client_config, read_hello, server_config};
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, Connection};
use std::io::{Read as _, Write as _};
use std::sync::Arc;

/// Random inputs of each target besides its corpus.
const ITERATIONS: usize = 300;

/// How often the two ends of a handshake take turns, at most.
const FLIGHTS: u8 = 6;

/// Whose key an end of a connection has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// The one that the other end expects, or knows.
    Right,
    /// Another one, and says so.
    Stranger,
    /// Another one, and says that it is the right one.
    Impostor,
}

const HOLDERS: [Holder; 3] = [Holder::Right, Holder::Stranger, Holder::Impostor];

fn dialer() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

fn acceptor() -> SecretKey {
    SecretKey::from_seed(&[2; 32])
}

fn stranger() -> SecretKey {
    SecretKey::from_seed(&[3; 32])
}

fn identity(key: &SecretKey) -> TlsIdentity {
    TlsIdentity::new(key).expect("a key")
}

/// How a key dials the acceptor.
fn settings(key: &SecretKey) -> ClientConfig {
    client_config(&identity(key), acceptor().public()).expect("settings")
}

/// Says that it has `claimed`, and signs with the stranger's key.
fn impostor(claimed: &SecretKey) -> Arc<CertifiedKey> {
    claiming(&settings(claimed), &settings(&stranger())).expect("two keys")
}

/// The dialing end, which expects the acceptor's key.
fn dialing(holder: Holder) -> Connection {
    let key = if holder == Holder::Stranger { stranger() } else { dialer() };
    let mut config = settings(&key);
    if holder == Holder::Impostor {
        let resolver = AlwaysResolvesClientRawPublicKeys::new(impostor(&dialer()));
        config.client_auth_cert_resolver = Arc::new(resolver);
    }
    let name = "replica".try_into().expect("a name");
    rustls::ClientConnection::new(Arc::new(config), name).expect("settings").into()
}

/// The accepting end, which lets the dialer and the acceptor in, as replicas, and a client.
fn accepting(holder: Holder) -> Connection {
    let key = if holder == Holder::Stranger { stranger() } else { acceptor() };
    let client = SecretKey::from_seed(&[4; 32]).public();
    let ring = KeyRing::new([dialer().public(), acceptor().public()], [(ClientId(1), client)]);
    let mut config = server_config(&identity(&key), Arc::new(ring)).expect("settings");
    if holder == Holder::Impostor {
        let resolver = AlwaysResolvesServerRawPublicKeys::new(impostor(&acceptor()));
        config.cert_resolver = Arc::new(resolver);
    }
    rustls::ServerConnection::new(Arc::new(config)).expect("settings").into()
}

/// All that an end has to say.
fn said(by: &mut Connection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while by.wants_write() {
        by.write_tls(&mut bytes).expect("room");
    }
    bytes
}

/// Gives an end what arrives; false once it hangs up.
fn hears(to: &mut Connection, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        if !matches!(to.read_tls(&mut bytes), Ok(1..)) || to.process_new_packets().is_err() {
            return false;
        }
    }
    true
}

fn received(by: &mut Connection) -> Vec<u8> {
    let mut bytes = Vec::new();
    // There is no more: it would block.
    let _ = by.reader().read_to_end(&mut bytes);
    bytes
}

fn is_in(end: &Connection, key: &SecretKey) -> bool {
    let theirs = end.peer_certificates().unwrap_or_default();
    let key = certified(&settings(key)).expect("a key");
    !end.is_handshaking() && theirs == key.cert
}

fn hello() -> Vec<u8> {
    let hello = Hello { version: WIRE_VERSION, cluster: CLUSTER, position: Position::default() };
    codec::encode(&hello).expect("encoded")
}

/// Bytes instead of a handshake: nobody is let in, and a hello counts only if it is the cluster's.
#[test]
fn noise() {
    let _turn = turn();
    bolero::check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        if let Ok(position) = read_hello(input, CLUSTER) {
            let hello = Hello { version: WIRE_VERSION, cluster: CLUSTER, position };
            assert!(codec::encode(&hello).is_ok_and(|bytes| bytes == input));
        }
        for mut end in [accepting(Holder::Right), dialing(Holder::Right)] {
            hears(&mut end, input);
            assert!(end.is_handshaking(), "let in without a key");
            assert!(received(&mut end).is_empty(), "something was read");
        }
    });
}

/// A handshake between two ends, a few bytes of one flight changed: each end believes the right key only, from who has
/// its secret; what it reads is what was said to it, or the beginning of that; and if nobody lies and nothing is changed, both are in.
#[test]
fn conversation() {
    let _turn = turn();
    bolero::check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        let Some((choice, script)) = input.split_first() else { return };
        let holder = |nth| HOLDERS[usize::from(choice / nth % 3)];
        let (dials, accepts, spoiled) = (holder(1), holder(3), choice / 9 % FLIGHTS);
        let mut ends = [dialing(dials), accepting(accepts)];
        for end in &mut ends {
            end.writer().write_all(&hello()).expect("held back");
        }
        let mut unchanged = true;
        for flight in 0..FLIGHTS {
            let [from, to] = &mut ends;
            let original = said(from);
            let arrives =
                if flight == spoiled { edited(&original, script) } else { original.clone() };
            unchanged &= arrives == original;
            if !hears(to, &arrives) {
                break;
            }
            ends.reverse();
        }
        let [one, other] = ends;
        let (mut client, mut server) = match one {
            Connection::Client(_) => (one, other),
            Connection::Server(_) => (other, one),
        };
        let honest = (dials, accepts) == (Holder::Right, Holder::Right);
        for (end, key, peer) in [(&mut client, acceptor(), accepts), (&mut server, dialer(), dials)]
        {
            let (is_in, read) = (is_in(end, &key), received(end));
            assert!(is_in || end.is_handshaking(), "another key is let in");
            assert!(!is_in || peer == Holder::Right, "{peer:?} is let in");
            assert!(hello().starts_with(&read) && (is_in || read.is_empty()), "read: {read:?}");
            assert!(!honest || !unchanged || is_in && read == hello(), "kept out without a reason");
        }
    });
}
