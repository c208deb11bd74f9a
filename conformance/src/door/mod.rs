//! The whole node from outside, and the client library from the other side: scenarios over real sockets and real TLS.
//!
//! The replays put the production driver under a network that they hold in their hands, so they never see who is let in,
//! what a frame may cost, what waits for a peer that is away, or what a client believes. Here whole nodes listen on
//! loopback and dial ends that a scenario makes by hand (`wire.rs`), the client library dials replicas that lie, and a
//! cluster is recorded and validated. The clock of most nodes stands until the scenario moves it (`world.rs`), so that
//! pauses and deadlines are exact, and nothing depends on how busy the machine is.
//!
//! Whatever a scenario demands is written down in it, and follows from docs/wire.md, docs/configuration.md and the paper.

mod admin;
mod client;
mod connections;
mod dialing;
mod files;
mod hello;
mod limits;
mod replicas;
mod run;
mod wire;
mod world;

use crate::divergence::{Difference, Divergence, Moment};
use crate::panics::guarded;
use crate::signpost::{Arm, Clue, Handler, Rule, Signpost, in_core, in_host, in_node};
use pbft_plant::switch;
use std::collections::BTreeMap;
use world::Outcome;

/// One story, with exact expectations.
struct Scenario {
    name: &'static str,
    /// The functions that it is about, the nearest first.
    places: &'static [Handler],
    play: fn() -> Outcome,
}

const fn scenario(
    name: &'static str,
    places: &'static [Handler],
    play: fn() -> Outcome,
) -> Scenario {
    Scenario { name, places, play }
}

const CONNECT: Handler = in_node!("transport/handshake.rs", "greet");
const ACCEPT: Handler = in_node!("transport/handshake.rs", "Acceptor::accept");
const HELLO: Handler = in_node!("transport/handshake.rs", "read_hello");
const RUN: Handler = in_node!("transport/listener.rs", "Host::run");
const LANE: Handler = in_node!("client/lane.rs", "BusyLane::submit");
const LINK: Handler = in_node!("client/link.rs", "Link::run");
const RECEIVE: Handler = in_node!("client/link.rs", "Link::receive");
const ROUTE: Handler = in_node!("client/lane.rs", "Routes::deliver");
const STEP: Handler = in_node!("client/lane.rs", "BusyLane::step");
const ON_REPLY: Handler = in_core!("client.rs", "ClientLane::on_reply");
const ON_TIMEOUT: Handler = in_core!("client.rs", "ClientLane::on_timeout");
const FEED: Handler = in_node!("transport/dialer.rs", "Dialer::feed");
const DIALER: Handler = in_node!("transport/dialer.rs", "Dialer::run");
const HOLD: Handler = in_node!("transport/queue.rs", "FrameQueue::hold");
const TAKE: Handler = in_node!("transport/queue.rs", "FrameQueue::take");
const SERVE_CLIENT: Handler = in_node!("transport/listener.rs", "Host::serve_client");
const LIMITS: Handler = in_host!("frame.rs", "FrameLimits::new");
const SLOTS: Handler = in_node!("admin/slots.rs", "Slots::admit");

const SCENARIOS: &[Scenario] = &[
    scenario(
        "who is refused at the door, and what for",
        &[
            ACCEPT,
            in_node!("transport/handshake.rs", "check_alpn"),
            HELLO,
            in_node!("transport/handshake.rs", "tls_kind"),
            in_node!("transport/handshake.rs", "io_kind"),
            in_node!("transport/handshake.rs", "HandshakeError::kind"),
            in_node!("transport/handshake.rs", "FrameCodec::new"),
        ],
        hello::refusals,
    ),
    scenario("how long a handshake may take", &[ACCEPT], hello::deadline),
    scenario("a crowd of handshakes", &[RUN], hello::crowd),
    scenario(
        "an address that connects too often",
        &[
            in_node!("transport/quota.rs", "Arrivals::delay"),
            ACCEPT,
            in_node!("transport/quota.rs", "Debt::wait"),
            in_node!("transport/complaints.rs", "Source::address"),
        ],
        hello::often,
    ),
    scenario(
        "what the end that dials says is wrong",
        &[CONNECT, HELLO, in_node!("transport/handshake.rs", "HandshakeError::from")],
        hello::dialing_end,
    ),
    scenario(
        "how long a client's frames may be",
        &[
            in_host!("door.rs", "Door::client_frame"),
            in_host!("frame.rs", "FrameLimits::client_frame"),
            ACCEPT,
            SERVE_CLIENT,
            in_node!("inbox.rs", "Inbox::weighed_client_frame"),
            TAKE,
        ],
        limits::of_clients,
    ),
    scenario(
        "how long frames between replicas may be",
        &[
            in_host!("frame.rs", "FrameLimits::decode_message"),
            in_host!("frame.rs", "FrameLimits::of_tag"),
            LIMITS,
            in_host!("frame.rs", "FrameLimits::between_replicas"),
            in_host!("frame.rs", "FrameLimits::peer_frame"),
            in_node!("transport/listener.rs", "Host::listen_to_peer"),
            in_host!("door.rs", "Unread::kind"),
        ],
        limits::between_replicas,
    ),
    scenario(
        "how many connections a client has",
        &[
            in_node!("transport/clients.rs", "ClientTable::enter"),
            in_node!("transport/clients.rs", "ClientTable::leave"),
            in_node!("transport/clients.rs", "ClientTable::each"),
            in_node!("transport/mod.rs", "TcpNetwork::reply"),
            in_node!("transport/mod.rs", "TcpNetwork::flush"),
            in_node!("transport/listener.rs", "Connected::drop"),
            SERVE_CLIENT,
        ],
        connections::of_a_client,
    ),
    scenario(
        "how many connections a replica has",
        &[
            in_node!("transport/listener.rs", "Host::replace"),
            in_node!("transport/listener.rs", "Owned::drop"),
            in_node!("transport/listener.rs", "Host::host"),
        ],
        connections::of_a_replica,
    ),
    scenario(
        "a client's frame that comes again",
        &[
            in_node!("transport/repeats.rs", "Repeats::is_repeated_at"),
            SERVE_CLIENT,
            in_host!("door.rs", "Door::client_frame"),
        ],
        connections::repeats,
    ),
    scenario(
        "what a client may ask for in a second",
        &[
            in_node!("transport/quota.rs", "Debt::wait"),
            in_node!("transport/quota.rs", "Quotas::charge_for"),
            SERVE_CLIENT,
        ],
        connections::shares,
    ),
    scenario(
        "who is silent for too long",
        &[in_node!("transport/listener.rs", "Host::listen_to_peer"), SERVE_CLIENT],
        connections::silence,
    ),
    scenario(
        "pauses between attempts to connect",
        &[DIALER, in_node!("transport/dialer.rs", "jittered"), FEED],
        dialing::back_off,
    ),
    scenario(
        "what a peer gets that was away",
        &[
            FEED,
            TAKE,
            in_node!("transport/mod.rs", "TcpNetwork::broadcast"),
            DIALER,
            in_node!("transport/mod.rs", "TcpNetwork::flush"),
            in_node!("transport/mod.rs", "hold"),
            in_node!("transport/dialer.rs", "write"),
        ],
        dialing::away,
    ),
    scenario(
        "what a peer gets whose queue was full",
        &[
            HOLD,
            in_node!("transport/mod.rs", "TcpNetwork::send"),
            TAKE,
            in_node!("transport/mod.rs", "TcpNetwork::count_dropped"),
            in_node!("transport/queue.rs", "FrameQueue::for_peer"),
        ],
        dialing::full,
    ),
    scenario(
        "a client and f+1 equal replies",
        &[ON_REPLY, RECEIVE, ROUTE, in_node!("client/lane.rs", "Route::wait_for"), LANE, STEP],
        client::equal_replies,
    ),
    scenario(
        "a client and replicas that lie",
        &[RECEIVE, LINK, in_host!("frame.rs", "FrameLimits::replica_frame")],
        client::liars,
    ),
    scenario(
        "a client and a silent primary",
        &[LANE, STEP, ON_TIMEOUT, in_node!("client/lane.rs", "BusyLane::drop")],
        client::silent_primary,
    ),
    scenario(
        "a client and a primary that is gone",
        &[
            in_node!("client/lane.rs", "BusyLane::primary_is_cut_off"),
            LINK,
            LANE,
            in_node!("client/mod.rs", "Shared::is_cut_off"),
            in_node!("client/mod.rs", "Shared::trouble"),
            in_node!("client/link.rs", "Link::use_connection"),
        ],
        client::primary_gone,
    ),
    scenario(
        "a client and the view",
        &[ON_REPLY, STEP, in_node!("client/lane.rs", "Lanes::take")],
        client::views,
    ),
    scenario(
        "a client's lanes",
        &[
            in_node!("client/lane.rs", "Lanes::take"),
            in_node!("client/lane.rs", "Lanes::new"),
            in_node!("client/mod.rs", "Client::connect"),
            ROUTE,
            in_node!("client/lane.rs", "Routes::waits_for"),
        ],
        client::lanes,
    ),
    scenario(
        "a client that is refused",
        &[
            in_node!("client/lane.rs", "BusyLane::on_refused"),
            in_node!("client/mod.rs", "Client::submit"),
            ROUTE,
        ],
        client::refusals,
    ),
    scenario(
        "a client and an overloaded cluster",
        &[
            in_node!("client/lane.rs", "BusyLane::on_refused"),
            in_node!("client/lane.rs", "overload_pause"),
            LANE,
        ],
        client::overload,
    ),
    scenario(
        "a client whose timestamp is spent",
        &[
            in_node!("client/mod.rs", "Client::submit"),
            in_core!("client.rs", "ClientLane::on_spent"),
            STEP,
            in_host!("frame.rs", "RefusalReason::spent"),
            in_node!("client/timestamps.rs", "Timestamps::raise"),
        ],
        client::spent,
    ),
    scenario(
        "a client that starts again",
        &[
            in_node!("client/timestamps.rs", "Timestamps::take"),
            in_node!("client/timestamps.rs", "Timestamps::open"),
            in_node!("client/timestamps.rs", "Timestamps::reserve"),
            in_node!("client/timestamps.rs", "Timestamps::drop"),
        ],
        client::restarts,
    ),
    scenario(
        "cluster files that are wrong",
        &[
            in_node!("config/mod.rs", "Checker::check"),
            in_node!("config/mod.rs", "Checker::check_params"),
            in_node!("config/feasible.rs", "check"),
            in_node!("keys.rs", "PublicKey::from_bytes"),
            in_node!("config/mod.rs", "Checker::check_replicas"),
            in_node!("config/mod.rs", "Checker::check_clients"),
            in_node!("config/mod.rs", "Checker::check_times"),
            in_node!("hex.rs", "nibble"),
            in_node!("config/mod.rs", "is_address"),
            in_host!("frame.rs", "FrameLimits::largest"),
        ],
        files::wrong_clusters,
    ),
    scenario(
        "what a cluster file says",
        &[
            in_node!("config/mod.rs", "cluster_id"),
            in_node!("config/mod.rs", "Checker::check_params"),
            in_node!("config/mod.rs", "Cluster::replica_with"),
            in_node!("config/mod.rs", "Cluster::client_with"),
        ],
        files::good_clusters,
    ),
    scenario(
        "key files",
        &[
            in_node!("keys.rs", "SecretKey::load"),
            in_node!("keys.rs", "parse"),
            in_node!("keys.rs", "check_access"),
            in_node!("keys.rs", "SecretKey::create"),
            in_node!("hex.rs", "decode"),
        ],
        files::keys,
    ),
    scenario(
        "what lies in a replica's directory",
        &[
            in_node!("node.rs", "Setup::owner"),
            in_node!("node.rs", "Setup::load_with"),
            in_node!("store/identity.rs", "Identity::compare"),
            in_node!("store/mod.rs", "Store::open_with"),
        ],
        files::directories,
    ),
    scenario(
        "what a node does not start with",
        &[
            in_node!("node.rs", "Node::start"),
            in_node!("node.rs", "listen_on"),
            in_node!("node.rs", "Node::run"),
            in_node!("supervise.rs", "Tasks::end"),
        ],
        files::starts,
    ),
    scenario(
        "a recorded run of a cluster",
        &[
            in_node!("trace/recorder.rs", "Recorder::on_step"),
            in_node!("trace/describe.rs", "step"),
            in_node!("trace/recorder.rs", "Recorder::flush"),
            in_node!("trace/describe.rs", "output"),
            in_node!("trace/recorder.rs", "Recorder::on_stop"),
            in_node!("trace/describe.rs", "resumed"),
        ],
        run::recorded,
    ),
    scenario(
        "a cluster with MACs",
        &[
            in_node!("config/mod.rs", "Cluster::hand_and_ring"),
            in_node!("mac.rs", "MacKeys::new"),
            in_node!("client/mod.rs", "Shared::signs"),
            LANE,
        ],
        run::with_macs,
    ),
    scenario(
        "what the admin page says",
        &[
            in_node!("admin/mod.rs", "Responder::ready"),
            in_node!("admin/mod.rs", "Responder::live"),
            in_node!("admin/mod.rs", "progress"),
            in_node!("admin/exposition.rs", "write_family"),
            in_node!("admin/mod.rs", "Responder::status"),
            in_node!("inbox.rs", "Inbox::life"),
            in_node!("transport/listener.rs", "Connected::drop"),
        ],
        admin::truth,
    ),
    scenario(
        "how the admin page is asked",
        &[
            in_node!("admin/mod.rs", "Responder::answer"),
            in_node!("admin/host.rs", "Hosts::check"),
            in_node!("admin/host.rs", "Hosts::is_own"),
            in_node!("admin/mod.rs", "Admin::bind"),
        ],
        admin::manners,
    ),
    scenario(
        "a crowd at the admin page",
        &[
            SLOTS,
            in_node!("admin/slots.rs", "Slots::forget"),
            in_node!("admin/slots.rs", "Slots::close_oldest"),
            in_node!("admin/mod.rs", "Admin::serve"),
            in_node!("admin/mod.rs", "Responder::converse"),
        ],
        admin::crowd,
    ),
];

/// The names of all scenarios.
pub fn names() -> impl Iterator<Item = &'static str> {
    SCENARIOS.iter().map(|scenario| scenario.name)
}

/// All places that they are about.
pub fn places() -> impl Iterator<Item = Handler> {
    SCENARIOS.iter().flat_map(|scenario| scenario.places.iter().copied())
}

/// Plays every scenario; how often each was played, or the first difference.
pub fn run() -> Result<BTreeMap<&'static str, u64>, Box<Divergence>> {
    let mut played = BTreeMap::new();
    for scenario in SCENARIOS {
        play(scenario)?;
        played.insert(scenario.name, 1);
    }
    Ok(played)
}

/// Plays the scenario of this name, if there is one.
pub fn run_one(name: &str) -> Result<(), Box<Divergence>> {
    SCENARIOS.iter().filter(|scenario| scenario.name == name).try_for_each(play)
}

fn play(scenario: &Scenario) -> Result<(), Box<Divergence>> {
    let outcome = guarded(scenario.play).flatten();
    outcome.map_err(|difference| divergence(scenario, difference))
}

fn divergence(scenario: &Scenario, difference: Difference) -> Box<Divergence> {
    let Scenario { name, places, .. } = *scenario;
    let difference = difference.by_probe("scenario", name);
    let signpost = signpost(places, &difference);
    let action = format!("scenario: {name}");
    let moment = Moment { replica: 0, step: 1, action, path: Vec::new() };
    let again = format!("cargo conform{}", switch::option());
    Divergence::in_scenario(Arm::Node, difference, signpost, moment, again)
}

/// What a scenario is about, and what was seen besides, such as a panic.
fn signpost(places: &[Handler], difference: &Difference) -> Signpost {
    let seen = difference.signpost(Arm::Node, None);
    let handler = places.first().copied().unwrap_or(seen.handler);
    let part = |place: &Handler| Clue {
        handler: *place,
        why: "has a part in what is demanded here".to_owned(),
    };
    let seen = seen.look_at.into_iter().chain(places.iter().skip(1).map(part));
    Signpost { handler, rule: Rule { section: "2", place: None }, look_at: seen.collect() }
}
