//! What the correct replicas do, read from their recordings: the lab sees what `pbft-conform validate` sees, and nothing else.

use super::words::Kind;
use pbft_node::trace::Line;
use pbft_node::trace::format::{Body, Header, Input, Output, RequestId, ShortDigest, Step, Vote};
use std::collections::{BTreeMap, BTreeSet};

/// The votes that one replica holds for one batch in one view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Votes {
    /// Whether it accepted the PRE-PREPARE.
    pub pre_prepared: bool,
    /// Whose PREPAREs it counted, its own included.
    pub prepares: BTreeSet<u32>,
    /// Whose COMMITs it counted, its own included.
    pub commits: BTreeSet<u32>,
}

/// One sequence number, view and digest.
pub type Slot = (u64, u64, ShortDigest);

/// What is known of one replica.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The votes, by sequence number, view and digest.
    pub votes: BTreeMap<Slot, Votes>,
    /// What has prepared: the view and digest of the latest certificate, by sequence number.
    pub prepared: BTreeMap<u64, (u64, ShortDigest)>,
    /// What was executed: the digest, by sequence number.
    pub committed: BTreeMap<u64, ShortDigest>,
    /// Whose VIEW-CHANGEs were taken, by view, its own included.
    pub view_changes: BTreeMap<u64, BTreeSet<u32>>,
    /// Whose CHECKPOINTs were taken, by sequence number, its own included.
    pub checkpoints: BTreeMap<u64, BTreeSet<u32>>,
    /// The last stable checkpoint, with those who signed it.
    pub stable: (u64, Vec<u32>),
    /// How often each request was executed.
    pub executions: BTreeMap<RequestId, usize>,
    /// Bytes of the recording that were read.
    read: usize,
    id: u32,
}

/// One thing that a replica did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It refused a message.
    Refused {
        /// Over whose channel it came; `None` for a client's.
        from: Option<u32>,
        /// The message's kind.
        kind: Kind,
        /// The core's name for the reason.
        reason: String,
    },
    /// A batch prepared: view, sequence number, digest and the backups that signed.
    Prepared(u64, u64, ShortDigest, Vec<u32>),
    /// A batch was executed, with the signers of the COMMITs and how many requests it had that were not answered before.
    Executed(u64, ShortDigest, Vec<u32>, usize),
    /// A checkpoint became stable.
    Stable(u64, Vec<u32>),
    /// It follows another's NEW-VIEW.
    Entered(u64),
    /// It adopted the state of a checkpoint.
    Installed(u64),
    /// It stopped for good.
    Halted(String),
}

fn kind_of(body: &Body) -> Kind {
    match body {
        Body::PrePrepare(_) => Kind::PrePrepare,
        Body::Prepare(_) => Kind::Prepare,
        Body::Commit(_) => Kind::Commit,
        Body::Checkpoint(_) => Kind::Checkpoint,
        Body::ViewChange(_) => Kind::ViewChange,
        Body::NewView(_) => Kind::NewView,
        Body::Committed(_) => Kind::Certificate,
        Body::Stable(_) => Kind::Stable,
        Body::Other(word) => match word.as_str() {
            "request" => Kind::Request,
            "status" => Kind::Status,
            _ => Kind::Transfer,
        },
    }
}

impl Seen {
    /// Nothing yet, of this replica.
    #[must_use]
    pub fn new(id: u32) -> Self {
        Self { id, ..Self::default() }
    }

    /// How many bytes of the recording were read.
    #[must_use]
    pub const fn read_so_far(&self) -> usize {
        self.read
    }

    /// Reads what was appended to the recording.
    pub fn read(&mut self, appended: &[u8]) -> Vec<Deed> {
        let mut deeds = Vec::new();
        for line in appended.split_inclusive(|byte| *byte == b'\n') {
            if line.last() != Some(&b'\n') {
                break;
            }
            self.read += line.len();
            match serde_json::from_slice(line) {
                Ok(Line::Header(header)) => self.start(&header),
                Ok(Line::Step(step)) => self.step(&step, &mut deeds),
                Ok(Line::Gap { .. } | Line::End { .. }) | Err(_) => {}
            }
        }
        deeds
    }

    /// A process knows its own votes when it starts, and nobody else's.
    fn start(&mut self, header: &Header) {
        let Self { read, id, executions, .. } = std::mem::take(self);
        *self = Self { read, id, executions, ..Self::default() };
        let state = &header.state;
        for (seq, digest) in &state.accepted {
            self.votes.entry((*seq, state.view, *digest)).or_default().pre_prepared = true;
        }
        for (seq, view, digest) in &state.prepared {
            self.prepared.insert(*seq, (*view, *digest));
        }
        for (seq, _) in &state.checkpoints {
            self.checkpoints.entry(*seq).or_default().insert(self.id);
        }
        self.stable.0 = state.low;
    }

    fn step(&mut self, step: &Step, deeds: &mut Vec<Deed>) {
        match (&step.input, &step.refused) {
            (Input::Message { from, body }, Some(reason)) => {
                let (from, kind, reason) = (Some(*from), kind_of(body), reason.clone());
                deeds.push(Deed::Refused { from, kind, reason });
            }
            (Input::Request(_), Some(reason)) => {
                let (kind, reason) = (Kind::Request, reason.clone());
                deeds.push(Deed::Refused { from: None, kind, reason });
            }
            (Input::Message { body, .. }, None) => self.take(body),
            (Input::Installed { seq }, None) => deeds.push(Deed::Installed(*seq)),
            _ => {}
        }
        step.out.iter().for_each(|output| self.out(output, deeds));
    }

    /// A message that it takes, or says itself.
    fn take(&mut self, body: &Body) {
        match body {
            Body::PrePrepare(one) => self.slot(one.seq, one.view, one.digest).pre_prepared = true,
            Body::Prepare(Vote { view, seq, digest, replica }) => {
                self.slot(*seq, *view, *digest).prepares.insert(*replica);
            }
            Body::Commit(Vote { view, seq, digest, replica }) => {
                self.slot(*seq, *view, *digest).commits.insert(*replica);
            }
            Body::Checkpoint(one) => {
                self.checkpoints.entry(one.seq).or_default().insert(one.replica);
            }
            Body::ViewChange(one) => {
                self.view_changes.entry(one.view).or_default().insert(one.replica);
            }
            Body::NewView(one) => {
                for (seq, digest) in &one.order {
                    self.slot(*seq, one.view, *digest).pre_prepared = true;
                }
            }
            Body::Committed(_) | Body::Stable(_) | Body::Other(_) => {}
        }
    }

    fn slot(&mut self, seq: u64, view: u64, digest: ShortDigest) -> &mut Votes {
        self.votes.entry((seq, view, digest)).or_default()
    }

    fn out(&mut self, output: &Output, deeds: &mut Vec<Deed>) {
        match output {
            Output::All(body) => self.take(body),
            Output::To(..) => {}
            Output::Prepared(one) => {
                self.prepared.insert(one.seq, (one.view, one.digest));
                deeds.push(Deed::Prepared(one.view, one.seq, one.digest, one.signers.clone()));
            }
            Output::Stable(one) => {
                self.stable = (one.seq, one.signers.clone());
                self.votes.retain(|(seq, ..), _| *seq > one.seq);
                self.checkpoints.retain(|seq, _| *seq > one.seq);
                deeds.push(Deed::Stable(one.seq, one.signers.clone()));
            }
            Output::Enter { view } => deeds.push(Deed::Entered(*view)),
            Output::Execute { committed, applied } => {
                self.committed.insert(committed.seq, committed.digest);
                for request in applied {
                    *self.executions.entry(*request).or_default() += 1;
                }
                let (seq, digest, signers) =
                    (committed.seq, committed.digest, committed.signers.clone());
                deeds.push(Deed::Executed(seq, digest, signers, applied.len()));
            }
            Output::Install { .. } => {}
            Output::Halt(reason) => deeds.push(Deed::Halted(reason.clone())),
        }
    }

    /// The votes for the highest sequence number in the latest view; of several batches, for the one that it accepted.
    #[must_use]
    pub fn newest(&self) -> Option<(Slot, &Votes)> {
        let rank = |((seq, view, digest), votes): &(&Slot, &Votes)| {
            (*seq, *view, votes.pre_prepared, *digest)
        };
        self.votes.iter().max_by_key(rank).map(|(slot, votes)| (*slot, votes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: &str = r#"{"step":{"number":1,"group":1,"in":{"message":{"from":2,"body":{"prepare":{"view":0,
        "seq":1,"digest":"000000000000000000000000000000ab","replica":2}}}}REFUSED}}"#;

    fn read(refused: &str) -> (Seen, Vec<Deed>) {
        let line = STEP.replace("REFUSED", refused).replace('\n', "") + "\n";
        let mut seen = Seen::new(0);
        let deeds = seen.read(line.as_bytes());
        (seen, deeds)
    }

    #[test]
    fn a_vote_counts_unless_it_was_refused() {
        let (mut seen, deeds) = read("");
        let (slot, votes) = seen.newest().expect("a slot");
        assert_eq!((slot, votes.prepares.len()), ((1, 0, ShortDigest(0xab)), 1));
        assert_eq!(deeds, []);
        seen.slot(1, 0, ShortDigest(1)).pre_prepared = true;
        assert_eq!(seen.newest().map(|(slot, _)| slot), Some((1, 0, ShortDigest(1))), "accepted");
        let (seen, deeds) = read(r#","refused":"wrong-view""#);
        assert!(seen.newest().is_none());
        let reason = "wrong-view".to_owned();
        assert_eq!(deeds, [Deed::Refused { from: Some(2), kind: Kind::Prepare, reason }]);
    }
}
