//! What the tutorial does to a cluster, on a cluster.

use crate::readme::{say, up};
use pbft_tests::binary::workspace_root;
use pbft_tests::cluster::Turn;
use pbft_tests::ports::free_ports;
use rustix::process::Signal;

#[test]
fn the_cluster_of_the_tutorial_answers_as_it_says() {
    let _turn = Turn::take();
    let page =
        std::fs::read_to_string(workspace_root().join("docs/tutorial.md")).expect("the page");
    let directory = tempfile::tempdir().expect("temporary directory");
    let (mut cluster, _) = up(directory.path(), free_ports(16));
    let mut lines = page.lines().peekable();
    let mut count = 0;
    while let Some(line) = lines.next() {
        let Some(words) = line.strip_prefix("$ cargo pbft ") else { continue };
        let mut expected = String::new();
        while let Some(output) =
            lines.next_if(|next| !next.starts_with("$ ") && !next.starts_with("```"))
        {
            expected += output;
            expected.push('\n');
        }
        assert_eq!(say(directory.path(), words), (Some(0), expected), "{words}");
        count += 1;
    }
    assert_eq!(count, 3, "the commands of the first section");
    cluster.signal_group(Signal::INT);
    assert_eq!(cluster.wait().code(), Some(0), "{}", cluster.last_words());
    let (code, _) = say(directory.path(), "testnet --replicas 3");
    assert_eq!(code, Some(2), "no cluster of three");
}
