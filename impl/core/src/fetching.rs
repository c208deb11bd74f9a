//! Batches that a view change needs and this replica lacks: asked for by their digests, a few at a time, of all others
//! (§4.4). Any correct replica that accepted a batch serves it until a stable checkpoint covers it: [`crate::bodies`].

use crate::budget::Help;
use crate::effect::Effect;
use crate::log::Log;
use crate::message::{Batch, Message};
use crate::rejection::Rejection;
use crate::replica::{Outcome, Replica};
use crate::types::{Digest, ReplicaId};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

/// Batches asked for at a time: bounds what a tick sends, and what is on its way to this replica.
const BATCHES_IN_FLIGHT: usize = 16;

/// One batch that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    /// Not asked for, or not answered until the next tick: others come first.
    Waiting,
    /// Asked for since the last tick.
    Asked,
    /// It came.
    Here(Arc<Batch>),
}

/// What is wanted, and what came. It is as long as what names it: the certificates in the VIEW-CHANGEs of at most n
/// replicas, or one O.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fetching {
    /// The digest of the null batch, which is always here.
    null: Digest,
    batches: BTreeMap<Digest, Wanted>,
    /// The one that was asked for last: the next ones come after it, so that a batch that nobody serves holds up no
    /// other.
    last: Digest,
}

impl Fetching {
    /// Nothing is wanted.
    pub(crate) fn new() -> Self {
        let (null, batches) = (Batch::default().digest(), BTreeMap::new());
        Self { null, batches, last: Digest::default() }
    }

    /// How many batches are wanted or here.
    pub(crate) fn len(&self) -> usize {
        self.batches.len()
    }

    /// The digests of those that are not here.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = Digest> + '_ {
        let wanted = self.batches.iter().filter(|(_, one)| !matches!(one, Wanted::Here(_)));
        wanted.map(|(digest, _)| *digest)
    }

    pub(crate) fn clear(&mut self) {
        self.batches.clear();
    }

    /// The batch with `digest`, if it came.
    fn get(&self, digest: Digest) -> Option<&Arc<Batch>> {
        match self.batches.get(&digest)? {
            Wanted::Here(batch) => Some(batch),
            Wanted::Waiting | Wanted::Asked => None,
        }
    }

    /// The batch with `digest`, if it is here.
    pub(crate) fn find(&self, digest: Digest, log: &Log) -> Option<Arc<Batch>> {
        if digest == self.null {
            return Some(Arc::default());
        }
        log.batch(digest).or_else(|| self.get(digest)).cloned()
    }

    /// The digests of the batches that [`Self::find`] finds.
    pub(crate) fn here(&self, log: &Log) -> BTreeSet<Digest> {
        let fetched = self.batches.keys().copied().filter(|digest| self.get(*digest).is_some());
        log.digests().chain(fetched).chain([self.null]).collect()
    }

    /// Asks for those of the batches with these digests that are not here, and lets go of what was fetched and is not
    /// among them. Whether all are here.
    pub(crate) fn want(
        &mut self,
        digests: impl Iterator<Item = Digest>,
        log: &Log,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let in_log: BTreeSet<Digest> = log.digests().chain([self.null]).collect();
        let lacking: BTreeSet<Digest> = digests.filter(|one| !in_log.contains(one)).collect();
        self.batches.retain(|digest, _| lacking.contains(digest));
        for digest in &lacking {
            self.batches.entry(*digest).or_insert(Wanted::Waiting);
        }
        self.ask(effects);
        lacking.iter().all(|digest| self.get(*digest).is_some())
    }

    /// At each tick: what did not come is asked for again, after the others.
    pub(crate) fn ask_again(&mut self, effects: &mut Vec<Effect>) {
        for wanted in self.batches.values_mut().filter(|wanted| **wanted == Wanted::Asked) {
            *wanted = Wanted::Waiting;
        }
        self.ask(effects);
    }

    fn ask(&mut self, effects: &mut Vec<Effect>) {
        let asked = self.batches.values().filter(|wanted| **wanted == Wanted::Asked).count();
        for _ in asked..BATCHES_IN_FLIGHT {
            let after = (Bound::Excluded(self.last), Bound::Unbounded);
            let all = self.batches.range(after).chain(self.batches.range(..=self.last));
            let next = all.filter(|(_, wanted)| **wanted == Wanted::Waiting);
            let Some(digest) = next.map(|(digest, _)| *digest).next() else { return };
            self.last = digest;
            self.batches.insert(digest, Wanted::Asked);
            effects.push(Effect::Broadcast(Message::FetchBatch(digest)));
        }
    }

    /// Whether a batch may be taken.
    fn check(&self, digest: Digest) -> Result<(), Rejection> {
        match self.batches.get(&digest) {
            Some(Wanted::Waiting | Wanted::Asked) => Ok(()),
            Some(Wanted::Here(_)) => Err(Rejection::Duplicate),
            None => Err(Rejection::NotRequested),
        }
    }
}

impl Replica {
    /// Another replica lacks a batch.
    pub(crate) fn on_fetch_batch(&mut self, from: ReplicaId, digest: Digest) -> Outcome {
        let batch = self.log.batch(digest).cloned().ok_or(Rejection::Unavailable)?;
        let message = Message::Batch(batch);
        self.peers.budget.give(from, Some(Help::Batch), message.size())?;
        Ok(vec![Effect::Send { to: from, message }])
    }

    /// A batch that this replica asked for.
    pub(crate) fn on_batch(&mut self, batch: Arc<Batch>) -> Outcome {
        let digest = batch.digest();
        self.fetching.check(digest)?;
        // All checks passed; nothing has changed yet.
        let mut effects = Vec::new();
        self.fetching.batches.insert(digest, Wanted::Here(batch));
        self.try_awaited(&mut effects);
        self.try_new_view(&mut effects);
        Ok(effects)
    }
}
