//! A counterexample of the model is a file that `pbft-conform trace` takes: what of it the protocol allows is held against
//! the code, and of the rest it says why not.

use pbft_checker::mutant_record::row;
use pbft_checker::mutants::{MutantReport, hunt, planted};
use pbft_checker::trace::Trace;
use pbft_conformance::walk;
use pbft_model::{Pbft, State};
use stateright::Model as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The hunt for a mutant of the model. The program that has them is built for it: some minutes, where it was not before.
fn report() -> &'static MutantReport {
    static REPORT: OnceLock<MutantReport> = OnceLock::new();
    REPORT.get_or_init(|| {
        let row = row("p-omitted").expect("a record").expect("on record");
        hunt(&planted().expect("a planted build"), &row).expect("an answer")
    })
}

fn counterexample() -> Trace {
    report().counterexample.clone().expect("killed")
}

/// How many steps the protocol without the bug takes, as the model alone says.
fn allowed(trace: &Trace) -> usize {
    let correct = Pbft::new(trace.config.parse().expect("a valid name"));
    let mut state = State::initial(correct.config());
    let taken = trace.actions.iter().take_while(|step| {
        let next = correct.is_enabled(&state, step).then(|| correct.next_state(&state, **step));
        next.flatten().map(|next| state = next).is_some()
    });
    taken.count()
}

/// What the command says of a file with this text: its exit code, its result, and what it complains of.
fn conform_trace(name: &str, text: &str) -> (Option<i32>, String, String) {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, text).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pbft-conform"));
    let output = command.arg("trace").arg(&file).output().expect("started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Outside fault F15: `conform trace` blames the harness for a counterexample of the model's own.
#[test]
fn a_mutants_counterexample_is_followed_as_far_as_the_protocol_goes() {
    let trace = counterexample();
    let steps = allowed(&trace);
    assert!(0 < steps && steps < trace.actions.len(), "{steps} of {}", trace.actions.len());
    let foreign = &trace.actions[steps];
    let written = report().written.as_ref().expect("killed");
    let (code, said, complaints) = conform_trace("mutant.itf.json", &written.itf);
    let expected = format!(
        "code and model agree along the first {steps} steps of this trace; step {}, `{foreign}`, is taken only by a \
         model with the bug p-omitted, so the code has nothing to do with the rest: see it with `cargo trace FILE`\n",
        steps + 1
    );
    assert_eq!((code, said), (Some(0), expected), "{complaints}");
    // The mutant's own steps are followed where it is on.
    assert!(complaints.starts_with("building pbft-model-planted"), "{complaints}");
    assert_eq!(complaints.lines().count(), 1, "{complaints}");
}

/// Outside fault F15: The same steps in a file that does not say whose they are: the file is to be made again.
#[test]
fn steps_that_nobody_owns_are_of_another_version() {
    let Trace { config, actions, .. } = counterexample();
    let trace = walk::Trace { config, origin: "somewhere".to_owned(), actions };
    let (code, said, complaints) =
        conform_trace("foreign.json", &serde_json::to_string(&trace).expect("JSON"));
    assert_eq!((code, &*said), (Some(2), ""));
    assert!(complaints.contains("is not one that this model allows there"), "{complaints}");
    assert!(complaints.contains("the trace is of another version: make it again"), "{complaints}");
}
