//! The files that say who is who: a cluster file and a key file that are wrong are refused, with what is wrong, and right
//! ones mean what they say (docs/configuration.md).

use super::world::{File, Outcome, Start, World, demand, expect, harness};
use crate::divergence::{Difference, Kind};
use crate::refinement::service::History;
use crate::subject::node::keys::secret;
use pbft_core::Params;
use pbft_core::params::{ClientAuthentication, OnPanic};
use pbft_core::types::{ClientId, Principal, ReplicaId};
use pbft_node::config::{CLUSTER_FILE, Cluster, ConfigError};
use pbft_node::keys::{KeyError, SecretKey};
use pbft_node::node::{Node, REPLICA_KEY_FILE, Setup};
use pbft_node::store::{Identity, MemoryDisk, Store, StoreError};
use std::fmt::Debug;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

fn parse(text: &str) -> Result<Cluster, ConfigError> {
    Cluster::parse(text, Path::new("cluster.toml"))
}

/// What replaces what in a good file, and the field that is wrong then; or the line, if it is no such file at all.
const WRONG: &[(&str, &str, &str)] = &[
    ("name = \"door\"", "name = \"\"", "cluster.name"),
    ("name = \"door\"", "name = \"a b\"", "cluster.name"),
    ("name = \"door\"", "name = \"a/b\"", "cluster.name"),
    ("nonce = \"0", "nonce = \"00", "cluster.nonce"),
    ("nonce = \"0", "nonce = \"", "cluster.nonce"),
    ("nonce = \"0", "nonce = \"G", "cluster.nonce"),
    ("nonce = \"0", "nonce = \"A", "cluster.nonce"),
    ("history/1", "history", "cluster.service"),
    ("history/1", "his tory/1", "cluster.service"),
    ("history/1", "history/x", "cluster.service"),
    ("id = 2\naddress", "id = 1\naddress", "replica[2].id"),
    ("id = 3\naddress", "id = 4\naddress", "replica[3].id"),
    ("127.0.0.1:3", "127.0.0.1:1", "replica[2].address"),
    ("127.0.0.1:3", "127.0.0.1", "replica[2].address"),
    ("127.0.0.1:3", "127.0.0.1:0", "replica[2].address"),
    ("127.0.0.1:3", "127.0.0.1:65536", "replica[2].address"),
    ("127.0.0.1:3", ":3", "replica[2].address"),
    ("127.0.0.1:3", "a b:3", "replica[2].address"),
    ("id = 2\nname", "id = 1\nname", "client[1].id"),
    ("name = \"two\"", "name = \"one\"", "client[1].name"),
    ("name = \"two\"", "name = \"t'wo\"", "client[1].name"),
    ("[cluster]", "[cluster]\nwindows = 128", "line 2"),
    ("[cluster]", "[cluster]\nwindow = \"128\"", "line 2"),
    ("[cluster]", "[cluster", "line 1"),
    ("id = 0\n", "id = 0\nport = 7\n", "line 8"),
];

/// Settings that are wrong, each with one beside it that is just right.
const BOUNDS: &[(&str, &str, &str)] = &[
    ("checkpoint_interval = 0", "checkpoint_interval = 1", "cluster"),
    ("window = 64", "window = 192", "cluster"),
    ("window = 160", "window = 256", "cluster"),
    ("window = 4160", "window = 4096", "cluster"),
    ("pipeline = 0", "pipeline = 1", "cluster"),
    ("batch_requests_max = 0", "batch_requests_max = 1", "cluster"),
    ("lanes_max = 0", "lanes_max = 1", "cluster"),
    ("operation_bytes_max = 0", "operation_bytes_max = 1", "cluster"),
    ("slow_primary_percent = 101", "slow_primary_percent = 100", "cluster"),
    ("status_interval_ms = 0", "status_interval_ms = 1", "cluster"),
    // Three statuses may be lost before the 30 s are over after which a replica is taken for gone.
    ("status_interval_ms = 10001", "status_interval_ms = 10000", "cluster.status_interval_ms"),
    ("view_timeout_max_ms = 86400001", "view_timeout_max_ms = 86400000", CALLED_MAX),
    ("view_timeout_ms = 60001", "view_timeout_ms = 60000", "cluster.view_timeout_ms"),
    ("view_timeout_max_ms = 1999", "view_timeout_max_ms = 2000", "cluster.view_timeout_ms"),
    ("batch_delay_us = 2000000", "batch_delay_us = 1999999", "cluster"),
    // With four replicas and a window of 128, a view change has 25 + 19 × 128 signatures of 50 µs, which must take at
    // most half of that time.
    (
        "view_timeout_ms = 9\nview_timeout_max_ms = 245",
        "view_timeout_ms = 9\nview_timeout_max_ms = 246",
        "cluster",
    ),
    // A batch holds the bytes of eight operations. With a request around them, and a certificate of three COMMITs, that is
    // 462 bytes more, and in all at most 256 MiB.
    (
        "batch_requests_max = 1\noperation_bytes_max = 33554375",
        "batch_requests_max = 1\noperation_bytes_max = 33554374",
        "cluster",
    ),
    ("client_authentication = \"none\"", "client_authentication = \"macs\"", "line 5"),
];

const CALLED_MAX: &str = "cluster.view_timeout_max_ms";

/// The field or the line that an error names.
fn named(error: ConfigError) -> String {
    match error {
        ConfigError::Field { field, .. } => field,
        ConfigError::Syntax { line, .. } => format!("line {line}"),
        ConfigError::Read { .. } => "the file".to_owned(),
    }
}

/// Files that are wrong.
pub(super) fn wrong_clusters() -> Outcome {
    let good = File::default();
    parse(&good.text()).map_err(|error| Difference::new(Kind::Refused, error.to_string()))?;
    for (right, wrong, field) in WRONG {
        let text = good.text().replacen(right, wrong, 1);
        demand("the scenario spoils something", text != good.text())?;
        let what = format!("{wrong:?} in the place of {right:?}");
        expect(&what, Err((*field).to_owned()), parse(&text).map(drop).map_err(named))?;
    }
    for (wrong, right, field) in BOUNDS {
        let with = |setting: &str| parse(&good.clone().with(setting).text()).map(drop);
        expect(wrong, Err((*field).to_owned()), with(wrong).map_err(named))?;
        with(right).map_err(|error| Difference::new(Kind::Refused, error.to_string()))?;
    }
    let keys = [
        ("Z", "is not 64 lower-case hexadecimal digits"),
        (
            "0200000000000000000000000000000000000000000000000000000000000000",
            "is not an Ed25519 public key",
        ),
        (
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "is not an Ed25519 public key",
        ),
        (
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "is a weak key (small order)",
        ),
        (
            "40a4cf5c611d737a2f1c6fcca84d9cabfed80987f186a5a6c57e629bff1af27f",
            "is not torsion-free; verifiers could differ about its signatures",
        ),
    ];
    let own = secret(Principal::Client(ClientId(2))).public().to_hex();
    let upper = own.to_uppercase();
    let keys = keys.into_iter().chain([(&*upper, "is not 64 lower-case hexadecimal digits")]);
    for (key, problem) in keys {
        let field = |error| match error {
            ConfigError::Field { field, problem, .. } => (field, problem),
            other => (named(other), String::new()),
        };
        let got = parse(&good.text().replace(&own, key)).map(drop).map_err(field);
        expect(key, Err(("client[1].public_key".to_owned(), problem.to_owned())), got)?;
    }
    let other = secret(Principal::Replica(ReplicaId(3))).public().to_hex();
    let doubled = parse(&good.text().replace(&own, &other)).map(drop).map_err(named);
    expect("two with one key", Err("client[1].public_key".to_owned()), doubled)?;
    let three = File { addresses: good.addresses[..3].to_vec(), ..good };
    let three = parse(&three.text()).map(drop).map_err(named);
    expect("three replicas", Err("replica".to_owned()), three)
}

/// Each setting with another value than its default, and what it sets.
type Setting = (&'static str, fn(&mut Params));

const SETTINGS: &[Setting] = &[
    ("checkpoint_interval = 32", |params| params.checkpoint_interval = 32),
    ("window = 256", |params| params.window = 256),
    ("pipeline = 7", |params| params.pipeline = 7),
    ("batch_requests_max = 9", |params| params.batch_requests_max = 9),
    ("batch_delay_us = 1500", |params| params.batch_delay = Duration::from_micros(1500)),
    ("operation_bytes_max = 77", |params| params.operation_bytes_max = 77),
    ("lanes_max = 5", |params| params.lanes_max = 5),
    ("result_bytes_max = 99", |params| params.result_bytes_max = 99),
    ("client_authentication = \"macs\"", |params| {
        params.client_authentication = ClientAuthentication::Macs;
    }),
    ("on_service_panic = \"stop\"", |params| params.on_service_panic = OnPanic::Stop),
    ("view_timeout_ms = 1234", |params| params.view_timeout = Duration::from_millis(1234)),
    ("view_timeout_max_ms = 34567", |params| {
        params.view_timeout_max = Duration::from_millis(34567);
    }),
    ("status_interval_ms = 321", |params| params.status_interval = Duration::from_millis(321)),
    ("slow_primary_percent = 31", |params| params.slow_primary_percent = 31),
    ("help_bytes_max = 123456", |params| params.help_bytes_max = 123_456),
];

/// What a good file says; and that whatever must be the same everywhere gives the cluster another id.
pub(super) fn good_clusters() -> Outcome {
    let file = File::default();
    let plain = file.cluster()?;
    let mut ids = vec![plain.id()];
    for (setting, change) in SETTINGS {
        let cluster = file.clone().with(setting).cluster()?;
        let mut expected = plain.params(ReplicaId(2));
        change(&mut expected);
        expected.cluster = cluster.id();
        expect(setting, expected, cluster.params(ReplicaId(2)))?;
        demand(&format!("{setting}: another cluster"), !ids.contains(&cluster.id()))?;
        ids.push(cluster.id());
    }
    let swapped =
        |a: &str, b: &str| file.text().replace(a, "swapped").replace(b, a).replace("swapped", b);
    let key = |principal| secret(principal).public().to_hex();
    let replica = |id| key(Principal::Replica(ReplicaId(id)));
    let texts = [
        File { nonce: '1', ..file.clone() }.text(),
        file.text().replace("\"door\"", "\"gate\""),
        file.text().replace("history/1", "history/2"),
        file.text().replace("history/1", "story/1"),
        file.text().replace("id = 2\nname", "id = 3\nname"),
        file.text().replace("\"two\"", "\"three\""),
        swapped(&replica(1), &replica(2)),
        swapped(&key(Principal::Client(ClientId(1))), &key(Principal::Client(ClientId(2)))),
    ];
    for text in texts {
        let cluster = parse(&text).map_err(harness)?;
        demand(&format!("another cluster: {text}"), !ids.contains(&cluster.id()))?;
        ids.push(cluster.id());
    }
    let moved = file.text().replace("127.0.0.1:3", "node-2.example:7000");
    let moved = parse(&moved).map_err(harness)?;
    expect("a replica may move", plain.id(), moved.id())?;
    expect("to where it says", "node-2.example:7000", &*moved.replicas()[2].address)?;
    let clients = |key| plain.client_with(key);
    let found = (1..=3).map(|id| clients(secret(Principal::Client(ClientId(id))).public()));
    let expected = vec![Some(ClientId(1)), Some(ClientId(2)), None];
    expect("clients by their keys", expected, found.collect())?;
    let found =
        (0..=4).map(|id| plain.replica_with(secret(Principal::Replica(ReplicaId(id))).public()));
    let expected = (0..=4).map(|id| Some(ReplicaId(id)).filter(|id| id.0 < 4));
    expect("replicas by theirs", expected.collect::<Vec<_>>(), found.collect())?;
    let named = plain.client_named("two").map(|client| client.id);
    expect("clients by their names", Some(ClientId(2)), named)
}

fn kind(error: &impl Debug) -> String {
    format!("{error:?}").split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

/// Key files.
pub(super) fn keys() -> Outcome {
    let directory = tempfile::tempdir().map_err(harness)?;
    let path = directory.path().join("replica.key");
    let (key, other) = (SecretKey::from_seed(&[7; 32]), SecretKey::from_seed(&[8; 32]));
    key.create(&path).map_err(harness)?;
    let digits = "07".repeat(32);
    let text = format!("pbft-secret-key v1 ed25519\n{digits}\n");
    let written = fs::read_to_string(&path).map_err(harness)?;
    expect("the text of a key file", text.clone(), written)?;
    let mode = || fs::metadata(&path).map(|one| one.permissions().mode() & 0o7777);
    expect("nobody else reads it", 0o600, mode().map_err(harness)?)?;
    expect("it is not replaced", true, matches!(other.create(&path), Err(KeyError::Io { .. })))?;
    let loaded =
        |path: &Path| SecretKey::load(path).map(|key| key.public()).map_err(|error| kind(&error));
    expect("it is the key that was written", Ok(key.public()), loaded(&path))?;
    let set = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(harness);
    for mode in [0o640, 0o604, 0o620, 0o610, 0o601, 0o644] {
        set(mode)?;
        expect(&format!("mode {mode:o}"), Err("Permissions".to_owned()), loaded(&path))?;
    }
    set(0o400)?;
    expect("its owner need not write it", Ok(key.public()), loaded(&path))?;
    set(0o600)?;
    let wrong = [
        text.replace("v1", "v2"),
        text.replace("ed25519\n", "ed25519 "),
        text.trim_end().to_owned(),
        format!("{text}\n"),
        format!("{text}more\n"),
        text.replacen("07", "7", 1),
        text.replacen("07", "070", 1),
        text.replacen("07", "0A", 1),
        text.replacen("07", "0g", 1),
        digits,
        String::new(),
    ];
    for text in wrong {
        fs::write(&path, &text).map_err(harness)?;
        expect(&format!("{text:?}"), Err("Malformed".to_owned()), loaded(&path))?;
    }
    let (link, missing) = (directory.path().join("link"), directory.path().join("missing"));
    symlink(&path, &link).map_err(harness)?;
    expect("a link", Err("NotAFile".to_owned()), loaded(&link))?;
    expect("a directory", Err("NotAFile".to_owned()), loaded(directory.path()))?;
    expect("nothing", Err("Io".to_owned()), loaded(&missing))?;
    expect("a link is not followed", true, other.create(&link).is_err())
}

/// A replica's directory: what is in it must belong together.
pub(super) fn directories() -> Outcome {
    let directory = tempfile::tempdir().map_err(harness)?;
    let (path, file) = (directory.path(), File::default());
    let load = || Setup::load(path).map_err(|error| kind(&error));
    let load = || load().map(|setup| (setup.replica, setup.cluster.id()));
    expect("nothing", Err("Config".to_owned()), load())?;
    fs::write(path.join(CLUSTER_FILE), file.text()).map_err(harness)?;
    expect("no key", Err("Key".to_owned()), load())?;
    let key = path.join(REPLICA_KEY_FILE);
    secret(Principal::Client(ClientId(1))).create(&key).map_err(harness)?;
    expect("a client's key", Err("NotAReplica".to_owned()), load())?;
    fs::remove_file(&key).map_err(harness)?;
    secret(Principal::Replica(ReplicaId(2))).create(&key).map_err(harness)?;
    expect("no store", Err("Store".to_owned()), load())?;
    let id = file.cluster()?.id();
    let own = Identity::new(id, ReplicaId(2));
    drop(Store::create(path, own).map_err(harness)?);
    expect("all of it", Ok((ReplicaId(2), id)), load())?;
    let again = Store::create(path, own).map(drop).map_err(|error| kind(&error));
    expect("a store is not made twice", Err("Exists".to_owned()), again)?;
    for other in [Identity::new(id, ReplicaId(1)), Identity::new(Default::default(), ReplicaId(2))]
    {
        let opened = Store::open(path, other);
        let is_foreign = matches!(opened, Err(StoreError::Foreign { .. }));
        demand("another's store is refused", is_foreign)?;
    }
    let other = File { nonce: '1', ..file };
    fs::write(path.join(CLUSTER_FILE), other.text()).map_err(harness)?;
    expect("another cluster's store", Err("Store".to_owned()), load())
}

/// Whether nodes start.
pub(super) fn starts() -> Outcome {
    let world = World::with_a_clock_that_stands()?;
    let other = File::default().text().replace("history/1", "history/2");
    let other = parse(&other).map_err(harness)?;
    let begin = |cluster: &Cluster, listen: String| {
        let (cluster, replica) = (cluster.clone(), ReplicaId(0));
        let disk = MemoryDisk::default();
        let store = Store::in_memory(&disk, Identity::new(cluster.id(), replica));
        let (store, key) = (store.map_err(harness)?, secret(Principal::Replica(replica)));
        world.block(async move {
            let setup = Setup { cluster, key, replica, store, trace: None };
            let started = Node::start(setup, Box::new(History), Some(&listen)).await;
            started.map(|node| node.replica()).map_err(|error| kind(&error))
        })
    };
    let any = || "127.0.0.1:0".to_owned();
    expect("another service", Err("OtherService".to_owned()), begin(&other, any())?)?;
    let cluster = File::default().cluster()?;
    expect("its own service", Ok(ReplicaId(0)), begin(&cluster, any())?)?;
    let node = world.node(Start::fresh(&cluster, 0, &MemoryDisk::default()))?;
    let taken = node.address.to_string();
    expect("a port that is taken", Err("Listen".to_owned()), begin(&cluster, taken.clone())?)?;
    let nowhere = begin(&cluster, "127.0.0.1".to_owned())?;
    expect("an address without a port", Err("Listen".to_owned()), nowhere)?;
    node.stop(&world)?;
    expect("a port is free once its node has ended", Ok(ReplicaId(0)), begin(&cluster, taken)?)
}
