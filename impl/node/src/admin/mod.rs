//! The admin endpoint: whether a replica lives, whether it is ready, how it is, and its metrics, over HTTP/1.
//!
//! It answers four paths to `GET` and `HEAD`, changes nothing, and knows no secret. It listens on the machine's own
//! addresses only, unless it is told explicitly that others may see it, and answers requests for its own names only.
//! What a connection may cost is bounded: so many at a time and from one address, so many bytes of request, so much
//! time; and whoever holds connections open keeps nobody else out.

mod exposition;
mod host;
mod process;
mod slots;

pub use exposition::{CONTENT_TYPE, exposition};

use crate::frame::StatusReport;
use crate::hex;
use crate::inbox::{Inbox, Life};
use crate::metrics::Metrics;
use host::{HostError, Hosts};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE as CONTENT_TYPE_NAME, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use pbft_core::Standing;
use serde_json::{Value, json};
use slots::{Admitted, Answering, Slots};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The most bytes of a request's head.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// How long the head of a request may take to arrive.
const HEAD_MAX: Duration = Duration::from_secs(2);

/// How long a connection may take, from its first byte to its last.
const CONNECTION_MAX: Duration = Duration::from_secs(10);

/// A replica whose protocol task takes no events for so long is stuck, unless it is at its disk.
const LIVE_WITHIN: Duration = Duration::from_secs(5);

/// What is said of a protocol task that takes no events.
const STUCK: &str = "the replica's protocol task does not answer\n";

/// What is said of one that is gone.
const ENDED: &str = "the replica has stopped\n";

/// The most bytes of an answer that [`get`] reads.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Why there is no admin endpoint.
#[derive(Debug, Error)]
pub enum AdminError {
    /// The address is none.
    #[error("the admin address `{0}` is not IP:PORT; write, for example, 127.0.0.1:7100")]
    Address(String),
    /// Others could reach it.
    #[error(
        "the admin address {0} can be reached from other machines; use 127.0.0.1 or [::1], or set \
         --admin-remote if a firewall says who may"
    )]
    Remote(SocketAddr),
    /// The address cannot be listened on.
    #[error(
        "cannot listen on the admin address {address}: {source}; free the port or choose another"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// An admin endpoint that is being listened on.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    hosts: Hosts,
}

impl Admin {
    /// Listens on `address`; on one that other machines can reach only if `remote` says so.
    pub async fn bind(address: &str, remote: bool) -> Result<Self, AdminError> {
        let bad = |_| AdminError::Address(address.to_owned());
        let address: SocketAddr = address.parse().map_err(bad)?;
        if !address.ip().is_loopback() && !remote {
            return Err(AdminError::Remote(address));
        }
        let io = |source| AdminError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(io)?;
        let address = listener.local_addr().map_err(io)?;
        Ok(Self { listener, address, hosts: Hosts::default() })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same, for requests to these names, too.
    #[must_use]
    pub fn with_hosts(self, names: impl IntoIterator<Item = String>) -> Self {
        Self { hosts: Hosts::new(names), ..self }
    }

    /// Answers for the replica behind `inbox` until it is dropped.
    pub async fn serve(self, inbox: Inbox, metrics: Arc<Metrics>) {
        let Self { listener, hosts, .. } = self;
        let responder = Arc::new(Responder { inbox, metrics, hosts });
        let mut slots = Slots::default();
        loop {
            let accepted = tokio::select! {
                () = slots.ended() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let own = Arc::clone(&responder);
                    let admitted =
                        slots.admit(peer.ip(), |answering| own.converse(stream, answering));
                    if admitted != Admitted::Freely {
                        responder.metrics.admin_refused.add("crowded");
                    }
                }
                Err(error) => {
                    tracing::warn!("cannot accept admin connections: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// Answers requests about one replica.
struct Responder {
    inbox: Inbox,
    metrics: Arc<Metrics>,
    hosts: Hosts,
}

impl Responder {
    /// One connection, which has one request.
    async fn converse(self: Arc<Self>, stream: TcpStream, answering: Answering) {
        let service = service_fn(|request: Request<hyper::body::Incoming>| {
            let (own, answering) = (&self, &answering);
            async move {
                answering.set(true);
                let answer = own.answer(&request).await;
                answering.set(false);
                Ok::<_, Infallible>(answer)
            }
        });
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(HEAD_MAX)
            .max_buf_size(REQUEST_BYTES_MAX)
            .keep_alive(false);
        let conversation = http.serve_connection(TokioIo::new(stream), service);
        match tokio::time::timeout(CONNECTION_MAX, conversation).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                if error.is_timeout() {
                    self.metrics.admin_refused.add("slow");
                }
                tracing::debug!("admin connection: {error}");
            }
            Err(_) => self.metrics.admin_refused.add("slow"),
        }
    }

    async fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let (uri, headers) = (request.uri(), request.headers());
        if let Err(error) = self.hosts.check(request.version(), uri, headers) {
            self.metrics.admin_refused.add("host");
            let code = match error {
                HostError::Unclear => StatusCode::BAD_REQUEST,
                HostError::Misdirected(_) => StatusCode::MISDIRECTED_REQUEST,
            };
            return text(code, &format!("{error}\n"));
        }
        // The body of an answer to HEAD is left out by hyper.
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let mut refused =
                text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here\n");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match uri.path() {
            "/live" => self.live().await,
            "/ready" => self.ready().await,
            "/status" => self.status().await,
            "/metrics" => with_type(StatusCode::OK, exposition(&self.metrics), CONTENT_TYPE),
            _ => text(StatusCode::NOT_FOUND, "there are /live, /ready, /status and /metrics\n"),
        }
    }

    /// Whether another process would do better. The disk has no say in that: a replica whose disk is full or stuck
    /// goes on by itself when it can, and a new one would wait for the same disk.
    async fn live(&self) -> Response<Full<Bytes>> {
        match self.inbox.life(LIVE_WITHIN).await {
            Life::Alive => text(StatusCode::OK, "live\n"),
            Life::AtDisk => text(StatusCode::OK, "live: waiting for the disk\n"),
            Life::Stuck => text(StatusCode::SERVICE_UNAVAILABLE, STUCK),
            Life::Ended => text(StatusCode::SERVICE_UNAVAILABLE, ENDED),
        }
    }

    /// Whether the replica votes.
    async fn ready(&self) -> Response<Full<Bytes>> {
        let standing = self.inbox.position().standing;
        let why = match self.inbox.life(LIVE_WITHIN).await {
            Life::Alive if standing.votes() => return text(StatusCode::OK, "ready\n"),
            Life::Alive => standing.to_string(),
            Life::AtDisk => "waiting for the disk".to_owned(),
            Life::Stuck => STUCK.trim_end().to_owned(),
            Life::Ended => ENDED.trim_end().to_owned(),
        };
        text(StatusCode::SERVICE_UNAVAILABLE, &format!("not ready: {why}\n"))
    }

    async fn status(&self) -> Response<Full<Bytes>> {
        match tokio::time::timeout(LIVE_WITHIN, self.inbox.report()).await {
            Ok(Ok(report)) => {
                with_type(StatusCode::OK, format!("{:#}\n", status(&report)), "application/json")
            }
            Ok(Err(_)) => text(StatusCode::SERVICE_UNAVAILABLE, ENDED),
            Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, STUCK),
        }
    }
}

/// A replica's report as JSON.
pub fn status(report: &StatusReport) -> Value {
    let mut status = progress(report);
    status["replica"] = json!(report.replica.0);
    status
}

/// How far a replica is, without who it is.
pub fn progress(report: &StatusReport) -> Value {
    let (checkpoint, view) = match report.standing {
        Standing::Recovering { until, view } => (Some(until.0), Some(view.0)),
        Standing::AwaitsView { view } => (None, Some(view.0)),
        Standing::FetchesState { seq } => (Some(seq.0), None),
        Standing::Votes | Standing::Halted | Standing::NoSpace => (None, None),
    };
    json!({
        "view": report.view.0,
        "active": report.active,
        "votes": report.standing.votes(),
        "standing": report.standing.kind(),
        "waits_for_checkpoint": checkpoint,
        "waits_for_view": view,
        "low_water_mark": report.low_water_mark.0,
        "checkpoint": report.checkpoint.map(|digest| hex::encode(&digest.0)),
        "last_executed": report.last_executed.0,
        "state": report.state.map(|digest| hex::encode(&digest.0)),
        "incarnation": report.incarnation,
        "evidence_against": report.accused().map(|id| id.0).collect::<Vec<_>>(),
    })
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    with_type(status, body.to_owned(), "text/plain; charset=utf-8")
}

fn with_type(status: StatusCode, body: String, kind: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE_NAME, HeaderValue::from_static(kind));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Asks an admin endpoint for `path`: the status code, and what it says.
pub async fn get(address: &str, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes).await?;
    let text = String::from_utf8_lossy(&bytes);
    let parsed = text.split_once("\r\n\r\n").and_then(|(head, body)| {
        let code = head.split(' ').nth(1)?.parse().ok()?;
        Some((code, body.to_owned()))
    });
    parsed.ok_or_else(|| std::io::Error::other("the answer is no HTTP"))
}
