//! The dictionary: what the model's numbers are in the core, for one configuration.
//!
//! | model | core |
//! |---|---|
//! | `Value::numbered(c, t)` | the batch of client c's t-th request: lane 0, timestamp t, an operation of its own |
//! | `Value::NULL` | the null batch |
//! | `Value::FORGED` | a batch whose request no client signed |
//! | `StateDigest` | the digest of the manifest of reply table and history |
//! | the Byzantine replica's messages | messages signed with its key, made here |

use crate::refinement::keys::Keys;
use crate::refinement::layout::{self, Signable};
use crate::refinement::service;
use pbft_core::crypto::{Verified, verify};
use pbft_core::message::{Batch, Message, Request, Signed};
use pbft_core::types::{
    ClientId, Digest, Lane, Principal, ReplicaId, SeqNum, Session, Signature, Timestamp, View,
};
use pbft_core::{Membership, Params, Rejection};
use pbft_model as model;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Reads a configuration's name, and refuses what cannot be replayed. The core has no parameters for a window of less
/// than two checkpoint intervals. Crashes are no steps of a replay: they are injected between steps.
pub fn replayable(name: &str) -> Result<model::Config, String> {
    let config: model::Config =
        name.parse().map_err(|error: model::ConfigError| error.to_string())?;
    let (window, interval) = (config.window(), config.checkpoint_interval().unwrap_or(1));
    if config.restarts() {
        return Err(format!(
            "`{name}`: crashes are injected between the steps of a replay; leave `-r` out"
        ));
    }
    if config.operations() > 1 {
        return Err(format!(
            "`{name}`: a replay has one request for each timestamp; leave `-o` out"
        ));
    }
    let fits = config.checkpoint_interval().is_none()
        || (window.is_multiple_of(interval) && window >= 2 * interval);
    match fits {
        true => Ok(config),
        false => Err(format!(
            "window l{window} must be a multiple of the checkpoint interval k{interval}, and at least twice it"
        )),
    }
}

/// The checkpoint interval that stands for "no checkpoint within the model's slots".
const NO_CHECKPOINTS: u64 = 1000;

/// The dictionary of one configuration.
pub struct Vocabulary {
    /// The model's bounds.
    pub config: model::Config,
    /// The keys of all replicas and clients.
    pub keys: Arc<dyn Keys>,
    params: Vec<Arc<Params>>,
    requests: BTreeMap<model::Value, Arc<Signed<Request>>>,
    batches: BTreeMap<model::Value, (Digest, Arc<Batch>)>,
    values: BTreeMap<Digest, model::Value>,
}

impl Vocabulary {
    /// The dictionary of `config`, its messages signed by `keys`.
    pub fn new(config: model::Config, keys: Arc<dyn Keys>) -> Self {
        Self::with_params(config, keys, |_| {})
    }

    /// The same, with the core's parameters adjusted.
    #[allow(clippy::expect_used)]
    pub fn with_params(
        config: model::Config,
        keys: Arc<dyn Keys>,
        adjust: impl Fn(&mut Params),
    ) -> Self {
        let cluster = Digest([7; 32]);
        let membership =
            Membership::new(u32::from(config.replicas())).expect("a model has 4 to 7 replicas");
        let interval = config.checkpoint_interval().map(u64::from);
        let params = membership.replicas().map(|replica| {
            let mut params = Params::new(replica, membership, cluster);
            params.checkpoint_interval = interval.unwrap_or(NO_CHECKPOINTS);
            params.window = interval.map_or(2 * NO_CHECKPOINTS, |_| u64::from(config.window()));
            params.pipeline = params.window;
            params.batch_requests_max = 1;
            adjust(&mut params);
            params.validate().expect("the model's bounds are valid parameters");
            Arc::new(params)
        });
        let mut vocabulary = Self {
            config,
            params: params.collect(),
            requests: BTreeMap::new(),
            batches: BTreeMap::new(),
            values: BTreeMap::new(),
            keys,
        };
        for value in model::Pbft::new(config).requests() {
            let request = vocabulary.make_request(value.client().unwrap_or(1), value.number());
            vocabulary.requests.insert(value, Arc::new(request.clone()));
            vocabulary.define(value, Batch { requests: vec![request] });
        }
        let mut forged = vocabulary.make_request(1, config.timestamps());
        forged.body.timestamp.0 += 1;
        vocabulary.define(model::Value::FORGED, Batch { requests: vec![forged] });
        vocabulary.define(model::Value::NULL, Batch::default());
        vocabulary
    }

    fn make_request(&self, client: u8, timestamp: u8) -> Signed<Request> {
        let id = ClientId(u32::from(client));
        let operation = service::operation(client, timestamp);
        let body = Request {
            client: id,
            lane: Lane(0),
            timestamp: Timestamp(u64::from(timestamp)),
            session: Session::default(),
            operation,
        };
        self.sign(body)
    }

    fn define(&mut self, value: model::Value, batch: Batch) {
        let digest = layout::batch_digest(&batch);
        self.values.insert(digest, value);
        self.batches.insert(value, (digest, Arc::new(batch)));
    }

    /// The cluster id.
    pub fn cluster(&self) -> Digest {
        self.params[0].cluster
    }

    /// The core's parameters of a replica.
    pub fn params(&self, replica: model::ReplicaId) -> &Arc<Params> {
        &self.params[replica.index()]
    }

    /// The replicas, as the core numbers them.
    pub fn membership(&self) -> Membership {
        self.params[0].membership
    }

    /// Votes that make a quorum. Like the two below, it is the model's number: were the code asked how many votes it needs,
    /// it would be given what it wants.
    pub fn quorum(&self) -> usize {
        usize::from(self.config.quorums().quorum)
    }

    /// PREPAREs that prepare beside the PRE-PREPARE.
    pub fn prepares(&self) -> usize {
        self.quorum() - 1
    }

    /// Replicas of which one is correct.
    pub fn weak(&self) -> usize {
        usize::from(self.config.quorums().weak)
    }

    /// The signed request of a value; `None` for values that no client signs.
    pub fn request(&self, value: model::Value) -> Option<&Arc<Signed<Request>>> {
        self.requests.get(&value)
    }

    /// The batch of a value.
    pub fn batch(&self, value: model::Value) -> Arc<Batch> {
        Arc::clone(&self.batches[&value].1)
    }

    /// The digest of a value.
    pub fn digest(&self, value: model::Value) -> Digest {
        self.batches[&value].0
    }

    /// The value with a digest.
    pub fn value(&self, digest: Digest) -> Option<model::Value> {
        self.values.get(&digest).copied()
    }

    /// Signs as whoever the body names.
    pub fn sign<B: Signable>(&self, body: B) -> Signed<B> {
        let signature = self.seal(body.signer(), &body);
        Signed { body, signature }
    }

    /// Signs as a replica: the Byzantine one, or, for probes, one whose key was stolen.
    pub fn sign_as<B: Signable>(&self, replica: model::ReplicaId, body: B) -> Signed<B> {
        let signature = self.seal(Principal::Replica(replica_id(replica)), &body);
        Signed { body, signature }
    }

    /// Somebody's signature of a body, whomever that names.
    pub fn seal<B: Signable>(&self, principal: Principal, body: &B) -> Signature {
        self.keys.seal(principal, &layout::statement(self.cluster(), body))
    }

    /// Checks a message's signatures as the production node does.
    pub fn verify(&self, message: Message) -> Result<Verified<Message>, Rejection> {
        verify(&self.params[0], &*self.keys.verifier(), message)
    }

    /// The reply table of a model state: of each client the request that was applied last.
    fn replies(&self, state: &model::StateDigest) -> Vec<layout::Reply> {
        let is_last = |position: usize, value: model::Value| {
            let mut later = state.applied.iter().skip(position + 1);
            !later.any(|later| later.client() == value.client())
        };
        let applied = state.applied.iter().enumerate();
        let applied = applied.filter(|&(position, value)| is_last(position, value));
        let replies = applied.filter_map(|(position, value)| {
            let body = &self.request(value)?.body;
            let (client, lane, timestamp) = (body.client, body.lane, body.timestamp);
            let request = layout::request_digest(body);
            let result = service::result(position).to_vec();
            Some(layout::Reply { client, lane, timestamp, request, result })
        });
        replies.collect()
    }

    /// A model state at a slot: its manifest, and the chunks that this names.
    pub fn state(&self, slot: model::Slot, state: &model::StateDigest) -> layout::State {
        let history: Vec<_> = state.applied.iter().collect();
        layout::State::new(seq(slot), self.replies(state), service::chunks(&history))
    }
}

/// A model replica in the core.
pub fn replica_id(replica: model::ReplicaId) -> ReplicaId {
    ReplicaId(u32::from(replica.0))
}

/// A model view in the core.
pub fn view(view: model::View) -> View {
    View(u64::from(view.0))
}

/// A model slot in the core.
pub fn seq(slot: model::Slot) -> SeqNum {
    SeqNum(u64::from(slot.0))
}

/// A core view in the model; `None` beyond the model's bounds.
pub fn model_view(view: View) -> Option<model::View> {
    let small = u8::try_from(view.0).ok()?;
    (usize::from(small) < model::MAX_VIEWS).then_some(model::View(small))
}

/// A core sequence number in the model; `None` beyond the model's bounds.
pub fn model_slot(seq: SeqNum) -> Option<model::Slot> {
    let small = u8::try_from(seq.0).ok()?;
    (usize::from(small) <= model::MAX_SLOTS).then_some(model::Slot(small))
}
