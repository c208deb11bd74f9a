//! What a replica says, held to the layout: each signature of its own is of the bytes that the layout has, and the digests that
//! go with a batch are the batch's.

use crate::divergence::{Difference, Kind};
use crate::refinement::keys::Keys;
use crate::refinement::layout::{self, Statements, batch_digest, each_statement};
use crate::refinement::vocabulary::Vocabulary;
use crate::signpost::Fact;
use crate::signpost::deeds::Field;
use crate::signpost::given::Given;
use crate::subject::Observation;
use pbft_core::Durable;
use pbft_core::message::{Message, Reply, Signed};
use pbft_core::types::{Digest, Principal, ReplicaId, Signature};

/// Looks at everything that left `replica`.
pub fn check(
    vocabulary: &Vocabulary,
    replica: ReplicaId,
    seen: &Observation,
) -> Result<(), Difference> {
    let broadcasts = seen.broadcasts.iter();
    for message in broadcasts.chain(seen.sends.iter().map(|(_, message)| message)) {
        check_message(vocabulary, replica, message)?;
    }
    seen.replies.iter().try_for_each(|reply| check_reply(vocabulary, reply))
}

/// Looks at a disk: nothing on it is at or below the last stable checkpoint (§4.3), where it would stay for ever.
pub fn check_disk(durable: &Durable) -> Result<(), Difference> {
    let low = durable.low_water_mark;
    let lowest = [
        ("a PRE-PREPARE", durable.accepted.keys().next()),
        ("a prepared certificate", durable.prepared.keys().next()),
        ("a commit certificate", durable.committed.keys().next()),
        ("batches of views that were left", durable.bodies.keys().next()),
    ];
    let mut stale = lowest.into_iter().filter_map(|(what, seq)| Some((what, seq?)));
    match stale.find(|(_, seq)| **seq <= low) {
        None => Ok(()),
        Some((what, seq)) => {
            let what = format!("the disk holds {what} for {seq}, and {low} is stable");
            Err(Difference::new(Kind::State, what).with(Fact::Field(Field::Held)))
        }
    }
}

fn check_message(
    vocabulary: &Vocabulary,
    replica: ReplicaId,
    message: &Message,
) -> Result<(), Difference> {
    let mut own = Own { keys: &*vocabulary.keys, own: Principal::Replica(replica), bad: false };
    each_statement(message, vocabulary.cluster(), &mut own);
    if own.bad {
        let what = format!("a {} whose signature is not of what it says", message.kind());
        let signed = Fact::Signed(Given::of_message(message));
        return Err(Difference::new(Kind::Messages, what).with(signed));
    }
    match message {
        Message::PrePrepare(proposal) => {
            check_batch(message, &proposal.batch, proposal.pre_prepare.body.digest)
        }
        Message::Committed(certificate) => match certificate.commits.first() {
            Some(vote) => check_batch(message, &certificate.batch, vote.body.digest),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

fn check_batch(
    message: &Message,
    batch: &pbft_core::message::Batch,
    got: Digest,
) -> Result<(), Difference> {
    let expected = batch_digest(batch);
    if expected == got {
        return Ok(());
    }
    let what = format!("a {} with another digest than its batch's", message.kind());
    let diff = vec![format!("- {expected}"), format!("+ {got}")];
    Err(Difference::new(Kind::Messages, what).with_diff(diff).with(Fact::BatchDigest))
}

fn check_reply(vocabulary: &Vocabulary, reply: &Signed<Reply>) -> Result<(), Difference> {
    let bytes = layout::statement(vocabulary.cluster(), &reply.body);
    let signer = Principal::Replica(reply.body.replica);
    match vocabulary.keys.attests(signer, &bytes, &reply.signature) {
        true => Ok(()),
        false => {
            let what = "a reply whose signature is not of what it says";
            Err(Difference::new(Kind::Execution, what).with(Fact::Signed(Given::Reply)))
        }
    }
}

struct Own<'a> {
    keys: &'a dyn Keys,
    own: Principal,
    bad: bool,
}

impl Statements for Own<'_> {
    fn wants(&self, signer: Principal) -> bool {
        signer == self.own
    }

    fn take(&mut self, signer: Principal, bytes: &[u8], signature: &Signature) {
        self.bad |= !self.keys.attests(signer, bytes, signature);
    }
}
