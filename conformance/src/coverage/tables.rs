//! A judgement as tables: for a terminal, and as Markdown.

use super::judge::{ClauseRow, Counted, CoverageReport};
use crate::subject::tally::Phase;
use std::fmt::Write;

/// A table with a heading.
struct Table {
    title: &'static str,
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl CoverageReport {
    /// The tables and the verdict, for people.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for table in self.tables() {
            let mut shown = comfy_table::Table::new();
            shown.load_preset(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
            shown.set_header(table.header);
            shown.add_rows(table.rows);
            let _ = writeln!(text, "{}\n{shown}\n", table.title);
        }
        for missing in &self.missing {
            let _ = writeln!(text, "not exercised: {missing}");
        }
        let _ = writeln!(text, "{}", self.verdict());
        text
    }

    /// The same as Markdown.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("# Coverage\n\n{}\n", self.verdict());
        for missing in &self.missing {
            let _ = writeln!(text, "- not exercised: {missing}");
        }
        for Table { title, header, rows } in self.tables() {
            let _ = writeln!(text, "\n## {title}\n\n| {} |", header.join(" | "));
            let _ = writeln!(text, "|{}", "---|".repeat(header.len()));
            for row in rows {
                let cells: Vec<_> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
                let _ = writeln!(text, "| {} |", cells.join(" | "));
            }
        }
        text
    }

    fn verdict(&self) -> String {
        match self.missing.len() {
            0 => "COVERED: everything that has a name was exercised, or is listed with a reason"
                .to_owned(),
            count => format!("NOT COVERED: {count} of what has a name was not exercised"),
        }
    }

    fn tables(&self) -> Vec<Table> {
        let mut tables = vec![self.edges(), self.actions()];
        tables.push(counted("Edges on which rules meet", "edge", &self.landmarks));
        tables.push(counted("What walks leave over", "leftover", &self.leftovers));
        tables.push(counted("Probes, reactions and frames", "probe", &self.probes));
        tables.push(counted("Reasons to refuse an input", "rejection", &self.rejections));
        tables.push(self.clauses());
        if self.recorded_steps.is_some() {
            tables.push(self.kinds());
        }
        tables
    }

    fn edges(&self) -> Table {
        let rows = self.edges.iter().map(|edges| {
            vec![edges.config.clone(), edges.replayed.to_string(), edges.total.to_string()]
        });
        let header = vec!["graph", "edges replayed", "of"];
        Table { title: "Edges of the model", header, rows: rows.collect() }
    }

    fn actions(&self) -> Table {
        let mut header = vec!["action"];
        header.extend(Phase::ALL.map(Phase::name));
        let mut rows = Vec::new();
        let mut push = |name: String, counts: [Option<u64>; 3]| {
            let cell = |count: Option<u64>| count.map_or("–".to_owned(), |n| n.to_string());
            rows.push(std::iter::once(name).chain(counts.map(cell)).collect());
        };
        for row in &self.actions {
            push(row.action.to_string(), row.replayed);
            if let Some(recorded) = row.recorded {
                push(format!("{}, recorded", row.action), recorded);
            }
        }
        Table { title: "Actions by phase (– is impossible)", header, rows }
    }

    fn clauses(&self) -> Table {
        let row = |clause: &ClauseRow| {
            let list = |rows: &[Counted]| {
                let items = rows.iter().map(|row| match row.excuse {
                    Some(_) if row.count == 0 => format!("{} –", row.name),
                    _ => format!("{} {}", row.name, row.count),
                });
                items.collect::<Vec<_>>().join(", ")
            };
            let shows = list(&clause.shows);
            let title = format!("{} {}", clause.id, clause.title);
            let probes: u64 = clause.probes.iter().map(|row| row.count).sum();
            let probes = match clause.probes.is_empty() {
                true => "–".to_owned(),
                false => probes.to_string(),
            };
            vec![title, probes, shows]
        };
        let header = vec!["clause", "probes", "what shows it"];
        Table {
            title: "Clauses of docs/paper.md",
            header,
            rows: self.clauses.iter().map(row).collect(),
        }
    }

    fn kinds(&self) -> Table {
        let rows = self.kinds.iter().map(|row| {
            let (replayed, recorded) = (row.replayed.to_string(), row.recorded.to_string());
            let role = row.role.name().to_owned();
            vec![row.action.to_string(), role, row.on.clone(), replayed, recorded]
        });
        let header = vec!["action", "by a", "on", "replayed", "in recorded runs"];
        Table { title: "Kinds of steps", header, rows: rows.collect() }
    }
}

fn counted(title: &'static str, name: &'static str, rows: &[Counted]) -> Table {
    let cells = |row: &Counted| {
        let count = match (row.count, row.excuse) {
            (0, Some(reason)) => format!("0, because {reason}"),
            (count, _) => count.to_string(),
        };
        vec![row.name.clone(), count]
    };
    Table { title, header: vec![name, "times"], rows: rows.iter().map(cells).collect() }
}
