//! The corpus: committed traces into the places where a bug would show.
//!
//! A mutant's shortest counterexample is no behaviour of the correct protocol. Its longest prefix that is one, and
//! the step that the correct protocol takes where the mutant leaves it, lead a replay to where code with that bug
//! would leave it too.

use crate::refinement::vocabulary::replayable;
use crate::replay::grain::Walked;
use crate::walk::Trace;
use pbft_checker::mutant_record::{RecordError, record};
use pbft_checker::mutants::{hunt_all, planted};
use pbft_model as model;
use pbft_output::errln;
use pbft_plant::tool::ToolError;
use stateright::Model;
use std::num::NonZeroUsize;

/// The committed corpus, one trace a line.
pub const COMMITTED: &str = include_str!("../../corpus/traces.jsonl");

/// A line of the corpus that is no trace.
#[derive(Debug, thiserror::Error)]
#[error("corpus/traces.jsonl, line {line}: {what}; make it again with `cargo conform corpus`")]
pub struct CorpusError {
    line: usize,
    what: String,
}

/// The committed traces.
pub fn committed() -> Result<Vec<Trace>, CorpusError> {
    parse(COMMITTED)
}

/// The traces of a corpus. Each has steps: one without any would show nothing, and look as if it had.
pub fn parse(corpus: &str) -> Result<Vec<Trace>, CorpusError> {
    let lines = corpus.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            let error = |what| CorpusError { line: index + 1, what };
            let trace: Trace = serde_json::from_str(line).map_err(|e| error(e.to_string()))?;
            match trace.actions.is_empty() {
                true => Err(error(format!("an empty trace ({})", trace.origin))),
                false => Ok(trace),
            }
        })
        .collect()
}

/// Why the corpus cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// The record of the mutants cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// There is no build with the mutants.
    #[error(transparent)]
    Tool(#[from] ToolError),
}

/// Makes the corpus again from the model's mutants, each in a process of its own.
pub fn make(threads: NonZeroUsize) -> Result<Vec<Trace>, MakeError> {
    let (rows, planted) = (record()?, planted()?);
    let reports = hunt_all(&planted, &rows, threads.get(), |report| errln!("{}", report.name))?;
    let found =
        reports.into_iter().filter_map(|report| Some((report.name, report.counterexample?)));
    let mut traces = Vec::new();
    for (name, counterexample) in found {
        // The core cannot be replayed at every bound that the model has.
        let Ok(config) = replayable(&counterexample.config) else { continue };
        let actions = allowed(&config, &counterexample.actions);
        if actions.is_empty() {
            // The mutant's very first step is one that the correct protocol never takes.
            continue;
        }
        let origin = format!("mutant {name}");
        traces.push(Trace { config: config.to_string(), origin, actions });
    }
    Ok(traces)
}

/// The steps that the correct protocol allows, and its own step where it does not.
fn allowed(config: &model::Config, actions: &[model::Action]) -> Vec<model::Action> {
    let walked = Walked { model: model::Pbft::new(*config) };
    let mut state = model::State::initial(config);
    let mut path = Vec::new();
    for action in actions {
        let mut enabled = Vec::new();
        walked.actions(&state, &mut enabled);
        if !enabled.contains(action) {
            let own = |other: &&model::Action| {
                (other.replica(), other.name()) == (action.replica(), action.name())
            };
            path.extend(enabled.iter().find(own));
            break;
        }
        path.push(*action);
        match walked.next_state(&state, *action) {
            Some(next) => state = next,
            None => break,
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_trace_that_the_model_allows() {
        let traces = committed().expect("every line is a trace");
        assert!(traces.len() >= 20, "only {} traces", traces.len());
        for trace in traces {
            let config: model::Config = trace.config.parse().expect("a configuration");
            assert_eq!(allowed(&config, &trace.actions), trace.actions, "{}", trace.origin);
            assert!(!trace.actions.is_empty(), "{} is empty", trace.origin);
        }
    }
}
