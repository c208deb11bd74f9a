//! The largest message of each kind, built and encoded, must be exactly as large as computed.

use super::*;
use pbft_core::Membership;
use pbft_core::message::{
    Batch, Checkpoint, Commit, CommitCertificate, FetchState, NewView, PrePrepare, Prepare,
    PreparedCertificate, Proposal, StableCertificate, StateData, StatePart, Status, ViewChange,
};
use pbft_core::types::{ClientId, Session, Signature};

/// Stands for [`STATE_BYTES_MAX`], which takes too long to encode in a debug build.
const STATE_BYTES: usize = 1024;

fn params() -> Params {
    let membership = Membership::new(7).expect("valid size");
    let mut params = Params::new(ReplicaId(0), membership, Digest::default());
    (params.checkpoint_interval, params.window) = (2, 4);
    (params.batch_requests_max, params.operation_bytes_max) = (8, 16);
    params
}

fn signed<B>(body: B) -> Signed<B> {
    Signed { body, signature: Signature::default() }
}

fn times<T: Clone>(item: T, count: usize) -> Vec<T> {
    vec![item; count]
}

/// One message of each kind, with every list as long as the protocol allows.
fn largest(params: &Params) -> Vec<Message> {
    let (view, seq, digest, replica) = (View(1), SeqNum(1), Digest::default(), ReplicaId(0));
    let quorum = params.membership.quorum();
    let request = signed(Request {
        client: ClientId(0),
        lane: Lane(0),
        timestamp: Timestamp(0),
        session: Session::default(),
        operation: vec![0; params.operation_bytes_max],
    });
    let requests = times(request.clone(), params.batch_requests_max);
    let batch = Arc::new(Batch { requests });
    assert_eq!(batch.operation_bytes(), params.batch_bytes_max(), "both bounds are reached");
    let pre_prepare = signed(PrePrepare { view, seq, digest, replica });
    let prepare = signed(Prepare { view, seq, digest, replica });
    let commit = signed(Commit { view, seq, digest, replica });
    let checkpoint = signed(Checkpoint { seq, digest, replica });
    let stable = StableCertificate { checkpoints: times(checkpoint.clone(), quorum) };
    let certificate = PreparedCertificate {
        pre_prepare: pre_prepare.clone(),
        prepares: times(prepare.clone(), params.membership.prepares()),
    };
    let view_change = Arc::new(signed(ViewChange {
        view,
        low_water_mark: seq,
        stable: stable.clone(),
        prepared: times(certificate, params.window_len()),
        replica,
    }));
    let new_view = signed(NewView {
        view,
        view_changes: times(Arc::clone(&view_change), quorum),
        pre_prepares: times(pre_prepare.clone(), params.window_len()),
        replica,
    });
    let status = Status { replica, view, active: true, low_water_mark: seq, last_executed: seq };
    let committed =
        CommitCertificate { commits: times(commit.clone(), quorum), batch: Arc::clone(&batch) };
    vec![
        Message::Request(Arc::new(request)),
        Message::PrePrepare(Arc::new(Proposal { pre_prepare, batch: Arc::clone(&batch) })),
        Message::Prepare(prepare),
        Message::Commit(commit),
        Message::Checkpoint(checkpoint),
        Message::ViewChange(view_change),
        Message::NewView(Arc::new(new_view)),
        Message::Status(signed(status)),
        Message::Committed(Arc::new(committed)),
        Message::Stable(Arc::new(stable)),
        Message::FetchBatch(digest),
        Message::Batch(batch),
        Message::FetchState(FetchState { seq, part: StatePart::Chunk(0) }),
        Message::StateData(Arc::new(StateData {
            seq,
            part: StatePart::Chunk(0),
            bytes: vec![0; STATE_BYTES].into(),
        })),
    ]
}

#[test]
fn limits_are_exactly_the_largest_messages() {
    let params = params();
    let limits = FrameLimits::new(&params);
    for message in largest(&params) {
        let bytes = codec::encode(&message).expect("encoded");
        let tag = u32::from_le_bytes(*bytes.first_chunk().expect("a tag"));
        let unused = match message {
            Message::StateData(_) => STATE_BYTES_MAX - STATE_BYTES,
            _ => 0,
        };
        assert_eq!(limits.of_tag(tag), Some((message.kind(), bytes.len() + unused)));
        assert_eq!(limits.decode_message(&bytes), Ok(message));
        assert!(bytes.len() <= limits.peer_frame());
    }
}

#[test]
fn one_byte_more_is_refused_before_it_is_read() {
    let params = params();
    let limits = FrameLimits::new(&params);
    for message in largest(&params) {
        let mut bytes = codec::encode(&message).expect("encoded");
        if matches!(message, Message::StateData(_)) {
            bytes.resize(bytes.len() + STATE_BYTES_MAX - STATE_BYTES, 0);
        }
        bytes.push(0);
        let refused = limits.decode_message(&bytes);
        assert!(matches!(refused, Err(FrameError::TooLarge { .. })), "{}", message.kind());
    }
    assert!(matches!(limits.decode_message(&[99, 0, 0, 0]), Err(FrameError::Codec(_))));
}

#[test]
fn client_frames_fit_their_limits() {
    let params = params();
    let limits = FrameLimits::new(&params);
    let Some(Message::Request(request)) = largest(&params).into_iter().next() else {
        panic!("the first message is a request")
    };
    let bytes = codec::encode(&ClientFrame::Request(request)).expect("encoded");
    assert_eq!(bytes.len(), limits.client_frame());
    let reply = ReplicaFrame::Reply(signed(Reply {
        view: View(0),
        client: ClientId(0),
        lane: Lane(0),
        timestamp: Timestamp(0),
        request: Digest::default(),
        replica: ReplicaId(0),
        result: vec![0; params.result_bytes_max].into(),
    }));
    assert_eq!(codec::encode(&reply).expect("encoded").len(), limits.replica_frame());
    let hello = |standing| {
        let position = Position { standing, ..Default::default() };
        let hello = Hello { version: WIRE_VERSION, cluster: Digest::default(), position };
        codec::encode(&hello).expect("encoded").len()
    };
    let (until, view) = (SeqNum(1), View(1));
    assert_eq!(hello(Standing::Recovering { until, view }), HELLO_BYTES);
    let others = [
        Standing::Votes,
        Standing::AwaitsView { view },
        Standing::FetchesState { seq: until },
        Standing::Halted,
        Standing::NoSpace,
    ];
    assert!(others.into_iter().all(|standing| hello(standing) < HELLO_BYTES));
}

#[test]
fn impossible_configurations_are_noticed() {
    let membership = Membership::new(128).expect("valid size");
    let mut params = Params::new(ReplicaId(0), membership, Digest::default());
    assert!(FrameLimits::new(&params).are_possible());
    params.window = pbft_core::params::WINDOW_MAX;
    assert!(!FrameLimits::new(&params).are_possible());
}
