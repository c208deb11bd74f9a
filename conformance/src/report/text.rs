//! The result of the main job for people: tables, divergences, the verdict.

use super::{ConformReport, Conformity};
use crate::replay::carry::leftover::Leftover;
use crate::replay::carry::walks::Given;
use crate::replay::landmark::Landmark;
use pbft_checker::check::PropertyResult;
use std::fmt::Write;

impl ConformReport {
    /// The table, the divergences and the verdict, for people.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{}", self.model_table());
        let _ = writeln!(text, "{}", self.replay_table());
        let _ = writeln!(text, "{}", self.counts());
        for divergence in &self.divergences {
            let _ = writeln!(text, "{divergence}\n");
        }
        for check in self.model.iter().filter(|check| check.counterexample.is_some()) {
            let _ = writeln!(text, "{}: see `pbft-model check --config {0}`", check.config);
        }
        for reason in &self.reasons {
            let _ = writeln!(text, "not shown: {reason}");
        }
        let verdict = match self.verdict {
            Conformity::Holds => {
                "HOLDS: the model is safe at these bounds, and the code takes its steps"
            }
            Conformity::Finding => "DOES NOT HOLD",
            Conformity::Inconclusive => "INCONCLUSIVE",
        };
        let _ = writeln!(text, "{verdict} ({:.0} s, seed {})", self.seconds, self.seed);
        text
    }

    fn model_table(&self) -> comfy_table::Table {
        let mut table = table(&[
            "model",
            "states",
            "edges",
            "complete",
            "collision",
            "properties",
            "witnesses",
        ]);
        for check in &self.model {
            let held = check.properties_that(PropertyResult::Holds).count();
            let shown = check.witnesses.values().filter(|shown| **shown).count();
            table.add_row([
                check.config.to_string(),
                check.unique_states.to_string(),
                check.edges.to_string(),
                if check.complete { "yes" } else { "NO" }.to_owned(),
                format!("{:.0e}", check.collision_bound),
                format!("{held}/{} hold", check.properties.len()),
                format!("{shown}/{}", check.witnesses.len()),
            ]);
        }
        table
    }

    fn replay_table(&self) -> comfy_table::Table {
        let mut table = table(&["replayed", "states", "edges", "inputs", "probes", "edges/s"]);
        for one in &self.core.configurations {
            table.add_row([
                format!("core {}", one.config),
                one.states.to_string(),
                one.edges.to_string(),
                one.steps.to_string(),
                one.probes.values().sum::<u64>().to_string(),
                format!("{:.0}", one.edges as f64 / one.seconds),
            ]);
        }
        let mut row = |what: String, [states, edges, inputs]: [Option<u64>; 3]| {
            let cells =
                [states, edges, inputs].map(|one| one.map_or_else(String::new, |n| n.to_string()));
            let blank = [String::new(), String::new()];
            table.add_row(std::iter::once(what).chain(cells).chain(blank));
        };
        let (core, node) = (&self.core, &self.node);
        let tried: u64 = core.schedules.values().sum();
        row(format!("core, {tried} other schedules"), [None, Some(core.edges_scheduled), None]);
        let jumps = "core, jumps with their NEW-VIEW".to_owned();
        row(jumps, [None, Some(core.composed), None]);
        let declined = "core, requests declined after a later one".to_owned();
        row(declined, [None, Some(core.declined), None]);
        for one in &core.paired {
            let what = format!("core in pairs {}", one.config);
            row(what, [Some(one.states), Some(one.edges), Some(one.work.steps)]);
        }
        row("core, random walks".to_owned(), [None, Some(core.walked_steps), None]);
        let given: u64 = core.carried.leftovers.values().map(|one| one.given).sum();
        let what = format!("core, random walks with {given} leftovers");
        row(what, [None, Some(core.carried.steps), Some(core.carried.work.steps)]);
        let scenarios = core.scenarios + node.scenarios;
        row(format!("core and node, {scenarios} scenarios beyond the model"), [None; 3]);
        row(format!("node, {} scenarios at its full width", node.wide), [None; 3]);
        let what = format!("node, {} traces, {} crashes", node.traces, node.crashes);
        row(what, [None, Some(node.steps), Some(node.deliveries)]);
        table
    }

    /// What the graphs have, and what the walks left over.
    fn counts(&self) -> comfy_table::Table {
        let mut counts = table(&["edges of the graphs, and what was left over", "times", "stayed"]);
        for landmark in Landmark::ALL.map(Landmark::name) {
            let count = self.core.landmarks.get(landmark).copied().unwrap_or_default();
            counts.add_row([landmark.to_owned(), count.to_string(), String::new()]);
        }
        for kind in Leftover::ALL {
            let found = self.core.carried.leftovers.get(kind.name()).copied();
            let Given { given, stayed } = found.unwrap_or_default();
            counts.add_row([kind.name().to_owned(), given.to_string(), stayed.to_string()]);
        }
        counts
    }
}

fn table(header: &[&str]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(header);
    table
}
