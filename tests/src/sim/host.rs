//! One replica's process: the production core with a simulated disk, clock and wire around it.
//!
//! It does what the node's driver does. What has arrived is stepped through as one group; the group's writes become
//! durable with one sync; messages that depend on a write leave after it. Replies do not depend on what execution writes,
//! which the next write takes along. While the disk works, inputs wait. Frames are
//! read with the node's codec and limits and verified with the core's own rules. Steps are recorded by the node's own
//! recorder, where the node records them: before the group is durable.

use super::bank::Accounts;
use super::disk::{Disk, DiskError, Tail, Write};
use super::event::Boundary;
use super::group::{Group, Says, refused};
pub use super::memory::Memory;
pub use super::process::{Done, Down, Said, Unread};
use super::watch::Watch;
use pbft_core::crypto::{Signer, Verifier, verify};
use pbft_core::message::{Message, Request, Signed, StateData};
use pbft_core::replies::LastReply;
use pbft_core::types::{ClientId, ReplicaId, SeqNum};
use pbft_core::{Effect, Input, Params, Replica, Timer};
use pbft_node::codec;
use pbft_node::driver::Observer as _;
use pbft_node::frame::{ClientFrame, FrameError, FrameLimits, RefusalReason};
use pbft_node::trace::Recorder;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The most steps that share one write, as in the node.
const GROUP_STEPS_MAX: usize = 256;

/// A replica's process.
pub struct Host {
    /// Which replica it is.
    pub id: ReplicaId,
    /// Its disk.
    pub disk: Disk,
    params: Arc<Params>,
    signer: Arc<dyn Signer>,
    verifier: Arc<dyn Verifier>,
    limits: FrameLimits,
    replica: Option<Replica>,
    down: Option<Down>,
    recorder: Option<Recorder<Memory>>,
    running: BTreeMap<Timer, ()>,
    waiting: VecDeque<Input>,
    /// What leaves when the write under way is synced.
    held: Option<Vec<Said>>,
    /// What execution wrote and the next write takes along.
    put_off: Vec<Write>,
    slow_disk: bool,
    armed: Option<Boundary>,
    skew: u16,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host")
            .field("id", &self.id)
            .field("down", &self.down)
            .finish_non_exhaustive()
    }
}

impl Host {
    /// A process that was never started. With `file` its steps are recorded there.
    #[must_use]
    pub fn new(
        params: Arc<Params>,
        signer: Arc<dyn Signer>,
        verifier: Arc<dyn Verifier>,
        file: Option<Memory>,
    ) -> Self {
        Self {
            id: params.replica,
            disk: Disk::default(),
            limits: FrameLimits::new(&params),
            params,
            signer,
            verifier,
            replica: None,
            down: Some(Down::Crashed),
            recorder: file.map(Recorder::new),
            running: BTreeMap::new(),
            waiting: VecDeque::new(),
            held: None,
            put_off: Vec::new(),
            slow_disk: false,
            armed: None,
            skew: 0,
        }
    }

    /// The replica, while the process runs.
    #[must_use]
    pub fn replica(&self) -> Option<&Replica> {
        self.replica.as_ref()
    }

    /// Why it does not run; `None` while it does.
    #[must_use]
    pub fn down(&self) -> Option<&Down> {
        self.down.as_ref()
    }

    /// The replica's parameters.
    #[must_use]
    pub fn params(&self) -> &Arc<Params> {
        &self.params
    }

    /// Whether a timer runs.
    #[must_use]
    pub fn is_running(&self, timer: Timer) -> bool {
        self.running.contains_key(&timer)
    }

    /// Whether it waits for its disk.
    #[must_use]
    pub fn is_writing(&self) -> bool {
        self.held.is_some()
    }

    /// Whether it has executed something that it has not written yet.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !self.put_off.is_empty()
    }

    /// Writes what was put off, as the node does if nothing else makes it write for five milliseconds.
    pub fn catch_up(&mut self) {
        if self.is_writing() {
            return;
        }
        let writes = std::mem::take(&mut self.put_off);
        if !writes.is_empty()
            && let Err(error) = self.disk.write(&writes).and_then(|()| self.disk.sync())
        {
            self.crash(Down::Disk(error), Tail::Lost);
        }
    }

    /// Inputs that wait for the disk.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Writing takes time, or does not.
    pub fn set_slow_disk(&mut self, slow: bool) {
        self.slow_disk = slow;
    }

    /// Ends the process at the next group that writes.
    pub fn arm(&mut self, boundary: Boundary) {
        self.armed = Some(boundary);
    }

    /// The service computes something else from now on.
    pub fn diverge(&mut self) {
        self.skew = 1;
    }

    /// The recording ends in order.
    pub fn stop(&mut self) {
        if let (Some(recorder), true) = (&mut self.recorder, self.replica.is_some()) {
            recorder.on_stop();
        }
    }

    /// Starts the process from its disk.
    pub fn start(&mut self, watch: &mut Watch<'_>) -> Done {
        if self.replica.is_some() {
            return Done::default();
        }
        let image = match self.disk.open() {
            Ok(image) => image,
            Err(error) => {
                self.down = Some(Down::Disk(error));
                return Done::default();
            }
        };
        let (durable, state) = (image.durable.clone(), image.service_state());
        let (params, signer) = (Arc::clone(&self.params), Arc::clone(&self.signer));
        let (replica, effects) = Replica::recover(params, signer, durable, state);
        if let Some(recorder) = &mut self.recorder {
            recorder.on_start(&replica);
        }
        watch.on_start(&replica);
        (self.replica, self.down) = (Some(replica), None);
        let mut group = Group::default();
        let mut done = Done::default();
        for effect in effects {
            self.perform(effect, &mut group, &mut done, watch);
        }
        self.commit(group, &mut done, watch);
        done
    }

    /// Ends the process.
    pub fn crash(&mut self, down: Down, tail: Tail) {
        self.disk.crash(tail);
        (self.replica, self.down) = (None, Some(down));
        self.running.clear();
        self.waiting.clear();
        self.put_off.clear();
        (self.held, self.armed) = (None, None);
    }

    /// A frame from another replica's channel, read and verified as the node does.
    pub fn read(&self, from: ReplicaId, frame: &[u8]) -> Result<Input, Unread> {
        let message = self.limits.decode_message(frame)?;
        let message = verify(&self.params, &*self.verifier, message)?;
        Ok(Input::Message { from, message })
    }

    /// A frame from a client's channel.
    pub fn read_client(&self, client: ClientId, frame: &[u8]) -> Result<Input, Unread> {
        let (len, max) = (frame.len(), self.limits.client_frame());
        if len > max {
            return Err(FrameError::TooLarge { kind: "client frame", len, max }.into());
        }
        let request = match codec::decode(frame).map_err(FrameError::from)? {
            ClientFrame::Request(request) if request.body.client == client => request,
            ClientFrame::Request(request) => {
                return Err(Unread::Refused(Box::new(refused(
                    &request.body,
                    RefusalReason::NotYours,
                ))));
            }
            _ => return Err(Unread::NoRequest),
        };
        let verified =
            verify(&self.params, &*self.verifier, Message::Request(Arc::clone(&request)));
        let message = verified.map_err(|rejection| match RefusalReason::of(&rejection) {
            Some(reason) => Unread::Refused(Box::new(refused(&request.body, reason))),
            None => rejection.into(),
        })?;
        Ok(Input::Request(message))
    }

    /// Handles an input, or keeps it until the disk is ready.
    pub fn input(&mut self, input: Input, watch: &mut Watch<'_>) -> Done {
        if self.replica.is_none() {
            return Done::default();
        }
        if let Input::Timer(timer) = input {
            self.running.remove(&timer);
        }
        self.waiting.push_back(input);
        let mut done = Done::default();
        self.work(&mut done, watch);
        done
    }

    /// The disk is done: what waited for it leaves, and what arrived meanwhile is handled.
    pub fn synced(&mut self, watch: &mut Watch<'_>) -> Done {
        let mut done = Done::default();
        if let Some(held) = self.held.take() {
            self.release(held, None, &mut done, watch);
            self.work(&mut done, watch);
        }
        done
    }

    fn work(&mut self, done: &mut Done, watch: &mut Watch<'_>) {
        while self.held.is_none() && self.replica.is_some() && !self.waiting.is_empty() {
            let mut group = Group::default();
            for _ in 0..GROUP_STEPS_MAX {
                let Some(input) = self.waiting.pop_front() else { break };
                self.step(input, &mut group, done, watch);
                if group.halt.is_some() {
                    break;
                }
            }
            self.commit(group, done, watch);
        }
    }

    /// One input and the completions that follow from it.
    fn step(&mut self, input: Input, group: &mut Group, done: &mut Done, watch: &mut Watch<'_>) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let Some(replica) = &mut self.replica else { return };
            let before = watch.wants_copy().then(|| replica.clone());
            let seen = input.clone();
            let outcome = replica.step(input);
            if let Some(recorder) = &mut self.recorder {
                recorder.on_step(&seen, &outcome, replica);
            }
            watch.on_step(&seen, &outcome, before.as_ref(), replica);
            match outcome {
                Ok(effects) => {
                    for effect in effects {
                        next = self.perform(effect, group, done, watch).or(next);
                    }
                }
                Err(rejection) => group.say_refusal(&seen, &rejection),
            }
        }
    }

    fn perform(
        &mut self,
        effect: Effect,
        group: &mut Group,
        done: &mut Done,
        watch: &mut Watch<'_>,
    ) -> Option<Input> {
        watch.on_effect(&effect);
        match effect {
            Effect::Persist(record) => self.change(Write::Record(record), group),
            Effect::Send { to, message } => group.say(Said::To(to, message)),
            Effect::Broadcast(message) => group.say(Said::All(message)),
            Effect::Execute { seq, requests, checkpoint } => {
                let results = self.execute(seq, &requests, group);
                let replica = self.replica.as_ref()?;
                let image = self.disk.image();
                watch.on_execute(replica, seq, &requests, &results, image.state_fingerprint());
                let chunks = checkpoint.then(|| image.accounts.chunk_ids());
                return Some(Input::Executed { seq, results, chunks });
            }
            Effect::StoreCheckpoint { manifest, replies } => {
                let chunks = self.disk.image().accounts.chunks();
                let chunks = replies.into_iter().chain(chunks).collect();
                self.change(Write::Checkpoint { manifest, chunks }, group);
            }
            Effect::Reply(reply) => group.say(Said::Reply(reply)),
            Effect::SetTimer { timer, after } => {
                self.running.insert(timer, ());
                done.timers.push((timer, Some(after)));
            }
            Effect::CancelTimer(timer) => {
                self.running.remove(&timer);
                done.timers.push((timer, None));
            }
            Effect::ServeState { to, seq, part } => {
                if let Some(bytes) = self.disk.image().part(seq, part) {
                    watch.on_serve(self.replica.as_ref()?, to, bytes.len());
                    let data = StateData { seq, part, bytes };
                    group.say(Said::To(to, Message::StateData(Arc::new(data))));
                }
            }
            Effect::StageChunk { digest, bytes } => {
                self.change(Write::Stage { digest, bytes }, group);
            }
            Effect::RetainStaged { needed } => self.change(Write::RetainStaged(needed), group),
            Effect::Install { manifest } => {
                let seq = manifest.seq;
                self.change(Write::Install { manifest }, group);
                let image = self.disk.image();
                watch.on_install(seq, image.state_fingerprint());
                return Some(Input::Installed { seq, replies: image.replies.clone() });
            }
            Effect::Halt(reason) => group.halt = Some(reason),
        }
        None
    }

    fn change(&mut self, write: Write, group: &mut Group) {
        group.impossible |= !self.disk.image_mut().apply(&write);
        group.writes.push(write);
    }

    fn execute(
        &mut self,
        seq: SeqNum,
        requests: &[Arc<Signed<Request>>],
        group: &mut Group,
    ) -> Vec<Arc<[u8]>> {
        let before = self.disk.image().accounts.clone();
        let mut after = before.clone();
        let results: Vec<_> =
            requests.iter().map(|request| after.execute(&request.body.operation)).collect();
        if self.skew > 0 && !requests.is_empty() {
            after.set(u8::MAX, after.balance(u8::MAX) + u64::from(self.skew));
        }
        let replies = requests.iter().zip(&results).map(|(request, result)| {
            let Request { client, lane, .. } = request.body;
            (client, lane, LastReply::to(&request.body, Arc::clone(result)))
        });
        let write =
            Write::Executed { seq, balances: changed(&before, &after), replies: replies.collect() };
        self.change(write, group);
        results
    }

    /// Makes a group durable, and lets go of what it says. What execution writes is left to the next write, if nothing
    /// else waits for it.
    fn commit(&mut self, mut group: Group, done: &mut Done, watch: &mut Watch<'_>) {
        if let Some(recorder) = &mut self.recorder {
            recorder.on_commit();
        }
        let is_binding = group.is_binding();
        let Says { early, held, must_commit } = group.take_said(is_binding);
        let Group { writes, halt, impossible, .. } = group;
        if impossible {
            self.crash(Down::Disk(DiskError::Corrupt), Tail::Lost);
            return watch.on_impossible_write();
        }
        if !is_binding {
            watch.on_kept();
        }
        self.release_early(early, done, watch);
        self.put_off.extend(writes);
        if !is_binding && !must_commit && halt.is_none() {
            return;
        }
        let writes = std::mem::take(&mut self.put_off);
        if !writes.is_empty() {
            let boundary = self.armed.take();
            if boundary == Some(Boundary::BeforeWrite) {
                return self.crash(Down::Crashed, Tail::Lost);
            }
            if let Err(error) = self.disk.write(&writes) {
                return self.crash(Down::Disk(error), Tail::Lost);
            }
            if let Some(Boundary::Written(tail)) = boundary {
                return self.crash(Down::Crashed, tail);
            }
            if self.slow_disk && halt.is_none() && boundary.is_none() {
                self.held = Some(held);
                return;
            }
            let cut = boundary.map(|boundary| match boundary {
                Boundary::Sent(frames) => frames,
                Boundary::BeforeWrite | Boundary::Written(_) => 0,
            });
            self.release(held, cut, done, watch);
        } else {
            self.release(held, None, done, watch);
        }
        if let Some(reason) = halt {
            watch.on_halt(&reason);
            // With a sync that failed it ends, too, but its disk does not know why.
            if self.replica.is_some() {
                self.stop();
                self.crash(Down::Halted(reason), Tail::Kept);
            }
        }
    }

    /// Says what depends on no write of its group. What is said for the first time must be on the disk already.
    fn release_early(&mut self, said: Vec<Said>, done: &mut Done, watch: &mut Watch<'_>) {
        let durable = said.iter().any(|one| watch.is_news(one)).then(|| self.disk.durable_image());
        for one in &said {
            watch.on_said(one, durable.as_ref().unwrap_or(self.disk.image()));
        }
        done.said.extend(said);
    }

    /// Syncs, and says. With `cut` only so many frames leave, and the process ends.
    fn release(
        &mut self,
        said: Vec<Said>,
        cut: Option<u8>,
        done: &mut Done,
        watch: &mut Watch<'_>,
    ) {
        if self.disk.is_writing()
            && let Err(error) = self.disk.sync()
        {
            // What is on the disk now is not known to the process; here it is nothing of the write.
            return self.crash(Down::Disk(error), Tail::Lost);
        }
        watch.on_kept();
        for one in &said {
            watch.on_said(one, self.disk.image());
        }
        done.said.extend(said);
        if cut.is_some() {
            done.cut = cut;
            self.crash(Down::Crashed, Tail::Kept);
        }
    }
}

/// Accounts whose balance is another one now.
fn changed(before: &Accounts, after: &Accounts) -> Vec<(u8, u64)> {
    let gone = before.iter().filter(|(account, _)| after.balance(*account) == 0);
    let gone = gone.map(|(account, _)| (account, 0));
    after
        .iter()
        .filter(|(account, balance)| before.balance(*account) != *balance)
        .chain(gone)
        .collect()
}
