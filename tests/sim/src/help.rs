//! What correct replicas give their peers because these asked, between two of their own ticks: counted from outside, in
//! encoded bytes.

use pbft_core::message::Message;
use pbft_core::types::ReplicaId;
use pbft_core::{Effect, Input, Params, Timer};
use pbft_node::codec;
use pbft_node::frame::ReplicaFrame;
use std::collections::BTreeMap;

/// Bytes given to one peer since the last tick.
#[derive(Clone, Debug, Default)]
struct Given {
    all: usize,
    /// The first message of each kind, which is always given.
    first: BTreeMap<&'static str, usize>,
}

/// What one replica has given since its last tick.
#[derive(Clone, Debug, Default)]
pub struct Help(BTreeMap<ReplicaId, Given>);

/// The bytes of an effect that answers a peer, if it is of a kind that may be large.
fn size(effect: &Effect, asked_by: ReplicaId) -> Option<(&'static str, usize)> {
    match effect {
        Effect::Send { to, message } if *to == asked_by => match message {
            Message::Committed(_)
            | Message::NewView(_)
            | Message::ViewChange(_)
            | Message::PrePrepare(_)
            | Message::Batch(_) => {
                let kind =
                    if message.kind() == "new-view" { "view-change" } else { message.kind() };
                Some((kind, codec::encode(message).ok()?.len()))
            }
            _ => None,
        },
        Effect::Reply(reply) => {
            let frame = ReplicaFrame::Reply(reply.clone());
            Some(("reply", codec::encode(&frame).ok()?.len()))
        }
        _ => None,
    }
}

/// The encoding's tags, which the budget does not count: a few bytes a message.
const TAGS: usize = 16;

impl Help {
    /// A step of the replica. What it has given too much, if it has.
    pub fn on_step(
        &mut self,
        input: &Input,
        effects: &[Effect],
        params: &Params,
    ) -> Option<String> {
        let (from, message) = match input {
            Input::Timer(Timer::Status) => {
                self.0.clear();
                return None;
            }
            Input::Message { from, message } => (*from, message.get()),
            _ => return None,
        };
        let asks =
            matches!(message, Message::Status(_) | Message::FetchBatch(_) | Message::Request(_));
        if !asks {
            return None;
        }
        let sizes = effects.iter().filter_map(|effect| size(effect, from));
        sizes.filter_map(|(kind, bytes)| self.give(from, kind, bytes, params)).last()
    }

    /// A part of a state is served.
    pub fn on_serve(&mut self, to: ReplicaId, bytes: usize, params: &Params) -> Option<String> {
        self.give(to, "state-data", bytes, params)
    }

    fn give(
        &mut self,
        to: ReplicaId,
        kind: &'static str,
        bytes: usize,
        params: &Params,
    ) -> Option<String> {
        let given = self.0.entry(to).or_default();
        let bytes = bytes.saturating_sub(TAGS);
        given.all += bytes;
        given.first.entry(kind).or_insert(bytes);
        let most = params.help_bytes_max + given.first.values().sum::<usize>();
        let all = given.all;
        (all > most).then(|| format!("gave {to} {all} bytes between two ticks, at most {most}"))
    }
}
