//! What reaches a replica: votes that it may count from then on.

use super::cluster::{Cluster, Due};
use super::needs::{place_of_new_view, place_of_view_change};
use super::refusal::Refusal;
use pbft_node::trace::format::{Body, Input, NewView, ViewChange};
use std::sync::Arc;

impl Cluster {
    /// An input that was taken.
    pub(super) fn hear(
        &mut self,
        id: u32,
        input: &Input,
        due: &mut Due,
    ) -> Result<(), Box<Refusal>> {
        match input {
            Input::Message { from, body } => self.hear_message(id, *from, body),
            Input::Executed { seq } => self.execute(id, *seq, due),
            Input::Installed { seq } => {
                due.installed = Some(*seq);
                Ok(())
            }
            Input::Request(_)
            | Input::ViewTimer
            | Input::StatusTimer
            | Input::BatchTimer
            | Input::Suspect => Ok(()),
        }
    }

    fn hear_message(&mut self, id: u32, from: u32, body: &Body) -> Result<(), Box<Refusal>> {
        let heard = &mut self.replica_mut(id)?.heard;
        let signer = match body {
            Body::Prepare(vote) => {
                heard.prepare(vote);
                vote.replica
            }
            Body::Commit(vote) => {
                heard.commit(vote);
                vote.replica
            }
            Body::Checkpoint(vote) => {
                heard.checkpoint(vote);
                vote.replica
            }
            Body::Committed(certificate) => {
                heard.committed(certificate);
                return self.name_batch(
                    id,
                    certificate.seq,
                    certificate.digest,
                    &certificate.batch,
                );
            }
            Body::Stable(proof) => {
                heard.stable(proof);
                from
            }
            Body::PrePrepare(proposal) => {
                return self.name_batch(id, proposal.seq, proposal.digest, &proposal.batch);
            }
            Body::ViewChange(change) => return self.hear_view_change(id, change),
            Body::NewView(new_view) => return self.hear_new_view(id, new_view),
            Body::Other(_) => from,
        };
        match signer == from && from != id {
            true => Ok(()),
            false => {
                let detail = format!("it came from replica {from}, and replica {signer} signed it");
                Err(Box::new(Refusal::effect("takes a vote", detail)))
            }
        }
    }

    fn hear_view_change(&mut self, id: u32, change: &ViewChange) -> Result<(), Box<Refusal>> {
        self.check_genuine(change)?;
        let heard = &mut self.replica_mut(id)?.heard;
        change.stable.iter().for_each(|proof| heard.stable(proof));
        let of_view = heard.view_changes.entry(change.view).or_default();
        of_view.insert(change.replica, Arc::new(change.clone()));
        Ok(())
    }

    fn hear_new_view(&mut self, id: u32, new_view: &NewView) -> Result<(), Box<Refusal>> {
        let said = self.recorded.get(&new_view.replica);
        let said = said.and_then(|replica| replica.said.new_views.get(&new_view.view));
        let place = place_of_new_view(new_view);
        match said {
            Some(said) if **said != *new_view => {
                let detail = "what was heard is not what was said".to_owned();
                return Err(Box::new(Refusal::never_said(place, detail)));
            }
            Some(_) | None => {}
        }
        new_view.view_changes.iter().try_for_each(|change| self.check_genuine(change))?;
        let replica = self.replica_mut(id)?;
        let proofs = new_view.view_changes.iter().flat_map(|change| &change.stable);
        proofs.for_each(|proof| replica.heard.stable(proof));
        replica.awaited = Some(Arc::new(new_view.clone()));
        Ok(())
    }

    /// A VIEW-CHANGE of a recorded replica is the one that it sent.
    fn check_genuine(&self, change: &ViewChange) -> Result<(), Box<Refusal>> {
        let Some(signer) = self.recorded.get(&change.replica) else { return Ok(()) };
        match signer.said.view_changes.get(&change.view) {
            Some(said) if **said == *change => Ok(()),
            Some(_) => {
                let detail = "what was heard is not what was said".to_owned();
                Err(Box::new(Refusal::never_said(place_of_view_change(change), detail)))
            }
            None => {
                let detail = format!("replica {} never said it", change.replica);
                Err(Box::new(Refusal::never_said(place_of_view_change(change), detail)))
            }
        }
    }
}
