//! Every command's help has examples, and every example does what it says.

use crate::readme::up;
use pbft_tests::cluster::Turn;
use pbft_tests::ports::free_ports;
use pbft_tests::process::{pbft, run_pbft};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

/// The examples that run beside a running cluster, in an order in which each finds what it needs, with their exit
/// codes. All that is left are those of [`elsewhere`].
const BESIDE_A_CLUSTER: &[(&str, i32)] = &[
    ("pbft bank deposit alice 100", 0),
    ("pbft bank balance alice", 0),
    ("pbft bank transfer alice bob 30 --format json", 1),
    ("pbft bank --client client-2 balance bob", 1),
    ("pbft bank statement alice", 0),
    ("pbft bank audit", 0),
    ("pbft submit 'deposit alice 100'", 0),
    ("pbft submit --query 'accounts'", 0),
    ("pbft submit --hex 6563686f206869", 0),
    ("pbft submit --file operation.bin --format json", 0),
    ("printf 'deposit alice 5\\nbalance alice\\n' | pbft repl", 0),
    ("pbft repl", 0),
    ("pbft status", 0),
    ("pbft status --dir cluster --format json", 0),
    ("pbft status --all", 0),
    ("pbft top --once", 0),
    ("pbft top --once --format json", 0),
    ("pbft hash", 0),
    ("pbft hash --format json", 0),
    ("pbft probe ready --dir cluster/replica-0", 0),
    ("pbft probe metrics --dir cluster/replica-0", 0),
    ("pbft config check cluster/cluster.toml", 0),
    ("pbft key new replica.key", 0),
    ("pbft key public replica.key", 0),
    ("pbft debug bundle --out bundle.json", 0),
    ("pbft suspect --dir cluster/replica-1 --dir cluster/replica-2", 0),
    ("pbft completions bash", 0),
    ("source <(pbft completions bash)", 0),
];

/// Examples that need another cluster, or none, and who runs them.
fn elsewhere() -> BTreeSet<&'static str> {
    BTreeSet::from([
        // Here, below.
        "pbft up",
        "pbft testnet",
        "pbft testnet --replicas 7 --dir seven --base-port 7100",
        "pbft up --dir seven",
        "pbft start --dir cluster/replica-0",
        "pbft start --dir cluster/replica-0 --admin 127.0.0.1:7100 --log-format json",
        "pbft init --cluster cluster.toml --key replica.key --dir replica-0 --never-ran",
        "pbft debug bundle --dir seven --log-file replica-0.log --log-file replica-1.log --out bundle.json",
    ])
}

/// What the help of a command and of all its subcommands shows as examples, and the commands that show none.
fn examples(directory: &Path, command: &[&str]) -> (Vec<String>, Vec<String>) {
    let output = run_pbft(directory, &[command, &["--help"]].concat());
    let help = String::from_utf8(output.stdout).expect("text");
    let own = help.split_once("\nExample").map(|(_, examples)| examples).unwrap_or_default();
    let lines = own.lines().filter_map(|line| line.strip_prefix("  "));
    let mut found: Vec<String> = lines
        .take_while(|line| !line.is_empty())
        .map(|line| line.split("   ").next().unwrap_or(line).trim().to_owned())
        .collect();
    let mut without = Vec::new();
    let subcommands = help.split_once("\nCommands:\n").map(|(_, list)| list).unwrap_or_default();
    let names: Vec<String> = subcommands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next().map(str::to_owned))
        .filter(|name| !name.is_empty() && name != "help")
        .collect();
    let is_covered = |name: &str, found: &[String]| {
        let words = [&["pbft"], command, &[name]].concat().join(" ");
        found
            .iter()
            .any(|example| example.contains(&words) || example.contains(&format!(" {name} ")))
    };
    for name in &names {
        let (inner, lacking) = examples(directory, &[command, &[name.as_str()]].concat());
        // A small subcommand may be shown by the command above it.
        if inner.is_empty() && !is_covered(name, &found) && !EXPLAINED.contains(&name.as_str()) {
            without.push(format!("{command:?} {name}"));
        }
        without.extend(lacking);
        found.extend(inner);
    }
    (found, without)
}

/// Subcommands of `bank` whose one line of help says it all.
const EXPLAINED: [&str; 3] = ["open", "withdraw", "accounts"];

/// Runs an example as a shell would, in `directory`, with `pbft` on the path.
fn shell(directory: &Path, line: &str) -> (Option<i32>, String) {
    let program = pbft(directory, &[]).get_program().to_owned();
    let path = Path::new(&program).parent().expect("a directory").to_owned();
    let path = format!("{}:{}", path.display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new("bash")
        .args(["-c", line])
        .current_dir(directory)
        .env("PATH", path)
        .env("NO_COLOR", "1")
        .env_remove("PBFT_LOG")
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn every_example_of_the_help_does_what_it_says() {
    let _turn = Turn::take();
    let directory = tempfile::tempdir().expect("temporary directory");
    let directory = directory.path();
    let (found, without) = examples(directory, &[]);
    assert!(without.is_empty(), "no example: {without:#?}");
    let load: BTreeSet<&str> =
        found.iter().map(String::as_str).filter(|line| line.starts_with("pbft load")).collect();
    let run: BTreeSet<&str> = BESIDE_A_CLUSTER.iter().map(|(line, _)| *line).collect();
    // `recover` and `inspect` have tests of their own.
    let unknown: Vec<_> = found
        .iter()
        .map(String::as_str)
        .filter(|line| !run.contains(line) && !elsewhere().contains(line) && !load.contains(line))
        .filter(|line| !["pbft recover", "pbft inspect"].iter().any(|own| line.starts_with(own)))
        .collect();
    assert!(unknown.is_empty(), "nobody runs {unknown:#?}");
    let outdated: Vec<_> = run
        .union(&elsewhere())
        .filter(|line| !found.iter().any(|one| one == *line))
        .copied()
        .collect();
    assert!(outdated.is_empty(), "the help does not show {outdated:#?}");

    let base_port = free_ports(16);
    let (mut replicas, _) = up(directory, base_port);
    std::fs::write(directory.join("operation.bin"), "echo hi").expect("written");
    for (line, code) in BESIDE_A_CLUSTER {
        let (got, said) = shell(directory, line);
        assert_eq!(got, Some(*code), "{line}\n{said}");
    }
    for line in load {
        let (got, said) = shell(directory, &quicker(line));
        assert_eq!(got, Some(0), "{line}\n{said}");
    }
    replicas.signal(Signal::INT);
    assert_eq!(replicas.wait().code(), Some(0), "{}", replicas.last_words());

    // One replica starts alone from the same directory, and stops when it is told to.
    let admin = format!("127.0.0.1:{}", base_port + 12);
    for line in elsewhere().iter().filter(|line| line.starts_with("pbft start")) {
        let line = line.replace("127.0.0.1:7100", &admin);
        let (got, said) = shell(directory, &format!("timeout --preserve-status -s INT 1 {line}"));
        assert_eq!(got, Some(0), "{line}\n{said}");
        assert!(said.contains("stopped"), "{said}");
    }
    let seven = "testnet --replicas 7 --dir seven --base-port 7100";
    assert_eq!(shell(directory, &format!("pbft {seven}")).0, Some(0));
    let (got, said) = shell(directory, "pbft debug bundle --dir seven --out seven.json");
    assert_eq!(got, Some(0), "a cluster that does not run\n{said}");
}

/// A measurement with a tenth of the time, which is enough to see that it works.
fn quicker(line: &str) -> String {
    line.replace("--seconds 10", "--seconds 1").replace("--repetitions 5", "--repetitions 2")
}

/// What the files in `deploy/` call, without punctuation.
fn deployed() -> Vec<String> {
    let root = pbft_tests::binary::workspace_root().join("deploy");
    let files = ["pbft@.service", "Dockerfile", "compose.yaml", "kubernetes/pbft.yaml"];
    let plain = |c: char| if "[],\"'`".contains(c) { ' ' } else { c };
    let mut calls = Vec::new();
    for file in files {
        let text =
            std::fs::read_to_string(root.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        for line in text.lines() {
            let line: String =
                line.split("  #").next().unwrap_or_default().chars().map(plain).collect();
            // Commands of a shell or unit name the program; those of a container are what comes after it.
            let begins = ["pbft ", "/usr/local/bin/pbft ", "command: ", "args: ", "CMD "];
            let call =
                begins.iter().filter_map(|begin| line.split_once(begin)).map(|(_, call)| call);
            let words = call.map(|call| call.split_whitespace().collect::<Vec<_>>().join(" "));
            calls.extend(words.max_by_key(String::len));
        }
    }
    calls
}

#[test]
fn the_files_for_deployment_call_commands_that_exist() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let root = run_pbft(directory.path(), &["--help"]);
    let root = String::from_utf8(root.stdout).expect("text");
    let mut checked = BTreeSet::new();
    for call in deployed() {
        let words: Vec<&str> = call.split_whitespace().filter(|word| *word != "pbft").collect();
        let is_command = |word: &str| root.contains(&format!("\n  {word} "));
        let Some(at) = words.iter().position(|word| is_command(word)) else { continue };
        let words = &words[at..];
        let mut command = vec![words[0]];
        // `key new`, `config check` and the like have help of their own.
        command.extend(words.get(1).filter(|_| ["key", "config"].contains(&words[0])));
        let output = run_pbft(directory.path(), &[&command[..], &["--help"]].concat());
        assert!(output.status.success(), "{call}: {output:?}");
        let help = String::from_utf8(output.stdout).expect("text");
        for option in words.iter().filter(|word| word.starts_with("--")) {
            assert!(
                help.contains(&format!("{option} ")) || help.contains(&format!("{option}\n")),
                "{call}: no {option}"
            );
        }
        checked.insert(words[0].to_owned());
    }
    for command in ["start", "init", "testnet", "probe", "key", "config"] {
        assert!(checked.contains(command), "{command} is called nowhere: {checked:?}");
    }
}
