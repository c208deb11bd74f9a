//! What the honest replicas of a replay have sent: the model's monotone network, with the concrete messages.

use crate::refinement::message::Sent;
use pbft_core::message::{Checkpoint, Message, Signed, ViewChange};
use pbft_model as model;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The messages of all honest replicas. Cheap to clone: each replica's are shared until it sends more.
#[derive(Clone, Debug, Default)]
pub struct Network {
    sent: Vec<Arc<BTreeMap<Sent, Message>>>,
}

impl Network {
    /// Nothing sent yet.
    pub fn new(replicas: u8) -> Self {
        Self { sent: vec![Arc::default(); usize::from(replicas)] }
    }

    /// Adds messages of a replica.
    pub fn add(&mut self, replica: model::ReplicaId, messages: Vec<(Sent, Message)>) {
        if !messages.is_empty() {
            Arc::make_mut(&mut self.sent[replica.index()]).extend(messages);
        }
    }

    /// A replica's message.
    pub fn get(&self, replica: model::ReplicaId, sent: &Sent) -> Option<&Message> {
        self.sent[replica.index()].get(sent)
    }

    /// All that a replica has sent.
    pub fn of(&self, replica: model::ReplicaId) -> impl Iterator<Item = (&Sent, &Message)> {
        self.sent[replica.index()].iter()
    }

    /// A replica's VIEW-CHANGE for a view.
    pub fn view_change(
        &self,
        replica: model::ReplicaId,
        view: model::View,
    ) -> Option<Arc<Signed<ViewChange>>> {
        self.sent[replica.index()].iter().find_map(|(sent, message)| match (sent, message) {
            (Sent::ViewChange(of, _), Message::ViewChange(found)) if *of == view => {
                Some(Arc::clone(found))
            }
            _ => None,
        })
    }

    /// The states that CHECKPOINTs at `slot` tell of.
    pub fn checkpoint_states(&self, slot: model::Slot) -> Vec<model::StateDigest> {
        let sent = self.sent.iter().flat_map(|sent| sent.keys());
        let at_slot = sent.filter_map(|sent| match sent {
            Sent::Checkpoint(at, state) if *at == slot => Some(*state),
            _ => None,
        });
        at_slot.collect()
    }

    /// Whether a replica has sent this very CHECKPOINT.
    pub fn has_checkpoint(&self, replica: model::ReplicaId, vote: &Signed<Checkpoint>) -> bool {
        let of_replica = self.sent[replica.index()].values();
        let mut votes = of_replica.filter_map(|message| match message {
            Message::Checkpoint(sent) => Some(sent),
            _ => None,
        });
        votes.any(|sent| sent == vote)
    }

    /// How many messages a replica has sent.
    pub fn count(&self, replica: model::ReplicaId) -> usize {
        self.sent[replica.index()].len()
    }
}
