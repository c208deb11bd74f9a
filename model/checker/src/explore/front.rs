//! The front: our page, and the answers behind it.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::{io, thread};

use serde::Serialize;
use tiny_http::{Header, Method, Request, Response, Server};

use super::ExploreError;
use super::export::Form;
use super::next::Next;
use super::opening::{Opening, What};
use super::view::{About, PathView, path};

/// Requests answered at once. There is one reader, whose browser asks for a few things together.
const WORKERS: usize = 4;
/// Longest path that is followed. No configuration has a longer one without a loop.
const MAX_STEPS: usize = 1000;

pub(super) const PAGE: &str = include_str!("page/index.html");
pub(super) const STYLE: &str = include_str!("page/page.css");
/// The scripts by their names, in the order in which they run.
pub(super) const SCRIPTS: [(&str, &str); 3] = [
    ("/source.js", include_str!("page/source.js")),
    ("/diagram.js", include_str!("page/diagram.js")),
    ("/page.js", include_str!("page/page.js")),
];
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
}

/// An answer before it is sent.
struct Reply {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
    /// The name under which a browser keeps it, if it is to be kept.
    file_name: Option<String>,
}

impl Explorer {
    /// Listens on an address; port 0 takes one that is free.
    pub fn bind(opening: Opening, address: SocketAddr) -> Result<Self, ExploreError> {
        let failed = |source| ExploreError::listening(address, source);
        let listener = TcpListener::bind(address).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let server = Server::from_listener(listener, None)
            .map_err(|source| ExploreError::Listen { address, source: io::Error::other(source) })?;
        Ok(Self { server: Arc::new(server), address: bound, site: Arc::new(Site { opening }) })
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
    if let Some(name) = reply.file_name {
        let value = format!("attachment; filename=\"{name}\"");
        if let Ok(header) = Header::from_bytes("Content-Disposition", value) {
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
            "/icon.svg" => Reply::ok("image/svg+xml", ICON),
            "/.about" => Reply::json(&About::of(&self.opening)),
            _ => self.rest(path).unwrap_or_else(|reply| reply),
        }
    }

    /// A script, or what is said of the path that an address names.
    fn rest(&self, address: &str) -> Result<Reply, Reply> {
        if let Some((_, script)) = SCRIPTS.iter().find(|(name, _)| *name == address) {
            return Ok(Reply::ok("text/javascript; charset=utf-8", script));
        }
        let model = &self.opening.model;
        let found = |indices: &str| path(model, &parse(indices)?).ok_or_else(Reply::no_such_path);
        if let Some(indices) = address.strip_prefix("/.view/") {
            let (actions, _) = found(indices)?;
            return Ok(Reply::json(&PathView::of(model, &actions)));
        }
        if let Some(indices) = address.strip_prefix("/.next/") {
            let (_, state) = found(indices)?;
            return Ok(Reply::json(&Next::of(model, &state)));
        }
        let export = address.strip_prefix("/.export/").and_then(|rest| rest.split_once('/'));
        let form = |name: &str| Form::ALL.into_iter().find(|form| form.name() == name);
        let Some((form, indices)) = export.and_then(|(name, rest)| Some((form(name)?, rest)))
        else {
            return Err(Reply::text(404, "There is no such page."));
        };
        let (actions, _) = found(indices)?;
        let what = if actions == self.opening.actions { self.opening.what } else { What::Trace };
        let opening = Opening { actions, what, model: model.clone() };
        let body = form.write(&opening).map_err(|error| Reply::text(500, &error.to_string()))?;
        let file_name = Some(form.file_name(model));
        Ok(Reply { file_name, ..Reply::ok(form.content_type(), &body) })
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
        Self { status: 200, content_type, body: body.as_bytes().to_vec(), file_name: None }
    }

    fn text(status: u16, message: &str) -> Self {
        Self { status, ..Self::ok("text/plain; charset=utf-8", message) }
    }

    fn no_such_path() -> Self {
        Self::text(404, "There is no such path in this model.")
    }

    fn json<T: Serialize>(value: &T) -> Self {
        match serde_json::to_string(value) {
            Ok(body) => Self::ok("application/json", &body),
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
