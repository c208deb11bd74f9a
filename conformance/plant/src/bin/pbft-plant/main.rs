//! `pbft-plant`: lists the bugs, shows them as diffs, and writes and builds the copy that has them.

mod tests;

use clap::{Args, Parser, Subcommand, ValueEnum};
use pbft_output::{errln, outln};
use pbft_plant::build::{BuildError, Profile, Program, Target, build};
use pbft_plant::catalogue::{Catalogue, Entry};
use pbft_plant::copy::{self, CopyError};
use pbft_plant::place::{PlaceError, Planting};
use pbft_plant::tool::ToolError;
use pbft_plant::workspace::{Kind, Workspace};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Bugs as diffs: writes a copy of the sources in which each listed bug can be switched on by name.
///
/// Exit status: 0 done · 1 a bug cannot be planted · 2 wrong arguments · 5 a list or a bug is refused.
#[derive(Parser)]
#[command(name = "pbft-plant", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    lists: Lists,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Human, global = true)]
    format: Format,
}

#[derive(Args)]
struct Lists {
    /// A list of bugs. Without it: each `bugs.txt` beside the manifest of a crate.
    #[arg(long, value_name = "FILE", global = true)]
    bugs: Vec<PathBuf>,
    /// The mutants of the specification (each `mutants.txt`) instead of the bugs.
    #[arg(long, global = true, conflicts_with = "bugs")]
    mutants: bool,
    /// The mutants that are made from the specification by rule instead of the bugs.
    #[arg(long, global = true, conflicts_with_all = ["bugs", "mutants"])]
    generated: bool,
}

impl Lists {
    /// What kind they are, if one is asked for.
    fn kind(&self) -> Option<Kind> {
        let kinds = [(self.mutants, Kind::Mutants), (self.generated, Kind::Generated)];
        kinds.into_iter().find(|(asked, _)| *asked).map(|(_, kind)| kind)
    }
}

#[derive(Subcommand)]
enum Command {
    /// Print the name of each bug, and what is wrong.
    List,
    /// Show a bug as a diff of the sources as they are now.
    Show {
        /// The bug.
        name: String,
    },
    /// Check that each bug can be planted: of all lists, unless some are named.
    Check,
    /// Write the copy with the bugs to a directory, or bring it up to date.
    Write {
        /// The directory.
        directory: PathBuf,
    },
    /// Build a program with the bugs, and print where it is. `PBFT_PLANT=NAME` switches one on while it runs.
    Build {
        /// The crate.
        #[arg(long)]
        package: String,
        /// Its program.
        #[arg(long)]
        bin: String,
        /// Without optimisation.
        #[arg(long)]
        debug: bool,
    },
    /// Run a crate's tests with no bug on, and with each: those that are about one pass if what they test notices it.
    Test(tests::Arguments),
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
}

fn code(error: &ToolError) -> u8 {
    let refused = matches!(
        error,
        ToolError::Catalogue(_)
            | ToolError::Place(_)
            | ToolError::Copy(CopyError::Places(_))
            | ToolError::Build(BuildError::Refused(_) | BuildError::Copy(CopyError::Places(_)))
    );
    if refused { 5 } else { 2 }
}

fn main() -> ExitCode {
    let arguments = match pbft_output::arguments() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    pbft_output::finish(run(&arguments).unwrap_or_else(|error| {
        errln!("error: {error}");
        code(&error)
    }))
}

fn run(arguments: &Arguments) -> Result<u8, ToolError> {
    let workspace = Workspace::of(Path::new("."))?;
    let kind = arguments.lists.kind().unwrap_or(Kind::Bugs);
    let catalogue = || match arguments.lists.bugs.is_empty() {
        true => Ok(workspace.catalogue(kind)?),
        false => named(&workspace, &arguments.lists.bugs),
    };
    match &arguments.command {
        Command::List => Ok(list(arguments.format, &catalogue()?)),
        Command::Show { name } => show(arguments.format, &workspace, &catalogue()?, name),
        Command::Check if arguments.lists.kind().is_some() || !arguments.lists.bugs.is_empty() => {
            Ok(check(arguments.format, &workspace, &[catalogue()?]))
        }
        Command::Check => {
            let all = Kind::ALL.map(|kind| workspace.catalogue(kind));
            let all = all.into_iter().collect::<Result<Vec<_>, _>>()?;
            Ok(check(arguments.format, &workspace, &all))
        }
        Command::Write { directory } => {
            copy::write(&workspace, kind, &catalogue()?, directory)?;
            Ok(0)
        }
        Command::Build { package, bin, debug } => {
            let profile = if *debug { Profile::Dev } else { Profile::Release };
            let program = Program { package, name: bin, target: Target::Program, profile };
            let executable = build(&workspace, kind, &catalogue()?, program)?;
            match arguments.format {
                Format::Human => outln!("{}", executable.display()),
                Format::Json => outln!("{:#}", json!({ "executable": executable })),
            }
            Ok(0)
        }
        Command::Test(arguments) => Ok(tests::run(&workspace, kind, &catalogue()?, arguments)?),
    }
}

/// The lists that the command line names.
fn named(workspace: &Workspace, lists: &[PathBuf]) -> Result<Catalogue, ToolError> {
    let relative = |list: &PathBuf| {
        let wrong = |why: String| ToolError::Path { path: list.clone(), why };
        let whole = list.canonicalize().map_err(|error| wrong(error.to_string()))?;
        let inside = whole.strip_prefix(&workspace.root).map(ToOwned::to_owned);
        inside.map_err(|_| wrong("not in this workspace".to_owned()))
    };
    let lists = lists.iter().map(relative).collect::<Result<Vec<_>, _>>()?;
    Ok(Catalogue::read(&workspace.root, &lists)?)
}

fn list(format: Format, catalogue: &Catalogue) -> u8 {
    if format == Format::Json {
        outln!("{:#}", catalogue.entries().iter().map(as_json).collect::<serde_json::Value>());
        return 0;
    }
    let longest = catalogue.entries().iter().map(|entry| entry.name.len()).max();
    for entry in catalogue.entries() {
        outln!("{:width$}  {}", entry.name, entry.what, width = longest.unwrap_or_default());
    }
    0
}

fn as_json(entry: &Entry) -> serde_json::Value {
    let Entry { name, what, rule, caught, without, .. } = entry;
    json!({
        "name": name, "list": entry.list, "line": entry.line,
        "what": what, "rule": rule, "caught": caught, "without": without,
    })
}

fn show(
    format: Format,
    workspace: &Workspace,
    catalogue: &Catalogue,
    name: &str,
) -> Result<u8, ToolError> {
    let entry = catalogue.entry(name).ok_or_else(|| ToolError::NoBug(name.to_owned()))?;
    let diff = entry.diff(&workspace.root)?;
    if format == Format::Json {
        let mut whole = as_json(entry);
        whole["diff"] = diff.into();
        outln!("{whole:#}");
        return Ok(0);
    }
    outln!("{} ({}:{})", entry.name, entry.list.display(), entry.line);
    let without = entry.without.as_deref().map(|without| ("without", without));
    let fields = [("what", &*entry.what), ("rule", &*entry.rule), ("caught", &*entry.caught)];
    for (field, value) in fields.into_iter().chain(without) {
        outln!("  {:8}{value}", format!("{field}:"));
    }
    outln!("");
    pbft_output::out!("{diff}");
    Ok(0)
}

fn check(format: Format, workspace: &Workspace, catalogues: &[Catalogue]) -> u8 {
    let (mut bugs, mut hunks, mut functions, mut files) = (0, 0, 0, 0);
    let mut errors = Vec::new();
    for catalogue in catalogues {
        bugs += catalogue.entries().len();
        hunks += catalogue.entries().iter().map(|entry| entry.hunks.len()).sum::<usize>();
        match Planting::new(&workspace.root, catalogue) {
            Ok(planting) => {
                files += planting.files.len();
                functions += planting.files.values().map(|file| file.functions).sum::<usize>();
            }
            Err(more) => errors.extend(more),
        }
    }
    if format == Format::Json {
        let errors = errors.iter().map(|error| {
            let PlaceError { bug, list, line, .. } = error;
            json!({ "bug": bug, "list": list, "line": line, "error": error.to_string() })
        });
        let errors: Vec<_> = errors.collect();
        let whole = json!({
            "bugs": bugs, "hunks": hunks, "functions": functions, "files": files, "errors": errors,
        });
        outln!("{whole:#}");
    } else {
        errors.iter().for_each(|error| outln!("{error}"));
        let wrong: BTreeSet<&str> = errors.iter().map(|error| &*error.bug).collect();
        match wrong.len() {
            0 => outln!(
                "{bugs} bugs can be planted (hunks: {hunks}, functions: {functions}, files: {files})"
            ),
            wrong => outln!("{wrong} of {bugs} bugs cannot be planted"),
        }
    }
    u8::from(!errors.is_empty())
}
