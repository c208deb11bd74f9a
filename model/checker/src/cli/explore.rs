//! `pbft-model explore`: the states in a browser.

use pbft_output::errln;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;

use super::check::property;
use super::trace::page_of;
use super::{Failure, describe};
use crate::explore::{self, Classic, ExploreError, Explorer, Opening};
use crate::mutants;
use crate::run::{ExitCode, Stderr, say};
use crate::trace::{Trace, TraceError};
use pbft_model::Config;
use pbft_model::witnesses::WITNESSES;

const EXAMPLES: &str = "\
Examples:
  pbft-model explore --config n4-b0-v1-s1-d2     from the initial state
  pbft-model explore --mutant p-omitted --open   at the shortest counterexample, in the configuration on record
  pbft-model explore --config n4-b0-v1-s2-d2 --mutant p-omitted
                                                 at the shortest counterexample in another configuration
  pbft-model explore --trace runs/…/n4-b0-v1-s1-d2.trace.itf.json
                                                 at the end of a path that a run recorded
  pbft-model explore --mutant p-omitted --property agreement
                                                 at the shortest way to a violation of that property
  pbft-model explore --mutant p-omitted --export page.html
                                                 the page as one file, for whoever has no server
  pbft-model explore --trace - --export - < n4-b0-v1-s1-d2.trace.itf.json > page.html
                                                 the same of a path on standard input
  pbft-model explore --config n4-b0-v1-s1-d2 --address 127.0.0.1:0
                                                 on any port that is free

The page opens at the link that is printed. It is served to this computer only, unless --address says otherwise.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExploreArgs {
    /// The configuration; with --mutant alone, the one on record for it
    #[arg(long, value_name = "NAME", required_unless_present_any = ["mutant", "trace"])]
    config: Option<Config>,
    /// A mutant to have on, in a build of its own: opens at the shortest counterexample, the one of `check`
    #[arg(long, value_name = "NAME")]
    mutant: Option<String>,
    /// Open at the shortest counterexample to this property [default with --mutant: to any]
    #[arg(long, value_name = "NAME", value_parser = property)]
    property: Option<&'static str>,
    /// A recorded path (.trace.itf.json of a run directory, - is standard input): opens at its end, without another search
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "mutant", "property"])]
    trace: Option<PathBuf>,
    /// Where to listen; port 0 takes one that is free
    #[arg(long, default_value = "127.0.0.1:3000")]
    address: SocketAddr,
    /// Open the page in the browser
    #[arg(long)]
    open: bool,
    /// Serve nothing, and write the page with its path into one file that needs no server; - is standard output
    #[arg(long, value_name = "FILE", conflicts_with_all = ["address", "open", "classic"])]
    export: Option<PathBuf>,
    /// Serve Stateright's own page, which shows states as Rust prints them
    #[arg(long)]
    classic: bool,
}

impl ExploreArgs {
    /// The mutant that is to be on: the one that is named, or the one that the trace is of.
    pub(super) fn mutant(&self) -> Option<String> {
        // Standard input can be read once only: there it is a path of the protocol.
        let file = || self.trace.as_deref().filter(|file| *file != Path::new("-"));
        let of_trace = || mutants::of_another(&Trace::bytes(file()?).ok()?);
        self.mutant.clone().or_else(of_trace)
    }
}

/// Serves the Explorer until the process ends, or writes its page.
pub(super) fn run(args: &ExploreArgs) -> Result<ExitCode, Failure> {
    if let Some(file) = &args.export {
        return export(args, file);
    }
    let opening = opening(args)?;
    if !args.address.ip().is_loopback() {
        errln!("warning: {} can be reached from other computers", args.address);
    }
    let names: Vec<_> = WITNESSES
        .iter()
        .filter(|one| (one.applicable)(opening.model().config()))
        .map(|one| one.name)
        .collect();
    errln!("{} (end with ^C)", told(&opening));
    errln!("Witnesses to look for: {}", names.join(", "));
    if args.classic {
        Classic::at(&opening, args.address)?.run(|link| show(args, link))?;
    } else {
        let explorer = Explorer::bind(opening, args.address)?;
        show(args, &explorer.link());
        explorer.run();
    }
    Ok(ExitCode::Holds)
}

/// What is explored, where it opens, and what is wrong there.
fn told(opening: &Opening) -> String {
    let violates = match opening.violates().join(", ") {
        none if none.is_empty() => none,
        names => format!(", which violates {names}"),
    };
    format!("Explorer of {}, at {}{violates}", opening.model().config(), opening.what())
}

fn show(args: &ExploreArgs, link: &str) {
    say(&format_args!("{link}\n"));
    if args.open {
        open(link);
    }
}

/// Writes the page with the path that it would open at. That of a trace may be of a mutant: then another process writes it.
fn export(args: &ExploreArgs, file: &Path) -> Result<ExitCode, Failure> {
    let page = if let Some(trace) = &args.trace {
        page_of(trace)?
    } else {
        let opening = opening(args)?;
        errln!("{}", told(&opening));
        explore::page(&opening)?
    };
    if file == Path::new("-") {
        say(&page);
    } else {
        fs::write(file, page).map_err(describe("writing", file))?;
        errln!("written: {}", file.display());
    }
    Ok(ExitCode::Holds)
}

fn opening(args: &ExploreArgs) -> Result<Opening, Failure> {
    if let Some(file) = &args.trace {
        let bytes = Trace::bytes(file).map_err(|error| Failure::of_file(file, &error))?;
        if let Some(mutant) = mutants::of_another(&bytes) {
            let why =
                format!("the trace is of the mutant `{mutant}`, which runs in a build of its own");
            return Err(format!("{why}: save it in a file, and name that with --trace").into());
        }
        let trace = Trace::parse(&bytes).map_err(|error| Failure::of_file(file, &error))?;
        let refused = |error: TraceError| Failure::of_file(file, &error);
        let model = trace.model().map_err(|error| refused(error.into()))?;
        return Opening::at_trace(&model, &trace).map_err(|error| refused(error.into()));
    }
    let recorded = || args.mutant.as_deref().and_then(Opening::recorded_config);
    let Some(config) = args.config.or_else(recorded) else {
        return Err("no configuration: name one with --config".to_owned().into());
    };
    Ok(match (&args.mutant, args.property) {
        (None, None) => Opening::at_start(config),
        (_, property) => Opening::at_counterexample(config, property, &mut Stderr::new()),
    })
}

impl From<ExploreError> for Failure {
    fn from(error: ExploreError) -> Self {
        error.to_string().into()
    }
}

/// Opens a link with what the system opens links with. The link is printed in any case.
fn open(link: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(opener);
    command.arg(link).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Err(error) = command.spawn() {
        errln!("cannot open a browser with {opener} ({error}): open the link yourself");
    }
}
