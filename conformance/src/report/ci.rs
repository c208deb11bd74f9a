//! The result of the main job as a report for continuous integration: a suite an arm, a case a configuration.

use crate::divergence::Divergence;
use crate::replay::carry::product::ProductReport;
use crate::replay::core::ReplayReport;
use crate::report::ConformReport;
use crate::signpost::{Handler, Signpost};
use pbft_checker::check::Verdict;
use pbft_checker::report::{Case, Command, Outcome, Report, Suite};
use std::path::Path;

impl ConformReport {
    /// The report; `directory` is where the run is kept, `command` does the same again.
    pub fn to_report(&self, directory: &Path, command: &str) -> Report {
        let mut commands =
            vec![Command { purpose: "the same again".to_owned(), line: command.to_owned() }];
        if let Some(found) = self.divergences.first() {
            let again = |purpose: &str, line: &str| Command {
                purpose: purpose.to_owned(),
                line: line.to_owned(),
            };
            commands.push(again("the divergence again", &found.reproduce));
            commands.push(again("the way to it in the Explorer", &found.explore));
        }
        Report {
            title: "Conformance".to_owned(),
            seed: Some(self.seed),
            directory: directory.to_path_buf(),
            suites: vec![
                self.model_suite(),
                self.core_suite(),
                self.node_suite(),
                self.verdict_suite(),
            ],
            commands,
        }
    }

    fn model_suite(&self) -> Suite {
        let cases = self.model.iter().map(|check| Case {
            name: check.config.to_string(),
            outcome: match check.verdict {
                Verdict::Holds => Outcome::Passed,
                Verdict::Violated => {
                    let line = format!("cargo check-model --config {}", check.config);
                    failed("a property is violated", &line)
                }
                Verdict::Inconclusive => inconclusive("not complete, or a witness is missing"),
            },
            seconds: check.seconds,
            facts: Vec::new(),
        });
        // The configurations are searched beside each other: the suite took what the replays leave of the whole.
        let seconds = (self.seconds - self.core.seconds - self.node.seconds).max(0.0);
        let (name, cases) = ("model".to_owned(), cases.collect());
        Suite { name, seconds, properties: Vec::new(), cases }
    }

    fn core_suite(&self) -> Suite {
        let core = &self.core;
        let cases = core.configurations.iter().map(|one| {
            let is_here = |found: &&Divergence| found.arm == "core" && is_of(one, found);
            let found = self.divergences.iter().find(is_here);
            let outcome = match found {
                Some(found) => failed(&found.what, &found.to_string()),
                None if one.complete && one.edges > 0 => Outcome::Passed,
                None => inconclusive("not every edge was replayed"),
            };
            Case {
                name: one.config.clone(),
                outcome,
                seconds: one.seconds,
                facts: found.map(facts).unwrap_or_default(),
            }
        });
        let mut cases: Vec<_> = cases.collect();
        let known = |found: &&Divergence| {
            found.arm == "core" && !core.configurations.iter().any(|one| is_of(one, found))
        };
        let found = self.divergences.iter().find(known);
        let walks = match found {
            Some(found) => failed(&found.what, &found.to_string()),
            None if core.walked_steps == core.walked_total && core.walked_total > 0 => {
                Outcome::Passed
            }
            None => inconclusive("not every step of the walks was replayed"),
        };
        cases.push(Case {
            name: "corpus and walks".to_owned(),
            outcome: walks,
            seconds: 0.0,
            facts: found.map(facts).unwrap_or_default(),
        });
        cases.push(self.carried_case());
        cases.extend(core.paired.iter().map(|one| self.paired_case(one)));
        let properties = [
            ("edges", core.edges_replayed),
            ("edges under every schedule", core.edges_scheduled),
            ("inputs", core.steps),
            ("probes", core.negative_probes),
        ];
        let landmarks = core.landmarks.iter().map(|(name, count)| (*name, *count));
        let leftovers = core.carried.leftovers.iter().map(|(name, one)| (*name, one.given));
        let properties = properties.into_iter().chain(landmarks).chain(leftovers);
        let properties = properties.map(|(name, count)| (name.to_owned(), count.to_string()));
        Suite {
            name: "core".to_owned(),
            seconds: core.seconds,
            properties: properties.collect(),
            cases,
        }
    }

    fn carried_case(&self) -> Case {
        let carried = &self.core.carried;
        let missing: Vec<_> = carried.missing().collect();
        let outcome = match &missing[..] {
            [] if carried.walks == self.core.carried_total && carried.walks > 0 => Outcome::Passed,
            [] => inconclusive("not every walk with leftovers was made"),
            missing => inconclusive(&missing.join("; ")),
        };
        let name = "walks with leftovers".to_owned();
        Case { name, outcome, seconds: 0.0, facts: Vec::new() }
    }

    fn paired_case(&self, one: &ProductReport) -> Case {
        let outcome = match one.complete && (one.states, one.edges) == one.on_record {
            true => Outcome::Passed,
            false => inconclusive("not the pairs and edges that are on record"),
        };
        let name = format!("pairs {}", one.config);
        Case { name, outcome, seconds: one.seconds, facts: Vec::new() }
    }

    fn node_suite(&self) -> Suite {
        let node = &self.node;
        let found = self.divergences.iter().find(|found| found.arm == "node");
        let outcome = match found {
            Some(found) => failed(&found.what, &found.to_string()),
            None if node.steps == node.steps_total && node.traces > 0 => Outcome::Passed,
            None => inconclusive("not every step went through the node"),
        };
        let name = "traces through the production node".to_owned();
        let properties =
            [("traces", node.traces), ("steps", node.steps), ("crashes", node.crashes)];
        let properties = properties.map(|(name, count)| (name.to_owned(), count.to_string()));
        Suite {
            name: "node".to_owned(),
            seconds: node.seconds,
            properties: properties.to_vec(),
            cases: vec![Case {
                name,
                outcome,
                seconds: node.seconds,
                facts: found.map(facts).unwrap_or_default(),
            }],
        }
    }

    /// What is said of the run as a whole: nothing was left out.
    fn verdict_suite(&self) -> Suite {
        let outcome = match self.reasons.first() {
            None => Outcome::Passed,
            Some(_) if !self.divergences.is_empty() => failed(&self.reasons.join("; "), ""),
            Some(_) => inconclusive(&self.reasons.join("; ")),
        };
        let name = "nothing was left out".to_owned();
        let case = Case { name, outcome, seconds: 0.0, facts: Vec::new() };
        Suite {
            name: "verdict".to_owned(),
            seconds: 0.0,
            properties: Vec::new(),
            cases: vec![case],
        }
    }
}

/// Whether a divergence may have been seen in this graph, or the part of it that was walked.
fn is_of(graph: &ReplayReport, found: &Divergence) -> bool {
    graph.config.split(',').next() == Some(&*found.config)
}

/// Where a divergence was seen, and where it leads, each by its name.
fn facts(found: &Divergence) -> Vec<(String, String)> {
    let Signpost { handler, rule, .. } = &found.signpost;
    let line = |place: Option<&Handler>| {
        place.and_then(Handler::line).map(|line| line.to_string()).unwrap_or_default()
    };
    let ruled = rule.place.as_ref();
    let all = [
        ("replica", found.replica.to_string()),
        ("step", found.step.to_string()),
        ("handler.file", handler.file.to_owned()),
        ("handler.function", handler.function.to_owned()),
        ("handler.line", line(Some(handler))),
        ("rule.section", rule.section.to_owned()),
        ("rule.file", ruled.map_or(String::new(), |place| place.file.to_owned())),
        ("rule.function", ruled.map_or(String::new(), |place| place.function.to_owned())),
        ("rule.line", line(ruled)),
    ];
    all.map(|(name, value)| (name.to_owned(), value)).into()
}

fn failed(message: &str, detail: &str) -> Outcome {
    Outcome::Failed { message: message.to_owned(), detail: detail.to_owned() }
}

fn inconclusive(message: &str) -> Outcome {
    Outcome::Inconclusive { message: message.to_owned() }
}
