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
use serde_json::{Value as Json, json};
use server::Served;

/// One Byzantine replica more than is tolerated, so that there are violations to show without a mutant.
const CONTROL: &str = "n4-b01-v1-s1-d2";
const OF_A_MUTANT: &str =
    r#"{"config":"n4-b0-v1-s1-d2","mutant":"p-omitted","shows":[],"actions":[]}"#;
/// What a file in this format names as its description.
const ITF_FORMAT: &str = "https://apalache-mc.org/docs/adr/015adr-trace.html";

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

/// The initial state, and the state after each step of a path.
fn frames(view: &Json) -> &[Json] {
    view["frames"].as_array().expect("frames")
}

/// The names of the properties that the last state of a path violates.
fn violated(view: &Json) -> BTreeSet<&str> {
    strings(&frames(view).last().expect("a state")["violated"])
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
    Opening::at_counterexample(config(CONTROL), Some("agreement"), &mut Silent)
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
    let test = get(served.address, &format!("/.export/test/{}", served.opens_at()));
    assert!(test.body.contains("fn p_omitted_broken_in_n4_b0_v1_s1_d2()"), "{}", test.body);
    let demanded = "if let Ok(last) = follow(&model, &STEPS) {";
    assert!(test.body.contains(demanded) && test.head.contains("p-omitted.rs"), "{}", test.body);
    let diff = about["diff"].as_str().expect("the mutant as a diff");
    assert!(
        diff.starts_with("@@ model/spec/src/") && diff.contains("\n- ") && diff.contains("\n+ ")
    );
    let last = json(served.address, &format!("/.view/{}", served.opens_at()));
    assert_eq!(violated(&last), BTreeSet::from(["committed-survives"]));
    let (before, _) = parent(served.opens_at());
    assert_eq!(violated(&json(served.address, &format!("/.view/{before}"))), BTreeSet::new());
    assert_eq!(frames(&last).len(), steps(served.opens_at()) + 1);
}

#[test]
fn without_a_mutant_it_opens_at_the_start() {
    let served = Served::start(&["--config", "n4-bnone-v1-s1-d2"]);
    assert_eq!(served.opens_at(), "0");
    let view = json(served.address, "/.view/0");
    assert_eq!(violated(&view), BTreeSet::new());
    assert_eq!((frames(&view).len(), view["mirrors"].as_array().map(Vec::len)), (1, Some(0)));
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
    let shown: Vec<_> = frames(&view)[1..].iter().map(|frame| &frame["action"]).collect();
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
    fs::write(&mutant, OF_A_MUTANT).expect("written");
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
        assert_ne!(image["frames"], original["frames"]);
        let back: Vec<_> = image["mirrors"].as_array().expect("mirrors").iter().collect();
        let same = back.iter().find(|one| one["exchanged"] == mirror["exchanged"]);
        assert_eq!(
            same.map(|one| &one["fragment"]),
            Some(&json(served.address, "/.about")["fragment"])
        );
    }
}

/// What a step is said to do before it is taken is what it did afterwards.
#[test]
fn each_step_of_a_path_was_among_the_next_ones_of_the_state_before() {
    let served = Served::start(&["--config", CONTROL, "--property", "agreement"]);
    let view = json(served.address, &format!("/.view/{}", served.opens_at()));
    let mut indices = served.opens_at().to_owned();
    for frame in frames(&view)[1..].iter().rev() {
        let (before, index) = parent(&indices);
        let next = json(served.address, &format!("/.next/{before}"));
        let taken = &next["actions"][index];
        for what in ["action", "detail", "changes", "violated"] {
            assert_eq!(taken[what], frame[what], "{before}");
        }
        indices = before.to_owned();
    }
    assert_eq!(indices, "0");
}

/// The cell of a variable of a replica, by its place among the honest ones.
fn cell<'a>(frame: &'a Json, variable: &str, place: usize) -> &'a Json {
    let rows = frame["panel"]["rows"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["name"] == variable);
    &row.unwrap_or_else(|| panic!("no {variable}"))["cells"][place]
}

#[test]
fn the_state_of_every_replica_is_shown_with_what_changed() {
    let served = Served::start(&["--config", CONTROL, "--property", "agreement"]);
    let view = json(served.address, &format!("/.view/{}", served.opens_at()));
    // The honest replicas are 2 and 3, and the path ends with the execution at one of them.
    let (last, before) = (frames(&view).last().expect("a state"), &frames(&view)[0]);
    let place = usize::from(last["action"].as_str().expect("text").starts_with("replica 3"));
    let executed =
        ["R1", "R2"].map(|request| cell(last, "service", place)["lines"] == json!([request]));
    assert!(executed.contains(&true), "{last}");
    assert_eq!(cell(last, "last executed", place), &json!({ "lines": ["1"], "was": ["0"] }));
    assert_eq!(cell(last, "last executed", 1 - place), &json!({ "lines": ["1"] }));
    assert_eq!(cell(last, "view", place), &json!({ "lines": ["0, active"] }));
    assert_eq!(cell(before, "log", 0), &json!({ "lines": [] }));
    assert_eq!(before["panel"]["network"], json!([]));
    let network = last["panel"]["network"].as_array().expect("a list");
    let commit = network.iter().find(|one| one["text"] == "COMMIT(view 0, slot 1, R1)");
    assert_eq!(commit.expect("sent")["new"], false);
    assert_eq!(frames(&view)[1]["panel"]["network"].as_array().map(Vec::len), Some(1));
    assert_eq!(frames(&view)[1]["panel"]["network"][0]["new"], true);
}

/// What a replica has not written yet is told apart from what is on its disk.
#[test]
fn the_state_says_what_is_on_disk() {
    let served = Served::start(&["--config", "n4-b3-v0-s1-d1-r"]);
    let view = json(served.address, "/.view/0/0");
    let last = &frames(&view)[1];
    assert_eq!(last["action"], "replica 0 PrePrepare R1 at slot 1");
    let on_disk = cell(last, "on disk", 0);
    assert_eq!(on_disk["was"], json!(["as in memory"]));
    assert_eq!(on_disk["lines"], json!(["log –", "votes to prepare –"]));
    assert_eq!(cell(last, "on the network", 0)["lines"], json!(["votes to prepare –"]));
    assert_eq!(last["panel"]["network"], json!([]));
}

#[test]
fn what_is_not_enabled_is_named_with_the_condition() {
    let served = Served::start(&["--config", "n4-b3-v1-s1-d1"]);
    let next = json(served.address, "/.next/0");
    let blocked = next["blocked"].as_array().expect("a list");
    let why = |replica: u8, event: &str| {
        let one = blocked.iter().find(|one| one["replica"] == replica && one["event"] == event);
        one.unwrap_or_else(|| panic!("{event}: {blocked:#?}"))["unmet"].clone()
    };
    assert_eq!(why(1, "PrePrepare"), "not-primary");
    assert_eq!(why(0, "Prepare slot 1"), "primary");
    assert_eq!(why(1, "Prepare slot 1"), "not-pre-prepared");
    assert_eq!(why(2, "Commit slot 1"), "not-accepted");
    assert_eq!(why(2, "Execute slot 1"), "commits-missing");
    assert_eq!(why(1, "EnterView view 1"), Json::Null);
    // The primary may order, and everybody may leave the view.
    assert!(!blocked.iter().any(|one| one["event"] == "PrePrepare R1 at slot 1"));
    assert!(!blocked.iter().any(|one| one["event"] == "StartViewChange to view 1"));
}

#[test]
fn a_path_can_be_taken_away_in_each_form() {
    let served = Served::start(&["--config", CONTROL, "--property", "agreement"]);
    let about = json(served.address, "/.about");
    assert_eq!(strings(&about["forms"]), BTreeSet::from(["SVG", "ITF", "text", "test", "HTML"]));
    let export =
        |form: &str| get(served.address, &format!("/.export/{form}/{}", served.opens_at()));
    let itf = export("ITF");
    let trace = Trace::parse(itf.body.as_bytes()).expect("a trace");
    assert_eq!(trace.actions.len(), steps(served.opens_at()));
    assert!(itf.head.contains("attachment; filename=\"n4-b01-v1-s1-d2.trace.itf.json\""));
    assert!(export("SVG").body.contains("VIOLATED agreement"));
    assert!(export("text").body.starts_with(&trace.headline()));
    assert!(export("test").body.contains("#[test]\nfn correct_in_n4_b01_v1_s1_d2()"));
    assert!(export("HTML").body.contains("<script type=\"application/json\" id=\"data\">"));
    assert_eq!(export("PDF").status, 404);
}

/// The page in one file, from a configuration and from a trace on standard input, of a mutant too.
#[test]
fn the_page_is_one_file_that_names_nothing_outside() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("page.html");
    let name = file.to_str().expect("a path");
    let output = explore(&["--config", CONTROL, "--property", "agreement", "--export", name]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("which violates agreement"), "{said}");
    let page = fs::read_to_string(&file).expect("written");
    let bare = page.replace("http://www.w3.org/2000/svg", "").replace(ITF_FORMAT, "");
    for outside in ["http:", "https:", " src=", "<link", "@import"] {
        assert!(!bare.contains(outside), "{outside}");
    }
    assert_eq!(page.matches("</script>").count(), 4);
    let (_, data) = page.split_once("id=\"data\">").expect("data");
    let (data, _) = data.split_once("</script>").expect("an end");
    assert!(!data.contains('<'), "markup in the data could end its element");
    let data: Json = serde_json::from_str(data).expect("JSON");
    assert_eq!(data["next"].as_array().map(Vec::len), Some(frames(&data["view"]).len()));
    assert_eq!(data["files"].as_array().map(Vec::len), Some(4));
    let mutant = directory.path().join("mutant.json");
    fs::write(&mutant, OF_A_MUTANT).expect("written");
    for (trace, config) in [(data["files"][1]["content"].as_str(), CONTROL), (None, "p-omitted")] {
        if let Some(text) = trace {
            fs::write(&file, text).expect("written");
        }
        let from = if trace.is_some() { &file } else { &mutant };
        let output = Command::new(env!("CARGO_BIN_EXE_pbft-model"))
            .args(["explore", "--trace", "-", "--export", "-"])
            .stdin(fs::File::open(from).expect("the file"))
            .output()
            .expect("the binary runs");
        let page = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(page.starts_with("<!doctype html>") && page.contains(config), "{output:?}");
    }
}

/// A check and the Explorer look for the same counterexample.
#[test]
fn a_check_and_the_explorer_show_the_same_counterexample() {
    let directory = tempfile::tempdir().expect("a directory");
    let runs = directory.path().to_str().expect("a path");
    let check = Command::new(env!("CARGO_BIN_EXE_pbft-model"))
        .args(["check", "--config", "n4-b0-v1-s1-d2", "--mutant", "p-omitted", "--runs", runs])
        .output()
        .expect("the binary runs");
    assert_eq!(check.status.code(), Some(1), "{check:?}");
    let run = fs::read_dir(runs).expect("a directory").next().expect("a run").expect("an entry");
    let file = |ending: &str| run.path().join(format!("n4-b0-v1-s1-d2.trace.{ending}"));
    let checked = Served::start(&["--trace", file("itf.json").to_str().expect("a path")]);
    let searched = Served::start(&["--mutant", "p-omitted"]);
    assert_eq!(checked.opens_at(), searched.opens_at());
    assert!(fs::read_to_string(file("html")).expect("a page").contains("committed-survives"));
}

#[test]
fn the_page_of_stateright_can_be_reached() {
    let served = Served::start(&["--config", CONTROL, "--property", "agreement", "--classic"]);
    assert!(get(served.address, "/").body.contains("Stateright"));
    let (before, index) = parent(served.opens_at());
    let successors = json(served.address, &format!("/.states/{before}"));
    let outcome = successors[index]["outcome"].as_str().expect("text");
    assert!(outcome.contains("VIOLATES agreement"), "{outcome}");
    // No tick of its own search, which would say that something holds where it is violated.
    assert_eq!(successors[index]["properties"], Json::Null);
    let (taken, _) =
        served.link.strip_prefix("http://").and_then(|l| l.split_once('/')).expect("a link");
    let refused = explore(&["--config", CONTROL, "--classic", "--address", taken]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
}

#[test]
fn the_page_is_whole_and_may_load_nothing_else() {
    let served = Served::start(&["--config", "n4-b0-v0-s1-d1"]);
    for (path, kind) in [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/source.js", "text/javascript"),
        ("/diagram.js", "text/javascript"),
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
        ("/.next/0/99", 404),
        ("/.next/", 400),
        ("/.next/../..", 400),
        ("/.export/ITF/0/99", 404),
        ("/.export/ITF/", 400),
        ("/.export/<b>/0", 404),
        ("/.export/ITF", 404),
        ("/.states/0", 404),
        ("/../Cargo.toml", 404),
        ("/page.css/", 404),
        ("/.runtocompletion", 404),
    ] {
        let response = get(served.address, path);
        assert_eq!(response.status, status, "{path}: {}", response.body);
        assert!(response.head.contains("text/plain") && response.head.contains("nosniff"));
        assert!(!response.body.contains('<'), "{}", response.body);
    }
    let own = format!("Host: {}", served.address);
    assert_eq!(request(served.address, "POST", "/.runtocompletion", &[&own], "").status, 405);
    assert_eq!(request(served.address, "DELETE", "/", &[&own], "").status, 405);
    for foreign in ["Host: rebound.example", "X-Nothing: here"] {
        for path in ["/", "/.about", "/.view/0", "/.next/0", "/.export/ITF/0"] {
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
    let opening = |name| Opening::at_counterexample(config(name), None, &mut Silent);
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
