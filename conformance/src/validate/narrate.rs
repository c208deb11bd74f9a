//! Recorded steps in words.

use pbft_node::trace::Line;
use pbft_node::trace::format::{
    Body, Committed, Header, Input, NewView, Output, StableProof, Step, ViewChange, Vote,
};
use std::fmt::Write as _;

/// One line of a trace file, in a sentence or more.
pub fn line(line: &Line) -> String {
    match line {
        Line::Header(header) => start(header),
        Line::Step(one) => step(one),
        Line::Gap { steps } => format!("{steps} steps are missing here"),
        Line::End { steps } => format!("stops after {steps} steps"),
    }
}

fn start(header: &Header) -> String {
    let Header { replica, replicas, state, interval, window, program, .. } = header;
    let active = if state.active { "active in" } else { "on its way to" };
    format!(
        "replica {replica} of {replicas} starts ({program}, K = {interval}, L = {window}): {active} v{}, h = {}, \
         #{} executed, {} accepted, {} prepared",
        state.view,
        state.low,
        state.executed,
        state.accepted.len(),
        state.prepared.len()
    )
}

/// One step.
pub fn step(step: &Step) -> String {
    let mut text = format!("{:>5}. {}", step.number, input(&step.input));
    if let Some(rejection) = &step.refused {
        let _ = write!(text, ": refused, {rejection}");
    }
    for one in &step.out {
        let _ = write!(text, "\n       {}", output(one));
    }
    text
}

fn input(input: &Input) -> String {
    match input {
        Input::Message { from, body: said } => match signer(said) {
            Some(signer) if signer != *from => {
                format!("hears {} of replica {signer} from replica {from}", body(said))
            }
            Some(_) | None => format!("hears {} from replica {from}", body(said)),
        },
        Input::Request(request) => format!("request {request} arrives"),
        Input::ViewTimer => "the view-change timer runs out".to_owned(),
        Input::StatusTimer => "the status timer runs out".to_owned(),
        Input::BatchTimer => "requests have waited for others long enough".to_owned(),
        Input::Suspect => "the primary is suspected".to_owned(),
        Input::Executed { seq } => format!("has executed #{seq}"),
        Input::Installed { seq } => format!("has installed the state of #{seq}"),
    }
}

const fn signer(body: &Body) -> Option<u32> {
    match body {
        Body::PrePrepare(proposal) => Some(proposal.replica),
        Body::Prepare(vote) | Body::Commit(vote) => Some(vote.replica),
        Body::Checkpoint(vote) => Some(vote.replica),
        Body::ViewChange(change) => Some(change.replica),
        Body::NewView(new_view) => Some(new_view.replica),
        Body::Committed(_) | Body::Stable(_) | Body::Other(_) => None,
    }
}

fn vote(kind: &str, vote: &Vote) -> String {
    format!("{kind} #{} in v{} ({})", vote.seq, vote.view, vote.digest)
}

fn body(body: &Body) -> String {
    match body {
        Body::PrePrepare(p) => {
            let requests = p.batch.len();
            format!("PRE-PREPARE #{} in v{} ({}, {requests} requests)", p.seq, p.view, p.digest)
        }
        Body::Prepare(one) => vote("PREPARE", one),
        Body::Commit(one) => vote("COMMIT", one),
        Body::Checkpoint(one) => format!("CHECKPOINT #{} ({})", one.seq, one.digest),
        Body::ViewChange(change) => view_change(change),
        Body::NewView(one) => new_view(one),
        Body::Committed(one) => committed(one),
        Body::Stable(proof) => stable(proof),
        Body::Other(kind) => kind.clone(),
    }
}

fn view_change(change: &ViewChange) -> String {
    let prepared = change.prepared.iter().map(|proof| format!("#{} of v{}", proof.seq, proof.view));
    let prepared: Vec<_> = prepared.collect();
    format!("VIEW-CHANGE to v{} (h = {}, P = {prepared:?})", change.view, change.low)
}

fn new_view(new_view: &NewView) -> String {
    let senders: Vec<_> = new_view.view_changes.iter().map(|change| change.replica).collect();
    let order: Vec<_> = new_view.order.iter().map(|(seq, d)| format!("#{seq}: {d}")).collect();
    format!("NEW-VIEW v{} (V of {senders:?}, O = {order:?})", new_view.view)
}

fn committed(one: &Committed) -> String {
    let Committed { view, seq, digest, signers, .. } = one;
    format!("a commit certificate for #{seq} in v{view} ({digest}, signed by {signers:?})")
}

fn stable(proof: &StableProof) -> String {
    let StableProof { seq, digest, signers } = proof;
    format!("the proof of checkpoint #{seq} ({digest}, signed by {signers:?})")
}

fn output(output: &Output) -> String {
    match output {
        Output::All(said) => format!("sends {}", body(said)),
        Output::To(to, said) => format!("sends {} to replica {to}", body(said)),
        Output::Prepared(proof) => {
            format!("has prepared #{} in v{} with {:?}", proof.seq, proof.view, proof.signers)
        }
        Output::Stable(proof) => format!("moves h to #{}, by {}", proof.seq, stable(proof)),
        Output::Enter { view } => format!("enters v{view}"),
        Output::Execute { committed: one, applied } => {
            let (of, applied) = (one.batch.len(), applied.len());
            format!("executes {applied} of {of} requests, by {}", committed(one))
        }
        Output::Install { seq } => format!("installs the state of #{seq}"),
        Output::Halt(reason) => format!("halts: {reason}"),
    }
}
