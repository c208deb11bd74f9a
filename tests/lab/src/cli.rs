//! `pbft-sim lab`.

use super::cluster::Setup;
use super::diagram;
use super::report::Report;
use super::saved;
use super::session::{LabError, Session, Step};
use super::terminal::Terminal;
use super::text;
use clap::Args;
use pbft_checker::run::{ExitCode, Format};
use pbft_output::errln;
use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;

/// What the lab is told on the command line.
#[derive(Clone, Debug, Args)]
pub struct LabArgs {
    /// The number of replicas, 4 or more.
    #[arg(long, default_value_t = 4)]
    replicas: u32,
    /// Replicas that may say anything; the last one unless said.
    #[arg(long, value_delimiter = ',', value_name = "REPLICA")]
    byzantine: Vec<usize>,
    /// Commands, with `;` between them, instead of a terminal.
    #[arg(short = 'c', long = "command", value_name = "COMMANDS", conflicts_with_all = ["script", "replay"])]
    commands: Option<String>,
    /// A file of commands, one a line.
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    script: Option<PathBuf>,
    /// A saved session.
    #[arg(long, value_name = "DIRECTORY")]
    replay: Option<PathBuf>,
    /// Draw what happened, when the commands are over.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Said when a person sits down.
const WELCOME: &str = "Four replicas, one client, a bank. Nothing arrives unless you say so.
Try `deposit alice 100`, `deliver`, `case s3.2`; `help` lists the verbs, ^D ends.";

/// Runs the lab.
#[must_use]
pub fn main(args: &LabArgs, format: Format) -> ExitCode {
    let byzantine = match args.byzantine.is_empty() {
        true => vec![args.replicas.saturating_sub(1) as usize],
        false => args.byzantine.clone(),
    };
    let setup = Setup { replicas: args.replicas, byzantine };
    let session = match Session::new(setup) {
        Ok(session) => session,
        Err(error) => return refuse(&error),
    };
    let mut lab = Lab { session, format, echo: true };
    if let Err(code) = lab.work(args) {
        return code;
    }
    if let Some(path) = &args.svg
        && let Err(error) = saved::write(path, diagram::draw(&lab.session).as_bytes())
    {
        return refuse(&LabError::from(error));
    }
    match lab.session.failed > 0 || lab.session.cluster.world().oracle.violation.is_some() {
        true => ExitCode::Finding,
        false => ExitCode::Holds,
    }
}

fn refuse(error: &LabError) -> ExitCode {
    errln!("error: {error}");
    if error.is_of_data() { ExitCode::DataRefused } else { ExitCode::Usage }
}

struct Lab {
    session: Session,
    format: Format,
    /// Whether commands are repeated before what they led to: nobody has typed them here.
    echo: bool,
}

impl Lab {
    fn work(&mut self, args: &LabArgs) -> Result<(), ExitCode> {
        if let Some(commands) = &args.commands {
            for line in commands.split(';') {
                if !self.obey(line)? {
                    break;
                }
            }
            return Ok(());
        }
        if let Some(path) = args.script.as_ref().or(args.replay.as_ref()) {
            let (name, script) = saved::read(path).map_err(|error| refuse(&error.into()))?;
            for (at, line) in script.lines().enumerate() {
                match self.do_line(line) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(source) => {
                        let (name, command) = (name, line.trim().to_owned());
                        let source = Box::new(source);
                        return Err(refuse(&LabError::InScript {
                            name,
                            line: at + 1,
                            command,
                            source,
                        }));
                    }
                }
            }
            return Ok(());
        }
        match std::io::stdin().is_terminal() {
            true => self.talk(),
            false => self.listen(),
        }
    }

    /// A person at a terminal. Mistakes are explained, and end nothing.
    fn talk(&mut self) -> Result<(), ExitCode> {
        let failed = |error: rustyline::error::ReadlineError| {
            errln!("error: the terminal cannot be used: {error}");
            ExitCode::Usage
        };
        let mut terminal = Terminal::new().map_err(failed)?;
        self.echo = false;
        errln!("{WELCOME}");
        while let Some(typed) = terminal.line().map_err(failed)? {
            // What is pasted may have several lines.
            for line in typed.lines() {
                match self.do_line(line) {
                    Ok(true) => {}
                    Ok(false) => return Ok(()),
                    Err(error) => {
                        text::wrap(&error.to_string(), 0, 2)
                            .iter()
                            .for_each(|line| errln!("{line}"));
                    }
                }
            }
        }
        Ok(())
    }

    /// Commands from a pipe. The first mistake ends it.
    fn listen(&mut self) -> Result<(), ExitCode> {
        for line in std::io::stdin().lock().lines() {
            let line = line.map_err(|error| {
                errln!("error: standard input: {error}");
                ExitCode::DataRefused
            })?;
            if !self.obey(&line)? {
                break;
            }
        }
        Ok(())
    }

    fn obey(&mut self, line: &str) -> Result<bool, ExitCode> {
        self.do_line(line).map_err(|error| refuse(&error))
    }

    /// Does a line and prints what it led to. False if the lab is over.
    fn do_line(&mut self, line: &str) -> Result<bool, LabError> {
        match self.session.run(line)? {
            Step::Quit => Ok(false),
            Step::Reports(reports) => {
                let echo = self.echo || reports.len() > 1;
                reports.iter().for_each(|report| self.print(report, echo));
                Ok(true)
            }
        }
    }

    fn print(&self, report: &Report, echo: bool) {
        self.format.print(report, |report| {
            let echoed = (echo && !report.command.starts_with('#'))
                .then(|| format!("lab> {}", report.command));
            let lines = echoed.into_iter().chain(text::lines(report));
            lines.map(|line| line + "\n").collect()
        });
    }
}
