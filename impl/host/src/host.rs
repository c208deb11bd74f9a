//! One replica with its disk and its service.

use crate::disk::Disk;
use crate::error::HostError;
use crate::evidence::Evidence;
use crate::frame::{RefusalReason, ReplicaFrame};
use crate::group::{Alarm, Ended, Group, Outgoing, PUT_OFF_MAX, Said};
use crate::service::Service;
use crate::surplus::SharedSurplus;
use crate::watch::Watcher;
use core::time::Duration;
use pbft_core::crypto::Signer;
use pbft_core::evidence::SignedVote;
use pbft_core::message::{Message, Request, Signed};
use pbft_core::surplus::Surplus;
use pbft_core::types::View;
use pbft_core::{Effect, HaltReason, Input, Params, Rejection, Replica, Standing};
use std::sync::{Arc, OnceLock};

/// What became of an operator's suspicion: the view that the replica is changing to, or why it cannot leave its view.
pub type Suspected = Result<View, Standing>;

/// What a host is made of.
pub struct Parts<D, S> {
    /// The replica's parameters.
    pub params: Arc<Params>,
    /// Signs in the replica's name.
    pub signer: Arc<dyn Signer>,
    /// The replica's disk.
    pub disk: D,
    /// What is replicated.
    pub service: S,
}

impl<D: std::fmt::Debug, S> std::fmt::Debug for Parts<D, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("params", &self.params).finish_non_exhaustive()
    }
}

/// One replica with its disk and its service.
///
/// A caller hands in what has arrived with [`Host::step`] and [`Host::alarm`], one thing after the other, and ends the
/// group with [`Host::end_group`]. What may leave early does so then. If the group must be committed, [`Host::commit`]
/// comes next, and nothing is stepped until it is done. Then [`Host::release`] gives the rest. Timers are set and stopped
/// as [`Host::take_timers`] says, at the latest when the group has ended.
///
/// After any error the replica in memory is ahead of its disk: it takes nothing more, and is built anew from the disk, by
/// [`Host::restart`] or another process.
pub struct Host<D: Disk, S> {
    pub(crate) params: Arc<Params>,
    signer: Arc<dyn Signer>,
    pub(crate) replica: Replica,
    pub(crate) disk: D,
    pub(crate) service: S,
    /// None as long as no door has asked for it.
    surplus: OnceLock<SharedSurplus>,
    evidence: Evidence,
    pub(crate) group: Group,
    pub(crate) timers: Vec<(Alarm, Option<Duration>)>,
    /// What recovery asked for; performed first.
    recovered: Vec<Effect>,
    /// Whether there is an alarm for what was put off.
    has_put_off: bool,
}

/// A copy takes its own steps from here on: nothing is shared that either of them changes. So it does not have the other
/// one's [surplus](Host::surplus), which a door holds too, and begins with one in which nothing is set aside.
impl<D: Disk + Clone, S: Clone> Clone for Host<D, S> {
    fn clone(&self) -> Self {
        Self {
            params: Arc::clone(&self.params),
            signer: Arc::clone(&self.signer),
            replica: self.replica.clone(),
            disk: self.disk.clone(),
            service: self.service.clone(),
            surplus: OnceLock::new(),
            evidence: self.evidence.clone(),
            group: self.group.clone(),
            timers: self.timers.clone(),
            recovered: self.recovered.clone(),
            has_put_off: self.has_put_off,
        }
    }
}

impl<D: Disk, S> std::fmt::Debug for Host<D, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("replica", &self.replica).finish_non_exhaustive()
    }
}

impl<D: Disk, S: Service<D>> Host<D, S> {
    /// The replica that the disk remembers. One that has [halted](Host::halt) stays so.
    pub fn open(parts: Parts<D, S>) -> Result<Self, HostError<D::Error>> {
        let Parts { params, signer, disk, service } = parts;
        let (durable, state) =
            (disk.durable().clone(), disk.service_state().map_err(HostError::Disk)?);
        let (replica, recovered) =
            Replica::recover(Arc::clone(&params), Arc::clone(&signer), durable, state);
        let evidence = Evidence::load(&disk).map_err(HostError::Disk)?;
        let (surplus, group) = (OnceLock::new(), Group::of(&replica));
        let (timers, has_put_off) = (Vec::new(), false);
        Ok(Self {
            params,
            signer,
            replica,
            disk,
            service,
            surplus,
            evidence,
            group,
            timers,
            recovered,
            has_put_off,
        })
    }

    /// Builds the replica anew from the disk, which was opened again: a crash and a restart, which are no step of the
    /// protocol. The caller forgets all timers.
    pub fn restart(&mut self) -> Result<(), HostError<D::Error>> {
        let (durable, state) =
            (self.disk.durable().clone(), self.disk.service_state().map_err(HostError::Disk)?);
        let (params, signer) = (Arc::clone(&self.params), Arc::clone(&self.signer));
        (self.replica, self.recovered) = Replica::recover(params, signer, durable, state);
        (self.group, self.has_put_off) = (Group::of(&self.replica), false);
        self.timers.clear();
        // It may need again what it had before.
        if let Some(surplus) = self.surplus.get() {
            *surplus.lock() = Surplus::new(&self.replica);
        }
        self.evidence = Evidence::load(&self.disk).map_err(HostError::Disk)?;
        Ok(())
    }

    /// The replica as it is now.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Its disk.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// Its disk, to be asked or opened again. Whatever is written there is this host's business.
    pub fn disk_mut(&mut self) -> &mut D {
        &mut self.disk
    }

    /// Its disk, once there is no more to do.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// What is replicated.
    pub fn service_mut(&mut self) -> &mut S {
        &mut self.service
    }

    /// What its door has to know of it: from the first time on that this is asked.
    pub fn surplus(&self) -> SharedSurplus {
        self.surplus.get_or_init(|| SharedSurplus::new(&self.replica)).clone()
    }

    /// The replicas against whom it keeps evidence, a bit for each.
    pub fn accused(&self) -> u128 {
        self.evidence.against()
    }

    /// Why it must not go on, once it must not.
    pub fn halt(&self) -> Option<&HaltReason> {
        self.group.halt.as_ref()
    }

    /// Performs what recovery asked for. The first thing of the first group.
    pub fn resume(&mut self, watcher: &mut dyn Watcher<D>) -> Result<(), HostError<D::Error>> {
        let recovered = std::mem::take(&mut self.recovered);
        self.perform_all(recovered, watcher)
    }

    /// One input from outside, and the completions that follow from it.
    pub fn step(
        &mut self,
        input: Input,
        watcher: &mut dyn Watcher<D>,
    ) -> Result<(), HostError<D::Error>> {
        let (request, vote) = (own_request(&input), SignedVote::in_input(&input));
        let broken = vote.as_ref().and_then(|vote| self.replica.broken_promise(vote));
        if let Some(contradiction) = broken {
            let Self { evidence, disk, .. } = self;
            let kept = evidence.keep_broken_promise(&contradiction, disk, watcher);
            self.group.is_binding |= kept.map_err(HostError::Disk)?;
        }
        match self.observed(input, watcher) {
            Ok(effects) => self.perform_all(effects, watcher),
            Err(rejection) => {
                if let (Rejection::Equivocation { .. }, Some(vote)) = (&rejection, vote)
                    && let Some(contradiction) = self.replica.contradiction(vote)
                {
                    let kept = self.evidence.keep(&contradiction, &mut self.disk, watcher);
                    self.group.is_binding |= kept.map_err(HostError::Disk)?;
                }
                if let (Some(request), Some(reason)) = (request, RefusalReason::of(&rejection)) {
                    self.group.say(refusal(&request.body, reason))?;
                }
                Ok(())
            }
        }
    }

    /// Something that the host wanted to be woken for.
    pub fn alarm(
        &mut self,
        alarm: Alarm,
        watcher: &mut dyn Watcher<D>,
    ) -> Result<(), HostError<D::Error>> {
        match alarm {
            Alarm::Replica(timer) => self.step(Input::Timer(timer), watcher),
            Alarm::PutOff => {
                self.has_put_off = false;
                self.group.is_due = true;
                Ok(())
            }
        }
    }

    /// An operator suspects the primary. Only a replica that votes may leave its view: one that has left it already would
    /// go further ahead than a recovered replica allows for.
    pub fn suspect(
        &mut self,
        watcher: &mut dyn Watcher<D>,
    ) -> Result<Suspected, HostError<D::Error>> {
        match self.replica.standing() {
            Standing::Votes => {
                self.step(Input::Suspect, watcher)?;
                Ok(Ok(self.replica.position().view))
            }
            standing => Ok(Err(standing)),
        }
    }

    /// Timers that were set, and when they run out, or that were stopped; in order.
    pub fn take_timers(&mut self) -> Vec<(Alarm, Option<Duration>)> {
        std::mem::take(&mut self.timers)
    }

    /// Ends the group. If somebody waits for its end, it is committed whatever is in it.
    pub fn end_group(&mut self, somebody_waits: bool) -> Ended {
        let early = self.group.take_early();
        let wanted = somebody_waits || self.group.must_commit();
        let must_commit = wanted && self.disk.is_behind();
        if self.disk.is_behind() && !must_commit && !self.has_put_off {
            self.has_put_off = true;
            self.timers.push((Alarm::PutOff, Some(PUT_OFF_MAX)));
        }
        Ended { early, must_commit, steps: self.group.steps }
    }

    /// Makes the group durable, with what was put off before. A replica that halts does so even if that cannot be written.
    pub fn commit(&mut self) -> Result<(), HostError<D::Error>> {
        if std::mem::take(&mut self.has_put_off) {
            self.timers.push((Alarm::PutOff, None));
        }
        let committed = self.disk.commit();
        committed.map_err(|error| match self.group.halt.clone() {
            None => HostError::Disk(error),
            Some(reason) => HostError::HaltedUnrecorded { reason, error: Box::new(error) },
        })
    }

    /// The group is durable, if it had to be: what waited for that leaves. The next group begins, unless the replica has
    /// [halted](Host::halt).
    pub fn release(&mut self) -> Vec<Outgoing> {
        let halt = self.group.halt.take();
        let next = Group { halt, ..Group::default() };
        std::mem::replace(&mut self.group, next).outbox
    }

    /// What a host without space on its disk says to an input, which it does not handle.
    pub fn shed(input: &Input) -> Result<Option<Outgoing>, HostError<D::Error>> {
        let Some(request) = own_request(input) else { return Ok(None) };
        Ok(Some(Outgoing::new(refusal(&request.body, RefusalReason::Overloaded))?))
    }

    /// Performs a step's effects, and feeds back what they bring about before anything else happens. A replica that has
    /// halted takes no answers.
    fn perform_all(
        &mut self,
        effects: Vec<Effect>,
        watcher: &mut dyn Watcher<D>,
    ) -> Result<(), HostError<D::Error>> {
        for effect in effects {
            self.perform(effect, watcher)?;
        }
        while self.group.halt.is_none()
            && let Some(completion) = self.group.completions.pop_front()
        {
            let effects = self.observed(completion, watcher).map_err(HostError::Completion)?;
            for effect in effects {
                self.perform(effect, watcher)?;
            }
        }
        Ok(())
    }

    /// The trace point: every step of every replica passes here and nowhere else.
    fn observed(
        &mut self,
        input: Input,
        watcher: &mut dyn Watcher<D>,
    ) -> Result<Vec<Effect>, Rejection> {
        self.group.steps += 1;
        watcher.before_step(&input, &self.replica, &self.disk);
        let outcome = self.replica.step(input);
        watcher.after_step(&outcome, &self.replica);
        if let (Ok(effects), Some(surplus)) = (&outcome, self.surplus.get()) {
            surplus.lock().on_step(effects, &self.replica);
        }
        outcome
    }
}

/// A client's own request: the one kind of input whose rejection somebody waits for.
fn own_request(input: &Input) -> Option<Arc<Signed<Request>>> {
    let Input::Request(message) = input else { return None };
    match message.get() {
        Message::Request(request) => Some(Arc::clone(request)),
        _ => None,
    }
}

/// Tells a client that its request is refused.
fn refusal(request: &Request, reason: RefusalReason) -> Said {
    Said::Client(request.client, ReplicaFrame::refusal(request, reason))
}
