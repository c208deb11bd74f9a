//! The same definitions as a TLA+ module, for readers of TLA+ and for TLC.
//!
//! A relation is the set of its tuples: a variable if some action adds to it, else a constant. Views and sequence numbers
//! are natural numbers.

use crate::formula::{Comparison, Formula, Sort, ZERO};
use crate::theory::{Action, Addition, Named, Relation, Theory};
use std::fmt::Write as _;

/// The name of the module.
pub const MODULE: &str = "Pbft";

impl Theory {
    /// The module.
    #[must_use]
    pub fn to_tla(&self) -> String {
        let (variables, constants): (Vec<_>, Vec<_>) =
            self.relations.iter().partition(|relation| self.grows(relation));
        let mut text = format!("---- MODULE {MODULE} ----\n");
        text.push_str("(* Made by `cargo prove --tla FILE` from model/proof/src/pbft.txt. *)\n");
        text.push_str("EXTENDS Naturals\n\nCONSTANTS\n");
        let sorts = Sort::ALL.map(|sort| format!("    {}", sort.name()));
        let sets = constants.iter().map(|one| format!("    {}  (* {} *)", one.name, one.meaning));
        let _ = writeln!(text, "{}\n", commas(sorts.into_iter().chain(sets)));
        let sets = variables.iter().map(|one| format!("    {}  (* {} *)", one.name, one.meaning));
        let _ = writeln!(text, "VARIABLES\n{}\n", commas(sets));
        let all: Vec<_> = variables.iter().map(|one| &*one.name).collect();
        let _ = writeln!(text, "vars == <<{}>>\n\n{ZERO} == 0\n", all.join(", "));
        for axiom in &self.axioms {
            let _ = writeln!(text, "(* {} *)\nASSUME {}\n", axiom.name, written(&axiom.formula));
        }
        let empty: Vec<_> = all.iter().map(|name| format!("    /\\ {name} = {{}}")).collect();
        let said = self.initially.iter().map(|one| format!("    /\\ {}", written(one)));
        let start: Vec<_> = empty.into_iter().chain(said).collect();
        let _ = writeln!(text, "Init ==\n{}\n", start.join("\n"));
        for action in &self.actions {
            text.push_str(&self.action(action, &all));
        }
        let steps = self.actions.iter().map(|action| {
            let call = format!("{}({})", named(&action.name), action.parameters.join(", "));
            format!("    \\/ \\E {}: {call}", bounds(&action.parameters))
        });
        let steps: Vec<_> = steps.collect();
        let _ = writeln!(text, "Next ==\n{}\n\nSpec == Init /\\ [][Next]_vars\n", steps.join("\n"));
        for (heading, list) in [("Invariant", &self.conjuncts), ("Goals", &self.goals)] {
            text.push_str(&conjunction(heading, list));
        }
        text.push_str("====\n");
        text
    }

    /// Whether some action adds to the relation.
    fn grows(&self, relation: &Relation) -> bool {
        let additions = self.actions.iter().flat_map(|action| &action.adds);
        additions.into_iter().any(|addition| addition.relation == relation.name)
    }

    fn action(&self, action: &Action, variables: &[&str]) -> String {
        let head = format!("{}({})", named(&action.name), action.parameters.join(", "));
        let mut text = format!("{head} ==\n");
        for guard in &action.requires {
            let _ = writeln!(text, "    /\\ {}", written(guard));
        }
        let mut same = Vec::new();
        for name in variables {
            let added = action.adds.iter().filter(|addition| addition.relation == **name);
            let sets: Vec<_> = added.map(|addition| added_set(addition, action)).collect();
            if sets.is_empty() {
                same.push(*name);
            } else {
                let _ = writeln!(text, "    /\\ {name}' = {name} \\cup {}", sets.join(" \\cup "));
            }
        }
        let _ = writeln!(text, "    /\\ UNCHANGED <<{}>>\n", same.join(", "));
        text
    }
}

/// The tuples that an addition adds.
fn added_set(addition: &Addition, action: &Action) -> String {
    let terms: Vec<&str> = addition.arguments.iter().map(|term| &*term.0).collect();
    let tuple = tuple(&terms);
    let free = addition.arguments.iter().map(|term| term.0.clone());
    let free: Vec<String> = free.filter(|name| !action.parameters.contains(name)).collect();
    match free.as_slice() {
        [] if addition.condition == Formula::Constant(true) => format!("{{{tuple}}}"),
        [] => format!("(IF {} THEN {{{tuple}}} ELSE {{}})", written(&addition.condition)),
        _ => {
            let sets: Vec<_> = free.iter().map(|name| set_of(name)).collect();
            let (chosen, sets) = (format!("<<{}>>", free.join(", ")), sets.join(" \\X "));
            // A set of one-tuples has no \X.
            let (chosen, sets) = match free.as_slice() {
                [only] => (only.clone(), set_of(only).to_owned()),
                _ => (chosen, sets),
            };
            let condition = written(&addition.condition);
            format!("{{{tuple} : {chosen} \\in {{{chosen} \\in {sets} : {condition}}}}}")
        }
    }
}

/// Named formulas, and all of them together.
fn conjunction(heading: &str, list: &[Named]) -> String {
    let mut text = String::new();
    for one in list {
        let why = if one.why.is_empty() { String::new() } else { format!("(* {} *)\n", one.why) };
        let _ = writeln!(text, "{why}{} == {}\n", named(&one.name), written(&one.formula));
    }
    let names: Vec<_> = list.iter().map(|one| format!("    /\\ {}", named(&one.name))).collect();
    let _ = writeln!(text, "{heading} ==\n{}\n", names.join("\n"));
    text
}

fn commas(lines: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = lines.collect();
    let last = lines.len().saturating_sub(1);
    let with_comma = |(at, line): (usize, &String)| match line.split_once("  (*") {
        _ if at == last => line.clone(),
        Some((name, comment)) => format!("{name},  (*{comment}"),
        None => format!("{line},"),
    };
    lines.iter().enumerate().map(with_comma).collect::<Vec<_>>().join("\n")
}

/// `vote-free` as an operator's name: `VoteFree`.
fn named(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    });
    words.collect()
}

/// The set that a variable ranges over.
fn set_of(variable: &str) -> &'static str {
    Sort::of(variable).map_or("{}", Sort::name)
}

fn bounds(variables: &[String]) -> String {
    let each = variables.iter().map(|name| format!("{name} \\in {}", set_of(name)));
    each.collect::<Vec<_>>().join(", ")
}

/// A tuple; of one component, the component itself.
fn tuple(terms: &[&str]) -> String {
    match terms {
        [only] => (*only).to_owned(),
        _ => format!("<<{}>>", terms.join(", ")),
    }
}

fn written(formula: &Formula) -> String {
    let join = |parts: &[Formula], sign: &str| {
        let parts: Vec<_> = parts.iter().map(|part| format!("({})", written(part))).collect();
        parts.join(sign)
    };
    match formula {
        Formula::Constant(true) => "TRUE".to_owned(),
        Formula::Constant(false) => "FALSE".to_owned(),
        Formula::Holds(name, terms) => {
            let terms: Vec<&str> = terms.iter().map(|term| &*term.0).collect();
            format!("{} \\in {name}", tuple(&terms))
        }
        Formula::Compare(Comparison::Equal, a, b) => format!("{} = {}", a.0, b.0),
        Formula::Compare(Comparison::AtMost, a, b) => format!("{} <= {}", a.0, b.0),
        Formula::Not(inner) => format!("~({})", written(inner)),
        Formula::And(parts) => join(parts, " /\\ "),
        Formula::Or(parts) => join(parts, " \\/ "),
        Formula::Implies(a, b) => format!("({}) => ({})", written(a), written(b)),
        Formula::Iff(a, b) => format!("({}) <=> ({})", written(a), written(b)),
        Formula::ForAll(variables, inner) => {
            format!("\\A {}: {}", bounds(variables), written(inner))
        }
        Formula::Exists(variables, inner) => {
            format!("\\E {}: {}", bounds(variables), written(inner))
        }
    }
}
