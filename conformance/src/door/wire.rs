//! The other end of a node's connections, made by hand: bytes, TLS, lengths, the first words. What is written here is
//! docs/wire.md's, not the node's.

use super::world::{Outcome, PATIENCE, harness};
use crate::divergence::{Difference, Kind};
use crate::refinement::layout;
use crate::subject::node::keys::secret;
use pbft_core::message::{Request, Signed};
use pbft_core::types::{
    ClientId, Digest, Lane, Principal, ReplicaId, Session, Signature, Timestamp,
};
use pbft_node::config::Cluster;
use pbft_node::keys::SecretKey;
use pbft_node::transport::{TlsIdentity, client_config, server_config};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The version of the protocol, in the first word and in the name that TLS agrees on.
pub(super) const VERSION: u16 = 3;

/// See [`VERSION`].
pub(super) const PROTOCOL: &[u8] = b"pbft/3";

/// A client asks how the replica is: the second kind of frame, and nothing more.
pub(super) const STATUS_REQUEST: [u8; 4] = [1, 0, 0, 0];

/// What a replica's answer to that begins with: the third kind.
pub(super) const STATUS: [u8; 4] = [2, 0, 0, 0];

/// The first word: the version, the cluster, and a place where nobody has been yet: view 0, number 0, votes.
pub(super) fn hello(version: u16, cluster: Digest) -> Vec<u8> {
    [&version.to_le_bytes()[..], &cluster.0, &[0; 8], &[0; 8], &[0; 4]].concat()
}

/// How `key` dials replica `to`.
pub(super) fn dialing(key: &SecretKey, to: u32) -> Outcome<ClientConfig> {
    let expected = secret(Principal::Replica(ReplicaId(to))).public();
    let identity = TlsIdentity::new(key).map_err(harness)?;
    let mut tls = client_config(&identity, expected).map_err(harness)?;
    tls.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(tls)
}

/// How replica `id` is dialed.
pub(super) fn accepting(cluster: &Cluster, id: u32) -> Outcome<ServerConfig> {
    let identity = TlsIdentity::new(&secret(Principal::Replica(ReplicaId(id)))).map_err(harness)?;
    let mut tls = server_config(&identity, Arc::new(cluster.key_ring())).map_err(harness)?;
    tls.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(tls)
}

/// A request of a client, signed by its key.
pub(super) fn request(
    cluster: Digest,
    client: u32,
    time: u64,
    operation: &[u8],
) -> Signed<Request> {
    let client = ClientId(client);
    let (lane, session, operation) = (Lane(0), Session(7), operation.to_vec());
    let body = Request { client, lane, timestamp: Timestamp(time), session, operation };
    let bytes = layout::statement(cluster, &body);
    let signature = secret(Principal::Client(client)).sign(&bytes);
    Signed { body, signature: Signature::from_bytes(&signature) }
}

/// A request as a client's frame: the first kind.
pub(super) fn request_frame(request: &Signed<Request>) -> Vec<u8> {
    let Request { client, lane, timestamp, session, operation } = &request.body;
    let mut frame = vec![0; 4];
    frame.extend(client.0.to_le_bytes());
    frame.extend(lane.0.to_le_bytes());
    frame.extend(timestamp.0.to_le_bytes());
    frame.extend(session.0.to_le_bytes());
    frame.extend((operation.len() as u64).to_le_bytes());
    frame.extend(operation);
    frame.extend(request.signature.to_bytes());
    frame
}

/// A connection over TCP without a word.
pub(super) fn tcp(address: SocketAddr) -> Outcome<TcpStream> {
    let stream = TcpStream::connect(address).map_err(harness)?;
    prepared(stream).map_err(harness)
}

fn prepared(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The next connection that comes, if one is there already.
pub(super) fn waiting(listener: &TcpListener) -> Outcome<Option<TcpStream>> {
    listener.set_nonblocking(true).map_err(harness)?;
    match listener.accept() {
        Ok((stream, _)) => prepared(stream).map(Some).map_err(harness),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(harness(error)),
    }
}

/// Waits for the next connection.
pub(super) fn next(listener: &TcpListener, what: &str) -> Outcome<TcpStream> {
    let began = Instant::now();
    loop {
        match waiting(listener)? {
            Some(stream) => return Ok(stream),
            None if began.elapsed() > PATIENCE => {
                return Err(Difference::new(Kind::Reaction, format!("nobody dials: {what}")));
            }
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Frame(Vec<u8>),
    /// The other end has ended the connection.
    End,
}

trait Duplex: Read + Write + Send {}

impl<T: Read + Write + Send> Duplex for T {}

/// One end of a connection, TLS done.
pub(super) struct End {
    tls: Box<dyn Duplex>,
    tcp: TcpStream,
}

fn finish<C, S>(tls: &mut StreamOwned<C, TcpStream>) -> io::Result<()>
where
    C: std::ops::DerefMut<Target = rustls::ConnectionCommon<S>>,
    S: rustls::SideData,
{
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock)?;
    }
    Ok(())
}

impl End {
    /// Dials over this connection.
    pub(super) fn over(stream: TcpStream, tls: ClientConfig) -> io::Result<Self> {
        let tcp = stream.try_clone()?;
        let name = ServerName::try_from("replica").map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::new(tls), name).map_err(io::Error::other)?;
        let mut tls = StreamOwned::new(connection, stream);
        finish(&mut tls)?;
        Ok(Self { tls: Box::new(tls), tcp })
    }

    /// Answers on this connection.
    pub(super) fn of(stream: TcpStream, tls: ServerConfig) -> io::Result<Self> {
        let tcp = stream.try_clone()?;
        let connection = ServerConnection::new(Arc::new(tls)).map_err(io::Error::other)?;
        let mut tls = StreamOwned::new(connection, stream);
        finish(&mut tls)?;
        Ok(Self { tls: Box::new(tls), tcp })
    }

    /// Dials as `who` the replica that listens at `address`; both have said hello.
    pub(super) fn greeted(
        cluster: &Cluster,
        address: SocketAddr,
        who: Principal,
        to: u32,
    ) -> Outcome<Self> {
        let refused = |error: io::Error| Difference::new(Kind::Refused, error.to_string());
        let tls = dialing(&secret(who), to)?;
        let mut end = Self::over(tcp(address)?, tls).map_err(refused)?;
        end.say(&hello(VERSION, cluster.id()));
        end.hears_hello(cluster.id())?;
        Ok(end)
    }

    /// The first word of the other end is one of this cluster, in this version.
    pub(super) fn hears_hello(&mut self, cluster: Digest) -> Outcome {
        let expected = &hello(VERSION, cluster)[..34];
        match self.hear()? {
            Heard::Frame(frame) if frame.starts_with(expected) => Ok(()),
            other => {
                let diff = vec![format!("- {expected:?}…"), format!("+ {other:?}")];
                Err(Difference::new(Kind::Reaction, "the first word").with_diff(diff))
            }
        }
    }

    /// Sends a frame: its length in four bytes, the highest first, and then itself. If the other end is gone, what it
    /// said before is still to be heard.
    pub(super) fn say(&mut self, frame: &[u8]) {
        self.begin(frame.len());
        self.bytes(frame);
    }

    /// Only the length of a frame.
    pub(super) fn begin(&mut self, len: usize) {
        self.bytes(&(len as u32).to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let _ = self.tls.write_all(bytes).and_then(|()| self.tls.flush());
    }

    /// Waits for the next frame, or for the end.
    pub(super) fn hear(&mut self) -> Outcome<Heard> {
        let mut len = [0; 4];
        let read = self.tls.read_exact(&mut len).and_then(|()| {
            let mut frame = vec![0; u32::from_be_bytes(len) as usize];
            self.tls.read_exact(&mut frame)?;
            Ok(frame)
        });
        match read {
            Ok(frame) => Ok(Heard::Frame(frame)),
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {
                Err(Difference::new(Kind::Reaction, "in vain waited for a word on a connection"))
            }
            Err(_) => Ok(Heard::End),
        }
    }

    /// Waits for a frame.
    pub(super) fn hears(&mut self, what: &str) -> Outcome<Vec<u8>> {
        match self.hear()? {
            Heard::Frame(frame) => Ok(frame),
            Heard::End => Err(Difference::new(Kind::Reaction, format!("{what}: it hung up"))),
        }
    }

    /// Demands that the other end hangs up, and says nothing before.
    pub(super) fn hears_the_end(&mut self, what: &str) -> Outcome {
        match self.hear()? {
            Heard::End => Ok(()),
            Heard::Frame(frame) => {
                let diff = vec!["- the end".to_owned(), format!("+ {frame:?}")];
                Err(Difference::new(Kind::Reaction, what).with_diff(diff))
            }
        }
    }

    /// Demands that nothing has come so far, and that the connection is up.
    pub(super) fn is_quiet(&mut self, what: &str) -> Outcome {
        self.tcp.set_nonblocking(true).map_err(harness)?;
        let read = self.tls.read(&mut [0]);
        self.tcp.set_nonblocking(false).map_err(harness)?;
        match read {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Ok(0) | Err(_) => {
                Err(Difference::new(Kind::Reaction, format!("{what}: the connection has ended")))
            }
            Ok(_) => Err(Difference::new(Kind::Reaction, format!("{what}: something was said"))),
        }
    }

    /// Hangs up, and waits until the other end has done so, too.
    pub(super) fn hangs_up(mut self) {
        let _ = self.tcp.shutdown(Shutdown::Write);
        while let Ok(Heard::Frame(_)) = self.hear() {}
    }
}
