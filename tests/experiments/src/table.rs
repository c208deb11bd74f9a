//! Measurements as rows: CSV, JSON and aligned text.
//!
//! What is virtual follows from the seed, so the same command gives the same bytes. What the machine has to do with, the
//! time on the wall, processor time and memory, is in columns of its own, which are there only if they were asked for.

use super::measure::{Measurement, Wire};
use super::words::said;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// A cell: what it is called and what is in it.
type Cell = (&'static str, Value);

fn rounded(number: f64) -> Value {
    json!((number * 1000.0).round() / 1000.0)
}

fn optional(number: Option<f64>) -> Value {
    number.map_or(Value::Null, rounded)
}

fn yes(holds: bool) -> Value {
    json!(if holds { "yes" } else { "no" })
}

fn share(parts: u32) -> Value {
    json!(f64::from(parts) / 1e6)
}

/// The cells of a measurement.
#[must_use]
pub fn cells(one: &Measurement, measured: bool) -> Vec<Cell> {
    let setup = &one.setup;
    let milliseconds = |span: core::time::Duration| rounded(span.as_secs_f64() * 1000.0);
    let counted = |of: fn(Wire) -> u64| one.wire.map_or(Value::Null, |wire| json!(of(wire)));
    let faulty: Vec<String> = one.faulty.iter().map(u32::to_string).collect();
    let mut cells = vec![
        ("name", json!(setup.name)),
        ("replicas", json!(setup.replicas)),
        ("tolerated", json!(one.tolerated)),
        ("quorum", json!(one.quorum)),
        ("clients", json!(setup.clients)),
        ("requests", json!(setup.requests)),
        ("batch", json!(setup.batch)),
        ("timeout_s", rounded(setup.timeout.as_secs_f64())),
        ("delay_min_ms", milliseconds(setup.delay.0)),
        ("delay_max_ms", milliseconds(setup.delay.1)),
        ("replica_delay_ms", milliseconds(setup.link.replica_delay)),
        ("drop", share(setup.link.drop)),
        ("reorder", share(setup.link.reorder)),
        ("duplicate", share(setup.link.duplicate)),
        ("byzantine", json!(setup.byzantine.name())),
        ("faulty", json!(faulty.join(" "))),
        ("seed", json!(setup.seed)),
        ("operations", json!(setup.operations())),
        ("answered", json!(one.answered)),
        ("throughput_per_s", rounded(one.throughput())),
        ("total_time_s", rounded(one.total.as_secs_f64())),
        ("latency_mean_ms", optional(one.mean_latency_ms())),
        ("latency_p50_ms", optional(one.latency_ms(50))),
        ("latency_p99_ms", optional(one.latency_ms(99))),
        ("safe", json!(one.verdict.safe())),
        ("live", yes(one.verdict.is_live())),
        ("primary_failed", yes(one.primary_failed)),
        ("view_changed", yes(one.view_changes > 0)),
        ("view", json!(one.view)),
        ("view_changes", json!(one.view_changes)),
        ("crashes", json!(one.crashes)),
        ("contradictions", counted(|wire| wire.contradictions)),
        ("replica_messages", counted(|wire| wire.messages)),
        ("ordering_messages", counted(|wire| wire.ordering)),
        ("formula", json!(one.formula())),
        ("replica_bytes", counted(|wire| wire.bytes)),
    ];
    if measured {
        cells.push(("wall_clock_s", rounded(one.cost.wall_clock_s)));
        cells.push(("process_time_s", rounded(one.cost.process_time_s)));
        cells.push(("memory_percent", rounded(one.cost.memory_percent)));
    }
    cells.push(("verdict", json!(one.verdict.reason)));
    cells
}

/// A value in a cell.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

/// Measurements as rows of text, below a row of names.
#[must_use]
pub fn rows(all: &[Measurement], measured: bool) -> Vec<Vec<String>> {
    let cells: Vec<_> = all.iter().map(|one| cells(one, measured)).collect();
    let names = cells.first().map(|row| row.iter().map(|(name, _)| (*name).to_owned()).collect());
    let values = cells.iter().map(|row| row.iter().map(|(_, value)| plain(value)).collect());
    names.into_iter().chain(values).collect()
}

/// Measurements as comma-separated values (RFC 4180), with a line of names.
#[must_use]
pub fn csv(all: &[Measurement], measured: bool) -> String {
    let line = |row: Vec<String>| row.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",");
    rows(all, measured).into_iter().map(|row| line(row) + "\n").collect()
}

/// Measurements as JSON, an object each.
#[must_use]
pub fn json(all: &[Measurement], measured: bool) -> Value {
    let object = |one: &Measurement| {
        let cells = cells(one, measured).into_iter();
        Value::Object(cells.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
    };
    Value::Array(all.iter().map(object).collect())
}

/// One measurement, a line a quantity.
#[must_use]
pub fn lines(one: &Measurement) -> String {
    let mut text = String::new();
    let setup = &one.setup;
    let number =
        |value: Option<f64>| value.map_or("none".to_owned(), |value| format!("{value:.1}"));
    let faulty = match one.faulty[..] {
        [] => "none".to_owned(),
        _ => one.faulty.iter().map(u32::to_string).collect::<Vec<_>>().join(", "),
    };
    let messages = |wire: Wire| {
        format!(
            "{}, of which {} order requests (2n(n−1) each, unbatched and without faults: {})",
            wire.messages,
            wire.ordering,
            one.formula()
        )
    };
    let pairs = [
        (
            "cluster",
            format!(
                "{} replicas, f = {}, quorum {}; Byzantine: {faulty}",
                setup.replicas, one.tolerated, one.quorum
            ),
        ),
        (
            "clients",
            format!(
                "{} × {} operations, timeout {}",
                setup.clients,
                setup.requests,
                said(setup.timeout)
            ),
        ),
        ("answered", format!("{} of {}", one.answered, setup.operations())),
        ("throughput", format!("{:.1} operations/s", one.throughput())),
        ("total time", format!("{:.3} s", one.total.as_secs_f64())),
        (
            "latency",
            format!(
                "mean {} ms, median {} ms, 99 % {} ms",
                number(one.mean_latency_ms()),
                number(one.latency_ms(50)),
                number(one.latency_ms(99))
            ),
        ),
        ("safe?", one.verdict.safe().to_owned()),
        ("live?", plain(&yes(one.verdict.is_live()))),
        ("primary failed?", plain(&yes(one.primary_failed))),
        ("view changed?", format!("{}, to view {}", plain(&yes(one.view_changes > 0)), one.view)),
        ("replica messages", one.wire.map_or("not counted".to_owned(), messages)),
        (
            "contradictions",
            one.wire
                .map_or("not counted".to_owned(), |wire| format!("{} seen", wire.contradictions)),
        ),
        (
            "this machine",
            format!(
                "{:.2} s on the wall, {:.3} s of processor a replica, {:.2} % of memory",
                one.cost.wall_clock_s, one.cost.process_time_s, one.cost.memory_percent
            ),
        ),
    ];
    for (name, value) in pairs {
        let _ = writeln!(text, "{name:<17}{value}");
    }
    text
}

/// Columns of equal width; those after the first are aligned to the right.
#[must_use]
pub fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let space = " ".repeat(widths[column] - cell.chars().count());
            match column {
                0 => line += &format!("{cell}{space}"),
                _ => line += &format!("  {space}{cell}"),
            }
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_with_commas_and_quotes_are_quoted() {
        assert_eq!(quoted("plain"), "plain");
        assert_eq!(quoted("a, \"b\""), "\"a, \"\"b\"\"\"");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        assert_eq!(
            columns(&[row(["f", "op/s"]), row(["three", "9"])]),
            "f      op/s\nthree     9\n"
        );
    }
}
