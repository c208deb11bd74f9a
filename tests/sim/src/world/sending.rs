//! What leaves a process, and what may arrive.

use super::{Node, Output, World, fingerprint};
use core::time::Duration;
use pbft_host::{Outgoing, Said};
use std::sync::Arc;

impl World {
    /// The frames of what a correct process says, one a recipient.
    pub(super) fn frames(&self, index: usize, outgoing: Outgoing) -> Vec<(Node, Arc<[u8]>)> {
        let (own, frame) = (self.hosts[index].id, Arc::from(outgoing.frame));
        let to: Vec<Node> = match outgoing.said {
            Said::All(_) => {
                let others = (0..self.hosts.len()).filter(|to| self.hosts[*to].id != own);
                others.map(Node::Host).collect()
            }
            Said::To(to, _) => {
                let all = self.processes_of(to).into_iter().filter(|_| to != own);
                all.map(Node::Host).collect()
            }
            Said::Client(client, _) => self.processes_of_client(client),
        };
        to.into_iter().map(|to| (to, Arc::clone(&frame))).collect()
    }

    pub(super) fn send(&mut self, from: Node, to: Node, after: Duration, frame: Arc<[u8]>) {
        if self.mode.replay {
            self.sent.insert((from, to, fingerprint(23, &frame)));
        }
        self.output.push(Output::Frame { from, to, after, frame });
    }

    /// In a replay, a frame arrives if it was sent, or if its sender may say anything.
    pub(super) fn may_arrive(&self, from: Node, to: Node, frame: &[u8]) -> bool {
        let anything = match from {
            Node::Host(host) => self.faulty.contains(&host),
            Node::Client(client) => self.lying_clients.contains_key(&client),
        };
        anything || self.sent.contains(&(from, to, fingerprint(23, frame)))
    }
}
