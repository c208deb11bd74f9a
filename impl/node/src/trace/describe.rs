//! The core's words in those of a trace file.

use super::FORMAT;
use super::format::{
    Body, CheckpointVote, Committed, Header, Input, NewView, Output, PreparedProof, Proposal,
    RequestId, Resumed, ShortDigest, StableProof, Step, ViewChange, Vote,
};
use pbft_core::message as core;
use pbft_core::{Effect, Record, Rejection, Replica, Timer};

/// The header of a replica that starts.
pub(super) fn header(replica: &Replica) -> Header {
    let params = replica.params();
    Header {
        format: FORMAT,
        program: concat!("pbft ", env!("CARGO_PKG_VERSION")).to_owned(),
        cluster: params.cluster.into(),
        replicas: params.membership.n() as u32,
        replica: params.replica.0,
        interval: params.checkpoint_interval,
        window: params.window,
        null: core::Batch::default().digest().into(),
        state: resumed(replica),
    }
}

fn resumed(replica: &Replica) -> Resumed {
    let summary = replica.summary();
    let accepted = summary.accepted.iter().map(|(seq, digest)| (seq.0, (*digest).into()));
    let prepared = summary.prepared.iter();
    let prepared = prepared.map(|(seq, (view, digest))| (seq.0, view.0, (*digest).into()));
    let checkpoints = summary.checkpoints.iter().map(|(seq, digest)| (seq.0, (*digest).into()));
    Resumed {
        view: summary.view.0,
        active: summary.active,
        low: summary.low_water_mark.0,
        executed: summary.last_executed.0,
        accepted: accepted.collect(),
        prepared: prepared.collect(),
        checkpoints: checkpoints.collect(),
    }
}

/// One step, with the replica as it is afterwards.
pub(super) fn step(
    number: u64,
    group: u64,
    input: &pbft_core::Input,
    outcome: &Result<Vec<Effect>, Rejection>,
    replica: &Replica,
) -> Step {
    let effects = outcome.as_ref().map(Vec::as_slice).unwrap_or_default();
    Step {
        number,
        group,
        input: self::input(input),
        refused: outcome.as_ref().err().map(|rejection| rejection.kind().to_string()),
        out: effects.iter().filter_map(|effect| output(effect, replica)).collect(),
    }
}

fn input(input: &pbft_core::Input) -> Input {
    match input {
        pbft_core::Input::Message { from, message } => {
            Input::Message { from: from.0, body: body(message.get()) }
        }
        pbft_core::Input::Request(message) => match message.get() {
            core::Message::Request(request) => Input::Request(request_id(request)),
            other => Input::Message { from: u32::MAX, body: body(other) },
        },
        pbft_core::Input::Timer(Timer::ViewChange) => Input::ViewTimer,
        pbft_core::Input::Timer(Timer::Status) => Input::StatusTimer,
        pbft_core::Input::Timer(Timer::Batch) => Input::BatchTimer,
        pbft_core::Input::Suspect => Input::Suspect,
        pbft_core::Input::Executed { seq, .. } => Input::Executed { seq: seq.0 },
        pbft_core::Input::Installed { seq, .. } => Input::Installed { seq: seq.0 },
    }
}

/// What of an effect the model knows; `None` for timers, replies, state that is served, and the like.
fn output(effect: &Effect, replica: &Replica) -> Option<Output> {
    let own = replica.params().replica;
    match effect {
        Effect::Broadcast(message) => known(body(message)).map(Output::All),
        Effect::Send { to, message } => known(body(message)).map(|body| Output::To(to.0, body)),
        Effect::Persist(Record::Prepared(certificate)) => {
            Some(Output::Prepared(prepared_proof(certificate)))
        }
        Effect::Persist(Record::Stable(certificate)) => {
            stable_proof(certificate).map(Output::Stable)
        }
        Effect::Persist(Record::NewView(new_view)) if new_view.body.replica != own => {
            Some(Output::Enter { view: new_view.body.view.0 })
        }
        Effect::Execute { seq, requests, .. } => {
            let committed = replica.commit_certificate(*seq).and_then(|c| committed(c))?;
            let applied = requests.iter().map(|request| request_id(request)).collect();
            Some(Output::Execute { committed, applied })
        }
        Effect::Install { manifest, .. } => Some(Output::Install { seq: manifest.seq.0 }),
        Effect::Halt(reason) => Some(Output::Halt(reason.to_string())),
        Effect::Persist(_)
        | Effect::StoreCheckpoint { .. }
        | Effect::Reply(_)
        | Effect::SetTimer { .. }
        | Effect::CancelTimer(_)
        | Effect::ServeState { .. }
        | Effect::RetainStaged { .. }
        | Effect::StageChunk { .. } => None,
    }
}

fn known(body: Body) -> Option<Body> {
    match body {
        Body::Other(_) => None,
        body => Some(body),
    }
}

fn body(message: &core::Message) -> Body {
    match message {
        core::Message::PrePrepare(proposal) => {
            let core::PrePrepare { view, seq, digest, replica } = proposal.pre_prepare.body;
            let batch = batch(&proposal.batch);
            let digest = digest.into();
            Body::PrePrepare(Proposal {
                view: view.0,
                seq: seq.0,
                digest,
                replica: replica.0,
                batch,
            })
        }
        core::Message::Prepare(prepare) => {
            let core::Prepare { view, seq, digest, replica } = prepare.body;
            let digest = digest.into();
            Body::Prepare(Vote { view: view.0, seq: seq.0, digest, replica: replica.0 })
        }
        core::Message::Commit(commit) => {
            let core::Commit { view, seq, digest, replica } = commit.body;
            let digest = digest.into();
            Body::Commit(Vote { view: view.0, seq: seq.0, digest, replica: replica.0 })
        }
        core::Message::Checkpoint(checkpoint) => {
            let core::Checkpoint { seq, digest, replica } = checkpoint.body;
            let digest = digest.into();
            Body::Checkpoint(CheckpointVote { seq: seq.0, digest, replica: replica.0 })
        }
        core::Message::ViewChange(message) => Body::ViewChange(view_change(&message.body)),
        core::Message::NewView(message) => Body::NewView(new_view(&message.body)),
        core::Message::Committed(certificate) => {
            committed(certificate).map_or_else(|| other(message), Body::Committed)
        }
        core::Message::Stable(certificate) => {
            stable_proof(certificate).map_or_else(|| other(message), Body::Stable)
        }
        core::Message::Request(_)
        | core::Message::Status(_)
        | core::Message::FetchBatch(_)
        | core::Message::Batch(_)
        | core::Message::FetchState(_)
        | core::Message::StateData(_) => other(message),
    }
}

fn other(message: &core::Message) -> Body {
    Body::Other(message.kind().to_owned())
}

fn request_id(request: &core::Signed<core::Request>) -> RequestId {
    RequestId(request.body.client.0, request.body.lane.0, request.body.timestamp.0)
}

fn batch(batch: &core::Batch) -> Vec<RequestId> {
    batch.requests.iter().map(request_id).collect()
}

fn committed(certificate: &core::CommitCertificate) -> Option<Committed> {
    let first = &certificate.commits.first()?.body;
    Some(Committed {
        view: first.view.0,
        seq: first.seq.0,
        digest: first.digest.into(),
        signers: certificate.commits.iter().map(|commit| commit.body.replica.0).collect(),
        batch: batch(&certificate.batch),
    })
}

fn stable_proof(certificate: &core::StableCertificate) -> Option<StableProof> {
    let first = &certificate.checkpoints.first()?.body;
    Some(StableProof {
        seq: first.seq.0,
        digest: first.digest.into(),
        signers: certificate.checkpoints.iter().map(|vote| vote.body.replica.0).collect(),
    })
}

fn prepared_proof(certificate: &core::PreparedCertificate) -> PreparedProof {
    let core::PrePrepare { view, seq, digest, .. } = certificate.pre_prepare.body;
    PreparedProof {
        view: view.0,
        seq: seq.0,
        digest: digest.into(),
        signers: certificate.prepares.iter().map(|prepare| prepare.body.replica.0).collect(),
    }
}

fn view_change(body: &core::ViewChange) -> ViewChange {
    ViewChange {
        view: body.view.0,
        replica: body.replica.0,
        low: body.low_water_mark.0,
        stable: stable_proof(&body.stable),
        prepared: body.prepared.iter().map(prepared_proof).collect(),
    }
}

fn new_view(body: &core::NewView) -> NewView {
    let order = body.pre_prepares.iter().map(|pre_prepare| &pre_prepare.body);
    NewView {
        view: body.view.0,
        replica: body.replica.0,
        view_changes: body.view_changes.iter().map(|known| view_change(&known.body)).collect(),
        order: order.map(|body| (body.seq.0, ShortDigest::from(body.digest))).collect(),
    }
}
