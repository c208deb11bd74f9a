//! The replicas of a replay and their network.

use super::host::CoreHost;
use crate::divergence::{Difference, Kind};
use crate::refinement::action::Delivery;
use crate::refinement::network::Network;
use crate::refinement::vocabulary::Vocabulary;
use crate::signpost::Fact;
use pbft_core::Rejection;
use pbft_model as model;
use std::sync::Arc;

/// The replicas of a replay, and the network between them. Cheap to clone.
#[derive(Clone)]
pub struct World {
    hosts: Vec<Arc<CoreHost>>,
    /// What honest replicas have sent.
    pub network: Network,
}

impl World {
    /// Everybody at the start.
    pub fn new(vocabulary: &Vocabulary) -> Self {
        let replicas = vocabulary.config.replicas();
        let hosts =
            (0..replicas).map(|id| Arc::new(CoreHost::new(vocabulary, model::ReplicaId(id))));
        Self { hosts: hosts.collect(), network: Network::new(replicas) }
    }

    /// A replica.
    pub fn host(&self, replica: model::ReplicaId) -> &CoreHost {
        &self.hosts[replica.index()]
    }

    /// Puts a replica in its place.
    pub fn set_host(&mut self, replica: model::ReplicaId, host: CoreHost) {
        self.hosts[replica.index()] = Arc::new(host);
    }
}

/// A delivery in words.
pub fn describe(delivery: &Delivery) -> String {
    match delivery {
        Delivery::Client(message) => format!("{} of a client", message.kind()),
        Delivery::Message { from, message } => format!("{} from {from}", message.kind()),
        Delivery::Timer(timer) => format!("timer {timer:?}"),
        Delivery::Suspect => "suspicion".to_owned(),
    }
}

/// The code refused what it must take.
pub(crate) fn refused(delivery: &Delivery, rejection: &Rejection) -> Difference {
    let what = format!("refused {}: {rejection}", describe(delivery));
    let diff = vec!["- accepted".to_owned(), format!("+ {rejection:?}")];
    let difference = Difference::new(Kind::Refused, what).with_diff(diff);
    difference.with(Fact::Refused(rejection.kind())).at(delivery)
}
