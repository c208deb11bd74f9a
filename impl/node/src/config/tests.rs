use super::*;
use crate::keys::SecretKey;

fn key(seed: u8) -> String {
    SecretKey::from_seed(&[seed; 32]).public().to_hex()
}

fn file(replicas: u8) -> ClusterFile {
    let replica = (0..replicas).map(|id| ReplicaEntry {
        id: id.into(),
        address: format!("127.0.0.1:{}", 7000 + u16::from(id)),
        public_key: key(id + 1),
    });
    let client = (0..2u8).map(|id| ClientEntry {
        id: id.into(),
        name: format!("client-{id}"),
        public_key: key(200 + id),
    });
    let cluster =
        ClusterTable { name: "test".into(), nonce: "0".repeat(32), ..ClusterTable::default() };
    ClusterFile { cluster, replica: replica.collect(), client: client.collect() }
}

fn parse(file: &ClusterFile) -> Result<Cluster, ConfigError> {
    let text = toml::to_string(file).expect("writable");
    Cluster::parse(&text, Path::new("cluster.toml"))
}

#[test]
fn a_good_file_says_who_everybody_is() {
    let cluster = parse(&file(4)).expect("good");
    assert_eq!(cluster.replicas().len(), 4);
    assert_eq!(cluster.replica_with(cluster.replicas()[2].key), Some(ReplicaId(2)));
    assert_eq!(cluster.client_named("client-1").map(|client| client.id), Some(ClientId(1)));
    assert_eq!(cluster.params(ReplicaId(3)).replica, ReplicaId(3));
    assert_eq!(cluster.params(ReplicaId(3)).cluster, cluster.id());
}

/// One way to spoil a file, the field that the message must name, and words that it must hold.
type Spoiler = (fn(&mut ClusterFile), &'static str, &'static str);

#[test]
fn every_mistake_is_named_with_its_field_and_a_remedy() {
    let spoilers: [Spoiler; 25] = [
        (|f| f.replica.truncate(3), "replica", "at least 4"),
        (|f| f.replica.clear(), "replica", "at least 4"),
        (|f| f.replica[2].id = 1, "replica[2].id", "expected 2"),
        (|f| f.replica.swap(0, 1), "replica[0].id", "in order"),
        (|f| f.replica[1].address = "localhost".into(), "replica[1].address", "host:port"),
        (|f| f.replica[1].address = "a b:1".into(), "replica[1].address", "host:port"),
        (|f| f.replica[1].address = "a:0".into(), "replica[1].address", "host:port"),
        (|f| f.replica[1].address = "a:65536".into(), "replica[1].address", "host:port"),
        (|f| f.replica[1].address = "127.0.0.1:7000".into(), "replica[1].address", "replica 0's"),
        (|f| f.replica[3].public_key = key(1), "replica[3].public_key", "replica[0].public_key"),
        (|f| f.client[0].public_key = key(2), "client[0].public_key", "replica[1].public_key"),
        (|f| f.replica[0].public_key = "zz".into(), "replica[0].public_key", "hexadecimal"),
        (
            |f| f.replica[0].public_key = format!("01{}", "0".repeat(62)),
            "replica[0].public_key",
            "weak",
        ),
        (|f| f.client[1].id = 0, "client[1].id", "own id"),
        (|f| f.client[1].name = "client-0".into(), "client[1].name", "own name"),
        (|f| f.client[1].name = "a/b".into(), "client[1].name", "characters"),
        (|f| f.cluster.service = Some("ledger".into()), "cluster.service", "name and a version"),
        (|f| f.cluster.service = Some("ledger/01".into()), "cluster.service", "version"),
        (|f| f.cluster.service = Some("a b/1".into()), "cluster.service", "characters"),
        (|f| f.cluster.nonce = "1".into(), "cluster.nonce", "hexadecimal"),
        (|f| f.cluster.window = Some(100), "cluster", "multiple of checkpoint_interval"),
        (|f| f.cluster.operation_bytes_max = Some(1 << 40), "cluster", "lower"),
        (|f| f.cluster.result_bytes_max = Some(2 << 20), "cluster", "a chunk of the reply table"),
        (
            |f| {
                *f = file(9);
                f.cluster.client_authentication = Some(ClientAuthentication::Macs);
            },
            "cluster.client_authentication",
            "fewer replicas",
        ),
        (|f| f.cluster.result_bytes_max = Some(1 << 40), "cluster", "lower"),
    ];
    for (spoil, field, words) in spoilers {
        let mut file = file(4);
        spoil(&mut file);
        let error = parse(&file).expect_err(field).to_string();
        let named = error.starts_with(&format!("cluster.toml: {field}: "));
        assert!(named && error.contains(words), "{field}, {words}: {error}");
    }
}

#[test]
fn unknown_and_missing_fields_are_named_with_their_line() {
    let good = toml::to_string(&file(4)).expect("writable");
    let cases = [
        (good.replace("nonce", "colour = 1\nnonce"), "colour"),
        (good.replace("nonce", "nonsense"), "nonsense"),
        (good.replacen("public_key", "key", 1), "key"),
        (good.replacen("[[client]]", "[[customer]]", 1), "customer"),
        ("[cluster".to_owned(), "line 1"),
        (String::new(), "cluster"),
    ];
    for (text, words) in cases {
        let error = Cluster::parse(&text, Path::new("cluster.toml")).expect_err(words).to_string();
        assert!(error.starts_with("cluster.toml: line ") && error.contains(words), "{error}");
    }
}

#[test]
fn the_cluster_id_covers_everything_but_the_addresses() {
    let id = |file: &ClusterFile| parse(file).expect("good").id();
    let original = id(&file(4));
    let changes: [fn(&mut ClusterFile); 13] = [
        |f| f.cluster.help_bytes_max = Some(1),
        |f| f.cluster.client_authentication = Some(ClientAuthentication::Macs),
        |f| f.cluster.service = Some("key-value/1".into()),
        |f| f.cluster.service = Some("ledger/2".into()),
        |f| f.cluster.on_service_panic = Some(OnPanic::Stop),
        |f| f.cluster.name = "other".into(),
        |f| f.cluster.nonce = "1".repeat(32),
        |f| f.cluster.view_timeout_ms = Some(1),
        |f| f.cluster.pipeline = Some(7),
        |f| f.cluster.batch_delay_us = Some(7),
        |f| f.replica[1].public_key = key(50),
        |f| f.client[0].name = "bob".into(),
        |f| f.client.truncate(1),
    ];
    for change in changes {
        let mut file = file(4);
        change(&mut file);
        assert_ne!(id(&file), original, "{file:?}");
    }
    let mut moved = file(4);
    moved.replica[0].address = "example.org:1".into();
    moved.cluster.service = Some("ledger/1".into());
    assert_eq!(id(&moved), original);
}

/// Outside fault F8: A window and a number of replicas whose view change nobody can verify in time are accepted.
#[test]
fn a_view_change_that_ends_too_late_is_refused_with_what_would_do() {
    // f = 42 and q = 86: a VIEW-CHANGE holds 1 + 86 + 128 · 86 = 11,095 signatures, a NEW-VIEW 1 + 128 + 86 · 11,095 =
    // 954,299, and with the 127 others' VIEW-CHANGEs it is 954,299 + 1,409,065 = 2,363,364, at 50 µs 118.2 s.
    let error = parse(&file(128)).expect_err("too much").to_string();
    for words in [
        "cluster.toml: cluster: with 128 replicas and a window of 128, a NEW-VIEW holds up to 954299 signatures",
        "a view change 2363364; at 50 µs each these are 118.2 s, more than half of view_timeout_max_ms, 60000",
        // (86 + 127) · (1 + 86 + 32 · 86) + 1 + 32 = 604,740, 30.2 s; with 31 it is 586,421, 29.3 s.
        "lower window to at most 31, or raise view_timeout_max_ms to 236337; or have fewer replicas",
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
    let mut patient = file(128);
    patient.cluster.view_timeout_max_ms = Some(236_337);
    parse(&patient).expect("long enough");
    patient.cluster.view_timeout_max_ms = Some(236_336);
    parse(&patient).expect_err("0.4 ms too short");
}

#[test]
fn what_a_view_change_holds_is_as_computed_by_hand() {
    // n, q, and the signatures of a VIEW-CHANGE, a NEW-VIEW and all together, with a window of 128.
    for (n, expected) in [
        // q = 3: 1 + 3 + 384; 1 + 128 + 3 · 388; and 3 · 388 more.
        (4, [388, 1_293, 2_457]),
        // q = 11: 1 + 11 + 1,408; 1 + 128 + 11 · 1,420; and 15 · 1,420 more.
        (16, [1_420, 15_749, 37_049]),
        // q = 21: 1 + 21 + 2,688; 1 + 128 + 21 · 2,710; and 30 · 2,710 more.
        (31, [2_710, 57_039, 138_339]),
    ] {
        let cluster = parse(&file(n)).expect("these go on working");
        let size = feasible::ViewChangeSize::of(&cluster.params(ReplicaId(0)));
        assert_eq!([size.view_change, size.new_view, size.all], expected, "{n} replicas");
    }
}

/// Outside fault F8: Sizes of which no message can be made are refused without the names of the parameters.
#[test]
fn what_does_not_fit_together_is_named() {
    type Change = fn(&mut ClusterFile);
    let cases: [(Change, &str); 5] = [
        (
            |f| f.cluster.operation_bytes_max = Some(1 << 25),
            "a committed has up to 268473424 bytes, 268435456 fit into a frame (batch_requests_max, operation_bytes_max)",
        ),
        (
            |f| f.cluster.batch_requests_max = Some(1 << 22),
            "(batch_requests_max, operation_bytes_max)",
        ),
        (|f| f.cluster.result_bytes_max = Some(1 << 28), "a reply has up to 268435590 bytes"),
        (
            |f| {
                // A NEW-VIEW of 27 VIEW-CHANGEs with 4,096 certificates of 27 votes.
                *f = file(40);
                f.cluster.window = Some(4096);
            },
            "a new-view has up to",
        ),
        (
            |f| {
                f.cluster.view_timeout_ms = Some(2);
                f.cluster.batch_delay_us = Some(2_000);
            },
            "batch_delay_us, 2000 µs, is not below view_timeout_ms, 2000 µs; lower batch_delay_us",
        ),
    ];
    for (spoil, words) in cases {
        let mut file = file(4);
        spoil(&mut file);
        let error = parse(&file).expect_err(words).to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
}
