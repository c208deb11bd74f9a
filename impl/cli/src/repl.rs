//! `pbft repl`: a session at the ledger.

use super::{AsClient, CliError, Exit, Format, bank, keys, runtime, status};
use clap::Args;
use pbft_ledger::{Operation, Outcome};
use pbft_node::client::{Client, ClientOptions};
use pbft_output::{err, errln, outln};
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::time::Duration;
use tokio::sync::mpsc;

/// What a session says to `help`.
const HELP: &str = "\
open A              opens an account            deposit A N         adds to it, opens it if need be
withdraw A N        takes from it               transfer A B N      moves from A to B
balance A           shows it                    statement A         shows its last entries
accounts [A]        lists accounts behind A     audit               adds up all accounts
status              asks every replica how it is
help                this                        quit, or ^D         ends the session";

/// `pbft repl`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    pbft repl                                        type `help`, or `quit`\n  \
    printf 'deposit alice 5\\nbalance alice\\n' | pbft repl\n\n\
    One operation a line. A line that begins with # is a comment. Without a terminal nothing is asked for, and \
    the session ends with 1 if the ledger refused anything.")]
pub struct ReplArguments {
    /// Which cluster, as which client
    #[command(flatten)]
    pub who: AsClient,
    /// Give up an operation after so many seconds
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub timeout: u64,
}

pub(super) fn run(arguments: &ReplArguments) -> Result<Exit, CliError> {
    let (cluster, name) = keys::choose(&arguments.who)?;
    let dir = &arguments.who.dir;
    let deadline = Duration::from_secs(arguments.timeout);
    let options = ClientOptions { deadline, lanes: 1, ..ClientOptions::default() };
    let timestamps = keys::timestamps(dir, &name)?;
    let prompt = std::io::stdin().is_terminal();
    if prompt {
        errln!("cluster {} as {name}; `help` shows what there is", cluster.name());
    }
    let runtime = runtime()?;
    let exit = runtime.block_on(async {
        let client = keys::connect(dir, &cluster, &name, timestamps, options)?;
        session(&client, lines(prompt), prompt).await
    });
    // The thread that reads standard input may wait for it for ever.
    runtime.shutdown_background();
    exit
}

/// Lines of standard input, read on a thread of their own; each is asked for by a permit in the channel.
fn lines(prompt: bool) -> mpsc::Receiver<std::io::Result<String>> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
        if prompt {
            errln!();
        }
    });
    receiver
}

async fn session(
    client: &Client,
    mut lines: mpsc::Receiver<std::io::Result<String>>,
    prompt: bool,
) -> Result<Exit, CliError> {
    let mut exit = Exit::Done;
    loop {
        if prompt {
            err!("pbft> ");
            // A terminal that is gone needs no prompt.
            let _ = std::io::stderr().flush();
        }
        let line = match lines.recv().await {
            None => return Ok(exit),
            Some(Ok(line)) => line,
            Some(Err(error)) => {
                let problem = format!("standard input: {error}");
                return Err(CliError::usage(problem, "write operations as UTF-8 text"));
            }
        };
        match line.trim() {
            _ if !pbft_output::is_heard() => return Ok(exit),
            "" => {}
            comment if comment.starts_with('#') => {}
            "quit" | "exit" => return Ok(exit),
            "help" => outln!("{HELP}"),
            "status" => status::show(client).await,
            text => match operate(client, text).await {
                Ok(Exit::Done) => {}
                Ok(refused) => exit = refused,
                // A session goes on after an operation that came to nothing.
                Err(error) if prompt => errln!("error: {error}"),
                Err(error) => return Err(error),
            },
        }
    }
}

async fn operate(client: &Client, text: &str) -> Result<Exit, CliError> {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let operation = match Operation::parse(words.as_bytes()) {
        Ok(operation) => operation,
        Err(error) => {
            errln!("{error}");
            return Ok(Exit::Usage);
        }
    };
    let result = client.submit(operation.encode()).await?;
    let outcome = Outcome::decode(&result).ok_or(CliError::NotALedger)?;
    Ok(bank::print(&operation, &outcome, Format::Human))
}
