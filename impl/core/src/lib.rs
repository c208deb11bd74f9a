//! Practical Byzantine Fault Tolerance (Castro and Liskov, OSDI'99, with signatures) as a pure state machine.
//!
//! # What the protocol does
//!
//! n replicas run the same deterministic service. Up to f = ⌊(n−1)/3⌋ of them may do anything at all; the others must
//! apply the same requests in the same order, and go on doing so. The numbers live in [`Membership`].
//!
//! *Normal case* (§4.2). In each view one replica, the primary, gives batches of requests consecutive sequence numbers
//! and says so in PRE-PREPARE. A backup that accepts it answers all with PREPARE. A replica that has the pre-prepare and
//! q−1 PREPAREs of different backups has *prepared* the batch: no other batch can prepare at that number in that view. It
//! says so with COMMIT, and q of these make the batch final. Batches are executed in order, each request once.
//!
//! *Checkpoints* (§4.3). After every K batches each replica signs the digest of its state. q equal ones are a proof:
//! what lies at or below it is forgotten, and the window (h, H] of numbers in use moves up. A replica that has fallen
//! below the window fetches the state, and checks every byte of it against the proof.
//!
//! *View change* (§4.4). Each replica has a timer for the request that waits longest. When it runs out, the replica votes
//! in the view no more and tells all what has prepared. With q such messages the next primary computes what must be
//! ordered again (for every number the certificate of the highest view; null where there is none), and everybody else
//! computes it, too, before they follow. Timers double while nothing is executed, and are halved
//! at a checkpoint without a suspicion.
//!
//! # An example
//!
//! Four replicas in memory agree on one operation and execute it. The signatures are a hash that anybody could compute; a
//! real caller brings keys.
//!
//! ```
//! use pbft_core::crypto::{Signer, Statement, Verifier, sign, verify};
//! use pbft_core::message::{Message, Request};
//! use pbft_core::types::{ClientId, Digest, Lane, Principal, ReplicaId, Session, Signature, Timestamp};
//! use pbft_core::{Durable, Effect, Input, Membership, Params, Replica, ServiceState};
//! use std::collections::VecDeque;
//! use std::sync::Arc;
//!
//! struct Toy;
//!
//! impl Signer for Toy {
//!     fn sign(&self, statement: &Statement<'_>) -> Signature {
//!         let mut signature = Signature::default();
//!         let bytes = statement.bytes();
//!         signature.r[0] = bytes.iter().fold(7, |sum: u8, byte| sum.wrapping_mul(31) ^ byte);
//!         signature
//!     }
//! }
//!
//! impl Verifier for Toy {
//!     fn verify(&self, _: Principal, statement: &Statement<'_>, signature: &Signature) -> bool {
//!         self.sign(statement) == *signature
//!     }
//! }
//!
//! let cluster = Digest([7; 32]);
//! let membership = Membership::new(4).expect("at least four");
//! let params = |id| Arc::new(Params::new(ReplicaId(id), membership, cluster));
//! let start = |id| Replica::recover(params(id), Arc::new(Toy), Durable::default(), ServiceState::default());
//! let mut replicas: Vec<Replica> = (0..4).map(|id| start(id).0).collect();
//!
//! // Client 0 asks the primary of view 0.
//! let (client, lane, timestamp, session) = (ClientId(0), Lane(0), Timestamp(1), Session(1));
//! let request = Request { client, lane, timestamp, session, operation: b"add 1".to_vec() };
//! let request = Message::Request(Arc::new(sign(&Toy, cluster, request)));
//! let request = verify(&params(0), &Toy, request).expect("well signed");
//! let mut inputs = VecDeque::from([(ReplicaId(0), Input::Request(request))]);
//!
//! let mut executed = 0;
//! while let Some((id, input)) = inputs.pop_front() {
//!     // A rejection changes nothing: here, votes that come when nobody needs them any more.
//!     let Ok(effects) = replicas[id.0 as usize].step(input) else { continue };
//!     for effect in effects {
//!         match effect {
//!             Effect::Broadcast(message) => {
//!                 for to in membership.others(id) {
//!                     let message = verify(&params(to.0), &Toy, message.clone()).expect("well signed");
//!                     inputs.push_back((to, Input::Message { from: id, message }));
//!                 }
//!             }
//!             Effect::Execute { seq, requests, .. } => {
//!                 executed += requests.len();
//!                 let results = requests.iter().map(|_| b"done".as_slice().into()).collect();
//!                 // The answer comes before any other input of this replica.
//!                 inputs.push_front((id, Input::Executed { seq, results, chunks: None }));
//!             }
//!             // Here a real caller writes, sets timers and answers the client.
//!             _ => {}
//!         }
//!     }
//! }
//! assert_eq!(executed, 4, "each replica executed it");
//! ```
//!
//! # Where it is
//!
//! | Part | Module |
//! |---|---|
//! | the state, and the one function that changes it | `replica` |
//! | its parts, each with its own invariants | `view`, `log`, `execution`, `checkpoint`, `transfer` |
//! | §4.1, §4.2: requests, votes, execution | `normal_case`, `pending`, `execution`, [`replies`] |
//! | §4.3: checkpoints, the log's window, state transfer | `checkpoint`, `log`, [`manifest`], `transfer` |
//! | §4.4: leaving a view, beginning one, O, the timer | `view_change`, `new_view`, `timer` |
//! | slow primaries, replicas that left a view alone | `pace`, `participation` |
//! | retransmission, and how much of it | `status`, `budget`, `size` |
//! | whether a replica votes | `standing` |
//! | what is on disk, and restart | [`durable`], `recovery` |
//! | messages, certificates, canonical bytes | [`message`], `certificate`, [`canonical`] |
//! | what is checked before a step: shape, then signatures | `shape`, [`crypto`], [`surplus`] |
//! | the client's side | [`client`] |
//!
//! # The contract of a step
//!
//! [`Replica::step`] takes an [`Input`] and returns a list of [`Effect`]s, or a [`Rejection`].
//!
//! * A rejection means that nothing happened: the replica equals what it was before.
//! * The same replica and the same input give the same effects and the same replica, always. There is no clock, no
//!   chance and no hash order in here; `clippy.toml` beside the manifest forbids them.
//! * The order of the effects counts: a record comes before the message that depends on it.
//! * Only signed and checked messages come in: [`crypto::verify`] is the only way to make a [`crypto::Verified`] one.
//! * What peers and clients send never makes a step panic. The assertions in here are about this crate's own mistakes.
//!
//! # What the caller owes
//!
//! * Effects are performed in order. Nothing leaves the machine before the records, executions and installations
//!   before it are durable; those of one step become durable together or not at all.
//! * [`Effect::Execute`] and [`Effect::Install`] are answered ([`Input::Executed`], [`Input::Installed`]) before any other
//!   input, and what they did becomes durable together with the records that the answer causes.
//! * The service is deterministic, and a failed write ends the process: a replica must never know less than it said.
//! * `from` is the replica at the other end of an authenticated channel.
//! * Messages may be lost, repeated and reordered at will, as long as the timers keep running: what was lost is asked
//!   for again at every [`Timer::Status`]. A timer that has just run out may still be cancelled; that is no mistake.
//! * Time may be anything. Safety never depends on it; progress needs delays that stay below some bound in the end.
//!
//! # What it does not do
//!
//! * Message authentication codes between replicas (§5.2 of the paper): what they say is signed, so that it can be handed
//!   on. Between clients and replicas MACs can be chosen ([`params::ClientAuthentication`]).
//! * Tentative execution and the read-only optimisation (§5.1): every operation, reads included, is ordered and final before
//!   it is answered.
//! * Proactive recovery: a replica is trusted until somebody replaces its key. One that lost its disk comes back as
//!   [`amnesia`] says.
//! * Changes of membership.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic))]

pub mod amnesia;
mod authenticators;
pub mod bodies;
mod budget;
pub mod canonical;
mod certificate;
mod checkpoint;
pub mod client;
pub mod crypto;
pub mod durable;
pub mod effect;
pub mod evidence;
mod execution;
mod fetching;
pub mod footprint;
pub mod input;
mod invariants;
mod log;
pub mod manifest;
pub mod membership;
pub mod message;
mod new_view;
mod normal_case;
pub mod octets;
mod pace;
pub mod params;
mod participation;
mod pending;
mod recovery;
pub mod rejection;
mod replica;
pub mod replies;
mod shape;
pub mod size;
mod sources;
mod stale;
mod standing;
mod status;
pub mod summary;
pub mod surplus;
mod timer;
mod transfer;
pub mod types;
mod view;
mod view_change;

pub use amnesia::Position;
pub use durable::{Durable, Record};
pub use effect::{Effect, HaltReason};
pub use footprint::Footprint;
pub use input::{Input, ServiceState, Timer};
pub use membership::Membership;
pub use params::Params;
pub use rejection::{Rejection, RejectionKind, UnknownKind};
pub use replica::Replica;
pub use standing::Standing;
pub use summary::Summary;
