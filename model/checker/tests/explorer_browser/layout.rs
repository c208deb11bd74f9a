//! The page at three sizes: nothing lies on anything else, what is in view stays in place, and the page works as a file.

use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{fs, thread};

use pbft_checker::trace::{Trace, itf};
use pbft_model::{Action, Pbft, State};
use serde_json::{Value as Json, json};
use stateright::Model;

use crate::server::Served;
use crate::webdriver::{Browser, HOME, LEFT, RIGHT};
use crate::{CONTROL, browser, screenshot, shorter, shown, text, wait_for};

const SIZES: [(u32, u32); 3] = [(1400, 900), (800, 600), (390, 844)];
const LONG: usize = 30;
/// The configuration of which the documentation has a picture.
const PICTURED: &str = "n4-b0-v2-s2-d2-k1";

/// A file with a path of the protocol that takes so many steps, of every kind, in an order that looks like chance.
fn long_path(directory: &tempfile::TempDir, config: &str) -> PathBuf {
    let model = Pbft::new(config.parse().expect("a configuration"));
    let mut state = State::initial(model.config());
    let mut actions: Vec<Action> = Vec::new();
    for step in 0..LONG {
        let mut enabled = Vec::new();
        model.actions(&state, &mut enabled);
        // Views end now and then only: else nothing is ever decided in one.
        let leaves = |action: &Action| matches!(action, Action::StartViewChange { .. });
        let chosen = if step % 7 == 6 { enabled.clone() } else { Vec::new() };
        let stays = enabled.iter().copied().filter(|action| !leaves(action)).collect();
        let from = [chosen, stays, enabled].into_iter().find(|some| !some.is_empty());
        let from = from.expect("something can happen");
        let action = from[(step * 31 + 17) % from.len()];
        state = model.stepped(&state, action);
        actions.push(action);
    }
    let file = directory.path().join(format!("{config}.trace.itf.json"));
    let trace = Trace::new(&model, &actions);
    fs::write(&file, itf::write(&trace).expect("enabled steps")).expect("written");
    file
}

/// Texts of the diagram that lie on each other, marks of quorums that lie on a text or leave their lane.
fn overlaps(browser: &Browser) -> Json {
    browser.evaluate(
        "const found = [];
         const on = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 0.5
           && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 0.5;
         for (const picture of ['lanes', 'heads'].map((id) => document.getElementById(id))) {
           const boxes = (selector) => [...picture.querySelectorAll(selector)]
             .filter((one) => one.getClientRects().length)
             .map((one) => [one.textContent, one.getBoundingClientRect(), one]);
           // The box of a font is higher than its letters: a sixth above and below.
           const texts = boxes('text').map(([said, box, one]) => {
             const rim = box.height / 6;
             return [said, { left: box.left, right: box.right, top: box.top + rim, bottom: box.bottom - rim }, one];
           });
           texts.forEach(([said, box], at) => texts.slice(at + 1).forEach(([other, its]) => {
             if (on(box, its)) { found.push(['texts', said, other]); }
           }));
           const lanes = boxes('.lane').map(([, box]) => box);
           for (const [, box] of boxes('.step :is(.vote, .vote-in, .vote-byzantine)')) {
             for (const [said, its, one] of texts) {
               if (!one.matches('.vote-name, .vote-name-in, .value') && on(box, its)) { found.push(['mark', said]); }
             }
             if (!lanes.some((lane) => lane.top <= box.top && box.bottom <= lane.bottom + 0.5)) {
               found.push(['outside', box.top, box.bottom]);
             }
           }
         }
         return found;",
    )
}

/// Where every node is, on the screen and within the picture.
fn nodes(browser: &Browser) -> Vec<[f64; 2]> {
    let places = browser.evaluate(
        "const lanes = document.getElementById('lanes').getBoundingClientRect();
         return [...document.querySelectorAll('#lanes .node')].map((one) => {
           const { left } = one.getBoundingClientRect();
           return [left, left - lanes.left];
         });",
    );
    serde_json::from_value(places).expect("numbers")
}

/// Demands that the page is as wide as the window, that the step in view is seen beside the names, and can be read.
fn is_usable(browser: &Browser, width: u32) {
    let measures = browser.evaluate(
        "const box = (selector) => document.querySelector(selector).getBoundingClientRect();
         const [now, heads, frame] = ['#lanes .step.now .node', '#heads', '#diagram'].map(box);
         const lanes = document.getElementById('lanes');
         const scale = lanes.getBoundingClientRect().width / lanes.viewBox.baseVal.width;
         return { page: document.documentElement.scrollWidth, now: [now.left, now.right],
           between: [heads.right, frame.right], heads: heads.left - frame.left, font: 11 * scale };",
    );
    let number = |value: &Json| value.as_f64().unwrap_or_else(|| panic!("{measures}"));
    assert!(number(&measures["page"]) <= f64::from(width), "{measures}");
    assert!(number(&measures["now"][0]) >= number(&measures["between"][0]), "{measures}");
    assert!(number(&measures["now"][1]) <= number(&measures["between"][1]), "{measures}");
    assert!(number(&measures["heads"]).abs() < 1.5, "the names have moved: {measures}");
    assert!(number(&measures["font"]) >= 8.5, "{measures}");
}

#[test]
fn long_paths_can_be_read_and_walked_at_every_size() {
    let Some(browser) = browser() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    for config in [PICTURED, "n7-b01-v2-s2-d2"] {
        let file = long_path(&directory, config);
        let served = Served::start(&["--trace", file.to_str().expect("a path")]);
        let last = served.opens_at().to_owned();
        assert_eq!(last.matches('/').count(), LONG);
        for (width, height) in SIZES {
            browser.resize(width, height);
            browser.open("about:blank");
            browser.open(&served.link);
            wait_for(&browser, &last);
            let name = format!("{config} at {width}×{height}");
            assert_eq!(nodes(&browser).len(), LONG, "{name}");
            let marks = browser.evaluate("return document.querySelectorAll('.vote-in').length");
            assert!(marks.as_u64().expect("a number") > 10, "{name}: {marks}");
            assert_eq!(overlaps(&browser), json!([]), "{name}");
            is_usable(&browser, width);
            if (width, config) == (390, PICTURED) {
                screenshot(&browser, "explorer-small.png");
            }
            let (mut before, mut still) = (nodes(&browser), 0);
            for steps in 1..=12 {
                browser.click("#back");
                wait_for(&browser, &shorter(&last, steps));
                let after = nodes(&browser);
                for (one, other) in before.iter().zip(&after) {
                    assert!((one[1] - other[1]).abs() < 0.1, "{name}: a node has moved");
                }
                still += usize::from(before == after);
                is_usable(&browser, width);
                before = after;
            }
            // Unless the window is too narrow for it, nothing is scrolled either.
            assert!(still >= 2, "{name}: scrolled in {} of 12 steps", 12 - still);
            assert_eq!(overlaps(&browser), json!([]), "{name}, twelve steps before");
        }
    }
}

#[test]
fn the_first_violation_is_marked_and_a_key_leads_there() {
    let Some(browser) = browser() else { return };
    let served = Served::start(&CONTROL);
    let last = served.opens_at().to_owned();
    browser.open(&served.link);
    wait_for(&browser, &last);
    let first = shorter(&last, last.matches('/').count() - 1);
    // The first step takes a batch that nobody else has; the last executes another value.
    assert_eq!(text(&browser, "#steps .first .bad"), "✗ first");
    let ringed = browser.evaluate(
        "return [...document.querySelectorAll('#lanes .step.wrong')].map((one) => one.dataset.step)",
    );
    assert_eq!(ringed, json!(["1"]));
    browser.press(&["v"]);
    wait_for(&browser, &first);
    assert!(text(&browser, "#verdict").contains("batch-obtainable"));
    browser.press(&[HOME]);
    wait_for(&browser, "0");
    browser.click("#to-violation");
    wait_for(&browser, &first);
    assert!(text(&browser, "#panel .changed mark").contains("R1"));
    // Why the others cannot act yet.
    browser.click("#blocked summary");
    let why = text(&browser, "#blocked");
    assert!(why.contains("Commit slot 1") && why.contains("not-accepted"), "{why}");
}

#[test]
fn back_leaves_the_page_after_any_number_of_steps() {
    let Some(browser) = browser() else { return };
    let served = Served::start(&CONTROL);
    let last = served.opens_at().to_owned();
    browser.open("about:blank#before");
    browser.open(&served.link);
    wait_for(&browser, &last);
    let length = browser.evaluate("return history.length");
    for steps in 1..=3 {
        browser.press(&[LEFT]);
        wait_for(&browser, &shorter(&last, steps));
    }
    let address = browser.evaluate("return location.hash");
    assert_eq!(
        address,
        format!("#/steps/{}", shorter(&last, 3)),
        "the link is of the step in view"
    );
    assert_eq!(browser.evaluate("return history.length"), length);
    browser.back();
    assert_eq!(browser.evaluate("return location.href"), "about:blank#before");
}

#[test]
fn the_exported_file_works_without_a_server_and_a_network() {
    let Some(browser) = browser() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("page.html");
    let written = std::process::Command::new(env!("CARGO_BIN_EXE_pbft-model"))
        .arg("explore")
        .args(CONTROL)
        .arg("--export")
        .arg(&file)
        .status()
        .expect("the binary runs");
    assert!(written.success());
    let offline =
        json!({"offline": true, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
    browser.devtools("Network.enable", json!({}));
    browser.devtools("Network.emulateNetworkConditions", offline);
    let downloads = directory.path().join("downloads");
    let allowed = json!({"behavior": "allow", "downloadPath": downloads});
    browser.devtools("Browser.setDownloadBehavior", allowed);
    browser.open(&format!("file://{}", file.display()));
    browser.wait_until("document.documentElement.dataset.shown");
    let last = shown(&browser);
    assert!(text(&browser, "#verdict").contains("VIOLATED: agreement"));
    assert_eq!(overlaps(&browser), json!([]));
    browser.press(&[LEFT]);
    wait_for(&browser, &shorter(&last, 1));
    assert!(!text(&browser, "#verdict").contains("agreement"));
    assert!(text(&browser, "#panel").contains("prepared certificates"));
    // The next step of the path can be taken, others are shown and lead nowhere.
    let others = browser.evaluate(
        "return [...document.querySelectorAll('#actions button')].map((one) => one.hasAttribute('aria-disabled'))",
    );
    let others = others.as_array().expect("a list").clone();
    assert_eq!(others.iter().filter(|one| **one == json!(false)).count(), 1, "{others:?}");
    browser.press(&[RIGHT]);
    wait_for(&browser, &last);
    browser.click("#files summary");
    browser.click("#files a[data-form=ITF]");
    let taken = downloads.join("n4-b01-v1-s1-d2.trace.itf.json");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !taken.exists() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
    }
    let trace = Trace::read(&taken).expect("the trace of the page");
    assert_eq!(trace.actions.len(), last.matches('/').count());
    let requests = browser.log("performance");
    let urls: Vec<_> = requests
        .iter()
        .filter_map(|entry| serde_json::from_str::<Json>(entry["message"].as_str()?).ok())
        .filter(|one| one["message"]["method"] == "Network.requestWillBeSent")
        .filter_map(|one| one["message"]["params"]["request"]["url"].as_str().map(str::to_owned))
        .collect();
    assert!(urls.iter().any(|url| url.starts_with("file:")), "{urls:?}");
    let local = |url: &&String| !url.starts_with("file:") && !url.starts_with("blob:");
    assert_eq!(urls.iter().find(local), None);
    let complaints = browser.log("browser");
    assert!(complaints.is_empty(), "{complaints:#?}");
}
