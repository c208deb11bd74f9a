//! Reasons for a refusal: which function gives each, and what it compares with.

use super::given::Given;
use super::{Fact, Handler, Rule, in_core, in_model};
use pbft_core::RejectionKind as Kind;

const CHECK_SHAPE: Handler = in_core!("shape.rs", "check_shape");
const AT_MOST: Handler = in_core!("shape.rs", "at_most");
const SHAPE_REQUEST: Handler = in_core!("shape.rs", "check_request");
const SHAPE_BATCH: Handler = in_core!("shape.rs", "check_batch");
const SHAPE_PROPOSAL: Handler = in_core!("shape.rs", "check_proposal");
const SHAPE_LISTS: Handler = in_core!("shape.rs", "check_lists");
const SHAPE_STABLE: Handler = in_core!("shape.rs", "check_stable_list");
const SHAPE_NEW_VIEW: Handler = in_core!("shape.rs", "check_new_view");
const SIGNERS: Handler = in_core!("certificate.rs", "check_signers");
const MATCHING: Handler = in_core!("certificate.rs", "check_matching");
const PREPARED: Handler = in_core!("certificate.rs", "check_prepared");
const COMMITTED: Handler = in_core!("certificate.rs", "check_committed");
const STABLE: Handler = in_core!("certificate.rs", "check_stable");
const CHECKPOINT_SEQ: Handler = in_core!("certificate.rs", "check_checkpoint_seq");
const VIEW_CHANGE: Handler = in_core!("certificate.rs", "check_view_change");
const LOW_WATER_MARK: Handler = in_core!("certificate.rs", "check_low_water_mark");
const V: Handler = in_core!("certificate.rs", "check_v");
const QUORUM: Handler = in_core!("membership.rs", "Membership::quorum");
const PREPARES: Handler = in_core!("membership.rs", "Membership::prepares");
const SIGNED: Handler = in_core!("crypto.rs", "Check::signed");
const SIGNED_REQUEST: Handler = in_core!("crypto.rs", "Check::request");
const VERIFY: Handler = in_core!("crypto.rs", "verify");
const ON_REQUEST: Handler = in_core!("normal_case.rs", "Replica::on_request");
const PRE_PREPARE: Handler = in_core!("normal_case.rs", "Replica::check_pre_prepare");
const FIRST_VOTE: Handler = in_core!("normal_case.rs", "check_first_vote");
const ON_COMMITTED: Handler = in_core!("normal_case.rs", "Replica::on_committed");
const ON_CHECKPOINT: Handler = in_core!("checkpoint.rs", "Replica::on_checkpoint");
const ON_STABLE: Handler = in_core!("checkpoint.rs", "Replica::on_stable");
const ON_VIEW_CHANGE: Handler = in_core!("view_change.rs", "Replica::on_view_change");
const ENTERABLE: Handler = in_core!("view_change.rs", "Replica::check_enterable");
const ON_VIEW_TIMER: Handler = in_core!("view_change.rs", "Replica::on_view_timer");
const ON_SUSPECT: Handler = in_core!("view_change.rs", "Replica::on_suspect");
const ON_MESSAGE: Handler = in_core!("replica.rs", "Replica::on_message");
const ON_CLIENT: Handler = in_core!("replica.rs", "Replica::on_client_message");
const STEP: Handler = in_core!("replica.rs", "Replica::step");
const CHECK_VIEW: Handler = in_core!("view.rs", "CurrentView::check_view");
const ACTIVE: Handler = in_core!("view.rs", "CurrentView::check_active");
const AHEAD: Handler = in_core!("view.rs", "CurrentView::check_ahead");
const LATEST: Handler = in_core!("view.rs", "CurrentView::check_latest");
const NOT_SUPERSEDED: Handler = in_core!("view.rs", "CurrentView::check_not_superseded");
const CHECK_WINDOW: Handler = in_core!("log.rs", "Log::check_window");
const ORIGIN: Handler = in_core!("replica.rs", "check_vote_origin");
const LAST_REPLY: Handler = in_core!("execution.rs", "Execution::last_reply");
const FINISH: Handler = in_core!("execution.rs", "Execution::finish");
const FETCHING: Handler = in_core!("fetching.rs", "Fetching::check");
const ON_FETCH_BATCH: Handler = in_core!("fetching.rs", "Replica::on_fetch_batch");
const ON_FETCH_STATE: Handler = in_core!("transfer.rs", "Replica::on_fetch_state");
const ON_STATE_DATA: Handler = in_core!("transfer.rs", "StateTransfer::on_state_data");
const TAKE_COMPLETE: Handler = in_core!("transfer.rs", "StateTransfer::take_complete");
const NOTE_STATUS: Handler = in_core!("participation.rs", "Peers::note_status");
const ABSTAINING: Handler = in_core!("view.rs", "CurrentView::check_not_abstaining");
const PROOF: Handler = in_core!("authenticators.rs", "MustSign::check_proof");
const GIVE: Handler = in_core!("budget.rs", "Budget::give");

/// Functions that give a reason, and the inputs that they see; none if they see several sorts.
type Row = (Kind, &'static [Given], &'static [Handler]);

const PP: &[Given] = &[Given::PrePrepare];
const VOTES: &[Given] = &[Given::Prepare, Given::Commit];
const VC: &[Given] = &[Given::ViewChange];
const NV: &[Given] = &[Given::NewView];
const CP: &[Given] = &[Given::Checkpoint];
const BATCHED: &[Given] = &[Given::Committed, Given::Batch, Given::PrePrepare];
const CERTIFIED: &[Given] = &[Given::Committed, Given::Stable, Given::ViewChange, Given::NewView];
const P: &[Given] = &[Given::ViewChange, Given::NewView];
const ASKED: &[Given] = &[Given::Request, Given::Relayed];
const REQUESTS: &[Given] =
    &[Given::Request, Given::Relayed, Given::PrePrepare, Given::Committed, Given::Batch];

/// Which functions give which reason.
const RAISED: &[Row] = &[
    (Kind::BadSignature, REQUESTS, &[SIGNED_REQUEST]),
    (Kind::BadSignature, &[], &[SIGNED]),
    (Kind::BadAuthenticator, REQUESTS, &[SIGNED_REQUEST]),
    (Kind::NotSigned, ASKED, &[PROOF]),
    (Kind::TooLong, &[], &[AT_MOST]),
    (Kind::OperationTooLarge, REQUESTS, &[SHAPE_REQUEST]),
    (Kind::LaneTooHigh, REQUESTS, &[SHAPE_REQUEST]),
    (Kind::TimestampTooHigh, REQUESTS, &[SHAPE_REQUEST]),
    (Kind::NotAMember, VC, &[CHECK_SHAPE, SIGNERS]),
    (Kind::NotAMember, NV, &[V, SIGNERS]),
    (Kind::NotAMember, CERTIFIED, &[SIGNERS]),
    (Kind::NotAMember, &[], &[ON_MESSAGE]),
    (Kind::NotFromSigner, &[], &[ORIGIN]),
    (Kind::OwnMessage, &[], &[ON_MESSAGE]),
    (Kind::OwnMessage, PP, &[PRE_PREPARE]),
    (Kind::OwnMessage, VC, &[ON_VIEW_CHANGE]),
    (Kind::OwnMessage, NV, &[ENTERABLE]),
    (Kind::WrongView, VC, &[AHEAD]),
    (Kind::WrongView, NV, &[AHEAD, V]),
    (Kind::WrongView, &[Given::PrePrepare, Given::Prepare, Given::Commit], &[CHECK_VIEW]),
    (Kind::ViewNotActive, PP, &[ACTIVE]),
    (Kind::ViewNotActive, &[Given::Suspicion, Given::ViewTimer], &[ABSTAINING]),
    (Kind::OutsideWindow, P, &[VIEW_CHANGE]),
    (Kind::OutsideWindow, &[], &[CHECK_WINDOW]),
    (Kind::NotPrimary, PP, &[SHAPE_PROPOSAL]),
    (Kind::NotPrimary, NV, &[SHAPE_NEW_VIEW, PREPARED]),
    (Kind::NotPrimary, VC, &[PREPARED]),
    (Kind::PrepareFromPrimary, &[Given::Prepare], &[CHECK_SHAPE]),
    (Kind::PrepareFromPrimary, P, &[PREPARED]),
    (Kind::WrongDigest, PP, &[SHAPE_PROPOSAL]),
    (Kind::WrongDigest, &[Given::Committed], &[COMMITTED]),
    (Kind::Equivocation, PP, &[FIRST_VOTE]),
    (Kind::Equivocation, VOTES, &[FIRST_VOTE]),
    (Kind::Equivocation, CP, &[FIRST_VOTE]),
    (Kind::Duplicate, PP, &[FIRST_VOTE]),
    (Kind::Duplicate, VOTES, &[FIRST_VOTE]),
    (Kind::Duplicate, CP, &[FIRST_VOTE, ON_CHECKPOINT]),
    (Kind::Duplicate, VC, &[LATEST]),
    (Kind::Duplicate, NV, &[NOT_SUPERSEDED]),
    (Kind::Duplicate, &[Given::Committed], &[ON_COMMITTED]),
    (Kind::Duplicate, &[Given::Status], &[NOTE_STATUS]),
    (Kind::Duplicate, &[Given::Batch], &[FETCHING]),
    (Kind::Duplicate, &[Given::StateData], &[ON_STATE_DATA]),
    (Kind::Duplicate, ASKED, &[ON_REQUEST, LAST_REPLY]),
    (Kind::NullBatch, PP, &[SHAPE_PROPOSAL]),
    (Kind::OldTimestamp, ASKED, &[LAST_REPLY, ON_REQUEST]),
    (Kind::UsedForAnother, ASKED, &[LAST_REPLY]),
    (Kind::AnotherWaits, ASKED, &[ON_REQUEST]),
    (Kind::NotACheckpoint, &[], &[CHECKPOINT_SEQ]),
    (Kind::WrongQuorumSize, NV, &[V, SIGNERS]),
    (Kind::WrongQuorumSize, &[], &[SIGNERS]),
    (Kind::SignersNotRising, NV, &[V, SIGNERS]),
    (Kind::SignersNotRising, &[], &[SIGNERS]),
    (Kind::MixedCertificate, &[], &[MATCHING]),
    (Kind::MixedCertificate, &[Given::Committed], &[ON_COMMITTED]),
    (Kind::MixedCertificate, &[Given::Stable], &[ON_STABLE]),
    (Kind::CertificateFromFuture, P, &[VIEW_CHANGE]),
    (Kind::CertificatesNotRising, P, &[VIEW_CHANGE]),
    (Kind::UnprovenCheckpoint, P, &[LOW_WATER_MARK]),
    (Kind::WrongNewView, NV, &[SHAPE_NEW_VIEW]),
    (Kind::TimerNotRunning, &[Given::ViewTimer], &[ON_VIEW_TIMER]),
    (Kind::LastView, &[Given::ViewTimer, Given::Suspicion], &[ON_SUSPECT]),
    (Kind::NotRequested, &[Given::Batch], &[FETCHING]),
    (Kind::NotRequested, &[Given::StateData], &[ON_STATE_DATA]),
    (Kind::NotRequested, &[], &[ON_CLIENT]),
    (Kind::WrongStateData, &[Given::StateData], &[ON_STATE_DATA]),
    (Kind::UnreadableStateData, &[Given::StateData], &[ON_STATE_DATA]),
    (Kind::Unavailable, &[Given::FetchBatch], &[ON_FETCH_BATCH]),
    (Kind::Unavailable, &[Given::FetchState], &[ON_FETCH_STATE]),
    (Kind::OverBudget, &[], &[GIVE]),
    (Kind::UnexpectedCompletion, &[], &[FINISH, TAKE_COMPLETE]),
    (Kind::Halted, &[], &[STEP]),
];

/// The functions that give this reason for that input. A row that names the input goes before one that sees several sorts.
pub fn raise(given: Option<Given>, reason: Kind) -> Vec<Handler> {
    let of_reason = || RAISED.iter().filter(|(of, _, _)| *of == reason);
    let about = |(_, inputs, _): &&Row| given.is_some_and(|given| inputs.contains(&given));
    let general = of_reason().filter(|(_, inputs, _)| inputs.is_empty());
    let rows: Vec<&Row> = of_reason().filter(about).chain(general).collect();
    let rows = if rows.is_empty() { of_reason().collect() } else { rows };
    rows.into_iter().flat_map(|(_, _, places)| places.iter().copied()).collect()
}

/// All that is said of a reason.
pub fn raised(reason: Kind) -> impl Iterator<Item = Handler> {
    let rows = RAISED.iter().filter(move |(of, _, _)| *of == reason);
    rows.flat_map(|(_, _, places)| places.iter().copied())
}

/// Who asks for the check, and what it compares with.
pub fn read(given: Option<Given>, reason: Kind) -> &'static [Handler] {
    const DIGEST: Handler = in_core!("canonical.rs", "Batch::digest");
    match (reason, given) {
        (Kind::BadSignature, Some(given)) => signatures(given),
        (Kind::WrongDigest, _) => &[
            DIGEST,
            in_core!("canonical.rs", "put_list"),
            in_core!("canonical.rs", "Signed::encode"),
            in_core!("canonical.rs", "Request::encode"),
            in_core!("canonical.rs", "put_bytes"),
        ],
        (Kind::TooLong, Some(Given::ViewChange)) => &[SHAPE_LISTS, SHAPE_STABLE, PREPARES],
        (Kind::TooLong, Some(Given::NewView)) => &[SHAPE_NEW_VIEW, SHAPE_LISTS, PREPARES],
        (
            Kind::OutsideWindow
            | Kind::WrongView
            | Kind::ViewNotActive
            | Kind::Duplicate
            | Kind::Equivocation,
            Some(Given::PrePrepare),
        ) => &[PRE_PREPARE],
        (Kind::Equivocation, Some(Given::Checkpoint)) => &[ON_CHECKPOINT],
        (Kind::WrongView | Kind::Duplicate, Some(Given::NewView)) => &[ENTERABLE],
        (Kind::LaneTooHigh | Kind::OperationTooLarge | Kind::TimestampTooHigh, _) => &[CHECK_SHAPE],
        (Kind::TooLong, Some(Given::Stable)) => &[SHAPE_STABLE],
        (Kind::TooLong, Some(Given::Committed)) => &[CHECK_SHAPE, SHAPE_BATCH],
        (Kind::TooLong, _) if given.is_some_and(|given| BATCHED.contains(&given)) => &[SHAPE_BATCH],
        (
            Kind::WrongQuorumSize | Kind::NotAMember | Kind::SignersNotRising,
            Some(Given::Committed),
        ) => &[COMMITTED, QUORUM],
        (
            Kind::WrongQuorumSize | Kind::NotAMember | Kind::SignersNotRising,
            Some(Given::Stable),
        ) => &[STABLE, QUORUM],
        (Kind::WrongQuorumSize, Some(Given::ViewChange)) => &[PREPARED, PREPARES, STABLE, QUORUM],
        (Kind::WrongQuorumSize, Some(Given::NewView)) => &[PREPARES, QUORUM],
        (Kind::MixedCertificate, Some(Given::Committed)) => &[COMMITTED],
        (Kind::MixedCertificate, Some(Given::Stable)) => &[STABLE],
        (Kind::MixedCertificate, Some(Given::ViewChange | Given::NewView)) => &[PREPARED, STABLE],
        (Kind::UnprovenCheckpoint, _) => &[VIEW_CHANGE, STABLE],
        (Kind::WrongNewView, _) => &[in_core!("new_view.rs", "plan"), ENTERABLE],
        (Kind::NullBatch, _) => &[in_core!("canonical.rs", "Batch::is_null")],
        _ => &[],
    }
}

/// Where the signatures in a message are looked for, and how what was signed is written.
const fn signatures(given: Given) -> &'static [Handler] {
    const CERTIFICATE: Handler = in_core!("crypto.rs", "Check::certificate");
    const PROOF: Handler = in_core!("crypto.rs", "Check::stable");
    match given {
        Given::PrePrepare => &[
            in_core!("crypto.rs", "Check::proposal"),
            in_core!("crypto.rs", "Check::batch"),
            in_core!("crypto.rs", "Statement::bytes"),
            in_core!("canonical.rs", "Request::encode"),
        ],
        Given::Committed => &[
            in_core!("crypto.rs", "Check::committed"),
            in_core!("crypto.rs", "Check::certified_batch"),
            in_core!("canonical.rs", "Commit::encode"),
        ],
        Given::Batch => &[in_core!("crypto.rs", "Check::certified_batch")],
        Given::Stable => &[PROOF, in_core!("canonical.rs", "Checkpoint::encode")],
        Given::ViewChange => &[
            in_core!("crypto.rs", "Check::view_change"),
            CERTIFICATE,
            PROOF,
            in_core!("canonical.rs", "ViewChange::encode"),
        ],
        Given::NewView => &[
            in_core!("crypto.rs", "Check::new_view"),
            CERTIFICATE,
            PROOF,
            in_core!("canonical.rs", "NewView::encode"),
        ],
        Given::Prepare => &[VERIFY, in_core!("canonical.rs", "Prepare::encode")],
        Given::Commit => &[VERIFY, in_core!("canonical.rs", "Commit::encode")],
        Given::Checkpoint => &[VERIFY, in_core!("canonical.rs", "Checkpoint::encode")],
        Given::Status => &[VERIFY, in_core!("canonical.rs", "Status::encode")],
        Given::Reply => {
            &[in_core!("crypto.rs", "verify_reply"), in_core!("canonical.rs", "Reply::encode")]
        }
        _ => &[VERIFY],
    }
}

/// The rule behind a reason, where it is another one than that of the input.
pub fn rule(given: Option<Given>, facts: &[Fact]) -> Option<Rule> {
    let rule = |section, place| Some(Rule { section, place: Some(place) });
    let reason = facts.iter().find_map(|fact| match fact {
        Fact::MustRefuse(reason) => Some(*reason),
        _ => None,
    })?;
    let claims = in_model!("adversary.rs", "Pbft::may_claim_at");
    match (reason, given) {
        (Kind::OutsideWindow | Kind::CertificatesNotRising | Kind::CertificateFromFuture, _)
            if given.is_some_and(|given| P.contains(&given)) =>
        {
            rule("4.4", claims)
        }
        (Kind::OutsideWindow, _) => rule("4.2", in_model!("rules.rs", "Window::admits")),
        (Kind::WrongNewView, _) => rule("4.4", in_model!("new_view.rs", "Pbft::new_view_outcomes")),
        (Kind::BadSignature | Kind::BadAuthenticator | Kind::NotSigned, _) => {
            Some(Rule { section: "2", place: None })
        }
        _ => given.map(Given::rule),
    }
}
