//! The states and steps of a small configuration as a graph, for other tools to read.

use std::collections::HashMap;
use std::io::{self, Write};

use serde::Serialize;
use stateright::Model;

use pbft_model::properties;
use pbft_model::{Pbft, State};

/// How to write a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum GraphFormat {
    /// Graphviz: a node for each state, an edge with a short label for each step
    Dot,
    /// A line of JSON for each edge: the numbers of two states and the step between them
    Jsonl,
}

/// What a graph has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// States.
    pub states: u64,
    /// Edges.
    pub edges: u64,
    /// Whether that is all of it.
    pub complete: bool,
}

#[derive(Serialize)]
struct Edge {
    from: u64,
    to: u64,
    action: String,
}

/// Writes the graph level by level: states are numbered in the order in which they are found, from 0. Ends when there are
/// more than `most` states.
pub fn write(
    model: &Pbft,
    format: GraphFormat,
    most: u64,
    out: &mut dyn Write,
) -> io::Result<Size> {
    let mut graph = Graph { model, format, out, numbers: HashMap::new(), size: Size::default() };
    if format == GraphFormat::Dot {
        writeln!(graph.out, "digraph \"{}\" {{", model.config())?;
        writeln!(graph.out, "  node [shape=circle fontname=\"sans-serif\"];")?;
    }
    let mut level = model.init_states();
    for state in &level {
        graph.number(state)?;
    }
    while !level.is_empty() && graph.size.states <= most {
        level = graph.advance(&level)?;
    }
    if format == GraphFormat::Dot {
        writeln!(graph.out, "}}")?;
    }
    Ok(Size { complete: level.is_empty(), ..graph.size })
}

struct Graph<'a> {
    model: &'a Pbft,
    format: GraphFormat,
    out: &'a mut dyn Write,
    numbers: HashMap<State, u64>,
    size: Size,
}

impl Graph<'_> {
    /// The number of a state, and whether it is new.
    fn number(&mut self, state: &State) -> io::Result<(u64, bool)> {
        if let Some(number) = self.numbers.get(state) {
            return Ok((*number, false));
        }
        let number = self.size.states;
        self.numbers.insert(state.clone(), number);
        self.size.states += 1;
        let violated = properties::violated(self.model, state);
        if self.format == GraphFormat::Dot && !violated.is_empty() {
            let names = violated.join(", ");
            writeln!(self.out, "  {number} [shape=doublecircle tooltip=\"violates {names}\"];")?;
        }
        Ok((number, true))
    }

    /// Writes the edges that leave a level, and returns the next.
    fn advance(&mut self, level: &[State]) -> io::Result<Vec<State>> {
        let mut next_level = Vec::new();
        for state in level {
            let (from, _) = self.number(state)?;
            for (action, next) in self.model.next_steps(state) {
                let (to, fresh) = self.number(&next)?;
                self.size.edges += 1;
                let edge = Edge { from, to, action: action.to_string() };
                match self.format {
                    // Labels are made of names, numbers and brackets: nothing to escape.
                    GraphFormat::Dot => {
                        writeln!(self.out, "  {from} -> {to} [label=\"{}\"];", edge.action)?;
                    }
                    GraphFormat::Jsonl => {
                        writeln!(self.out, "{}", serde_json::to_string(&edge)?)?;
                    }
                }
                if fresh {
                    next_level.push(next);
                }
            }
        }
        Ok(next_level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_model::Reductions;

    fn written(format: GraphFormat, most: u64) -> (String, Size) {
        let model = Pbft::new("n4-b1-v0-s1-d2".parse().expect("a valid name"));
        let model = model.with_reductions(Reductions::NONE);
        let mut out = Vec::new();
        let size = write(&model, format, most, &mut out).expect("written to memory");
        (String::from_utf8(out).expect("UTF-8"), size)
    }

    #[test]
    fn a_graph_has_as_many_states_and_edges_as_the_searches_count() {
        let (lines, size) = written(GraphFormat::Jsonl, u64::MAX);
        assert_eq!(size, Size { states: 119, edges: 276, complete: true });
        assert_eq!(lines.lines().count(), 276);
        let first: serde_json::Value =
            serde_json::from_str(lines.lines().next().expect("a line")).expect("JSON");
        assert_eq!((&first["from"], &first["to"]), (&0.into(), &1.into()));
        let (dot, _) = written(GraphFormat::Dot, u64::MAX);
        assert_eq!(dot.matches(" -> ").count(), 276);
        assert!(dot.starts_with("digraph \"n4-b1-v0-s1-d2\" {") && dot.ends_with("}\n"));
    }

    #[test]
    fn a_limit_is_not_passed_off_as_the_whole() {
        let (_, size) = written(GraphFormat::Jsonl, 10);
        assert!(!size.complete && size.states > 10 && size.states < 119);
    }
}
