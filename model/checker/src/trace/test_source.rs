//! A trace as the source of a Rust test, so that a counterexample that was once found is looked at for ever.

use std::fmt::Write;

use super::{Trace, TraceError, follow};
use crate::mutant_record::active;
use pbft_model::{Pbft, properties};

/// The source of a test of this crate that takes the steps of the trace.
///
/// Of a mutant's trace: with the mutant on (`cargo plant test --mutants`) every step is enabled and the last state violates
/// what the trace shows; with none on the protocol refuses the step at which the mutant leaves it. The second half is found
/// out here, where no mutant is on; the first is what the trace says. Where the mutant is on, that step is not known: then
/// the test demands that the protocol refuses some step or ends well. Of a path of the protocol: every step is enabled and the last
/// state violates nothing; or, for a violation of the protocol itself, the test fails until the protocol refuses a step or ends
/// well.
pub fn rust_test(trace: &Trace) -> Result<String, TraceError> {
    if active().is_some() {
        TraceError::if_of_others(trace.mutant.as_deref())?;
    }
    let labels: Vec<_> = trace.actions.iter().map(ToString::to_string).collect();
    let labels: Vec<_> = labels.iter().map(String::as_str).collect();
    let model = trace.model()?;
    let mut text = String::new();
    let name =
        trace.mutant.as_deref().map_or("correct".to_owned(), |name| format!("{name}_broken"));
    let name = format!("{name}_in_{}", trace.config).replace('-', "_");
    let _ = writeln!(text, "/// {}", trace.headline());
    let _ = writeln!(text, "#[test]\nfn {name}() {{");
    if trace.mutant.is_some() {
        text += "    use pbft_checker::mutant_record;\n";
    }
    text += "    use pbft_checker::trace::follow;\n    use pbft_model::{Pbft, properties};\n\n";
    text += &constant("STEPS", &labels);
    if trace.mutant.is_some() {
        text += &constant("VIOLATED", &trace.shows.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let config = &trace.config;
    let _ = writeln!(
        text,
        "    let model = Pbft::new(\"{config}\".parse().expect(\"a configuration\"));"
    );
    text += &match &trace.mutant {
        Some(mutant) => of_a_mutant(mutant, &model, &labels),
        None => of_the_protocol(trace, &model, &labels)?,
    };
    text += "}\n";
    Ok(text)
}

fn of_the_protocol(trace: &Trace, model: &Pbft, labels: &[&str]) -> Result<String, TraceError> {
    if trace.states(model)?.last() != Some(&follow(model, labels)?) {
        return Err(TraceError::Malformed("two of its steps have the same label".to_owned()));
    }
    Ok(match trace.shows.is_empty() {
        true => {
            "    let last = follow(&model, &STEPS).expect(\"every step is enabled\");\n    \
             assert!(properties::violated(&model, &last).is_empty());\n"
        }
        false => {
            "    if let Ok(last) = follow(&model, &STEPS) {\n        \
             assert!(properties::violated(&model, &last).is_empty());\n    }\n"
        }
    }
    .to_owned())
}

fn of_a_mutant(mutant: &str, model: &Pbft, labels: &[&str]) -> String {
    let without = match follow(model, labels) {
        _ if active().is_some() => {
            "            if let Ok(last) = follow(&model, &STEPS) {\n                \
             assert!(properties::violated(&model, &last).is_empty());\n            }\n"
                .to_owned()
        }
        Err(refused) => format!(
            "            let refused = follow(&model, &STEPS).expect_err(\"the protocol refuses it\");\n            \
             assert_eq!(refused.step, {});\n",
            refused.step
        ),
        // The steps are the same; what differs is what the mutant does in them.
        Ok(last) => format!(
            "            let last = follow(&model, &STEPS).expect(\"every step is enabled\");\n            \
             assert_eq!(properties::violated(&model, &last).join(\", \"), {:?});\n",
            properties::violated(model, &last).join(", ")
        ),
    };
    format!(
        "    match mutant_record::active() {{\n        \
         Some({mutant:?}) => {{\n            \
         let last = follow(&model, &STEPS).expect(\"every step is enabled\");\n            \
         assert_eq!(properties::violated(&model, &last), VIOLATED);\n        \
         }}\n        \
         Some(_) => {{}}\n        \
         None => {{\n{without}        }}\n    \
         }}\n"
    )
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
