//! The corpora: small, committed, and made by a command.
//!
//! ```text
//! PBFT_WRITE_CORPORA=1 cargo test --package pbft-tests --test fuzz corpora
//! ```

use crate::bytes::{CLUSTER, kind_of};
use crate::edit::{RAW, script};
use crate::honest;
use crate::machine::{list, play};
use pbft_core::Position;
use pbft_node::codec;
use pbft_node::frame::{ClientFrame, Hello, WIRE_VERSION};
use pbft_sim::driver::Run;
use pbft_sim::event::{Event, Node};
use pbft_sim::fault::Plan;
use pbft_sim::rng::Rng;
use pbft_sim::world::Mode;
use pbft_tests::binary::workspace_root;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Every kind of message.
const KINDS: [&str; 14] = [
    "batch",
    "checkpoint",
    "commit",
    "committed",
    "fetch-batch",
    "fetch-state",
    "new-view",
    "pre-prepare",
    "prepare",
    "request",
    "stable",
    "state-data",
    "status",
    "view-change",
];

/// How many kinds of input the core accepts.
const ACCEPTED_LEAST: usize = 19;

fn corpus(target: &str) -> PathBuf {
    workspace_root().join("tests/system/fuzz/__fuzz__").join(target).join("corpus")
}

/// The inputs of a target's corpus, in order of their names.
pub(crate) fn inputs(target: &str) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(corpus(target)).expect("a corpus");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("read")).collect()
}

fn write(target: &str, inputs: impl IntoIterator<Item = (String, Vec<u8>)>) {
    let directory = corpus(target);
    if directory.exists() {
        std::fs::remove_dir_all(&directory).expect("removed");
    }
    std::fs::create_dir_all(&directory).expect("made");
    for (name, bytes) in inputs {
        std::fs::write(directory.join(name), bytes).expect("written");
    }
}

fn numbered(inputs: Vec<Vec<u8>>) -> impl Iterator<Item = (String, Vec<u8>)> {
    inputs.into_iter().enumerate().map(|(number, bytes)| (format!("{number:03}"), bytes))
}

/// Messages of all kinds from simulated runs, the shortest of each, and a client's.
fn messages() -> BTreeMap<String, Vec<u8>> {
    let mut found: BTreeMap<&'static str, Vec<u8>> = BTreeMap::new();
    let mut request = None;
    for seed in 1..40 {
        let mut run = Run::new(&Plan::draw(seed, 4), Mode::default(), true).expect("a size");
        while run.step() && run.events.len() < 20_000 {}
        for (_, event) in &run.events {
            match event {
                Event::Deliver { from: Node::Host(_), to: Node::Host(_), frame } => {
                    let Some(kind) = kind_of(frame) else { continue };
                    let shortest = found.entry(kind).or_insert_with(|| frame.to_vec());
                    if frame.len() < shortest.len() {
                        *shortest = frame.to_vec();
                    }
                }
                Event::Deliver { from: Node::Client(_), frame, .. } if request.is_none() => {
                    request = Some(frame.to_vec());
                }
                _ => {}
            }
        }
        if found.len() == KINDS.len() {
            break;
        }
    }
    let query = ClientFrame::Query { number: 7, query: b"balance alice".to_vec() };
    let query = codec::encode(&query).expect("encoded");
    let named = found.into_iter().map(|(kind, bytes)| (kind.to_owned(), bytes));
    let clients = [("client-request", request), ("client-query", Some(query))];
    let clients = clients.into_iter().filter_map(|(name, bytes)| Some((name.to_owned(), bytes?)));
    named.chain(clients).collect()
}

/// Lists of tapes, each of which has the core accept a kind of input that those before do not.
fn tapes() -> Vec<Vec<u8>> {
    let mut rng = Rng::new(1);
    let (mut seen, mut kept) = (BTreeSet::new(), Vec::new());
    for _ in 0..3000 {
        let input = list(&mut rng);
        let accepted = play(&input).accepted;
        if !accepted.is_subset(&seen) {
            seen.extend(accepted);
            kept.push(input);
        }
        if seen.len() >= ACCEPTED_LEAST {
            break;
        }
    }
    kept
}

fn hellos() -> Vec<Vec<u8>> {
    let hello = |version, cluster| {
        codec::encode(&Hello { version, cluster, position: Position::default() }).expect("encoded")
    };
    // The beginning of a TLS record with a ClientHello, cut off.
    let record = [&[22, 3, 1, 0, 60, 1, 0, 0, 56, 3, 3][..], &[7; 40]].concat();
    vec![
        hello(WIRE_VERSION, CLUSTER),
        hello(WIRE_VERSION - 1, CLUSTER),
        hello(WIRE_VERSION, pbft_core::types::Digest::default()),
        record,
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ]
}

/// Every pair of ends with each of the three flights that matter left alone and changed.
fn conversations() -> Vec<Vec<u8>> {
    let of = |choice: u8| {
        let edit = script(choice % 5, u32::from(choice) * 37, choice.wrapping_mul(29));
        [vec![choice], [&[choice][..], &edit].concat()]
    };
    (0..27).flat_map(of).collect()
}

/// Single edits, `count` of them, spread over `len` bytes; each after each of the prefixes.
fn edits(prefixes: &[&[u8]], len: u32, count: u32) -> Vec<Vec<u8>> {
    let edit = |number: u32| {
        let at = (u64::from(len) * u64::from(number) / u64::from(count)) as u32;
        script((number % 5) as u8, at, (number * 37 + 1) as u8)
    };
    let with = |number| prefixes.iter().map(move |prefix| [*prefix, &edit(number)].concat());
    (0..count).flat_map(with).collect()
}

fn streams(messages: &BTreeMap<String, Vec<u8>>) -> Vec<Vec<u8>> {
    let framed = |bytes: &Vec<u8>| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
    let all: Vec<u8> = messages.values().take(3).flat_map(framed).collect();
    let with = |limit: u16, piece: u8, stream: &[u8]| {
        [&limit.to_le_bytes()[..], &[piece], stream].concat()
    };
    vec![
        with(u16::MAX, 0, &all),
        with(u16::MAX, 200, &all),
        with(16, 7, &all),
        with(1000, 3, &[0xff; 64]),
        with(1000, 3, &[0, 0, 3, 232, 1, 2, 3]),
    ]
}

/// What the replicas record of a short run without faults.
fn traces() -> BTreeMap<usize, Vec<u8>> {
    let mut plan = Plan::calm(1, 4);
    plan.submissions.truncate(3);
    let mut run = Run::new(&plan, Mode { record: true, replay: false }, false).expect("a size");
    run.finish();
    run.world.recordings().into_iter().collect()
}

fn write_all() {
    let traces = traces();
    for (replica, bytes) in &traces {
        std::fs::write(honest::trace_path(*replica), bytes).expect("written");
    }
    let cluster = honest::CLUSTER_FILE.len() as u32;
    let messages = messages();
    write("bytes__frames", numbered(streams(&messages)));
    write("bytes__edited_messages", numbered(edits(&[&[0], &[3], &[6], &[7], &[13]], 200, 10)));
    write("bytes__messages", messages);
    write("handshake__noise", numbered(hellos()));
    write("handshake__conversation", numbered(conversations()));
    write("machine__step", numbered(tapes()));
    // Each of three files, of a store that was killed and of one that was closed.
    let mut store = edits(&[&[0], &[0x80]], 1 << 20, 12);
    store.extend(edits(&[&[1], &[2]], 80, 5));
    store.push(vec![0]);
    store.push(vec![0, RAW]);
    write("files__store", numbered(store));
    let mut files = edits(&[&[]], cluster, 40);
    files.push(Vec::new());
    files.push([&[RAW][..], b"[cluster]\nname = 1\n"].concat());
    write("files__cluster_file", numbered(files));
    let len = traces[&honest::SPOILED].len() as u32;
    let mut edited = edits(&[&[]], len, 40);
    edited.push(Vec::new());
    write("files__trace_file", numbered(edited));
}

/// The corpora are there and hold what they are for. With `PBFT_WRITE_CORPORA=1` they are made anew.
#[test]
fn corpora() {
    let _turn = crate::turn();
    if std::env::var_os("PBFT_WRITE_CORPORA").is_some() {
        write_all();
    }
    let kinds: BTreeSet<_> =
        inputs("bytes__messages").iter().filter_map(|one| kind_of(one)).collect();
    assert_eq!(kinds, KINDS.into());
    let tapes = inputs("machine__step");
    let accepted: BTreeSet<_> = tapes.iter().flat_map(|input| play(input).accepted).collect();
    assert!(accepted.len() >= ACCEPTED_LEAST, "{accepted:?}");
    for target in ["bytes__frames", "handshake__noise", "bytes__edited_messages"] {
        assert!(inputs(target).len() >= 5, "{target}");
    }
    let others =
        ["files__store", "files__cluster_file", "files__trace_file", "handshake__conversation"];
    for target in others {
        assert!(inputs(target).len() >= 30, "{target}");
    }
}
