//! The front: our page, and the answers behind it.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::{io, thread};

use serde::Serialize;
use tiny_http::{Header, Method, Request, Response, Server};

use super::backend::Backend;
use super::opening::Opening;
use super::view::{About, PathView};
use super::{Explorable, ExploreError};

/// Requests answered at once. There is one reader, whose browser asks for a few things together.
const WORKERS: usize = 4;
/// Longest path that is followed. No configuration has a longer one without a loop.
const MAX_STEPS: usize = 1000;

const PAGE: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");
const ICON: &str = include_str!("page/icon.svg");

/// The page may load what this server serves and nothing else. The diagram carries its own style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// An Explorer that listens.
pub struct Explorer {
    server: Arc<Server>,
    address: SocketAddr,
    site: Arc<Site>,
}

/// What is served.
struct Site {
    opening: Opening,
    backend: Backend,
}

/// An answer before it is sent.
struct Reply {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
}

impl Explorer {
    /// Listens on an address; port 0 takes one that is free.
    pub fn bind(opening: Opening, address: SocketAddr) -> Result<Self, ExploreError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => ExploreError::InUse { address },
            _ => ExploreError::Listen { address, source },
        };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let backend = Backend::start(&Explorable::new(opening.model.clone()))?;
        let server = Server::from_listener(listener, None)
            .map_err(|source| ExploreError::Listen { address, source: io::Error::other(source) })?;
        Ok(Self {
            server: Arc::new(server),
            address: bound,
            site: Arc::new(Site { opening, backend }),
        })
    }

    /// The address that it listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The link to where it opens.
    #[must_use]
    pub fn link(&self) -> String {
        format!("http://{}/{}", self.address, self.site.opening.fragment())
    }

    /// Answers until the process ends.
    pub fn run(self) {
        thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    while let Ok(request) = self.server.recv() {
                        answer(&self.site, request);
                    }
                });
            }
        });
    }
}

/// Answers one request. A browser that broke it off is no concern of ours.
fn answer(site: &Site, request: Request) {
    let host = request.headers().iter().find(|one| one.field.equiv("Host"));
    let reply = if !host.is_some_and(|host| is_own_name(host.value.as_str())) {
        Reply::text(403, "Open the Explorer by its address, as in http://127.0.0.1:3000/.")
    } else if *request.method() != Method::Get {
        Reply::text(405, "There is nothing to change here: only GET is answered.")
    } else {
        site.get(request.url())
    };
    let mut response = Response::from_data(reply.body).with_status_code(reply.status);
    for (field, value) in [
        ("Content-Type", reply.content_type),
        ("Content-Security-Policy", POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cache-Control", "no-store"),
    ] {
        if let Ok(header) = Header::from_bytes(field, value) {
            response.add_header(header);
        }
    }
    let _ = request.respond(response);
}

/// Whether a Host header names this computer by address. A name that anybody can point here does not: a page of
/// theirs, open in the same browser, could read along.
fn is_own_name(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
    });
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare == "localhost" || bare.parse::<IpAddr>().is_ok()
}

impl Site {
    fn get(&self, url: &str) -> Reply {
        let path = url.split(['?', '#']).next().unwrap_or_default();
        match path {
            "/" => Reply::ok("text/html; charset=utf-8", PAGE),
            "/page.css" => Reply::ok("text/css; charset=utf-8", STYLE),
            "/page.js" => Reply::ok("text/javascript; charset=utf-8", SCRIPT),
            "/icon.svg" => Reply::ok("image/svg+xml", ICON),
            "/.about" => Reply::json(&About::of(&self.opening)),
            "/.status" => self.ask_stateright(path),
            _ => {
                if let Some(indices) = path.strip_prefix("/.view/") {
                    self.view(indices)
                } else if let Some(indices) = path.strip_prefix("/.states/") {
                    match parse(indices) {
                        Ok(_) => self.ask_stateright(path),
                        Err(reply) => reply,
                    }
                } else {
                    Reply::text(404, "There is no such page.")
                }
            }
        }
    }

    fn view(&self, indices: &str) -> Reply {
        let indices = match parse(indices) {
            Ok(indices) => indices,
            Err(reply) => return reply,
        };
        PathView::at(&self.opening.model, &indices)
            .map_or_else(Reply::no_such_path, |view| Reply::json(&view))
    }

    fn ask_stateright(&self, path: &str) -> Reply {
        match self.backend.get(path) {
            Ok(answer) if answer.status == 200 => {
                Reply { status: 200, content_type: "application/json", body: answer.body }
            }
            Ok(answer) if answer.status == 404 => Reply::no_such_path(),
            Ok(answer) => Reply::text(answer.status, &String::from_utf8_lossy(&answer.body)),
            Err(error) => {
                Reply::text(502, &format!("Stateright's Explorer does not answer: {error}"))
            }
        }
    }
}

/// The indices in a path such as `0/3/1`.
fn parse(indices: &str) -> Result<Vec<usize>, Reply> {
    let parsed: Result<Vec<usize>, _> =
        indices.strip_suffix('/').unwrap_or(indices).split('/').map(str::parse).collect();
    match parsed {
        Ok(indices) if indices.len() <= MAX_STEPS => Ok(indices),
        Ok(_) => {
            Err(Reply::text(400, &format!("Paths of at most {MAX_STEPS} steps are followed.")))
        }
        Err(_) => Err(Reply::text(400, "A path is a list of numbers, such as 0/3/1.")),
    }
}

impl Reply {
    fn ok(content_type: &'static str, body: &str) -> Self {
        Self { status: 200, content_type, body: body.as_bytes().to_vec() }
    }

    fn text(status: u16, message: &str) -> Self {
        let body = message.as_bytes().to_vec();
        Self { status, content_type: "text/plain; charset=utf-8", body }
    }

    fn no_such_path() -> Self {
        Self::text(404, "There is no such path in this model.")
    }

    fn json<T: Serialize>(value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self { status: 200, content_type: "application/json", body },
            Err(error) => Self::text(500, &error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_own_names() {
        for own in ["127.0.0.1:3000", "127.0.0.1", "localhost:3000", "[::1]:3000", "192.0.2.7:80"] {
            assert!(is_own_name(own), "{own}");
        }
        for foreign in
            ["", ":3000", "example.org", "example.org:3000", "127.0.0.1.example.org:3000", "[::1"]
        {
            assert!(!is_own_name(foreign), "{foreign}");
        }
    }

    #[test]
    fn paths_are_lists_of_numbers() {
        assert_eq!(parse("0/3/1").ok(), Some(vec![0, 3, 1]));
        assert_eq!(parse("0/").ok(), Some(vec![0]));
        for bad in ["", "x", "0//1", "0/-1", "0/1/ 2", "0/99999999999999999999999"] {
            assert_eq!(parse(bad).err().map(|reply| reply.status), Some(400), "{bad}");
        }
        assert_eq!(
            parse(&["0"; MAX_STEPS + 1].join("/")).err().map(|reply| reply.status),
            Some(400)
        );
    }
}
