//! The admin endpoint: whether a replica lives, whether it is ready, how it is, and its metrics, over HTTP/1.
//!
//! It answers four paths to `GET`, changes nothing, and knows no secret. It listens on the machine's own addresses
//! only, unless it is told explicitly that others may see it. What a connection may cost is bounded: so many at a
//! time, so many bytes of request, so much time.

mod exposition;

pub use exposition::{CONTENT_TYPE, exposition};

use crate::frame::StatusReport;
use crate::hex;
use crate::inbox::Inbox;
use crate::metrics::Metrics;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE as CONTENT_TYPE_NAME};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The most connections at a time; others wait to be accepted.
const CONNECTIONS_MAX: usize = 16;

/// The most bytes of a request's head.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// How long a connection may take, from its first byte to its last.
const CONNECTION_MAX: Duration = Duration::from_secs(10);

/// A replica whose protocol task does not answer for so long is stuck: on its disk, for instance.
const LIVE_WITHIN: Duration = Duration::from_secs(5);

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
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers for the replica behind `inbox` until it is dropped.
    pub async fn serve(self, inbox: Inbox, metrics: Arc<Metrics>) {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let (inbox, metrics) = (inbox.clone(), Arc::clone(&metrics));
                    connections.spawn(async move {
                        // A client that takes longer than that is cut off.
                        let _ =
                            tokio::time::timeout(CONNECTION_MAX, converse(stream, inbox, metrics))
                                .await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!("cannot accept admin connections: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn converse(stream: TcpStream, inbox: Inbox, metrics: Arc<Metrics>) {
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let (inbox, metrics) = (inbox.clone(), Arc::clone(&metrics));
        async move {
            Ok::<_, Infallible>(
                answer(request.method(), request.uri().path(), &inbox, &metrics).await,
            )
        }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(CONNECTION_MAX)
        .max_buf_size(REQUEST_BYTES_MAX)
        .keep_alive(false);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!("admin connection: {error}");
    }
}

/// How the protocol task is, if it answers.
async fn report(inbox: &Inbox) -> Result<StatusReport, &'static str> {
    match tokio::time::timeout(LIVE_WITHIN, inbox.report()).await {
        Ok(Ok(report)) => Ok(report),
        Ok(Err(_)) => Err("the replica has stopped"),
        Err(_) => Err("the replica's protocol task does not answer; is its disk stuck?"),
    }
}

async fn answer(
    method: &Method,
    path: &str,
    inbox: &Inbox,
    metrics: &Metrics,
) -> Response<Full<Bytes>> {
    if method != Method::GET {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n");
        refused.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET"));
        return refused;
    }
    let known = ["/live", "/ready", "/status", "/metrics"];
    if !known.contains(&path) {
        return text(StatusCode::NOT_FOUND, "there are /live, /ready, /status and /metrics\n");
    }
    let report = match report(inbox).await {
        Ok(report) => report,
        Err(why) => return text(StatusCode::SERVICE_UNAVAILABLE, &format!("{why}\n")),
    };
    match path {
        "/live" => text(StatusCode::OK, "live\n"),
        "/ready" if report.active => text(StatusCode::OK, "ready\n"),
        "/ready" => text(StatusCode::SERVICE_UNAVAILABLE, "not ready: it is changing its view\n"),
        "/status" => {
            with_type(StatusCode::OK, format!("{:#}\n", status(&report)), "application/json")
        }
        _ => with_type(StatusCode::OK, exposition(&report, metrics), CONTENT_TYPE),
    }
}

/// A replica's report as JSON.
pub fn status(report: &StatusReport) -> Value {
    let mut status = progress(report);
    status["replica"] = json!(report.replica.0);
    status
}

/// How far a replica is, without who it is.
pub(crate) fn progress(report: &StatusReport) -> Value {
    json!({
        "view": report.view.0,
        "active": report.active,
        "low_water_mark": report.low_water_mark.0,
        "checkpoint": report.checkpoint.map(|digest| hex::encode(&digest.0)),
        "last_executed": report.last_executed.0,
        "state": hex::encode(&report.state.0),
        "incarnation": report.incarnation,
    })
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    with_type(status, body.to_owned(), "text/plain; charset=utf-8")
}

fn with_type(status: StatusCode, body: String, kind: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE_NAME, hyper::header::HeaderValue::from_static(kind));
    headers.insert(CONNECTION, hyper::header::HeaderValue::from_static("close"));
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
