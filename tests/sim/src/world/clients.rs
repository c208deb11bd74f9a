//! What clients hear and say.

use super::World;
use crate::client::{Answer, Client};
use crate::event::{Node, RequestId};
use crate::history::Moment;
use crate::output::Output;
use core::time::Duration;
use pbft_core::client::Fate;
use pbft_core::types::ClientId;
use std::sync::Arc;

impl World {
    /// A Byzantine client says what it likes.
    pub fn client_lies(&mut self, client: u32) {
        let Some(liar) = self.lying_clients.get_mut(&client) else { return };
        let frames = liar.speak();
        for (to, frame) in frames {
            for to in self.processes_of(to) {
                self.send(Node::Client(client), Node::Host(to), Duration::ZERO, Arc::clone(&frame));
            }
        }
    }

    /// The processes that have this client's key.
    pub(super) fn processes_of_client(&self, client: ClientId) -> Vec<Node> {
        let copies = self.clients.iter().zip(0..).filter(|(one, _)| one.id() == client);
        let mut processes: Vec<u32> = copies.map(|(_, process)| process).collect();
        if processes.is_empty() {
            processes.push(client.0);
        }
        processes.into_iter().map(Node::Client).collect()
    }

    /// Whose key a client's process has.
    pub(super) fn id_of(&self, process: u32) -> ClientId {
        self.clients.get(process as usize).map_or(ClientId(process), Client::id)
    }

    pub(super) fn on_answer(&mut self, client: u32, lane: u16, answer: Answer) {
        for (to, frame) in answer.frames {
            let all: Vec<usize> = match to {
                Some(to) => self.processes_of(to),
                None => (0..self.hosts.len()).collect(),
            };
            for to in all {
                self.send(Node::Client(client), Node::Host(to), Duration::ZERO, Arc::clone(&frame));
            }
        }
        if let Some(after) = answer.timer {
            self.output.push(Output::ClientTimer { client, lane, after });
        }
        if let Some((id, result)) = answer.done {
            self.oracle.on_accepted(id, &result);
            if let Some(request) = self.asked.get(&(client, lane)) {
                self.oracle.on_acknowledged(id, *request);
            }
            let own = RequestId { client, ..id };
            self.history.push(Moment::Returned(own, result));
            self.output.push(Output::Answered { client, lane });
        }
        if let Some((id, fate, last)) = answer.spent {
            self.coverage.spent += 1;
            let again = fate == Fate::NeverExecuted;
            self.coverage.overtaken += u64::from(!again);
            if again && let Some(request) = self.asked.get(&(client, lane)) {
                self.oracle.on_never(id, *request);
                self.history.push(Moment::Never(RequestId { client, ..id }));
            }
            self.output.push(Output::Spent { client, lane, last: last.0, again });
        }
    }
}
