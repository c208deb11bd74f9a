//! A service with a state of many chunks, written twice: as the production node's service, and on a plain map, from which
//! every result, every chunk and every digest that is demanded is computed.

use crate::refinement::layout::{Domain, Reply, State as Layout, digest, request_digest};
use pbft_core::message::Request;
use pbft_core::types::{ClientId, Digest, Lane, SeqNum};
use pbft_node::service::{Service, ServiceId};
use pbft_node::state::{State, StateView};
use std::collections::BTreeMap;
use std::ops::Bound;

/// What an operation is executed on.
trait Pairs {
    fn value(&mut self, key: &[u8]) -> Option<Vec<u8>>;
    fn put(&mut self, key: &[u8], value: Vec<u8>) -> bool;
    fn remove(&mut self, key: &[u8]) -> bool;
    fn count(&mut self, from: &[u8], to: Option<&[u8]>, most: usize) -> usize;
}

impl Pairs for State<'_> {
    fn value(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        self.get(key)
    }

    fn put(&mut self, key: &[u8], value: Vec<u8>) -> bool {
        State::put(self, key, &value).is_ok()
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        self.delete(key)
    }

    fn count(&mut self, from: &[u8], to: Option<&[u8]>, most: usize) -> usize {
        self.range(from, to, most).len()
    }
}

/// The longest key and value that may be kept: docs/embedding.md.
const KEY_MOST: usize = 4096;
const VALUE_MOST: usize = 1024 * 1024;

impl Pairs for BTreeMap<Vec<u8>, Vec<u8>> {
    fn value(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        self.get(key).cloned()
    }

    fn put(&mut self, key: &[u8], value: Vec<u8>) -> bool {
        let fits = key.len() <= KEY_MOST && value.len() <= VALUE_MOST;
        if fits {
            self.insert(key.to_vec(), value);
        }
        fits
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        Self::remove(self, key).is_some()
    }

    fn count(&mut self, from: &[u8], to: Option<&[u8]>, most: usize) -> usize {
        let to = to.map_or(Bound::Unbounded, Bound::Excluded);
        self.range::<[u8], _>((Bound::Included(from), to)).take(most).count()
    }
}

/// A word of an operation as a number.
fn number(words: &[&str], at: usize) -> usize {
    words.get(at).and_then(|word| word.parse().ok()).unwrap_or_default()
}

/// The key of a numbered page.
fn page(number: usize) -> Vec<u8> {
    format!("page-{number:06}").into_bytes()
}

/// Executes an operation; `None` if the service panics on it, and what it did is to be taken back.
fn apply(pairs: &mut impl Pairs, operation: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(operation);
    let words: Vec<&str> = text.split(' ').collect();
    let (first, second) = (number(&words, 1), number(&words, 2));
    let mark = number(&words, 3) as u8;
    Some(match words[0] {
        // fill FROM COUNT MARK LENGTH: pages of so many bytes, each with its number in it.
        "fill" => {
            for at in first..first + second {
                let mut value = vec![mark; number(&words, 4)];
                value.splice(..0, (at as u32).to_le_bytes());
                pairs.put(&page(at), value);
            }
            b"filled".to_vec()
        }
        "write" => {
            let before = pairs.value(&page(first)).map_or(0, |value| value.len());
            pairs.put(&page(first), vec![mark; second]);
            format!("had {before}").into_bytes()
        }
        "delete" => format!("{}", pairs.remove(&page(first))).into_bytes(),
        "count" => format!("{}", pairs.count(&page(first), Some(&page(second)), 50)).into_bytes(),
        "say" => vec![b's'; first],
        "key" => format!("{}", pairs.put(&vec![b'k'; first], vec![1])).into_bytes(),
        "value" => format!("{}", pairs.put(b"large", vec![b'v'; first])).into_bytes(),
        "mess" => {
            pairs.put(&page(first), b"half done".to_vec());
            pairs.put(&page(first), b"done over".to_vec());
            pairs.remove(&page(second));
            pairs.remove(&page(first));
            pairs.put(b"new", b"one".to_vec());
            return None;
        }
        _ => b"what?".to_vec(),
    })
}

/// The production node's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pages;

impl Service for Pages {
    fn id(&self) -> ServiceId {
        ServiceId::new("pages", 1)
    }

    fn execute(&self, state: &mut State<'_>, _: ClientId, operation: &[u8]) -> Vec<u8> {
        match apply(state, operation) {
            Some(result) => result,
            // A panic that no hook tells of: it is part of the story.
            None => std::panic::resume_unwind(Box::new("the story's panic")),
        }
    }

    fn query(&self, state: &mut StateView, _: ClientId, query: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(query);
        let words: Vec<&str> = text.split(' ').collect();
        match words[0] {
            "read" => state.get(&page(number(&words, 1))).unwrap_or_default(),
            "count" => {
                let (from, to) = (page(number(&words, 1)), page(number(&words, 2)));
                format!("{}", state.range(&from, Some(&to), 50).len()).into_bytes()
            }
            "say" => vec![b'q'; number(&words, 1)],
            _ => std::panic::resume_unwind(Box::new("the story's panic")),
        }
    }
}

/// What a result is replaced by on which the service panics: docs/embedding.md.
const PANICKED: &[u8] = b"refused: the service panicked on this operation";
/// What a result is replaced by that is too long.
const TOO_LARGE: &[u8] = b"refused: the result is larger than result_bytes_max";

/// The state as it has to be, on a plain map.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    pub(super) pairs: BTreeMap<Vec<u8>, Vec<u8>>,
    replies: BTreeMap<(ClientId, Lane), Reply>,
    result_most: usize,
}

impl Ledger {
    /// Nothing was executed. A result is no longer than this.
    pub(super) fn new(result_most: usize) -> Self {
        Self { result_most, ..Self::default() }
    }

    /// A request is executed; its result.
    pub(super) fn execute(&mut self, request: &Request) -> Vec<u8> {
        let mut tried = self.pairs.clone();
        let mut result = match apply(&mut tried, &request.operation) {
            Some(result) => {
                self.pairs = tried;
                result
            }
            None => PANICKED.to_vec(),
        };
        if result.len() > self.result_most {
            result = TOO_LARGE[..self.result_most].to_vec();
        }
        let reply = Reply {
            client: request.client,
            lane: request.lane,
            timestamp: request.timestamp,
            request: request_digest(request),
            result: result.clone(),
        };
        self.replies.insert((request.client, request.lane), reply);
        result
    }

    /// The service's chunks.
    pub(super) fn chunks(&self) -> Vec<Vec<u8>> {
        cut(&self.pairs)
    }

    /// The numbers of the pages with which chunks begin.
    pub(super) fn begins(&self) -> Vec<String> {
        let key = |chunk: &Vec<u8>| String::from_utf8_lossy(&chunk[4..15]).into_owned();
        let number =
            |key: String| key.trim_start_matches("page-").trim_start_matches('0').to_owned();
        self.chunks().iter().map(key).map(number).collect()
    }

    /// What a STATUS report says of the state: one digest over those of all chunks.
    pub(super) fn digest(&self) -> Digest {
        let chunks = self.chunks();
        let digests: Vec<u8> =
            chunks.iter().flat_map(|chunk| digest(Domain::Chunk, chunk).0).collect();
        digest(Domain::Chunk, &digests)
    }

    /// The state that a CHECKPOINT of this number is about.
    pub(super) fn checkpoint(&self, seq: u64) -> Layout {
        Layout::new(SeqNum(seq), self.replies.values().cloned().collect(), self.chunks())
    }
}

/// A chunk never passes this size, but for a single larger pair.
const CHUNK_MOST: usize = 64 * 1024;
/// From this size on, a pair that says so begins a new chunk.
const CHUNK_LEAST: usize = 16 * 1024;

/// Pairs in chunks: each is a key and a value with their lengths before them.
fn cut(pairs: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<Vec<u8>> {
    let mut chunks: Vec<Vec<u8>> = Vec::new();
    for (key, value) in pairs {
        let mut pair = Vec::new();
        for bytes in [key, value] {
            pair.extend((bytes.len() as u32).to_le_bytes());
            pair.extend(bytes);
        }
        match chunks.last_mut() {
            Some(last) if !begins_a_chunk(last.len(), key, pair.len()) => last.extend(pair),
            Some(_) | None => chunks.push(pair),
        }
    }
    chunks
}

fn begins_a_chunk(filled: usize, key: &[u8], pair: usize) -> bool {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in key {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let is_marked = mixed % 0x8000 < pair as u64;
    filled + pair > CHUNK_MOST || (filled >= CHUNK_LEAST && is_marked)
}
