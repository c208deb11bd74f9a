//! A disk without space: the replica says nothing until there is some, and then goes on by itself.

use super::{Driver, DriverError, Evidence, refusable, refused};
use crate::blocking::blocking;
use crate::codec;
use crate::frame::{RefusalReason, ReplicaFrame};
use crate::inbox::Event;
use crate::store::StoreError;
use crate::timers::Timers;
use bytes::Bytes;
use pbft_core::surplus::Surplus;
use pbft_core::{Position, Replica, Standing};
use std::sync::Arc;
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
        self.meter.on_standing(Standing::NoSpace);
        loop {
            self.meter.metrics().disk_full.increment();
            if !self.shed_load(SPACE_RETRY).await? {
                return Ok(false);
            }
            let reopened = self.queues.at_disk.clone().during(|| blocking(|| self.store.reopen()));
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
            let request = refusable(&input);
            let refused = request.map(|request| refused(&request.body, RefusalReason::Overloaded));
            if let Some(Ok(refused)) = refused {
                refused.release(&mut *self.network);
                self.network.flush();
            }
        }
    }

    /// Builds the replica anew from the store.
    fn restart(&mut self) -> Result<(), DriverError> {
        let (durable, service) = (self.store.durable().clone(), self.store.service_state()?);
        let params = Arc::clone(&self.performer.params);
        let signer = Arc::clone(&self.signer);
        (self.replica, self.recovered) = Replica::recover(params, signer, durable, service);
        self.performer.timers = Timers::default();
        // It may need again what it had before.
        *self.queues.surplus.lock() = Surplus::new(&self.replica);
        self.state_digest = None;
        self.evidence = Evidence::load(&self.store, self.meter.metrics())?;
        if let Some(observer) = &mut self.observer {
            observer.on_start(&self.replica);
        }
        self.meter.metrics().store_openings.set(self.store.incarnation());
        self.meter.on_restart(&self.replica);
        self.queues.position.set(self.replica.position());
        Ok(())
    }
}
