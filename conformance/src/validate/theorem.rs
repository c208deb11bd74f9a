//! The theorem's invariant along a recorded run.
//!
//! What replicas say and write is put in the theorem's relations ([`pbft_proof::said`], as for states of the model),
//! and after each step the instances of each conjunct are evaluated that something new can break
//! ([`pbft_proof::run`]). Statements are taken as they are in the recording, also where a guard of the model refuses
//! the step; views and water marks are those of the replica as the model has it.
//!
//! The theorem speaks of honest replicas: here those that are recorded. The others may have said anything, so their votes
//! count wherever somebody could have asked for them. With more than f of those two quorums need not share a
//! recorded replica, and there is nothing to evaluate.
//!
//! *What is forgotten.* A conjunct can be broken by something new only. Of a sequence number nothing new can be said once each
//! replica that takes further steps has h at or above it, and no VIEW-CHANGE with a lower h can become part of a
//! NEW-VIEW that one of them begins or enters: votes are above h, and O begins above the highest h in V, of which one
//! is recorded. A fetched state has such numbers, too; the replica that fetches it had executed them itself, since its own h
//! is above. So numbers before that bound are forgotten, all instances about them having been evaluated.

use super::cluster::Cluster;
use super::facts::Replica;
use pbft_node::trace::ShortDigest;
use pbft_node::trace::format::{
    Body, CheckpointVote, Header, Input, NewView, Output, PreparedProof, StableProof, Step,
    ViewChange,
};
use pbft_proof::run::{Breach, Group, Monitor, Unsupported};
use pbft_proof::said::{Individual, Named, Signed, Statements as _};
use pbft_proof::theory::{Theory, TheoryError};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use thiserror::Error;

/// Why there is no theorem to evaluate.
#[derive(Debug, Error)]
pub enum TheoremError {
    /// The theory cannot be read.
    #[error("the theorem cannot be read: {0}")]
    Theory(#[from] TheoryError),
    /// It cannot be followed along a run.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
}

/// What was evaluated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Evaluated {
    /// Whether two quorums share a recorded replica: else there is nothing to evaluate.
    pub applies: bool,
    /// Steps after which the invariant was looked at.
    pub steps: u64,
    /// The instances that something new could break, and that were evaluated.
    pub instances: u64,
    /// The same by conjunct.
    pub conjuncts: BTreeMap<String, u64>,
    /// The most facts that were remembered at a time; a range counts once.
    pub remembered: usize,
    /// The conjuncts that do not hold.
    pub broken: Vec<Breach>,
}

impl fmt::Display for Evaluated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { applies, steps, instances, conjuncts, broken, .. } = self;
        if !applies {
            return write!(
                f,
                "theorem: not evaluated, two quorums need not share a recorded replica"
            );
        }
        write!(f, "theorem: {steps} steps, {instances} instances evaluated, ")?;
        match broken.first() {
            Some(breach) => write!(f, "{} does not hold", breach.conjunct)?,
            None => write!(f, "the invariant holds")?,
        }
        let idle: Vec<&str> =
            conjuncts.iter().filter(|(_, count)| **count == 0).map(|(name, _)| &**name).collect();
        match idle.is_empty() {
            true => Ok(()),
            false => write!(f, "\n(nothing in the run to evaluate for {})", idle.join(", ")),
        }
    }
}

/// The theorem beside the cluster of a recorded run.
#[derive(Clone, Debug)]
pub(super) struct Theorem {
    monitor: Monitor,
    /// What the service of a replica was asked to execute.
    asked: BTreeMap<u32, (u64, Individual)>,
    /// The lowest h in the VIEW-CHANGEs for a view.
    lows: BTreeMap<u64, u64>,
    steps: u64,
    forgotten: u64,
    remembered: usize,
    broken: Vec<Breach>,
}

impl Theorem {
    pub(super) fn new(
        theory: Theory,
        header: &Header,
        cluster: &Cluster,
    ) -> Result<Self, TheoremError> {
        let group = Group {
            replicas: header.replicas as usize,
            quorum: cluster.quorums.quorum.into(),
            honest: cluster.recorded.keys().map(|id| Individual::from(*id)).collect(),
        };
        Ok(Self {
            monitor: Monitor::new(theory, group)?,
            asked: BTreeMap::new(),
            lows: BTreeMap::new(),
            steps: 0,
            forgotten: 0,
            remembered: 0,
            broken: Vec::new(),
        })
    }

    /// A step of a recorded replica, after which the cluster is as given; whether the model allows it. Returns the conjuncts
    /// that do not hold any more.
    pub(super) fn step(
        &mut self,
        id: u32,
        step: &Step,
        cluster: &Cluster,
        allowed: bool,
    ) -> Vec<Breach> {
        if !self.monitor.group().quorums_meet() {
            return Vec::new();
        }
        self.input(id, step);
        for output in &step.out {
            self.output(id, step, output);
        }
        match cluster.recorded.get(&id) {
            Some(replica) if allowed => self.state(replica),
            _ => step.out.iter().filter_map(leaves).for_each(|view| self.monitor.is_in(id, view)),
        }
        self.steps += 1;
        let broken = self.monitor.look();
        self.forget(cluster);
        self.broken.extend(broken.iter().cloned());
        broken
    }

    pub(super) fn evaluated(&self) -> Evaluated {
        let conjuncts = self.monitor.instances();
        Evaluated {
            applies: self.monitor.group().quorums_meet(),
            steps: self.steps,
            instances: conjuncts.values().sum(),
            conjuncts,
            remembered: self.remembered,
            broken: self.broken.clone(),
        }
    }

    fn input(&mut self, id: u32, step: &Step) {
        match &step.input {
            _ if step.refused.is_some() => {}
            Input::Executed { seq } => {
                if let Some((asked, value)) = self.asked.remove(&id)
                    && asked == *seq
                {
                    self.monitor.executes(id, *seq, value);
                }
            }
            Input::Message { body: Body::NewView(new_view), .. } => self.new_view(new_view),
            _ => {}
        }
    }

    fn output(&mut self, id: u32, step: &Step, output: &Output) {
        match output {
            Output::All(body) | Output::To(_, body) => self.message(id, body),
            Output::Prepared(proof) => {
                self.monitor.holds(id, proof.seq, proof.view);
                self.certificate(proof);
            }
            Output::Stable(proof) => {
                self.monitor.stable(signed(proof.seq, proof.digest));
                if step.input == (Input::Installed { seq: proof.seq }) {
                    self.transfer(id, proof);
                }
            }
            Output::Execute { committed, .. } => {
                let (view, seq, value) = (committed.view, committed.seq, committed.digest.0);
                self.monitor.committed(Named { view, seq, value });
                self.asked.insert(id, (seq, value));
            }
            Output::Enter { .. } | Output::Install { .. } | Output::Halt(_) => {}
        }
    }

    /// What it signs itself; what it hands on was taken down before.
    fn message(&mut self, id: u32, body: &Body) {
        match body {
            Body::PrePrepare(p) if p.replica == id => {
                self.monitor.votes(id, Named { view: p.view, seq: p.seq, value: p.digest.0 });
            }
            Body::Prepare(vote) if vote.replica == id => {
                let (view, seq, value) = (vote.view, vote.seq, vote.digest.0);
                self.monitor.votes(id, Named { view, seq, value });
            }
            Body::Commit(vote) if vote.replica == id => {
                let (view, seq, value) = (vote.view, vote.seq, vote.digest.0);
                self.monitor.commits(id, Named { view, seq, value });
            }
            Body::Checkpoint(vote) if vote.replica == id => self.checkpoint(vote),
            Body::ViewChange(change) if change.replica == id => {
                let low = self.lows.entry(change.view).or_insert(change.low);
                *low = change.low.min(*low);
                self.monitor.asks_for(id, change.view, change.low);
                for proof in &change.prepared {
                    self.monitor.shows(id, change.view, proof.seq, proof.view);
                }
                self.proofs(change);
            }
            Body::NewView(new_view) if new_view.replica == id => {
                self.new_view(new_view);
                for (seq, digest) in &new_view.order {
                    let (view, seq, value) = (new_view.view, *seq, digest.0);
                    self.monitor.votes(id, Named { view, seq, value });
                }
            }
            _ => {}
        }
    }

    fn certificate(&mut self, proof: &PreparedProof) {
        let (view, seq, value) = (proof.view, proof.seq, proof.digest.0);
        self.monitor.prepared(Named { view, seq, value });
    }

    /// P, and the proof of h.
    fn proofs(&mut self, change: &ViewChange) {
        change.prepared.iter().for_each(|proof| self.certificate(proof));
        if let Some(StableProof { seq, digest, .. }) = &change.stable {
            self.monitor.stable(signed(*seq, *digest));
        }
    }

    /// A NEW-VIEW of which a recorded replica speaks. A V that is no quorum is the business of the model's guards.
    fn new_view(&mut self, new_view: &NewView) {
        let bit = |change: &ViewChange| 1_u128.checked_shl(change.replica).unwrap_or_default();
        let members = new_view.view_changes.iter().fold(0, |set, change| set | bit(change));
        if members.count_ones() as usize == self.monitor.group().quorum {
            self.monitor.begins(new_view.view, members);
        }
        new_view.view_changes.iter().for_each(|change| self.proofs(change));
    }

    /// What a digest stands for is what the first who signs it has executed.
    fn checkpoint(&mut self, vote: &CheckpointVote) {
        let signed = signed(vote.seq, vote.digest);
        if !self.monitor.is_known(signed.digest) {
            self.monitor.ends(signed);
            for (seq, value) in self.monitor.history(vote.replica) {
                if seq <= vote.seq {
                    self.monitor.includes(signed.digest, seq, value);
                }
            }
        }
        self.monitor.signs(vote.replica, signed);
    }

    /// It has the state of a checkpoint, instead of executing.
    fn transfer(&mut self, id: u32, proof: &StableProof) {
        self.monitor.fetches(id, proof.seq);
        for (seq, value) in self.monitor.content(proof.digest.0) {
            self.monitor.has(id, seq, value);
        }
        self.asked.remove(&id);
    }

    /// Where the replica stands.
    fn state(&mut self, replica: &Replica) {
        self.monitor.is_in(replica.id, replica.view);
        self.monitor.collects(replica.id, replica.low);
    }

    fn forget(&mut self, cluster: &Cluster) {
        if cluster.floor <= self.forgotten {
            return;
        }
        let going_on = || cluster.recorded.values().filter(|replica| !replica.finished);
        let may_enter =
            |view: u64| going_on().any(|one| one.view < view || (one.view == view && !one.active));
        self.lows.retain(|view, _| may_enter(*view));
        let first = self.lows.values().copied().min().unwrap_or(u64::MAX).min(cluster.floor);
        self.remembered = self.remembered.max(self.monitor.remembered());
        self.monitor.forget(first);
        self.forgotten = self.forgotten.max(first);
    }
}

/// The view that a replica leaves the others for.
fn leaves(output: &Output) -> Option<u64> {
    match output {
        Output::All(Body::ViewChange(change)) => Some(change.view),
        Output::All(Body::NewView(new_view)) => Some(new_view.view),
        Output::Enter { view } => Some(*view),
        _ => None,
    }
}

fn signed(seq: u64, ShortDigest(digest): ShortDigest) -> Signed {
    Signed { seq, digest }
}
