//! The definitions can be read, the list of weakened rules fits them, and where the solvers are installed they agree.

use pbft_proof::counterexample::smallest;
use pbft_proof::formula::{Formula, parse};
use pbft_proof::instance::{Facts, Instance, Sizes};
use pbft_proof::prove::{Obligation, Outcome, obligation, obligations, prove};
use pbft_proof::solver::{Answer, Solver};
use pbft_proof::theory::{SOURCE, Theory, TheoryError};
use pbft_proof::tla::MODULE;
use pbft_proof::weakened::{ITSELF, weakenings, without_each_conjunct};
use std::collections::{BTreeSet, HashSet};
use std::process::Command;
use std::time::Duration;

fn theory() -> Theory {
    Theory::pbft().expect("pbft.txt is a theory")
}

#[test]
fn formulas_bind_as_in_mathematics() {
    let same = |a: &str, b: &str| assert_eq!(parse(a).expect(a), parse(b).expect(b));
    same("honest(N) & !low(N,S) -> true", "(honest(N) & (!(low(N,S)))) -> true");
    same("true | false & false", "true | (false & false)");
    same("forall R. zero <= R & true", "forall R. ((zero <= R) & true)");
    same("R < T", "R <= T & !(R = T)");
    same("true -> false -> true", "true -> (false -> true)");
    assert_ne!(parse("true <-> false"), parse("true -> false"));
    for bad in ["", "honest(N", "forall X. true", "true true", "R ? T", "honest N"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
    assert_eq!(parse("true & false").expect("read"), {
        Formula::And(vec![Formula::Constant(true), Formula::Constant(false)])
    });
}

#[test]
fn a_text_that_is_no_theory_is_refused_with_its_line() {
    let broken = |from: &str, to: &str| {
        assert!(SOURCE.contains(from), "{from}");
        Theory::read(&SOURCE.replace(from, to)).expect_err("refused")
    };
    let unknown = broken("adds voted(r,s,v)", "adds votes(r,s,v)");
    assert!(matches!(unknown, TheoryError::Sorts { .. }), "{unknown}");
    let order = broken("commit(n,r,s,v)\n  adds reached", "commit(r,n,s,v)\n  adds reached");
    assert!(matches!(order, TheoryError::Sorts { .. }), "{order}");
    let unbound = broken("requires upto(d,s)", "requires upto(e,s)");
    assert!(matches!(unbound, TheoryError::Sorts { .. }), "{unbound}");
    let keyword = broken("requires upto(d,s)", "require upto(d,s)");
    assert!(matches!(keyword, TheoryError::Line { .. }), "{keyword}");
    let syntax = broken("forall R. zero <= R", "forall R zero <= R");
    assert!(matches!(syntax, TheoryError::Syntax { .. }), "{syntax}");
}

#[test]
fn every_action_of_the_model_has_one_here() {
    let names: BTreeSet<String> = theory().actions.into_iter().map(|action| action.name).collect();
    for name in [
        "vote-in-first-view",
        "vote-free",
        "vote-bound",
        "commit",
        "execute",
        "checkpoint",
        "stabilise",
        "transfer",
        "leave",
        "begin-view",
        "enter",
    ] {
        assert!(names.contains(name), "{name}");
    }
}

#[test]
fn every_conjunct_is_asked_for_at_the_start_and_after_each_action_that_may_break_it() {
    let theory = theory();
    let all = obligations(&theory);
    for conjunct in &theory.conjuncts {
        let of =
            |o: &&Obligation<'_>| matches!(o, Obligation::Initiation(c) if c.name == conjunct.name);
        assert_eq!(all.iter().filter(of).count(), 1, "{}", conjunct.name);
        let mut relations = BTreeSet::new();
        conjunct.formula.relations(&mut |name, _| {
            relations.insert(name.to_owned());
        });
        for action in &theory.actions {
            let touches = action.adds.iter().any(|added| relations.contains(&added.relation));
            let asked = all.iter().any(|obligation| {
                matches!(obligation, Obligation::Consecution(a, c)
                    if a.name == action.name && c.name == conjunct.name)
            });
            assert_eq!(asked, touches, "{}: {}", action.name, conjunct.name);
        }
    }
}

#[test]
fn the_record_of_weakened_rules_fits_the_theory() {
    let rules = weakenings().expect("the list");
    assert!(rules.len() >= 25, "{}", rules.len());
    let names: BTreeSet<_> = rules.iter().map(|rule| rule.name.clone()).collect();
    assert_eq!(names.len(), rules.len(), "each name once");
    for rule in &rules {
        let weak = rule.theory().expect("a theory");
        assert_ne!(weak, theory(), "{} changes nothing", rule.name);
        assert!(rule.query(&weak).is_ok(), "{}", rule.name);
    }
    let theory = theory();
    let needed = without_each_conjunct(&theory).expect("the record").len();
    let alone = theory.conjuncts.iter().filter(|conjunct| conjunct.needed == ITSELF).count();
    assert_eq!(needed + alone, theory.conjuncts.len());
    assert!(needed >= 12, "{needed}");
}

#[test]
fn nothing_is_proved_without_a_solver() {
    let outcome = prove(&theory(), &[], Duration::from_secs(1), &mut |_| {});
    assert_eq!(outcome, Outcome::Undecided);
}

/// The whole proof is `cargo prove`; here one question that is right and one that is wrong, where the solvers are.
#[test]
fn solvers_tell_what_follows_from_what_does_not() {
    let theory = theory();
    let all = obligations(&theory);
    let goal = all.iter().find(|o| o.name(&theory) == "goal: one-decision").expect("the goal");
    let rule = weakenings().expect("the list").into_iter().find(|r| r.name == "p-omitted");
    let rule = rule.expect("the rule");
    let wrong = rule.query(&rule.theory().expect("a theory")).expect("a question");
    for solver in Solver::ALL.into_iter().filter(|solver| solver.version().is_some()) {
        let limit = Duration::from_secs(60);
        assert_eq!(solver.ask(&goal.query(&theory), limit).0, Answer::Unsat, "{}", solver.name());
        assert_eq!(solver.ask(&wrong, limit).0, Answer::Sat, "{}", solver.name());
        let nonsense = solver.ask("(assert (nothing", limit).0;
        assert!(!matches!(nonsense, Answer::Unsat | Answer::Sat), "{nonsense:?}");
    }
}

#[test]
fn the_document_names_each_conjunct() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/theorem.md");
    let document = std::fs::read_to_string(path).expect("the document");
    let theory = theory();
    for conjunct in &theory.conjuncts {
        assert!(document.contains(&format!("`{}`", conjunct.name)), "{}", conjunct.name);
        assert!(!conjunct.why.is_empty() && !conjunct.needed.is_empty(), "{}", conjunct.name);
    }
    let rules = weakenings().expect("the list").len();
    assert!(document.contains(&format!("weakens {rules} rules")), "{rules} rules");
    let checks = rules + without_each_conjunct(&theory).expect("the record").len();
    assert!(document.contains(&format!("{checks} of {checks} weakened rules")), "{checks} checks");
    let answers = Solver::ALL.len() * obligations(&theory).len();
    assert!(document.contains(&format!("({answers} answers")), "{answers} answers");
}

/// Two honest replicas, which are the one quorum; two views and batches, one number.
const SMALL: Sizes = Sizes { replicas: 2, quorums: 1, views: 2, numbers: 1, values: 2, digests: 1 };

/// What is always the same there, by relation.
const FIXED: [(&str, &[&[u8]]); 5] = [
    ("honest", &[&[0], &[1]]),
    ("member", &[&[0, 0], &[1, 0]]),
    ("leads", &[&[0, 0], &[1, 1]]),
    ("content", &[&[0, 0, 0]]),
    ("upto", &[&[0, 0]]),
];

/// Its states, by our count and by TLC's.
const SMALL_STATES: usize = 3880;

/// States of the small system, counted breadth-first; each satisfies the invariant.
fn states_of_the_small_system() -> usize {
    let instance = Instance::new(&theory(), SMALL);
    let mut start = instance.nothing();
    for (name, tuples) in FIXED {
        let place = instance.relation(name).expect("a relation");
        tuples.iter().for_each(|tuple| start.insert(place, tuple));
    }
    assert!(instance.is_initial(&start));
    assert_eq!(instance.broken_axioms(&start).count(), 0);
    let (mut seen, mut open) = (HashSet::from([start.clone()]), vec![start]);
    while let Some(state) = open.pop() {
        assert_eq!(instance.broken(&state).collect::<Vec<_>>(), Vec::<&str>::new());
        let next = instance.successors(&state).into_iter();
        open.extend(next.filter(|next| seen.insert(next.clone())));
    }
    seen.len()
}

/// The facts in a counterexample, for the small system.
fn facts(instance: &Instance, said: impl Iterator<Item = String>) -> Facts {
    let mut facts = instance.nothing();
    for fact in said {
        let (name, arguments) = fact.trim_end_matches(')').split_once('(').expect("a fact");
        let numbers = arguments.split(',').map(|one| one[1..].parse().expect("an individual"));
        let numbers: Vec<u8> = numbers.collect();
        facts.insert(instance.relation(name).expect("a relation"), &numbers);
    }
    facts
}

#[test]
fn solvers_and_states_agree_on_counterexamples() {
    if Solver::Cvc5.version().is_none() {
        return println!("cvc5 is not installed");
    }
    for (name, conjunct) in [
        ("certificate-ignored", "choosable"),
        ("p-omitted", "view-change-shows"),
        ("commit-without-certificate", "commit-follows-certificate"),
        ("second-vote-in-first-view", "one-vote"),
    ] {
        let rules = weakenings().expect("readable");
        let rule = rules.iter().find(|rule| rule.name == name).expect("a rule");
        let weakened = rule.theory().expect("a theory");
        let broken = obligation(&weakened, &rule.fails).expect("an obligation");
        let found = smallest(&weakened, &broken, Solver::Cvc5, Duration::from_secs(120));
        let found = found.expect("a small counterexample");
        let instance = Instance::new(&weakened, SMALL);
        let held = found.before.iter().flat_map(|(_, facts)| facts.iter().cloned());
        let before = facts(&instance, held.clone());
        assert_eq!(instance.broken(&before).count(), 0, "{name}: {found}");
        let after = facts(&instance, held.chain(found.adds.iter().cloned()));
        assert_eq!(instance.broken(&after).collect::<Vec<_>>(), [conjunct], "{name}: {found}");
        assert_eq!(instance.steps(&before, &after).map(|steps| steps.len()), Ok(1), "{name}");
        // With the rule as it is, nobody may take the step.
        let whole = Instance::new(&theory(), SMALL);
        assert!(whole.steps(&before, &after).is_err(), "{name}: {found}");
    }
}

/// The module that gives TLC the same system.
fn small_module() -> String {
    let set = |tuples: &[&[u8]]| {
        let tuple = |one: &&[u8]| match one {
            [only] => only.to_string(),
            several => {
                let items: Vec<_> = several.iter().map(ToString::to_string).collect();
                format!("<<{}>>", items.join(", "))
            }
        };
        format!("{{{}}}", tuples.iter().map(tuple).collect::<Vec<_>>().join(", "))
    };
    let fixed = FIXED.map(|(name, tuples)| format!("C_{name} == {}\n", set(tuples))).concat();
    format!("---- MODULE Small ----\nEXTENDS {MODULE}\n{fixed}====\n")
}

const SMALL_CFG: &str = "SPECIFICATION Spec\nINVARIANTS Invariant Goals
CONSTANTS Replica = {0, 1} Quorum = {0} View = {0, 1} Number = {0} Value = {0, 1} Digest = {0}
CONSTANTS honest <- C_honest member <- C_member leads <- C_leads content <- C_content upto <- C_upto
";

#[test]
fn the_small_system_has_as_many_states_as_on_record() {
    assert_eq!(states_of_the_small_system(), SMALL_STATES);
}

/// With `PBFT_TLC=/path/to/tla2tools.jar` and a Java runtime.
#[test]
fn tlc_reads_the_module_and_counts_the_same_states() {
    let Ok(jar) = std::env::var("PBFT_TLC") else {
        return println!("PBFT_TLC is not set: the module is not given to TLC");
    };
    let directory = std::env::temp_dir().join(format!("pbft-tlc-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let write = |name: &str, text: &str| {
        std::fs::write(directory.join(name), text).expect("written");
    };
    write(&format!("{MODULE}.tla"), &theory().to_tla());
    write("Small.tla", &small_module());
    write("Small.cfg", SMALL_CFG);
    let mut tlc = Command::new("java");
    tlc.args(["-cp", &jar, "tlc2.TLC", "-deadlock", "Small"]);
    let output = tlc.current_dir(&directory).output().expect("Java runs");
    let text = String::from_utf8_lossy(&output.stdout);
    std::fs::remove_dir_all(&directory).expect("removed");
    assert!(text.contains("No error has been found"), "{text}");
    let counted = format!("{SMALL_STATES} distinct states found");
    assert!(text.replace(',', "").contains(&counted), "{text}");
}
