//! Ways to spoil a message, each at one place, and what is around signed again.

use super::map::{Leaf, ListAt, Map, Path, SignedAt, Sort, Step, Unmapped, sort_of};
use super::rules::Rules;
use super::valid::order;
use crate::refinement::keys::Keys;
use crate::refinement::layout::{Signable, batch_digest};
use pbft_core::message::{
    Checkpoint, Commit, Message, NewView, PrePrepare, Prepare, Reply, Request, Status, ViewChange,
};
use pbft_core::types::{ClientId, Digest, Principal, ReplicaId};
use pbft_node::codec;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Another cluster, where the same keys may sign the same.
const ELSEWHERE: Digest = Digest([0x5a; 32]);

/// What is done at one place of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoil {
    /// A signature: somebody else's, of the same body.
    Signer(Principal),
    /// A signature: the signer's of the same fields, but as another kind of body.
    Kind(u8),
    /// A signature: the signer's, but for another cluster.
    Cluster,
    /// A signature: the signer's, but of a body that differs in this value.
    Body(usize),
    /// A signature: one bit is another one.
    Bit,
    /// A value: another one.
    Value(Change),
    /// A list: another one.
    List(Reorder),
}

/// What a value becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// One more.
    More,
    /// One less.
    Less,
    /// Another first bit.
    FirstBit,
    /// Another last bit.
    LastBit,
    /// Nothing: zeros, or an empty string.
    Nothing,
    /// The value of another field of this name.
    Borrowed,
}

/// What a list becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reorder {
    /// Without the element.
    Without(usize),
    /// With the element once more, behind itself.
    Twice(usize),
    /// With the element once more, at the end.
    Again(usize),
    /// With the element in the place of another one.
    Instead(usize, usize),
    /// With these two exchanged.
    Exchanged(usize, usize),
    /// With one more like the last, of the signer after it.
    More,
    /// Empty.
    Empty,
}

/// A message that was spoiled.
#[derive(Clone, Debug)]
pub struct Spoiled {
    /// The message.
    pub message: Message,
    /// Where.
    pub path: Path,
    /// How.
    pub how: Spoil,
}

/// Makes spoiled messages.
pub struct Forge<'a> {
    /// The cluster.
    pub rules: &'a Rules,
    /// Everybody's keys.
    pub keys: &'a dyn Keys,
}

/// What keeps a message from being made.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// A type without a place on the wire.
    #[error(transparent)]
    Unmapped(#[from] Unmapped),
    /// A signed body of a kind that has no number here.
    #[error("{0} is signed, and has no number: give it one")]
    NoNumber(String),
    /// The bytes are no message.
    #[error("a part that was put in cannot be read: {0}")]
    Unreadable(#[from] codec::CodecError),
}

type Outcome<T> = Result<T, ForgeError>;

/// The number of a kind of body, by the name of its type.
fn number(kind: &str) -> Outcome<u8> {
    Ok(match kind {
        "Request" => Request::NUMBER,
        "PrePrepare" => PrePrepare::NUMBER,
        "Prepare" => Prepare::NUMBER,
        "Commit" => Commit::NUMBER,
        "Checkpoint" => Checkpoint::NUMBER,
        "ViewChange" => ViewChange::NUMBER,
        "NewView" => NewView::NUMBER,
        "Reply" => Reply::NUMBER,
        "Status" => Status::NUMBER,
        other => return Err(ForgeError::NoNumber(other.to_owned())),
    })
}

fn statement(kind: u8, cluster: Digest, body: &[u8]) -> Vec<u8> {
    [b"PBFT-RS/v1\0".as_slice(), &[kind], &cluster.0, body].concat()
}

impl Forge<'_> {
    fn signer(&self, map: &Map, at: &SignedAt) -> Principal {
        match map.number(at, "replica") {
            Some(id) => Principal::Replica(ReplicaId(id)),
            None => Principal::Client(ClientId(map.number(at, "client").unwrap_or_default())),
        }
    }

    /// Signs what is around a part, from the inside out. The part itself only if it is no signed body.
    fn sign_around(&self, map: &mut Map, part: &[Step], itself: bool) -> Outcome<()> {
        let around: Vec<SignedAt> = map.around(part).cloned().collect();
        for at in around.iter().rev().filter(|at| itself || at.path != part) {
            let (signer, kind) = (self.signer(map, at), number(at.kind)?);
            let bytes = statement(kind, self.rules.cluster, &map.bytes[at.body.clone()]);
            self.put(map, at, signer, &bytes);
        }
        Ok(())
    }

    fn put(&self, map: &mut Map, at: &SignedAt, signer: Principal, bytes: &[u8]) {
        let signature = self.keys.seal(signer, bytes);
        map.bytes[at.signature.clone()].copy_from_slice(&signature.to_bytes());
    }

    /// Every way to spoil one signature: each is of something else than it should.
    pub fn forgeries(&self, map: &Map, at: &SignedAt) -> Outcome<Vec<Spoil>> {
        let own = self.signer(map, at);
        let kind = number(at.kind)?;
        let replicas = (0..self.rules.replicas).map(|id| Principal::Replica(ReplicaId(id)));
        let others = replicas.chain([Principal::Client(ClientId(1))]).filter(|other| *other != own);
        let mut all: Vec<Spoil> = others.map(Spoil::Signer).collect();
        all.extend((1..=Status::NUMBER).filter(|other| *other != kind).map(Spoil::Kind));
        let inside = map.leaves.iter().enumerate().filter(|(_, leaf)| {
            at.body.start <= leaf.range.start
                && leaf.range.end <= at.body.end
                && !leaf.range.is_empty()
        });
        // One value of each sort: what is nested several times is written by the same code.
        let mut sorts = BTreeSet::new();
        let first = inside.filter(|(_, leaf)| sorts.insert(sort_of(&leaf.path)));
        all.extend(first.map(|(index, _)| Spoil::Body(index)));
        all.extend([Spoil::Cluster, Spoil::Bit]);
        Ok(all)
    }

    /// The message with one signature forged, and all around it signed again.
    pub fn forged(&self, map: &Map, at: &SignedAt, how: Spoil) -> Outcome<Spoiled> {
        let bytes = self.forged_bytes(map, at, how)?;
        Ok(Spoiled { message: codec::decode(&bytes)?, path: at.path.clone(), how })
    }

    /// The same, as bytes.
    pub fn forged_bytes(&self, good: &Map, at: &SignedAt, how: Spoil) -> Outcome<Vec<u8>> {
        let mut map = good.clone();
        let (own, kind) = (self.signer(&map, at), number(at.kind)?);
        let mut body = map.bytes[at.body.clone()].to_vec();
        let cluster = self.rules.cluster;
        match how {
            Spoil::Signer(other) => self.put(&mut map, at, other, &statement(kind, cluster, &body)),
            Spoil::Kind(other) => self.put(&mut map, at, own, &statement(other, cluster, &body)),
            Spoil::Cluster => self.put(&mut map, at, own, &statement(kind, ELSEWHERE, &body)),
            Spoil::Body(leaf) => {
                let byte = map.leaves[leaf].range.start - at.body.start;
                body[byte] ^= 1;
                self.put(&mut map, at, own, &statement(kind, cluster, &body));
            }
            Spoil::Bit => map.bytes[at.signature.start + 32] ^= 1,
            Spoil::Value(_) | Spoil::List(_) => {}
        }
        self.sign_around(&mut map, &at.path, false)?;
        Ok(map.bytes)
    }

    /// The message with one value changed, and all around it signed again; `None` if the value cannot become that.
    pub fn changed(&self, map: &Map, leaf: &Leaf, change: Change) -> Outcome<Option<Spoiled>> {
        let value = &map.bytes[leaf.range.clone()];
        let bytes = match change {
            Change::Borrowed => borrowed(map, leaf).map(<[u8]>::to_vec),
            other => other.of(value, leaf.sort),
        };
        let Some(bytes) = bytes.filter(|bytes| bytes != value) else { return Ok(None) };
        let range = leaf.range.clone();
        let mut changed = [&map.bytes[..range.start], &bytes, &map.bytes[range.end..]].concat();
        if leaf.sort == Sort::String {
            let length = (bytes.len() as u64).to_le_bytes();
            changed[range.start - length.len()..range.start].copy_from_slice(&length);
        }
        self.signed_again(&changed, leaf.path.clone(), Spoil::Value(change))
    }

    /// The message with one list changed, and all around it signed again; `None` if the list cannot become that.
    pub fn reordered(&self, map: &Map, list: &ListAt, how: Reorder) -> Outcome<Option<Spoiled>> {
        let Some(elements) = self.elements(map, list, how)? else { return Ok(None) };
        let end = list.elements.last().map_or(list.length + 8, |last| last.end);
        let mut changed = map.bytes[..list.length].to_vec();
        changed.extend((elements.len() as u64).to_le_bytes());
        elements.iter().for_each(|element| changed.extend(element));
        changed.extend(&map.bytes[end..]);
        self.signed_again(&changed, list.path.clone(), Spoil::List(how))
    }

    fn elements(&self, map: &Map, list: &ListAt, how: Reorder) -> Outcome<Option<Vec<Vec<u8>>>> {
        let mut all: Vec<Vec<u8>> =
            list.elements.iter().map(|range| map.bytes[range.clone()].to_vec()).collect();
        let len = all.len();
        match how {
            Reorder::Without(at) if at < len => drop(all.remove(at)),
            Reorder::Twice(at) if at < len => all.insert(at, all[at].clone()),
            Reorder::Again(at) if at + 1 < len => all.push(all[at].clone()),
            Reorder::Instead(at, of) if at < len && of < len && at != of => {
                all[of] = all[at].clone();
            }
            Reorder::Exchanged(one, other) if one < other && other < len => all.swap(one, other),
            Reorder::Empty if len > 0 => all.clear(),
            Reorder::More => match self.another(map, list)? {
                Some(element) => all.push(element),
                None => return Ok(None),
            },
            _ => return Ok(None),
        }
        Ok(Some(all))
    }

    /// An element like the last of a list, signed by the replica after it, if there is one.
    fn another(&self, map: &Map, list: &ListAt) -> Outcome<Option<Vec<u8>>> {
        let Some(last) = list.elements.last() else { return Ok(None) };
        let found = map.signed.iter().find(|at| {
            at.path.len() == list.path.len() + 1
                && at.path.starts_with(&list.path)
                && at.body.start == last.start
        });
        let Some(at) = found else { return Ok(None) };
        let Some(id) = map.number(at, "replica") else { return Ok(None) };
        let leaf = map.leaves.iter().find(|leaf| {
            leaf.path.len() == at.path.len() + 4
                && leaf.path.starts_with(&at.path)
                && leaf.path.last() == Some(&Step::Field("replica"))
        });
        let Some(leaf) = leaf.filter(|_| id + 1 < self.rules.replicas) else { return Ok(None) };
        let mut bytes = map.bytes.clone();
        bytes[leaf.range.clone()].copy_from_slice(&(id + 1).to_le_bytes());
        let body = &bytes[at.body.clone()];
        let bytes_signed = statement(number(at.kind)?, self.rules.cluster, body);
        let signer = Principal::Replica(ReplicaId(id + 1));
        let signature = self.keys.seal(signer, &bytes_signed).to_bytes();
        Ok(Some([body, signature.as_slice()].concat()))
    }

    /// Reads the bytes, which differ at `path` from a good message's, and signs all that is around.
    fn signed_again(&self, bytes: &[u8], path: Path, how: Spoil) -> Outcome<Option<Spoiled>> {
        let Ok(message) = codec::decode::<Message>(bytes) else { return Ok(None) };
        let mut map = Map::of(&message)?;
        self.sign_around(&mut map, &path, true)?;
        self.spoiled(&map, path, how).map(Some)
    }

    fn spoiled(&self, map: &Map, path: Path, how: Spoil) -> Outcome<Spoiled> {
        let message = codec::decode(&map.bytes)?;
        Ok(Spoiled { message, path, how })
    }

    /// The same with what follows from what was spoiled: digests of the batch, O of V. So that only the part itself is wrong.
    pub fn mended(&self, spoiled: &Spoiled) -> Outcome<Option<Spoiled>> {
        let mut message = spoiled.message.clone();
        match &mut message {
            Message::PrePrepare(proposal) => {
                let proposal = Arc::make_mut(proposal);
                proposal.pre_prepare.body.digest = batch_digest(&proposal.batch);
                self.sign(&mut proposal.pre_prepare);
            }
            Message::Committed(certificate) => {
                let certificate = Arc::make_mut(certificate);
                let digest = batch_digest(&certificate.batch);
                for vote in &mut certificate.commits {
                    vote.body.digest = digest;
                    self.sign(vote);
                }
            }
            Message::NewView(one) => {
                let one = Arc::make_mut(one);
                self.mend_order(&mut one.body);
                self.sign(one);
            }
            _ => return Ok(None),
        }
        let differs = message != spoiled.message;
        Ok(differs.then_some(Spoiled { message, ..spoiled.clone() }))
    }

    fn mend_order(&self, body: &mut NewView) {
        let all: Vec<_> = body.view_changes.iter().map(|one| &one.body).collect();
        let numbers = order(&all).into_iter().take(self.rules.window as usize);
        let (view, replica) = (body.view, body.replica);
        let pre_prepares = numbers.map(|(seq, digest)| {
            let body = PrePrepare { view, seq, digest, replica };
            let mut signed = pbft_core::message::Signed { body, signature: Default::default() };
            self.sign(&mut signed);
            signed
        });
        body.pre_prepares = pre_prepares.collect();
    }

    /// Signs as whoever the body names.
    pub fn sign<S: Signable>(&self, signed: &mut pbft_core::message::Signed<S>) {
        let bytes = crate::refinement::layout::statement(self.rules.cluster, &signed.body);
        signed.signature = self.keys.seal(signed.body.signer(), &bytes);
    }
}

impl Change {
    /// All changes.
    pub const ALL: [Self; 6] =
        [Self::More, Self::Less, Self::FirstBit, Self::LastBit, Self::Nothing, Self::Borrowed];

    /// A value changed; `None` if that is no value.
    fn of(self, value: &[u8], sort: Sort) -> Option<Vec<u8>> {
        let mut bytes = value.to_vec();
        match (self, sort) {
            (Self::More, Sort::String) => bytes.push(0),
            (Self::Less, Sort::String) => drop(bytes.pop()?),
            (Self::More, _) => increase(&mut bytes),
            (Self::Less, _) => decrease(&mut bytes),
            (Self::FirstBit, _) => *bytes.first_mut()? ^= 1,
            (Self::LastBit, _) => *bytes.last_mut()? ^= 0x80,
            (Self::Nothing, Sort::String) => bytes.clear(),
            (Self::Nothing, _) => bytes.fill(0),
            (Self::Borrowed, _) => return None,
        }
        Some(bytes)
    }
}

/// The next value behind it that a field of the same name has, if that is another one.
fn borrowed<'m>(map: &'m Map, leaf: &Leaf) -> Option<&'m [u8]> {
    let value = &map.bytes[leaf.range.clone()];
    let behind = map.leaves.iter().filter(|other| other.range.start > leaf.range.start);
    let before = map.leaves.iter().filter(|other| other.range.start < leaf.range.start);
    let namesakes = behind.chain(before).filter(|other| other.path.last() == leaf.path.last());
    let mut values = namesakes.map(|other| &map.bytes[other.range.clone()]);
    values
        .find(|other| *other != value && (leaf.sort == Sort::String || other.len() == value.len()))
}

fn increase(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return;
        }
    }
}

fn decrease(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = byte.wrapping_sub(1);
        if *byte != u8::MAX {
            return;
        }
    }
}

impl Reorder {
    /// All that can be done with a list of `len` elements.
    pub fn all(len: usize) -> Vec<Self> {
        let mut all = vec![Self::More, Self::Empty];
        for at in 0..len {
            all.extend([Self::Without(at), Self::Twice(at), Self::Again(at)]);
            for other in 0..len {
                all.push(Self::Instead(at, other));
                all.push(Self::Exchanged(at, other));
            }
        }
        all
    }
}

impl fmt::Display for Spoiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.path {
            match step {
                Step::In(name) => write!(f, "{name}")?,
                Step::Field(name) => write!(f, ".{name} ")?,
                Step::At(index) => write!(f, "[{index}] ")?,
            }
        }
        write!(f, "spoiled by {:?}", self.how)
    }
}
