//! `pbft-model graph`: states and steps for other tools.

use pbft_output::{Stdout, errln};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::Args;

use super::describe;
use crate::graph::{self, GraphFormat};
use crate::mutant_record::unsound;
use crate::run::ExitCode;
use pbft_model::{Config, Pbft, Reductions};

#[derive(Debug, Args)]
pub(super) struct GraphArgs {
    /// The configuration
    #[arg(long, value_name = "NAME")]
    config: Config,
    /// A mutant to have on, in a build of its own; `list` names them
    #[arg(long, value_name = "NAME")]
    pub(super) mutant: Option<String>,
    /// Reductions: none, all that apply, or a list such as values,replicas
    #[arg(long, value_name = "LIST", default_value = "all")]
    reductions: Reductions,
    /// How to write the graph
    #[arg(long, value_enum, default_value = "jsonl")]
    format: GraphFormat,
    /// Give up after so many states: exit code 3
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    max_states: u64,
    /// Where to write it [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes the graph.
pub(super) fn run(args: &GraphArgs) -> Result<ExitCode, String> {
    let model = Pbft::new(args.config).with_reductions(args.reductions.without(unsound()));
    let mut out: Box<dyn Write> = match &args.output {
        Some(path) => Box::new(File::create(path).map_err(describe("creating", path))?),
        None => Box::new(Stdout),
    };
    let mut buffered = BufWriter::new(&mut out);
    let written = graph::write(&model, args.format, args.max_states, &mut buffered);
    let size = match written.and_then(|size| buffered.flush().map(|()| size)) {
        Ok(size) => size,
        // The end of the program says so.
        Err(_) if !pbft_output::is_heard() => return Ok(ExitCode::Holds),
        Err(error) => return Err(format!("writing the graph: {error}")),
    };
    errln!("{}: {} states, {} edges", args.config, size.states, size.edges);
    if size.complete {
        return Ok(ExitCode::Holds);
    }
    errln!("not complete: the limit of {} states was hit", args.max_states);
    Ok(ExitCode::Inconclusive)
}
