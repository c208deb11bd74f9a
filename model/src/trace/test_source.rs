//! A trace as the source of a Rust test, so that a counterexample that was once found is looked at for ever.

use std::fmt::Write;

use super::{Trace, TraceError, follow};
use crate::{Pbft, properties};

/// The source of a test of this crate that takes the steps of the trace.
///
/// With a mutant: every step is enabled under it, the last state violates what the trace shows, and the correct protocol
/// refuses the step at which the mutant leaves it. Without: every step is enabled and the last state violates
/// nothing; or, for a violation of the protocol itself, the test fails until the protocol refuses a step or ends well.
pub fn rust_test(trace: &Trace) -> Result<String, TraceError> {
    let broken = trace.model()?;
    let labels: Vec<_> = trace.actions.iter().map(ToString::to_string).collect();
    let labels: Vec<_> = labels.iter().map(String::as_str).collect();
    let states = trace.states(&broken)?;
    if states.last() != Some(&follow(&broken, &labels)?) {
        return Err(TraceError::Malformed("two of its steps have the same label".to_owned()));
    }
    let mut text = String::new();
    let name = trace.mutant.map_or_else(|| "correct".to_owned(), |mutant| mutant.to_string());
    let name = format!("{name}_in_{}", trace.config).replace('-', "_");
    let _ = writeln!(text, "/// {}", trace.headline());
    let _ = writeln!(text, "#[test]\nfn {name}() {{");
    text += "    use pbft_model::trace::follow;\n";
    let mutant = if trace.mutant.is_some() { "Mutant, " } else { "" };
    let _ = writeln!(text, "    use pbft_model::{{{mutant}Pbft, properties}};\n");
    text += &constant("STEPS", &labels);
    if trace.mutant.is_some() {
        text += &constant("VIOLATED", &trace.shows.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let config = &trace.config;
    let _ = writeln!(
        text,
        "    let correct = Pbft::new(\"{config}\".parse().expect(\"a configuration\"));"
    );
    text += &assertions(trace, &labels)?;
    text += "}\n";
    Ok(text)
}

fn assertions(trace: &Trace, labels: &[&str]) -> Result<String, TraceError> {
    let mut text = String::new();
    let correct = Pbft::new(trace.config.parse()?);
    let Some(mutant) = trace.mutant else {
        text += if trace.shows.is_empty() {
            "    let last = follow(&correct, &STEPS).expect(\"every step is enabled\");\n    \
             assert!(properties::violated(&correct, &last).is_empty());\n"
        } else {
            "    if let Ok(last) = follow(&correct, &STEPS) {\n        \
             assert!(properties::violated(&correct, &last).is_empty());\n    }\n"
        };
        return Ok(text);
    };
    let _ = writeln!(
        text,
        "    let broken = correct.clone().with_mutant(Some(Mutant::{mutant:?}));\n    \
         let last = follow(&broken, &STEPS).expect(\"every step is enabled\");\n    \
         assert_eq!(properties::violated(&broken, &last), VIOLATED);"
    );
    text += &match follow(&correct, labels) {
        Err(refused) => format!(
            "    let refused = follow(&correct, &STEPS).expect_err(\"the correct protocol refuses it\");\n    \
             assert_eq!(refused.step, {});\n",
            refused.step
        ),
        // The steps are the same; what differs is what the mutant does in them.
        Ok(last) => {
            let violated = properties::violated(&correct, &last);
            let expected = if violated.is_empty() { "" } else { &violated.join("\", \"") };
            format!(
                "    let last = follow(&correct, &STEPS).expect(\"every step is enabled\");\n    \
                 assert_eq!(properties::violated(&correct, &last).join(\", \"), \"{expected}\");\n"
            )
        }
    };
    Ok(text)
}

/// An array of strings, on as few lines as fit, the way rustfmt lays it out.
fn constant(name: &str, items: &[&str]) -> String {
    const COLUMNS: usize = 100;
    let quoted: Vec<_> = items.iter().map(|item| format!("{item:?}")).collect();
    let head = format!("    const {name}: [&str; {}] =", items.len());
    let all = format!("[{}];", quoted.join(", "));
    let one_per_line: String = quoted.iter().map(|item| format!("        {item},\n")).collect();
    let layouts = [format!("{head} {all}\n"), format!("{head}\n        {all}\n")];
    let fits = |text: &String| text.lines().all(|line| line.chars().count() <= COLUMNS);
    let fitting = layouts.into_iter().find(fits);
    fitting.unwrap_or_else(|| format!("{head} [\n{one_per_line}    ];\n"))
}
