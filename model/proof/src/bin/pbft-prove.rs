//! `cargo prove`: the theorem, by two solvers.

use clap::{Parser, ValueEnum};
use pbft_output::{errln, outln};
use pbft_proof::counterexample::smallest;
use pbft_proof::picture::Explained;
use pbft_proof::prove::{Finding, Outcome, obligation, obligations, prove};
use pbft_proof::solver::{Answer, Solver};
use pbft_proof::theory::Theory;
use pbft_proof::weakened::{ITSELF, weakenings, without, without_each_conjunct};
use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Proves that PBFT keeps agreement for any number of replicas, views and sequence numbers.
///
/// Each obligation (the invariant holds at the start, each action keeps each part of it, it implies the goals, no action is
/// vacuous) goes to z3 and to cvc5, and both must show it. Then each weakened rule, and the invariant without each of its parts, must
/// make the proof fail.
///
/// Exit status: 0 proved · 1 refuted, or a weakened rule that is not noticed · 2 wrong arguments · 3 a solver is missing or
/// did not decide.
#[derive(Parser)]
#[command(name = "pbft-prove", version)]
struct Arguments {
    /// Ask only this solver.
    #[arg(long, value_enum)]
    solver: Option<Name>,
    /// Seconds for each question.
    #[arg(long, default_value_t = 120)]
    limit: u64,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Write the questions as SMT-LIB files to this directory, and ask nobody.
    #[arg(long, value_name = "DIR")]
    smt: Option<std::path::PathBuf>,
    /// Write the system, the invariant and the goals as a TLA+ module to this file, and ask nobody. It must be named
    /// after the module: Pbft.tla.
    #[arg(long, value_name = "FILE", conflicts_with = "smt")]
    tla: Option<std::path::PathBuf>,
    /// Show the smallest counterexample to a weakened rule, or to the invariant without a conjunct, by its name.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["smt", "tla"])]
    explain: Option<String>,
    /// What it is shown as.
    #[arg(long, value_enum, default_value_t = Form::Text, requires = "explain")]
    to: Form,
    /// Write the counterexample to the invariant without each of its conjuncts as a picture to this directory.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["smt", "tla", "explain"])]
    pictures: Option<std::path::PathBuf>,
    /// Do not try the weakened rules, nor the invariant without each of its parts.
    #[arg(long)]
    no_weakened: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    Z3,
    Cvc5,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Facts, a relation a line.
    Text,
    /// A picture, a lane for each replica.
    Svg,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
}

fn main() -> ExitCode {
    let arguments = match pbft_output::arguments() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    pbft_output::finish(run(&arguments).unwrap_or_else(|error| {
        errln!("error: {error}");
        2
    }))
}

fn run(arguments: &Arguments) -> Result<u8, Box<dyn Error>> {
    let theory = Theory::pbft()?;
    if let Some(directory) = &arguments.smt {
        return write_questions(&theory, directory);
    }
    if let Some(file) = &arguments.tla {
        std::fs::write(file, theory.to_tla())
            .map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
        return Ok(0);
    }
    let solvers: Vec<Solver> = match arguments.solver {
        Some(Name::Z3) => vec![Solver::Z3],
        Some(Name::Cvc5) => vec![Solver::Cvc5],
        None => Solver::ALL.to_vec(),
    };
    for solver in &solvers {
        match solver.version() {
            Some(version) => errln!("{}: {version}", solver.name()),
            None => {
                let name = solver.name();
                errln!("error: `{name}` is not on the path");
                errln!("  install it (Debian: apt-get install z3 cvc5) and run this again");
                return Ok(3);
            }
        }
    }
    let limit = Duration::from_secs(arguments.limit);
    if let Some(name) = &arguments.explain {
        return explain(&theory, name, &solvers, limit, (arguments.format, arguments.to));
    }
    if let Some(directory) = &arguments.pictures {
        return draw_all(&theory, directory, &solvers, limit);
    }
    let started = Instant::now();
    let mut findings = Vec::new();
    let total = obligations(&theory).len() * solvers.len();
    let outcome = prove(&theory, &solvers, limit, &mut |finding| {
        if !finding.shown {
            errln!("{}", line(finding));
        }
        findings.push(finding.clone());
        if findings.len() % 20 == 0 {
            errln!("{} of {total} answers", findings.len());
        }
    });
    let weakened = match arguments.no_weakened {
        true => Vec::new(),
        false => try_weakened(&solvers, limit)?,
    };
    print(arguments.format, &findings, &weakened, outcome, started.elapsed());
    let unnoticed = weakened.iter().any(|tried| tried.answer == Answer::Unsat);
    let undecided = weakened.iter().any(|tried| !tried.noticed());
    Ok(match outcome {
        Outcome::Refuted => 1,
        _ if unnoticed => 1,
        Outcome::Undecided => 3,
        Outcome::Proved if undecided => 3,
        Outcome::Proved => 0,
    })
}

/// Shows why the proof fails with a rule weakened, or without a conjunct.
fn explain(
    whole: &Theory,
    name: &str,
    solvers: &[Solver],
    limit: Duration,
    (format, form): (Format, Form),
) -> Result<u8, Box<dyn Error>> {
    let explained = match explained(whole, name, solvers, limit)? {
        Ok(explained) => explained,
        Err(code) => return Ok(code),
    };
    if form == Form::Svg {
        outln!("{}", explained.to_svg(whole));
        return Ok(0);
    }
    if format == Format::Json {
        let Explained { name, meaning, fails, found } = &explained;
        let before: Vec<_> = found.before.iter().flat_map(|(_, facts)| facts).collect();
        let (step, adds) = (&found.step, &found.adds);
        let whole = serde_json::json!({
            "rule": name, "meaning": meaning, "fails": fails, "before": before, "step": step, "adds": adds,
        });
        outln!("{whole:#}");
        return Ok(0);
    }
    outln!("{}", explained.text());
    Ok(0)
}

/// A picture for each conjunct without which something cannot be shown.
fn draw_all(
    theory: &Theory,
    directory: &std::path::Path,
    solvers: &[Solver],
    limit: Duration,
) -> Result<u8, Box<dyn Error>> {
    std::fs::create_dir_all(directory)?;
    for conjunct in theory.conjuncts.iter().filter(|one| one.needed != ITSELF) {
        let explained = match explained(theory, &conjunct.name, solvers, limit)? {
            Ok(explained) => explained,
            Err(code) => return Ok(code),
        };
        let file = directory.join(format!("{}.svg", conjunct.name));
        std::fs::write(&file, explained.to_svg(theory) + "\n")
            .map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
        outln!("{}", file.display());
    }
    Ok(0)
}

/// Why the proof fails with a rule weakened, or without a conjunct; else the exit code.
fn explained(
    whole: &Theory,
    name: &str,
    solvers: &[Solver],
    limit: Duration,
) -> Result<Result<Explained, u8>, Box<dyn Error>> {
    let rules = weakenings()?;
    let conjunct = whole.conjuncts.iter().position(|one| one.name == name);
    let (theory, fails, meaning) = match (rules.iter().find(|rule| rule.name == name), conjunct) {
        (Some(rule), _) => (rule.theory()?, &rule.fails, rule.meaning.clone()),
        (None, Some(at)) if whole.conjuncts[at].needed != ITSELF => {
            let one = &whole.conjuncts[at];
            (without(whole, at), &one.needed, format!("nothing says that {}", one.why))
        }
        _ => {
            let names = rules.iter().map(|rule| &*rule.name);
            let needed = whole.conjuncts.iter().filter(|one| one.needed != ITSELF);
            let names: Vec<_> = names.chain(needed.map(|one| &*one.name)).collect();
            errln!("error: `{name}` is none of {}", names.join(", "));
            return Ok(Err(2));
        }
    };
    let broken = obligation(&theory, fails).ok_or("the record names no obligation")?;
    let found = solvers.iter().rev().find_map(|solver| smallest(&theory, &broken, *solver, limit));
    let Some(found) = found else {
        errln!("{fails}: no counterexample with at most four replicas was found");
        return Ok(Err(3));
    };
    Ok(Ok(Explained { name: name.to_owned(), meaning, fails: fails.clone(), found }))
}

/// What a solver said of a weakened rule.
struct Tried {
    name: String,
    meaning: String,
    fails: String,
    answer: Answer,
}

impl Tried {
    /// Whether there is a counterexample, as there must be.
    fn noticed(&self) -> bool {
        self.answer == Answer::Sat
    }
}

fn try_weakened(solvers: &[Solver], limit: Duration) -> Result<Vec<Tried>, Box<dyn Error>> {
    let mut tried = Vec::new();
    let whole = Theory::pbft()?;
    for (conjunct, question) in without_each_conjunct(&whole)? {
        let answer = first_decided(solvers, &question, limit);
        let (name, fails) = (format!("without {}", conjunct.name), conjunct.needed.clone());
        tried.push(Tried { name, meaning: conjunct.why.clone(), fails, answer });
    }
    for rule in weakenings()? {
        let theory = rule.theory()?;
        let answer = first_decided(solvers, &rule.query(&theory)?, limit);
        let (name, meaning, fails) = (rule.name, rule.meaning, rule.fails);
        tried.push(Tried { name, meaning, fails, answer });
    }
    Ok(tried)
}

/// The answer of the first solver that decides. One counterexample is enough, and cvc5, which looks for finite ones, is
/// the quicker to find it.
fn first_decided(solvers: &[Solver], question: &str, limit: Duration) -> Answer {
    let mut answers = solvers.iter().rev().map(|solver| solver.ask(question, limit).0);
    let decided = answers.find(|answer| matches!(answer, Answer::Sat | Answer::Unsat));
    decided.unwrap_or(Answer::Unknown)
}

fn write_questions(theory: &Theory, directory: &std::path::Path) -> Result<u8, Box<dyn Error>> {
    std::fs::create_dir_all(directory)?;
    for obligation in obligations(theory) {
        let name = obligation.name(theory).replace(": ", ".");
        std::fs::write(directory.join(format!("{name}.smt2")), obligation.query(theory))?;
    }
    Ok(0)
}

fn line(finding: &Finding) -> String {
    let Finding { obligation, solver, answer, took, .. } = finding;
    format!("{obligation:<48} {:<5} {:>7.2} s  {}", solver.name(), took.as_secs_f64(), said(answer))
}

fn said(answer: &Answer) -> &str {
    match answer {
        Answer::Unsat => "unsat",
        Answer::Sat => "sat",
        Answer::Unknown => "unknown",
        Answer::Failed(words) => words,
    }
}

const fn verdict(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Proved => "PROVED",
        Outcome::Undecided => "UNDECIDED",
        Outcome::Refuted => "REFUTED",
    }
}

fn print(
    format: Format,
    findings: &[Finding],
    weakened: &[Tried],
    outcome: Outcome,
    took: Duration,
) {
    if format == Format::Json {
        let answers = findings.iter().map(|finding| {
            serde_json::json!({
                "obligation": finding.obligation,
                "solver": finding.solver.name(),
                "answer": said(&finding.answer),
                "shown": finding.shown,
                "seconds": finding.took.as_secs_f64(),
            })
        });
        let rules = weakened.iter().map(|tried| {
            serde_json::json!({
                "rule": tried.name,
                "meaning": tried.meaning,
                "fails": tried.fails,
                "answer": said(&tried.answer),
                "noticed": tried.noticed(),
            })
        });
        let whole = serde_json::json!({
            "verdict": verdict(outcome),
            "seconds": took.as_secs_f64(),
            "answers": answers.collect::<Vec<_>>(),
            "weakened": rules.collect::<Vec<_>>(),
        });
        outln!("{whole:#}");
        return;
    }
    for finding in findings {
        outln!("{}", line(finding));
    }
    for tried in weakened {
        let Tried { name, fails, answer, .. } = tried;
        outln!("weakened {name:<40} {fails:<44} {}", said(answer));
    }
    let noticed = weakened.iter().filter(|tried| tried.noticed()).count();
    if !weakened.is_empty() {
        outln!(
            "{noticed} of {} weakened rules and missing conjuncts make the proof fail",
            weakened.len()
        );
    }
    outln!(
        "{}: agreement for any number of replicas, views and sequence numbers ({} answers, {:.0} s)",
        verdict(outcome),
        findings.len(),
        took.as_secs_f64()
    );
}
