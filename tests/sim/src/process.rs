//! One replica's process: the production host with a simulated disk, clock and wire around it.
//!
//! Frames go through the host's own door and inputs through the host itself, as in the node; what is simulated is the
//! disk below it and who calls it when. Each event is a group of its own, but for those that wait while the disk works.
//! Steps are recorded by the node's own recorder, where the node records them: before the group is durable.

use super::bank::Bank;
use super::disk::{Disk, DiskError, Tail};
use super::event::Boundary;
use super::memory::Memory;
use super::sight::Sight;
use super::watch::Watch;
use core::time::Duration;
use pbft_core::crypto::{Signer, Verifier, verify};
use pbft_core::types::{ClientId, ReplicaId};
use pbft_core::{HaltReason, Input, Params, Replica};
use pbft_host::frame::ClientFrame;
use pbft_host::{
    Admitted, Alarm, Disk as _, Door, Ended, GROUP_STEPS_MAX, Host, HostError, Outgoing, Parts,
    Unread,
};
use pbft_node::driver::Observer as _;
use pbft_node::trace::Recorder;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// Why a process does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Down {
    /// It was ended from outside.
    Crashed,
    /// It ended itself, or refused to start, because of its disk.
    Disk(DiskError),
    /// The core stopped it.
    Halted(HaltReason),
    /// It ended itself for another reason, which no correct replica has.
    Failed(String),
}

/// What a process did with an event.
#[derive(Debug, Default)]
pub struct Done {
    /// What left it, in order.
    pub said: Vec<Outgoing>,
    /// Timers that were set, or stopped.
    pub timers: Vec<(Alarm, Option<Duration>)>,
    /// The most frames that may leave before the process ends.
    pub cut: Option<u8>,
}

/// What waits for the host.
#[derive(Debug)]
enum Waiting {
    Input(Input),
    Alarm(Alarm),
}

/// The host with what is lost when the process ends.
struct Running {
    host: Host<Disk, Bank>,
    door: Door,
    alarms: BTreeSet<Alarm>,
    waiting: VecDeque<Waiting>,
    /// Whether a slow disk works on what was written.
    is_writing: bool,
}

enum Phase {
    Up(Box<Running>),
    Down(Box<Disk>, Down),
}

/// A replica's process.
pub struct Process {
    /// Which replica it is.
    pub id: ReplicaId,
    params: Arc<Params>,
    signer: Arc<dyn Signer>,
    verifier: Arc<dyn Verifier>,
    recorder: Option<Recorder<Memory>>,
    phase: Phase,
    slow_disk: bool,
    armed: Option<Boundary>,
    bank: Bank,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process")
            .field("id", &self.id)
            .field("down", &self.down())
            .finish_non_exhaustive()
    }
}

impl Process {
    /// A process that was never started. With `file` its steps are recorded there.
    #[must_use]
    pub fn new(
        params: Arc<Params>,
        (signer, verifier): (Arc<dyn Signer>, Arc<dyn Verifier>),
        disk: Disk,
        file: Option<Memory>,
    ) -> Self {
        Self {
            id: params.replica,
            params,
            signer,
            verifier,
            recorder: file.map(Recorder::new),
            phase: Phase::Down(Box::new(disk), Down::Crashed),
            slow_disk: false,
            armed: None,
            bank: Bank::default(),
        }
    }

    fn running(&self) -> Option<&Running> {
        match &self.phase {
            Phase::Up(running) => Some(running),
            Phase::Down(..) => None,
        }
    }

    /// The replica, while the process runs.
    #[must_use]
    pub fn replica(&self) -> Option<&Replica> {
        self.running().map(|running| running.host.replica())
    }

    /// Why it does not run; `None` while it does.
    #[must_use]
    pub fn down(&self) -> Option<&Down> {
        match &self.phase {
            Phase::Up(_) => None,
            Phase::Down(_, down) => Some(down),
        }
    }

    /// The replica's parameters.
    #[must_use]
    pub fn params(&self) -> &Arc<Params> {
        &self.params
    }

    /// Its disk.
    #[must_use]
    pub fn disk(&self) -> &Disk {
        match &self.phase {
            Phase::Up(running) => running.host.disk(),
            Phase::Down(disk, _) => disk,
        }
    }

    /// Its disk, to be broken.
    pub fn disk_mut(&mut self) -> &mut Disk {
        match &mut self.phase {
            Phase::Up(running) => running.host.disk_mut(),
            Phase::Down(disk, _) => disk,
        }
    }

    /// Whether a timer runs.
    #[must_use]
    pub fn is_running(&self, alarm: Alarm) -> bool {
        self.running().is_some_and(|running| running.alarms.contains(&alarm))
    }

    /// Whether it waits for its disk.
    #[must_use]
    pub fn is_writing(&self) -> bool {
        self.running().is_some_and(|running| running.is_writing)
    }

    /// Whether its disk has everything that it knows.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.running().is_some_and(|up| !up.is_writing && !up.host.disk().is_behind())
    }

    /// Inputs that wait for the disk.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.running().map_or(0, |running| running.waiting.len())
    }

    /// How many votes are set aside, for nothing needs them.
    #[must_use]
    pub fn votes_set_aside(&self) -> usize {
        self.running().map_or(0, |running| running.door.votes_set_aside())
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
        self.bank.skew = 1;
        if let Phase::Up(running) = &mut self.phase {
            *running.host.service_mut() = self.bank;
        }
    }

    /// The recording ends in order.
    pub fn stop(&mut self) {
        if let (Some(recorder), Phase::Up(_)) = (&mut self.recorder, &self.phase) {
            recorder.on_stop();
        }
    }

    /// Starts the process from its disk.
    pub fn start(&mut self, watch: &mut Watch<'_>) -> Done {
        let mut done = Done::default();
        let Phase::Down(disk, down) = &mut self.phase else { return done };
        if let Err(error) = disk.open() {
            *down = Down::Disk(error);
            return done;
        }
        let (params, signer) = (Arc::clone(&self.params), Arc::clone(&self.signer));
        let parts = Parts { params, signer, disk: std::mem::take(&mut **disk), service: self.bank };
        let Ok(host) = Host::open(parts) else {
            unreachable!("a disk that was read says what is on it");
        };
        if let Some(reason) = host.halt().cloned() {
            self.phase = Phase::Down(Box::new(host.into_disk()), Down::Halted(reason));
            return done;
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.on_start(host.replica());
        }
        watch.on_start(host.replica());
        let door = Door::new(Arc::clone(&self.params), Arc::clone(&self.verifier), host.surplus());
        let (alarms, waiting) = (BTreeSet::new(), VecDeque::new());
        let running = Running { host, door, alarms, waiting, is_writing: false };
        self.phase = Phase::Up(Box::new(running));
        self.group(&mut done, watch, |host, sight| host.resume(sight));
        done
    }

    /// Ends the process.
    pub fn crash(&mut self, down: Down, tail: Tail) {
        self.armed = None;
        let placeholder = Phase::Down(Box::default(), Down::Crashed);
        let mut disk = match std::mem::replace(&mut self.phase, placeholder) {
            Phase::Up(running) => Box::new(running.host.into_disk()),
            Phase::Down(disk, _) => disk,
        };
        disk.crash(tail);
        self.phase = Phase::Down(disk, down);
    }

    /// A frame from another replica's channel. A process that is down reads nothing.
    pub fn read(&self, from: ReplicaId, frame: &[u8]) -> Result<Admitted, Unread> {
        match self.running() {
            Some(running) => running.door.peer_frame(from, frame),
            None => Ok(Admitted::SetAside),
        }
    }

    /// The same, of one that wants to hear everything: nothing is sifted.
    pub fn overhear(&self, from: ReplicaId, frame: &[u8]) -> Result<Admitted, Unread> {
        let Some(running) = self.running() else { return Ok(Admitted::SetAside) };
        let message = running.door.limits().decode_message(frame)?;
        let message = verify(&self.params, &*self.verifier, message)?;
        Ok(Admitted::One(Input::Message { from, message }))
    }

    /// A frame from a client's channel. Only requests are for the host.
    pub fn read_client(&self, client: ClientId, frame: &[u8]) -> Result<Admitted, Unread> {
        let Some(running) = self.running() else { return Ok(Admitted::SetAside) };
        match running.door.client_frame(client, frame)? {
            ClientFrame::Request(request) => Ok(Admitted::One(running.door.request(&request)?)),
            ClientFrame::StatusRequest | ClientFrame::Query { .. } => Ok(Admitted::SetAside),
        }
    }

    /// Handles an input, or keeps it until the disk is ready.
    pub fn input(&mut self, input: Input, watch: &mut Watch<'_>) -> Done {
        self.take(Waiting::Input(input), watch)
    }

    /// A timer runs out.
    pub fn alarm(&mut self, alarm: Alarm, watch: &mut Watch<'_>) -> Done {
        if let Phase::Up(running) = &mut self.phase {
            running.alarms.remove(&alarm);
        }
        self.take(Waiting::Alarm(alarm), watch)
    }

    fn take(&mut self, what: Waiting, watch: &mut Watch<'_>) -> Done {
        let mut done = Done::default();
        if let Phase::Up(running) = &mut self.phase {
            running.waiting.push_back(what);
            self.work(&mut done, watch);
        }
        done
    }

    /// The disk is done: what waited for it leaves, and what arrived meanwhile is handled.
    pub fn synced(&mut self, watch: &mut Watch<'_>) -> Done {
        let mut done = Done::default();
        if self.is_writing() {
            self.sync(None, &mut done, watch);
            self.work(&mut done, watch);
        }
        done
    }

    fn work(&mut self, done: &mut Done, watch: &mut Watch<'_>) {
        while let Phase::Up(running) = &mut self.phase
            && !running.is_writing
            && !running.waiting.is_empty()
        {
            let many = running.waiting.len().min(GROUP_STEPS_MAX);
            let group: Vec<Waiting> = running.waiting.drain(..many).collect();
            self.group(done, watch, |host, sight| {
                for what in group {
                    match what {
                        Waiting::Input(input) => host.step(input, sight)?,
                        Waiting::Alarm(alarm) => host.alarm(alarm, sight)?,
                    }
                    if host.halt().is_some() {
                        break;
                    }
                }
                Ok(())
            });
        }
    }

    /// Lets the host make a group of steps, and takes further what comes of them.
    fn group(
        &mut self,
        done: &mut Done,
        watch: &mut Watch<'_>,
        steps: impl FnOnce(
            &mut Host<Disk, Bank>,
            &mut Sight<'_, '_>,
        ) -> Result<(), HostError<DiskError>>,
    ) {
        let Phase::Up(running) = &mut self.phase else { return };
        let mut sight = Sight::new(watch, self.recorder.as_mut());
        let made = steps(&mut running.host, &mut sight);
        let contradictions = sight.contradictions;
        if let Some(recorder) = &mut self.recorder {
            recorder.on_commit();
        }
        if let Err(error) = made {
            return self.fail(error, watch);
        }
        let Ended { early, must_commit, .. } = running.host.end_group(false);
        running.note_timers(done);
        watch.on_evidence_owed(&contradictions, running.host.disk().image());
        watch.on_group(running.host.disk().is_behind(), must_commit, early.len() as u64);
        if !early.is_empty() {
            let news = early.iter().any(|one| watch.is_news(&one.said));
            let disk = running.host.disk();
            let durable = news.then(|| disk.durable_image());
            watch.on_kept();
            for one in &early {
                watch.on_said(&one.said, durable.as_ref().unwrap_or(disk.image()));
            }
            done.said.extend(early);
        }
        match must_commit {
            true => self.commit(done, watch),
            false => self.release(None, done, watch),
        }
    }

    /// Makes a group durable, and lets go of what it says.
    fn commit(&mut self, done: &mut Done, watch: &mut Watch<'_>) {
        let Phase::Up(running) = &mut self.phase else { return };
        let boundary = self.armed.take();
        if boundary == Some(Boundary::BeforeWrite) {
            return self.crash(Down::Crashed, Tail::Lost);
        }
        let committed = running.host.commit();
        running.note_timers(done);
        if let Err(error) = committed {
            return self.fail(error, watch);
        }
        if let Some(Boundary::Written(tail)) = boundary {
            return self.crash(Down::Crashed, tail);
        }
        running.is_writing = self.slow_disk && running.host.halt().is_none() && boundary.is_none();
        if !running.is_writing {
            let cut = boundary.map(|boundary| match boundary {
                Boundary::Sent(frames) => frames,
                Boundary::BeforeWrite | Boundary::Written(_) => 0,
            });
            self.sync(cut, done, watch);
        }
    }

    /// Syncs what was committed, and lets go of what waits for that.
    fn sync(&mut self, cut: Option<u8>, done: &mut Done, watch: &mut Watch<'_>) {
        let Phase::Up(running) = &mut self.phase else { return };
        running.is_writing = false;
        if let Err(error) = running.host.disk_mut().sync() {
            // What is on the disk now is not known to the process; here it is nothing of the write.
            return self.crash(Down::Disk(error), Tail::Lost);
        }
        watch.on_kept();
        self.release(cut, done, watch);
    }

    /// Lets go of what waited. With `cut` only so many frames leave, and the process ends.
    fn release(&mut self, cut: Option<u8>, done: &mut Done, watch: &mut Watch<'_>) {
        let Phase::Up(running) = &mut self.phase else { return };
        let said = running.host.release();
        if !said.is_empty() {
            let relied_on = running.host.disk().relied_on();
            said.iter().for_each(|one| watch.on_said(&one.said, &relied_on));
        }
        done.said.extend(said);
        let halt = running.host.halt().cloned();
        if let Some(reason) = halt {
            watch.on_halt(&reason);
            self.stop();
            self.crash(Down::Halted(reason), Tail::Kept);
        } else if cut.is_some() {
            done.cut = cut;
            self.crash(Down::Crashed, Tail::Kept);
        }
    }

    /// The host cannot go on.
    fn fail(&mut self, error: HostError<DiskError>, watch: &mut Watch<'_>) {
        let down = match error {
            HostError::Disk(DiskError::Impossible) => {
                watch.on_impossible_write();
                Down::Disk(DiskError::Corrupt)
            }
            // It ends, but its disk does not know why.
            HostError::Disk(error) => Down::Disk(error),
            HostError::HaltedUnrecorded { error, .. } => Down::Disk(*error),
            HostError::Completion(_) | HostError::Codec(_) | HostError::ServicePanicked(_) => {
                watch.on_failure(&error);
                Down::Failed(error.to_string())
            }
        };
        self.crash(down, Tail::Lost);
    }
}

impl Running {
    /// Passes on which timers were set, and which stopped.
    fn note_timers(&mut self, done: &mut Done) {
        for (alarm, after) in self.host.take_timers() {
            match after {
                Some(_) => self.alarms.insert(alarm),
                None => self.alarms.remove(&alarm),
            };
            done.timers.push((alarm, after));
        }
    }
}
