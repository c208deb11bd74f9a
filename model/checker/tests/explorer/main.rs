//! The Explorer over HTTP: what it opens at, what it answers, what it refuses.

mod http;
mod server;

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};

use http::{Response, request};
use pbft_checker::bfs::{self, Limits};
use pbft_checker::explore::{ExploreError, Explorer, Opening, What};
use pbft_checker::mutant_record::active;
use pbft_checker::run::Silent;
use pbft_checker::trace::{Trace, itf};
use pbft_model::{Config, Pbft, State};
use serde_json::Value as Json;
use server::Served;

fn get(address: SocketAddr, path: &str) -> Response {
    request(address, "GET", path, &[&format!("Host: {address}")], "")
}

fn json(address: SocketAddr, path: &str) -> Json {
    let response = get(address, path);
    assert_eq!(response.status, 200, "{path}: {}", response.body);
    response.json()
}

fn strings(list: &Json) -> BTreeSet<&str> {
    list.as_array().expect("a list").iter().filter_map(Json::as_str).collect()
}

/// The names of the properties that a view says are violated.
fn violated(view: &Json) -> BTreeSet<&str> {
    let properties = view["properties"].as_array().expect("properties").iter();
    let violated = properties.filter(|one| one["holds"] == false);
    violated.filter_map(|one| one["name"].as_str()).collect()
}

fn parent(indices: &str) -> (&str, usize) {
    let (parent, index) = indices.rsplit_once('/').expect("a step");
    (parent, index.parse().expect("an index"))
}

fn steps(indices: &str) -> usize {
    indices.matches('/').count()
}

fn config(name: &str) -> Config {
    name.parse().expect("a configuration")
}

fn counterexample() -> Opening {
    // One Byzantine replica more than is tolerated.
    Opening::at_counterexample(config("n4-b01-v1-s1-d2"), &mut Silent)
}

fn explore(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pbft-model"));
    command.arg("explore").args(arguments).output().expect("the binary runs")
}

#[test]
fn a_mutant_opens_at_its_counterexample() {
    let served = Served::start(&["--mutant", "p-omitted"]);
    let about = json(served.address, "/.about");
    // The configuration on record for the mutant.
    assert_eq!(
        (&about["config"], &about["mutant"]),
        (&"n4-b0-v1-s1-d2".into(), &"p-omitted".into())
    );
    assert_eq!(about["fragment"], format!("#/steps/{}", served.opens_at()));
    assert_eq!(about["opens_at"], "Counterexample");
    let diff = about["diff"].as_str().expect("the mutant as a diff");
    assert!(
        diff.starts_with("@@ model/spec/src/") && diff.contains("\n- ") && diff.contains("\n+ ")
    );
    let last = json(served.address, &format!("/.view/{}", served.opens_at()));
    assert!(violated(&last).contains("agreement"));
    let (before, _) = parent(served.opens_at());
    assert!(!violated(&json(served.address, &format!("/.view/{before}"))).contains("agreement"));
    assert_eq!(last["steps"].as_array().map(Vec::len), Some(steps(served.opens_at())));
}

#[test]
fn without_a_mutant_it_opens_at_the_start() {
    let served = Served::start(&["--config", "n4-bnone-v1-s1-d2"]);
    assert_eq!(served.opens_at(), "0");
    let view = json(served.address, "/.view/0");
    assert_eq!(violated(&view), BTreeSet::new());
    assert_eq!(
        (view["steps"].as_array().map(Vec::len), view["mirrors"].as_array().map(Vec::len)),
        (Some(0), Some(0))
    );
}

/// The links that other commands print, for a path of the correct protocol as well.
#[test]
fn a_link_that_was_printed_leads_to_its_path() {
    let model = Pbft::new(config("n4-b2-v1-s1-d2"));
    let executed = |_: &Pbft, state: &State| state.replicas[3].last_executed.0 == 1;
    let found = bfs::search(&model, Limits::default(), executed, &mut Silent).found;
    let trace = Trace::new(&model, &found.expect("reachable"));
    let served = Served::start(&["--config", "n4-b2-v1-s1-d2"]);
    let fragment = trace.explorer_fragment(&model);
    let indices = fragment.strip_prefix("#/steps/").expect("Stateright's form");
    let view = json(served.address, &format!("/.view/{indices}"));
    let labels: Vec<_> = trace.actions.iter().map(ToString::to_string).collect();
    let shown: Vec<_> =
        view["steps"].as_array().expect("steps").iter().map(|step| &step["action"]).collect();
    assert_eq!(shown, labels.iter().collect::<Vec<_>>());
    assert_eq!(violated(&view), BTreeSet::new());
}

#[test]
fn a_saved_trace_opens_again() {
    let opening = counterexample();
    let trace = Trace {
        config: "n4-b01-v1-s1-d2".to_owned(),
        mutant: None,
        shows: Vec::new(),
        actions: opening.actions().to_vec(),
    };
    let trace = Trace::new(&trace.model().expect("a model"), &trace.actions);
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("saved.trace.itf.json");
    fs::write(&file, itf::write(&trace).expect("ITF")).expect("written");
    let served = Served::start(&["--trace", file.to_str().expect("a path")]);
    assert!(served.link.ends_with(&opening.fragment()), "{}", served.link);
    assert_eq!(json(served.address, "/.about")["opens_at"], "Saved trace");
    // One that the model does not allow.
    let text = fs::read_to_string(&file).expect("text").replace("n4-b01-v1", "n4-b0-v1");
    fs::write(&file, text).expect("written");
    let refused = explore(&["--trace", file.to_str().expect("a path")]);
    assert_eq!(refused.status.code(), Some(5), "{refused:?}");
    // One of a mutant, which another process must follow: standard input can be read once only.
    let mutant = directory.path().join("mutant.json");
    let text = r#"{"config":"n4-b0-v1-s1-d2","mutant":"p-omitted","shows":[],"actions":[]}"#;
    fs::write(&mutant, text).expect("written");
    let refused = Command::new(env!("CARGO_BIN_EXE_pbft-model"))
        .args(["explore", "--trace", "-"])
        .stdin(fs::File::open(&mutant).expect("the file"))
        .output()
        .expect("the binary runs");
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{message}");
    assert!(message.contains("`p-omitted`") && message.contains("--trace"), "{message}");
}

#[test]
fn every_mirror_image_violates_what_the_path_violates() {
    let served = Served::start(&["--mutant", "p-omitted"]);
    let path = format!("/.view/{}", served.opens_at());
    let original = json(served.address, &path);
    let mirrors = original["mirrors"].as_array().expect("mirrors");
    // Replicas 2 and 3 lead no view, and the two requests are equals: with both, with either.
    assert_eq!(mirrors.len(), 3);
    for mirror in mirrors {
        let fragment = mirror["fragment"].as_str().expect("a fragment");
        let indices = fragment.strip_prefix("#/steps/").expect("a path");
        assert_ne!(indices, served.opens_at());
        let image = json(served.address, &format!("/.view/{indices}"));
        assert_eq!(violated(&image), violated(&original), "{}", mirror["exchanged"]);
        assert_ne!(image["steps"], original["steps"]);
        let back: Vec<_> = image["mirrors"].as_array().expect("mirrors").iter().collect();
        let same = back.iter().find(|one| one["exchanged"] == mirror["exchanged"]);
        assert_eq!(
            same.map(|one| &one["fragment"]),
            Some(&json(served.address, "/.about")["fragment"])
        );
    }
}

/// The front and Stateright walk the path each for itself: they must come to the same steps and verdicts.
#[test]
fn stateright_serves_the_steps_that_the_page_shows() {
    let served = Served::start(&["--mutant", "p-omitted"]);
    let mut indices = served.opens_at().to_owned();
    while indices.contains('/') {
        let view = json(served.address, &format!("/.view/{indices}"));
        let (before, index) = parent(&indices);
        let successors = json(served.address, &format!("/.states/{before}"));
        let taken = &successors[index];
        let step = view["steps"].as_array().and_then(|steps| steps.last()).expect("a step");
        assert_eq!(taken["action"], step["action"]);
        assert_eq!(taken["properties"], Json::Null, "Stateright's own ticks must not be there");
        let outcome: Json =
            serde_json::from_str(taken["outcome"].as_str().expect("text")).expect("JSON");
        assert_eq!(strings(&outcome["violated"]), violated(&view));
        assert_eq!(outcome["changes"], view["changes"]);
        let witnesses = view["witnesses"].as_array().expect("witnesses").iter();
        let shown: BTreeSet<_> = witnesses
            .filter(|one| one["holds"] == true)
            .filter_map(|one| one["name"].as_str())
            .collect();
        assert_eq!(strings(&outcome["shows"]), shown);
        indices = before.to_owned();
    }
    assert_eq!(json(served.address, "/.status")["properties"], Json::Array(Vec::new()));
}

#[test]
fn the_page_is_whole_and_may_load_nothing_else() {
    let served = Served::start(&["--config", "n4-b0-v0-s1-d1"]);
    for (path, kind) in [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/page.js", "text/javascript"),
        ("/icon.svg", "image/svg+xml"),
        ("/?x=1", "text/html"),
    ] {
        let response = get(served.address, path);
        assert_eq!(response.status, 200, "{path}");
        assert!(response.head.contains(&format!("Content-Type: {kind}")), "{}", response.head);
        assert!(
            response.head.contains("Content-Security-Policy: default-src 'none'"),
            "{}",
            response.head
        );
        let names_others = ["https://", "http://", "//cdn"]
            .iter()
            .any(|other| response.body.replace("http://www.w3.org/2000/svg", "").contains(other));
        assert!(!names_others, "{path} names another site");
    }
}

#[test]
fn what_is_not_there_is_refused_and_harms_nothing() {
    let served = Served::start(&["--config", "n4-b0-v0-s1-d1"]);
    let long = format!("/.view/{}", ["0"; 1002].join("/"));
    for (path, status) in [
        ("/.view/", 400),
        ("/.view/x", 400),
        ("/.view/0/-1", 400),
        ("/.view/0/99999999999999999999999", 400),
        ("/.view/<script>alert(1)</script>", 400),
        (long.as_str(), 400),
        ("/.view/1", 404),
        ("/.view/0/99", 404),
        ("/.states/0/99", 404),
        ("/.states/", 400),
        ("/.states/../..", 400),
        ("/../Cargo.toml", 404),
        ("/page.css/", 404),
        ("/.runtocompletion", 404),
    ] {
        let response = get(served.address, path);
        assert_eq!(response.status, status, "{path}: {}", response.body);
        assert!(response.head.contains("text/plain") && response.head.contains("nosniff"));
        assert!(!response.body.contains('<'), "{}", response.body);
    }
    // Whichever answer comes first, the page says the same.
    let [front, stateright] =
        ["/.view/0/99", "/.states/0/99"].map(|path| get(served.address, path).body);
    assert_eq!(front, stateright);
    let own = format!("Host: {}", served.address);
    assert_eq!(request(served.address, "POST", "/.runtocompletion", &[&own], "").status, 405);
    assert_eq!(request(served.address, "DELETE", "/", &[&own], "").status, 405);
    for foreign in ["Host: rebound.example", "X-Nothing: here"] {
        for path in ["/", "/.about", "/.view/0", "/.states/0"] {
            assert_eq!(request(served.address, "GET", path, &[foreign], "").status, 403, "{path}");
        }
    }
    assert_eq!(get(served.address, "/.view/0").status, 200);
}

#[test]
fn a_port_in_use_is_an_error_that_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let start = Opening::at_start(config("n4-b0-v0-s1-d1"));
    let error = Explorer::bind(start, address).err().expect("refused");
    assert!(matches!(error, ExploreError::InUse { address: named } if named == address), "{error}");
    let output = explore(&["--config", "n4-b0-v0-s1-d1", "--address", &address.to_string()]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(
        message.contains("is in use")
            && message.contains("--address")
            && !message.contains("panicked"),
        "{message}"
    );
}

#[test]
fn bad_usage_and_bad_files_have_their_exit_codes() {
    assert_eq!(explore(&[]).status.code(), Some(2));
    assert_eq!(explore(&["--trace", "x", "--mutant", "p-omitted"]).status.code(), Some(2));
    assert_eq!(explore(&["--trace", "/no/such/file"]).status.code(), Some(2));
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("hostile.json");
    for hostile in [
        "",
        "{}",
        "[[[[",
        "{\"config\":\"n4-b0-v0-s1-d1\",\"actions\":[{\"Commit\":{\"replica\":9,\"slot\":0}}]}",
    ] {
        fs::write(&file, hostile).expect("written");
        let output = explore(&["--trace", file.to_str().expect("a path")]);
        assert_eq!(output.status.code(), Some(5), "{hostile}: {output:?}");
    }
    let help = String::from_utf8(explore(&["--help"]).stdout).expect("text");
    assert!(help.contains("Examples:") && help.contains("127.0.0.1:3000"), "{help}");
}

/// `cargo plant test --mutants --package pbft-checker --test explorer` does this with each mutant on.
#[test]
fn a_broken_rule_that_nothing_finds_out_opens_at_the_start() {
    let opening = |name| Opening::at_counterexample(config(name), &mut Silent);
    match active() {
        None | Some("commits-matched-without-digest") => {
            let opening = opening("n4-b0-v0-s1-d1");
            assert_eq!((opening.what(), opening.actions().len()), (What::NoCounterexample, 0));
        }
        Some("commits-matched-without-view") => {
            assert_eq!(opening("n4-b0-v1-s1-d2").what(), What::Counterexample);
        }
        Some(_) => {}
    }
}
