//! From a TCP stream to a connection that knows who is at its other end.

use super::complaints::Source;
use super::quota::Arrivals;
use super::tls::{alpn, raw_key};
use crate::codec::{self, FRAME_BYTES_MAX};
use crate::frame::{FrameLimits, HELLO_BYTES, Hello, WIRE_VERSION};
use crate::inbox::Inbox;
use crate::keyring::KeyRing;
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use pbft_core::Position;
use pbft_core::types::{Digest, Principal};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::{LazyConfigAcceptor, TlsConnector, TlsStream};
use tokio_util::codec::{Decoder, Encoder, Framed, LengthDelimitedCodec};

/// From the first byte to the second [`Hello`]; who is slower is cut off.
pub(super) const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

/// Frames over an authenticated connection.
pub type Connection = Framed<TlsStream<TcpStream>, FrameCodec>;

/// A length in four bytes, then the frame. What is read is held to the reading end's limit; what is written was
/// made here, and is held to the limit of its reader there.
#[derive(Debug)]
pub struct FrameCodec {
    reader: LengthDelimitedCodec,
    writer: LengthDelimitedCodec,
}

impl FrameCodec {
    /// Reads frames of up to `frame_max` bytes, or a [`Hello`] if that is more.
    pub fn new(frame_max: usize) -> Self {
        let codec = |max| {
            LengthDelimitedCodec::builder().length_field_length(4).max_frame_length(max).new_codec()
        };
        Self { reader: codec(frame_max.max(HELLO_BYTES)), writer: codec(FRAME_BYTES_MAX) }
    }
}

impl Decoder for FrameCodec {
    type Item = BytesMut;
    type Error = std::io::Error;

    fn decode(&mut self, source: &mut BytesMut) -> std::io::Result<Option<BytesMut>> {
        self.reader.decode(source)
    }
}

impl Encoder<Bytes> for FrameCodec {
    type Error = std::io::Error;

    fn encode(&mut self, frame: Bytes, target: &mut BytesMut) -> std::io::Result<()> {
        self.writer.encode(frame, target)
    }
}

/// Why a connection ended, in a few words.
pub(super) fn ended(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset => {
            "the other end is gone".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Why a connection did not come about.
#[derive(Debug, Error)]
pub enum HandshakeError {
    /// TCP or TLS failed; an unknown key is among the reasons.
    #[error("{0}")]
    Io(std::io::Error),
    /// The settings of TLS do not fit together.
    #[error("{0}")]
    Tls(#[from] rustls::Error),
    /// It took too long.
    #[error("no handshake within {HANDSHAKE_DEADLINE:?}")]
    Deadline,
    /// The other end does not speak this protocol.
    #[error(
        "the other end does not speak {}; run the same release everywhere",
        String::from_utf8_lossy(&alpn())
    )]
    Protocol,
    /// This end's key is nobody's, as the other end sees it.
    #[error("the other end refuses this end's key; add it to the cluster file of all replicas")]
    Unwelcome,
    /// The other end's key is nobody's.
    #[error("the other end's key is not in the cluster file")]
    UnknownKey,
    /// The other end speaks another version.
    #[error(
        "the other end speaks version {0}, this one version {WIRE_VERSION}; run the same release everywhere"
    )]
    Version(u16),
    /// The other end has another cluster file.
    #[error(
        "the other end has cluster id {theirs}, this one {ours}; give both the same cluster file"
    )]
    Cluster {
        /// The other end's cluster id.
        theirs: Digest,
        /// This end's.
        ours: Digest,
    },
    /// The other end hung up, or said something else than hello.
    #[error("the other end did not say hello")]
    NoHello,
    /// Its address has had more handshakes than are worth it.
    #[error("its address connects too often")]
    TooOften,
}

/// The kinds of [`HandshakeError`], and of what else keeps a connection out.
pub const REFUSALS: &[&str] = &[
    "unknown-key",
    "wrong-cluster",
    "wrong-version",
    "not-tls",
    "tls",
    "hung-up",
    "deadline",
    "no-hello",
    "io",
    "crowded-out",
    "too-often",
    "too-many-clients",
];

impl HandshakeError {
    /// What kind it is, for metrics: one of [`REFUSALS`].
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Io(error) => io_kind(error),
            Self::Tls(error) => tls_kind(error),
            Self::Deadline => "deadline",
            Self::Protocol | Self::Version(_) => "wrong-version",
            Self::UnknownKey | Self::Unwelcome => "unknown-key",
            Self::Cluster { .. } => "wrong-cluster",
            Self::NoHello => "no-hello",
            Self::TooOften => "too-often",
        }
    }
}

impl From<std::io::Error> for HandshakeError {
    /// What the other end found wrong comes as an alert.
    fn from(error: std::io::Error) -> Self {
        match tls_error(&error) {
            Some(rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol)) => {
                Self::Protocol
            }
            Some(rustls::Error::AlertReceived(rustls::AlertDescription::AccessDenied)) => {
                Self::Unwelcome
            }
            _ => Self::Io(error),
        }
    }
}

/// What TLS found wrong, if it was TLS.
fn tls_error(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn io_kind(error: &std::io::Error) -> &'static str {
    match (tls_error(error), error.kind()) {
        (Some(error), _) => tls_kind(error),
        (
            None,
            std::io::ErrorKind::UnexpectedEof
            | std::io::ErrorKind::ConnectionReset
            | std::io::ErrorKind::BrokenPipe,
        ) => "hung-up",
        (None, _) => "io",
    }
}

fn tls_kind(error: &rustls::Error) -> &'static str {
    match error {
        // The key is known, which is looked at first, and the signature is not made with it.
        rustls::Error::InvalidCertificate(rustls::CertificateError::BadSignature) => "tls",
        rustls::Error::InvalidCertificate(_) => "unknown-key",
        rustls::Error::NoApplicationProtocol => "wrong-version",
        rustls::Error::InvalidMessage(_) => "not-tls",
        _ => "tls",
    }
}

fn framed(stream: TlsStream<TcpStream>, frame_max: usize) -> Connection {
    Framed::new(stream, FrameCodec::new(frame_max))
}

/// Dials `address`, as whoever `tls` says, and makes sure that the expected replica answers. Frames of up to
/// `frame_max` bytes are taken from it.
pub async fn connect(
    address: &str,
    tls: Arc<rustls::ClientConfig>,
    cluster: Digest,
    frame_max: usize,
) -> Result<Connection, HandshakeError> {
    Ok(greet(address, tls, cluster, frame_max).await?.0)
}

/// [`connect`], and how far the replica says that it has come: as it was when it answered, not earlier.
pub(crate) async fn greet(
    address: &str,
    tls: Arc<rustls::ClientConfig>,
    cluster: Digest,
    frame_max: usize,
) -> Result<(Connection, Position), HandshakeError> {
    let dial = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        // Names play no part: the key is pinned. TLS wants one all the same.
        let name = rustls::pki_types::ServerName::try_from("replica")
            .map_err(|_| HandshakeError::Protocol)?;
        let stream = TlsConnector::from(tls).connect(name, stream).await?;
        check_alpn(stream.get_ref().1.alpn_protocol())?;
        let mut connection = framed(TlsStream::Client(stream), frame_max);
        say_hello(&mut connection, cluster, Position::default()).await?;
        let position = hear_hello(&mut connection, cluster).await?;
        Ok((connection, position))
    };
    tokio::time::timeout(HANDSHAKE_DEADLINE, dial).await.map_err(|_| HandshakeError::Deadline)?
}

/// What the accepting end of connections needs.
#[derive(Clone)]
pub(super) struct Acceptor {
    pub(super) tls: Arc<rustls::ServerConfig>,
    pub(super) ring: Arc<KeyRing>,
    pub(super) cluster: Digest,
    pub(super) limits: FrameLimits,
    /// Knows how far this replica has come.
    pub(super) inbox: Inbox,
    /// How often each address has had a handshake.
    pub(super) arrivals: Arrivals,
}

impl Acceptor {
    /// Finds out who is there. The keys are worth the work only once a client hello is here and its address has a turn.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
        from: Source,
    ) -> Result<(Principal, Connection), HandshakeError> {
        let accept = async {
            stream.set_nodelay(true)?;
            let started = LazyConfigAcceptor::new(Default::default(), stream).await?;
            let delay = self.arrivals.delay(from, Instant::now());
            tokio::time::sleep(delay.ok_or(HandshakeError::TooOften)?).await;
            let stream = started.into_stream(Arc::clone(&self.tls)).await?;
            let session = stream.get_ref().1;
            check_alpn(session.alpn_protocol())?;
            let keys = session.peer_certificates().unwrap_or_default();
            let owner = keys.first().and_then(|key| self.ring.owner(&raw_key(key)?));
            let principal = owner.ok_or(HandshakeError::UnknownKey)?;
            let frame_max = match principal {
                Principal::Replica(_) => self.limits.peer_frame(),
                Principal::Client(_) => self.limits.client_frame(),
            };
            let mut connection = framed(TlsStream::Server(stream), frame_max);
            // Said even to those who turn out to be wrong: their log should tell why.
            say_hello(&mut connection, self.cluster, self.inbox.position()).await?;
            hear_hello(&mut connection, self.cluster).await?;
            Ok((principal, connection))
        };
        tokio::time::timeout(HANDSHAKE_DEADLINE, accept)
            .await
            .map_err(|_| HandshakeError::Deadline)?
    }
}

fn check_alpn(negotiated: Option<&[u8]>) -> Result<(), HandshakeError> {
    match negotiated == Some(&alpn()) {
        true => Ok(()),
        false => Err(HandshakeError::Protocol),
    }
}

async fn say_hello(
    connection: &mut Connection,
    cluster: Digest,
    position: Position,
) -> Result<(), HandshakeError> {
    let hello = Hello { version: WIRE_VERSION, cluster, position };
    let frame = codec::encode(&hello).map_err(|_| HandshakeError::NoHello)?;
    Ok(connection.send(Bytes::from(frame)).await?)
}

async fn hear_hello(
    connection: &mut Connection,
    cluster: Digest,
) -> Result<Position, HandshakeError> {
    let frame = connection.next().await.ok_or(HandshakeError::NoHello)??;
    read_hello(&frame, cluster)
}

/// Reads the first frame of a member of `cluster`: how far it says that it has come.
pub fn read_hello(frame: &[u8], cluster: Digest) -> Result<Position, HandshakeError> {
    let Hello { version, cluster: theirs, position } =
        codec::decode(frame).map_err(|_| HandshakeError::NoHello)?;
    if version != WIRE_VERSION {
        return Err(HandshakeError::Version(version));
    }
    match theirs == cluster {
        true => Ok(position),
        false => Err(HandshakeError::Cluster { theirs, ours: cluster }),
    }
}
