//! The admin page of a node: what it says is so, it says it to those who ask properly, and a crowd keeps nobody out.

use super::wire::{End, tcp};
use super::world::{
    File, Outcome, Pending, Running, Start, World, await_that, demand, expect, harness,
};
use pbft_core::types::{Principal, ReplicaId};
use pbft_node::admin::Admin;
use pbft_node::config::Cluster;
use pbft_node::store::MemoryDisk;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// So many connections from one address, and in all the oldest that has asked nothing gives way.
const PER_ADDRESS: usize = 8;

/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(2);

/// A node, and its page.
struct Page {
    world: World,
    cluster: Cluster,
    node: Running,
    address: SocketAddr,
    _serving: Pending<()>,
}

/// What was answered: the code, the head and the body.
type Answer = (u16, String, String);

impl Page {
    fn open() -> Outcome<Self> {
        let world = World::with_a_clock_that_stands()?;
        let cluster = File::default().cluster()?;
        let node = world.node(Start::fresh(&cluster, 2, &MemoryDisk::default()))?;
        let bound = world.block(async { Admin::bind("127.0.0.1:0", false).await })?;
        let admin = bound.map_err(harness)?.with_hosts(["Node-2.Example".to_owned()]);
        let address = admin.address();
        let (inbox, metrics) = (node.inbox.clone(), Arc::clone(&node.metrics));
        let _serving = world.begin(admin.serve(inbox, metrics));
        Ok(Self { world, cluster, node, address, _serving })
    }

    fn asks(&self, request: &str) -> Outcome<Answer> {
        let mut stream = tcp(self.address)?;
        stream.write_all(request.as_bytes()).map_err(harness)?;
        answer(stream)
    }

    /// The answer to `GET` of a path.
    fn get(&self, path: &str) -> Outcome<(u16, String)> {
        let answer = self.asks(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))?;
        Ok((answer.0, answer.2))
    }

    fn refused(&self, reason: &str) -> u64 {
        self.node.metrics.admin_refused.get(reason)
    }
}

fn answer(mut stream: TcpStream) -> Outcome<Answer> {
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(harness)?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
    Ok((code, head.to_ascii_lowercase(), body.to_owned()))
}

/// What it says of the node, while that runs and afterwards.
pub(super) fn truth() -> Outcome {
    let page = Page::open()?;
    let ok = |text: &str| (200, text.to_owned());
    expect("/live", ok("live\n"), page.get("/live")?)?;
    expect("/ready", ok("ready\n"), page.get("/ready")?)?;
    let (code, body) = page.get("/status")?;
    let status: serde_json::Value = serde_json::from_str(&body).map_err(harness)?;
    let fields = ["replica", "view", "active", "votes", "last_executed", "low_water_mark"];
    let got = serde_json::Value::from_iter(fields.map(|field| (field, status[field].clone())));
    let expected = serde_json::json!({
        "replica": 2, "view": 0, "active": true, "votes": true, "last_executed": 0,
        "low_water_mark": 0
    });
    expect("/status", (200, expected), (code, got))?;
    let shown = |line: &str| {
        let (code, body) = page.get("/metrics")?;
        let is_there = code == 200 && body.lines().any(|one| one == line);
        demand(&format!("/metrics says: {line}"), is_there)
    };
    shown("pbft_handshakes_total 0")?;
    shown("pbft_peer_connections 0")?;
    shown("pbft_not_voting 0")?;
    shown("pbft_handshakes_refused_total{reason=\"not-tls\"} 0")?;
    let peer = Principal::Replica(ReplicaId(1));
    let _peer = End::greeted(&page.cluster, page.node.address, peer, 2)?;
    tcp(page.node.address)?.write_all(b"hello, who is there?").map_err(harness)?;
    let refused = || page.node.metrics.handshakes_refused.get("not-tls") == 1;
    await_that("a refusal", refused)?;
    await_that("a connection", || page.node.metrics.peer_connections.get() == 1)?;
    shown("pbft_handshakes_total 1")?;
    shown("pbft_peer_connections 1")?;
    shown("pbft_handshakes_refused_total{reason=\"not-tls\"} 1")?;
    let Page { world, node, address, _serving, .. } = page;
    node.stop(&world)?;
    for (path, said) in [
        ("/live", "the replica has stopped\n"),
        ("/ready", "not ready: the replica has stopped\n"),
        ("/status", "the replica has stopped\n"),
    ] {
        let mut stream = tcp(address)?;
        let asked = stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes());
        asked.map_err(harness)?;
        let (code, _, body) = answer(stream)?;
        expect(&format!("{path} of one that has stopped"), (503, said.to_owned()), (code, body))?;
    }
    Ok(())
}

/// Who asks for something else, or in another way, is told so.
pub(super) fn manners() -> Outcome {
    let page = Page::open()?;
    let code = |request: &str| page.asks(request).map(|answer| answer.0);
    let of_host = |host: &str| format!("GET /live HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for host in ["localhost", "127.0.0.1:7100", "[::1]", "node-2.example", "NODE-2.example:9"] {
        expect(host, 200, code(&of_host(host))?)?;
    }
    for host in ["evil.example", "node-2.example.evil", "127.0.0.1.evil"] {
        expect(host, 421, code(&of_host(host))?)?;
    }
    expect("no host", 400, code("GET /live HTTP/1.1\r\n\r\n")?)?;
    expect("no host, as of old", 200, code("GET /live HTTP/1.0\r\n\r\n")?)?;
    let two = "GET /live HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n";
    expect("two hosts", 400, code(two)?)?;
    expect("those are counted", 5, page.refused("host"))?;
    expect("another path", 404, page.get("/shutdown")?.0)?;
    for method in ["POST", "PUT", "DELETE"] {
        let request = format!("{method} /live HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let (code, head, _) = page.asks(&request)?;
        expect(method, (405, true), (code, head.contains("allow: get, head")))?;
    }
    let (code, _, body) = page.asks("HEAD /live HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    expect("only the head", (200, ""), (code, &*body))?;
    let remote = page.world.block(async { Admin::bind("0.0.0.0:0", false).await.is_err() })?;
    demand("not for other machines, unless that is said", remote)?;
    let (_, head, _) = page.asks(&of_host("localhost"))?;
    demand("one question a connection", head.contains("connection: close"))?;
    page.node.stop(&page.world)
}

/// Eight connections from one address; the oldest that has asked nothing gives way. Who is slow is cut off.
pub(super) fn crowd() -> Outcome {
    let page = Page::open()?;
    let mut crowd: Vec<_> = (0..PER_ADDRESS).map(|_| tcp(page.address)).collect::<Outcome<_>>()?;
    page.world.settle()?;
    expect("eight are no crowd", 0, page.refused("crowded"))?;
    let question = b"GET /live HTTP/1.0\r\n\r\n";
    crowd[PER_ADDRESS - 1].write_all(question).map_err(harness)?;
    let last = crowd.pop().ok_or_else(|| harness("no crowd"))?;
    expect("the eighth is answered", 200, answer(last)?.0)?;
    crowd.push(tcp(page.address)?);
    page.world.settle()?;
    expect("who has gone makes room", 0, page.refused("crowded"))?;
    expect("the ninth is answered", 200, page.get("/live")?.0)?;
    expect("in the place of another", 1, page.refused("crowded"))?;
    let mut oldest = crowd.remove(0);
    expect("the oldest is closed", Some(0), oldest.read(&mut [0]).ok())?;
    crowd[0].write_all(question).map_err(harness)?;
    expect("the second oldest is not", 200, answer(crowd.remove(0))?.0)?;
    let mut slow = tcp(page.address)?;
    slow.write_all(b"GET /live HT").map_err(harness)?;
    page.world.settle()?;
    let before = page.refused("slow");
    page.world.advance(HEAD + Duration::from_millis(10))?;
    await_that("who is slow is cut off", || page.refused("slow") > before)?;
    expect("and others are answered", 200, page.get("/live")?.0)?;
    page.node.stop(&page.world)
}
