//! Where the processor time of a cluster goes: reads what `perf script` prints, and prints shares by part.
//!
//! ```console
//! $ perf record -a -F 297 --call-graph dwarf,12000 -- sleep 2
//! $ perf script --no-inline -F comm,pid,tid,ip,sym | cargo run --release -p pbft-cli --example profile
//! ```
//!
//! Build `pbft` with `CARGO_PROFILE_RELEASE_DEBUG=1`, or there are no call graphs. Each sample counts for the first part
//! of the list that occurs anywhere in its call graph.

use std::collections::BTreeMap;
use std::io::BufRead as _;

/// The threads of `pbft`; everything else on the machine is left out.
const THREADS: [&str; 3] = ["driver", "tokio-rt-worker", "pbft"];

/// The client and what drives it, in `pbft load`.
const LOAD: [&str; 2] = ["pbft_node::client::", "pbft_cli::load::"];

/// The kernel, entered by whatever way.
const KERNEL: [&str; 5] = ["entry_SYSCALL", "do_syscall", "asm_sysvec", "asm_exc", "irqentry"];

/// A part, what occurs in its call graphs, and whether the kernel must occur, too.
type Part = (&'static str, &'static [&'static str], bool);

const PARTS: [Part; 15] = [
    ("checking signatures", &["verify_strict"], false),
    ("signing", &["SigningKey", "KeySigner"], false),
    ("message authentication codes", &["pbft_node::mac::"], false),
    ("committing the store", &["WriteTransaction::commit"], false),
    ("writing to the store", &["store::transaction", "redb::"], false),
    ("kernel: sockets", &["tcp_", "sock_", "inet_", "net_rx"], true),
    ("kernel: files", &["vfs_write", "vfs_fsync"], true),
    ("kernel: waking and waiting", &[""], true),
    ("executing", &["pbft_ledger::"], false),
    ("encoding and decoding", &["pbft_node::codec::", "serialize", "bincode::"], false),
    ("hashing batches", &["Batch>::digest", "canonical::"], false),
    ("stepping the core", &["Replica::step"], false),
    ("TLS", &["rustls", "ring_core"], false),
    ("tokio", &["tokio::"], false),
    ("rest", &[""], false),
];

fn part(stack: &[String]) -> String {
    let has = |words: &[&str]| stack.iter().any(|f| words.iter().any(|word| f.contains(word)));
    let is_kernel = has(&KERNEL);
    let (name, ..) = PARTS
        .into_iter()
        .find(|(_, words, kernel)| has(words) && (is_kernel || !kernel))
        .unwrap_or(PARTS[PARTS.len() - 1]);
    match has(&LOAD) {
        true => format!("load: {name}"),
        false => name.to_owned(),
    }
}

fn main() -> std::io::Result<()> {
    let mut shares: BTreeMap<String, u64> = BTreeMap::new();
    let (mut samples, mut ours, mut stack) = (0u64, false, Vec::new());
    // An empty line ends a sample.
    for line in std::io::stdin().lock().lines().chain([Ok(String::new())]) {
        let line = line?;
        match line.chars().next() {
            None => {
                if ours {
                    *shares.entry(part(&stack)).or_default() += 1;
                    samples += 1;
                }
                ours = false;
                stack.clear();
            }
            Some(first) if first.is_whitespace() => stack.push(line),
            Some(_) => ours = line.split_whitespace().next().is_some_and(|t| THREADS.contains(&t)),
        }
    }
    if samples == 0 {
        eprintln!("no sample of pbft; record while a cluster is under load");
        return Ok(());
    }
    let mut shares: Vec<_> = shares.into_iter().collect();
    shares.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (name, count) in shares {
        println!("{:5.1} %  {name}", 100.0 * count as f64 / samples as f64);
    }
    println!("of {samples} samples");
    Ok(())
}
