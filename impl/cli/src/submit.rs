//! `pbft submit`: one operation of whatever service the cluster has.

use super::{AsClient, CliError, Exit, Format, keys, print_json, runtime};
use clap::Args;
use pbft_node::client::{ClientOptions, Timestamps};
use pbft_node::hex;
use pbft_output::outln;
use serde_json::json;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

/// The most bytes that are read from a file: more than any cluster allows.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// `pbft submit`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    pbft submit 'deposit alice 100'          prints: ok 100\n  \
    pbft submit --query 'accounts'           asks without ordering anything\n  \
    pbft submit --hex 6563686f206869         prints: echo hi\n  \
    pbft submit --file operation.bin --format json\n\n\
    Submits bytes as they are, for services other than the ledger. The result is printed as text if it is, else in \
    hexadecimal. A refusal of the service is a result like any other, and exits with 0.")]
pub struct SubmitArguments {
    /// Which cluster, as which client
    #[command(flatten)]
    pub who: AsClient,
    /// The operation
    #[arg(value_name = "TEXT", required_unless_present_any = ["hex", "file"], conflicts_with_all = ["hex", "file"])]
    pub text: Option<String>,
    /// The operation, in hexadecimal
    #[arg(long, value_name = "DIGITS", conflicts_with = "file")]
    pub hex: Option<String>,
    /// The operation is the content of this file; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Ask the replicas' services without ordering: f+1 agree on the answer, but it may be of a moment ago
    #[arg(long)]
    pub query: bool,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Give up after so many seconds
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub timeout: u64,
}

pub(super) fn run(arguments: &SubmitArguments) -> Result<Exit, CliError> {
    let operation = operation(arguments)?;
    let (cluster, name) = keys::choose(&arguments.who)?;
    let dir = &arguments.who.dir;
    let deadline = Duration::from_secs(arguments.timeout);
    let options = ClientOptions { deadline, lanes: 1, ..ClientOptions::default() };
    let timestamps = match arguments.query {
        true => Timestamps::in_memory(),
        false => keys::timestamps(dir, &name)?,
    };
    let result = runtime()?.block_on(async {
        let client = keys::connect(dir, &cluster, &name, timestamps, options)?;
        Ok::<_, CliError>(match arguments.query {
            true => client.query(&operation).await?,
            false => client.submit(operation).await?,
        })
    })?;
    let text = printable(&result);
    match arguments.format {
        Format::Json => print_json(&json!({"text": text, "hex": hex::encode(&result)})),
        Format::Human => outln!("{}", text.unwrap_or(&hex::encode(&result))),
    }
    Ok(Exit::Done)
}

fn operation(arguments: &SubmitArguments) -> Result<Vec<u8>, CliError> {
    if let Some(text) = &arguments.text {
        return Ok(text.clone().into_bytes());
    }
    if let Some(digits) = &arguments.hex {
        return bytes_of(digits).ok_or_else(|| {
            let problem = format!("--hex {digits}: not pairs of hexadecimal digits");
            CliError::usage(problem, "write, for example, --hex 00ff")
        });
    }
    let Some(path) = &arguments.file else { return Ok(Vec::new()) };
    let unreadable = |source: std::io::Error| {
        CliError::usage(format!("{}: {source}", path.display()), "give a --file that can be read")
    };
    let mut bytes = Vec::new();
    let read = match path.as_os_str() == "-" {
        true => std::io::stdin().take(FILE_BYTES_MAX).read_to_end(&mut bytes),
        false => std::fs::File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)),
    };
    read.map_err(unreadable)?;
    Ok(bytes)
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| Some((digit(*high)? * 16 + digit(*low)?) as u8);
    pairs.iter().map(byte).collect::<Option<_>>().filter(|_| rest.is_empty())
}

/// The bytes as text, if a terminal may show it.
pub(super) fn printable(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.chars().all(|c| !c.is_control() || c == '\n' || c == '\t').then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_in_pairs() {
        assert_eq!(bytes_of("00fFA0"), Some(vec![0, 255, 160]));
        assert_eq!(bytes_of(""), Some(vec![]));
        for bad in ["0", "0g", "0x00", "é0"] {
            assert_eq!(bytes_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_would_steer_the_terminal_is_not_printed_as_text() {
        assert_eq!(printable(b"ok 5"), Some("ok 5"));
        assert_eq!(printable(b"\x1b[2J"), None);
        assert_eq!(printable(&[0xff]), None);
    }
}
