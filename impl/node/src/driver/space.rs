//! A disk without space: the replica says nothing until there is some, and then goes on by itself.

use super::{Driver, DriverError};
use crate::blocking::blocking;
use crate::codec;
use crate::frame::ReplicaFrame;
use crate::inbox::Event;
use crate::network::release;
use crate::service::Service;
use crate::store::{Store, StoreError};
use crate::timers::Timers;
use bytes::Bytes;
use pbft_core::{Position, Standing};
use pbft_host::Host;
use std::time::Duration;

/// How long to wait before a full disk is tried again.
const SPACE_RETRY: Duration = Duration::from_secs(1);

impl Driver {
    /// The disk is full, so nothing can be voted for. Waits until the store can be written again, and goes on from
    /// what it says: a crash and a restart, which are no step of the protocol. `false` if it was stopped meanwhile.
    pub(super) async fn wait_for_space(&mut self, error: &StoreError) -> Result<bool, DriverError> {
        tracing::error!(
            "the disk is full, so this replica does not vote until there is space: {error}"
        );
        let position = self.queues.position.get();
        self.queues.position.set(Position { standing: Standing::NoSpace, ..position });
        self.watch.meter.on_standing(Standing::NoSpace);
        loop {
            self.watch.meter.metrics().disk_full.increment();
            if !self.shed_load(SPACE_RETRY).await? {
                return Ok(false);
            }
            let store = self.host.disk_mut();
            let reopened = self.queues.at_disk.during(|| blocking(|| store.reopen()));
            match reopened {
                Ok(()) => break,
                Err(error) if error.is_full() => {}
                // A query still reads what it began to read.
                Err(StoreError::Locked { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        tracing::info!("there is space on the disk again");
        self.restart()?;
        Ok(true)
    }

    /// Takes what arrives and does nothing about it but to say so; `false` if that is to stop.
    async fn shed_load(&mut self, how_long: Duration) -> Result<bool, DriverError> {
        let until = tokio::time::Instant::now() + how_long;
        loop {
            let event = tokio::select! {
                biased;
                _ = self.queues.stop.wait_for(|stop| *stop) => return Ok(false),
                () = tokio::time::sleep_until(until) => return Ok(true),
                Some(event) = self.queues.peers.recv() => event,
                Some(event) = self.queues.clients.recv() => event,
            };
            let input = match event {
                Event::Input(input) => input,
                Event::Status(client) => {
                    let frame = codec::encode(&ReplicaFrame::Status(self.report_without_space()))?;
                    self.network.reply(client, Bytes::from(frame));
                    self.network.flush();
                    continue;
                }
                Event::Report(asked) => {
                    // Whoever asked may have stopped waiting, here and below.
                    let _ = asked.send(self.report_without_space());
                    continue;
                }
                Event::Ping(alive) => {
                    let _ = alive.send(());
                    continue;
                }
                // Whoever asked sees that there is no answer.
                Event::Suspect(_) => continue,
                Event::Barrier(done) => {
                    let _ = done.send(());
                    continue;
                }
            };
            if let Some(refused) = Host::<Store, Box<dyn Service>>::shed(&input)? {
                release(refused, &mut *self.network);
                self.network.flush();
            }
        }
    }

    /// Builds the replica anew from the store.
    fn restart(&mut self) -> Result<(), DriverError> {
        self.host.restart()?;
        self.timers = Timers::default();
        self.state_digest = None;
        let replica = self.host.replica();
        if let Some(observer) = &mut self.watch.observer {
            observer.on_start(replica);
        }
        self.watch.meter.on_restart(replica);
        self.queues.position.set(replica.position());
        self.count_what_the_store_keeps()
    }
}
