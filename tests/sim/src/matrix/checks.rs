//! Rows that are shown by something else than a run.

use crate::event::{Event, Node};
use crate::fault::Plan;
use crate::keys::{Keys, Scheme};
use crate::world::{Mode, World};
use pbft_core::crypto::{Statement, sign};
use pbft_core::message::Commit;
use pbft_core::types::{Digest, Principal, ReplicaId, SeqNum, View};
use pbft_core::{Membership, Params};

/// What one cluster's replicas say is refused by another cluster, whose keys are the same.
pub(super) fn another_cluster() -> Result<String, String> {
    let mut other =
        World::new(&Plan::calm(1, 4), Mode::default()).map_err(|error| error.to_string())?;
    other.boot();
    let keys = Keys::new(Scheme::Fast, 1, 4, crate::world::CLIENTS);
    let signer = keys.signer(Principal::Replica(ReplicaId(0)));
    let body =
        Commit { view: View(0), seq: SeqNum(1), digest: Digest::default(), replica: ReplicaId(0) };
    let mut seen = Vec::new();
    for cluster in [Digest([0x51; 32]), Digest([0x52; 32])] {
        let commit = sign(&*signer, cluster, body.clone());
        let frame = pbft_node::codec::encode(&pbft_core::message::Message::Commit(commit));
        let frame = frame.map_err(|error| error.to_string())?.into();
        let refused = other.coverage.rejections.get("bad-signature").copied().unwrap_or_default();
        other.apply(&Event::Deliver { from: Node::Host(0), to: Node::Host(1), frame });
        seen.push(
            other.coverage.rejections.get("bad-signature").copied().unwrap_or_default() - refused,
        );
    }
    match seen[..] {
        [0, 1] => Ok("accepted in its own cluster, and a bad signature in the other".to_owned()),
        _ => Err(format!(
            "bad signatures: {seen:?}, expected none in the own and one in the other cluster"
        )),
    }
}

/// Sizes and windows that PBFT cannot work with are refused, and the quorum is right where n is not 3f+1.
pub(super) fn impossible_configurations() -> Result<String, String> {
    if let Some(n) = (0..4).find(|n| Membership::new(*n).is_ok()) {
        return Err(format!("{n} replicas are accepted"));
    }
    for n in 4..=128 {
        let membership = Membership::new(n).map_err(|error| error.to_string())?;
        let (n, q) = (membership.n(), membership.quorum());
        if 2 * q <= n + membership.faults() || q + membership.faults() > n {
            return Err(format!("n = {n} has quorum {q}"));
        }
    }
    let membership = Membership::new(4).map_err(|error| error.to_string())?;
    let mut params = Params::new(ReplicaId(0), membership, Digest::default());
    params.window = params.checkpoint_interval;
    match params.validate() {
        Ok(()) => Err("a window of one checkpoint interval is accepted".to_owned()),
        Err(_) => Ok("refused; quorums of 4 to 128 replicas intersect in a correct one".to_owned()),
    }
}

/// All replicas give one verdict about a signature whose scalar is not reduced, and about one under a key of small order.
pub(super) fn edge_signatures() -> Result<String, String> {
    let keys = Keys::new(Scheme::Ed25519, 1, 4, 1);
    let (cluster, replica) = (Digest([1; 32]), ReplicaId(2));
    let body = Commit { view: View(0), seq: SeqNum(1), digest: Digest::default(), replica };
    let good = sign(&*keys.signer(Principal::Replica(replica)), cluster, body);
    // s + l, with l the order of the group: the same point, another encoding.
    let order: [u8; 16] = 0x14de_f9de_a2f7_9cd6_5812_631a_5cf5_d3ed_u128.to_le_bytes();
    let mut shifted = good.clone();
    let mut carry = 0u16;
    for (at, byte) in shifted.signature.s.iter_mut().enumerate() {
        let add = match at {
            0..16 => order[at],
            31 => 0x10,
            _ => 0,
        };
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry as u8;
        carry >>= 8;
    }
    let mut flat = good.clone();
    (flat.signature.r, flat.signature.s) = ([0; 32], [0; 32]);
    let mut verdicts = Vec::new();
    for signed in [&good, &shifted, &flat] {
        let statement = Statement::new(cluster, &signed.body);
        let verdict =
            || keys.verifier().verify(Principal::Replica(replica), &statement, &signed.signature);
        verdicts.push([verdict(), verdict()]);
    }
    match verdicts[..] {
        [[true, true], [false, false], [false, false]] => {
            Ok("one good, two strange signatures: one verdict each, cached or not".to_owned())
        }
        _ => Err(format!("{verdicts:?}")),
    }
}
