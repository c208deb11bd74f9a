//! The Explorer in a real browser: a headless Chromium, driven by chromedriver.
//!
//! Without a browser these tests are skipped and say so; `PBFT_REQUIRE_BROWSER=1` makes that a failure. With
//! `PBFT_SCREENSHOTS=DIRECTORY` they write the screenshots of the documentation there.

#[path = "../explorer/http.rs"]
mod http;
mod layout;
#[path = "../explorer/server.rs"]
mod server;
mod webdriver;

use std::env;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Once;

use serde_json::{Value as Json, json};
use server::Served;
use webdriver::{Browser, DOWN, END, ENTER, HOME, LEFT, Programs, RIGHT, UP};

const WIDTH: u32 = 1400;
const HEIGHT: u32 = 900;

/// The mutant whose counterexample is opened, and how long that is at least: more than the picture finds easy.
const MUTANT: [&str; 4] = ["--mutant", "p-omitted", "--property", "agreement"];
const STEPS_MIN: usize = 12;
/// A counterexample without a mutant: one Byzantine replica more than is tolerated.
const CONTROL: [&str; 4] = ["--config", "n4-b01-v1-s1-d2", "--property", "agreement"];

/// A browser, unless there is none and none is required.
fn browser() -> Option<Browser> {
    if let Some(programs) = Programs::find() {
        return Some(Browser::start(&programs, WIDTH, HEIGHT));
    }
    let help = "no chromium and chromedriver on PATH: install Debian's chromium and chromium-driver, then run \
                `cargo test -p pbft-checker --test explorer_browser`";
    let required = env::var_os("PBFT_REQUIRE_BROWSER").is_some_and(|value| value == "1");
    assert!(!required, "{help}");
    static SAID: Once = Once::new();
    // Not by a macro, whose output a passing test keeps to itself.
    SAID.call_once(|| {
        let _ = writeln!(io::stderr(), "\nSKIPPED, the tests of the Explorer in a browser: {help}");
    });
    None
}

/// Waits until the page shows a path.
fn wait_for(browser: &Browser, indices: &str) {
    browser.wait_until(&format!("document.documentElement.dataset.shown === '{indices}'"));
}

/// What the page says of a property: its mark, or nothing.
fn mark(browser: &Browser, property: &str) -> String {
    let script = format!(
        "return document.querySelector('#properties [data-property=\"{property}\"]')?.firstChild.textContent ?? ''"
    );
    browser.evaluate(&script).as_str().unwrap_or_default().to_owned()
}

fn text(browser: &Browser, selector: &str) -> String {
    let shown =
        browser.evaluate(&format!("return document.querySelector('{selector}')?.innerText ?? ''"));
    shown.as_str().unwrap_or_default().to_owned()
}

fn shown(browser: &Browser) -> String {
    let shown = browser.evaluate("return document.documentElement.dataset.shown");
    shown.as_str().unwrap_or_default().to_owned()
}

/// The path that is a number of steps shorter.
fn shorter(indices: &str, steps: usize) -> String {
    let all: Vec<_> = indices.split('/').collect();
    all[..all.len() - steps].join("/")
}

fn screenshot(browser: &Browser, name: &str) {
    if let Some(directory) = env::var_os("PBFT_SCREENSHOTS") {
        let directory = PathBuf::from(directory);
        // Tests run in the directory of the package, people in that of the workspace.
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        browser.screenshot(&root.join(directory).join(name));
    }
}

/// Demands that nothing went wrong on the page and that it loaded nothing from elsewhere.
fn is_clean(browser: &Browser, served: &Served) {
    let origin = format!("http://{}/", served.address);
    let mut requests = 0;
    for entry in browser.log("performance") {
        let message: Json =
            serde_json::from_str(entry["message"].as_str().expect("text")).expect("JSON");
        let (method, parameters) = (&message["message"]["method"], &message["message"]["params"]);
        let url = match method.as_str() {
            Some("Network.requestWillBeSent") => &parameters["request"]["url"],
            Some("Network.webSocketCreated") => &parameters["url"],
            _ => continue,
        };
        let url = url.as_str().expect("a URL");
        assert!(url.starts_with(&origin) || url == "data:,", "fetched from outside: {url}");
        requests += 1;
    }
    // The page, its style and script, what it is about, and a path at least.
    assert!(requests >= 5, "only {requests} requests were logged: the log says nothing");
    let foreign = browser.evaluate(&format!(
        "return performance.getEntriesByType('resource').map((one) => one.name).filter((name) => !name.startsWith('{origin}'))"
    ));
    assert_eq!(foreign, json!([]));
    let complaints: Vec<_> = browser.log("browser");
    assert!(complaints.is_empty(), "the console is not empty: {complaints:#?}");
}

/// Demands that the whole diagram is in view, without any scrolling, and can be read.
fn diagram_is_in_view(browser: &Browser) {
    let measures = browser.evaluate(
        "const lanes = document.getElementById('lanes');
         const [left, right] = [document.getElementById('heads'), lanes].map((one) => one.getBoundingClientRect());
         const box = { left: left.left, top: right.top, right: right.right, bottom: right.bottom };
         const frame = document.querySelector('#diagram');
         const labels = [...lanes.querySelectorAll('.label')];
         const scale = right.width / lanes.viewBox.baseVal.width;
         return {
           box: [box.left, box.top, box.right, box.bottom],
           page: [innerWidth, innerHeight],
           scrolls: document.documentElement.scrollHeight > innerHeight
             || document.documentElement.scrollWidth > innerWidth
             || frame.scrollHeight > frame.clientHeight || frame.scrollWidth > frame.clientWidth,
           smallest: Math.min(...labels.map((label) => parseFloat(getComputedStyle(label).fontSize))) * scale,
         };",
    );
    let number = |value: &Json| value.as_f64().unwrap_or_else(|| panic!("{measures}"));
    let [left, top, right, bottom] = [0, 1, 2, 3].map(|at| number(&measures["box"][at]));
    assert_eq!(measures["page"], json!([WIDTH, HEIGHT]));
    assert!(
        left >= 0.0 && top >= 0.0 && right <= f64::from(WIDTH) && bottom <= f64::from(HEIGHT),
        "{measures}"
    );
    assert!(right - left > 600.0 && bottom - top > 300.0, "{measures}");
    assert_eq!(measures["scrolls"], false, "{measures}");
    assert!(number(&measures["smallest"]) >= 9.0, "too small to read: {measures}");
}

#[test]
fn a_counterexample_and_its_mirror_image_are_shown_as_violations() {
    let Some(browser) = browser() else { return };
    let served = Served::start(&MUTANT);
    let last = served.opens_at().to_owned();
    assert!(last.matches('/').count() >= STEPS_MIN);
    browser.open(&served.link);
    wait_for(&browser, &last);
    assert_eq!(mark(&browser, "agreement"), "✗ VIOLATED");
    assert_eq!(mark(&browser, "validity"), "✓ holds");
    assert!(text(&browser, "#verdict").contains("VIOLATED: agreement"));
    diagram_is_in_view(&browser);
    browser.click("#mutant summary");
    let diff = text(&browser, "#mutant pre");
    assert!(diff.contains("@@ model/spec/src/") && diff.contains("\n+ "), "{diff}");
    browser.click("#mutant summary");
    let nodes = browser.evaluate("return document.querySelectorAll('#diagram .step').length");
    assert_eq!(nodes, last.matches('/').count());
    screenshot(&browser, "explorer-counterexample.png");

    let marked = text(&browser, "#panel .changed mark");
    assert!(
        !marked.is_empty() && text(&browser, "#state-title").to_lowercase().contains("after step")
    );

    // On the step before, nothing is executed differently yet.
    browser.press(&[LEFT]);
    wait_for(&browser, &shorter(&last, 1));
    assert_eq!(mark(&browser, "agreement"), "✓ holds");
    diagram_is_in_view(&browser);
    assert_eq!(
        browser.evaluate("return document.querySelectorAll('#diagram .step.future').length"),
        1
    );

    // The mirror image is another path, and violates the same.
    browser.press(&[RIGHT]);
    wait_for(&browser, &last);
    let original = text(&browser, "#steps");
    browser.click("#mirror");
    browser.wait_until(&format!("document.documentElement.dataset.shown !== '{last}'"));
    assert_eq!(shown(&browser).matches('/').count(), last.matches('/').count());
    assert_eq!(mark(&browser, "agreement"), "✗ VIOLATED");
    assert_ne!(text(&browser, "#steps"), original);
    diagram_is_in_view(&browser);
    browser.devtools(
        "Emulation.setEmulatedMedia",
        json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]}),
    );
    screenshot(&browser, "explorer-mirror-dark.png");
    is_clean(&browser, &served);
}

#[test]
fn the_address_alone_leads_to_the_counterexample() {
    let Some(browser) = browser() else { return };
    let served = Served::start(&CONTROL);
    browser.open(&format!("http://{}/", served.address));
    wait_for(&browser, served.opens_at());
    assert_eq!(mark(&browser, "agreement"), "✗ VIOLATED");
    // A path that does not exist is said not to, and the page lives on.
    browser.open(&format!("http://{}/#/steps/0/9999", served.address));
    browser.wait_until("!document.getElementById('failure').hidden");
    assert!(text(&browser, "#failure").contains("no such path"));
    browser.press(&[LEFT]);
    wait_for(&browser, &shorter(served.opens_at(), 1));
    assert_eq!(browser.evaluate("return document.getElementById('failure').hidden"), true);
}

#[test]
fn the_keyboard_walks_the_path_and_takes_actions() {
    let Some(browser) = browser() else { return };
    let served = Served::start(&CONTROL);
    let last = served.opens_at().to_owned();
    browser.open(&served.link);
    wait_for(&browser, &last);
    browser.press(&[UP]);
    wait_for(&browser, &shorter(&last, 1));
    browser.press(&[LEFT]);
    wait_for(&browser, &shorter(&last, 2));
    browser.press(&[DOWN]);
    wait_for(&browser, &shorter(&last, 1));
    browser.press(&[HOME]);
    wait_for(&browser, "0");
    // The rest of the path stays ahead.
    let ahead = browser.evaluate("return document.querySelectorAll('#steps .ahead').length");
    assert_eq!(ahead, last.matches('/').count());
    browser.press(&[END]);
    wait_for(&browser, &last);
    // At the end of the path the arrows go on to the actions; Enter takes the second.
    browser.press(&[DOWN, DOWN, ENTER]);
    browser.wait_until(&format!("document.documentElement.dataset.shown.startsWith('{last}/')"));
    assert_eq!(shown(&browser), format!("{last}/1"));
    // So does a click, on a step of the path and in the diagram.
    browser.click("#steps li:nth-child(3) button");
    wait_for(&browser, &shorter(&last, last.matches('/').count() - 2));
    browser.click("#diagram .step[data-step=\"1\"] .number");
    wait_for(&browser, &shorter(&last, last.matches('/').count() - 1));
    is_clean(&browser, &served);
}

#[test]
fn the_correct_protocol_is_walked_by_its_actions() {
    let Some(browser) = browser() else { return };
    let served = Served::start(&["--config", "n4-b1-v1-s2-d2"]);
    browser.open(&format!("http://{}/", served.address));
    wait_for(&browser, "0");
    assert!(text(&browser, "#verdict").contains("properties hold"));
    assert_eq!(text(&browser, "#mirror"), "");
    for (step, action) in [
        "PrePrepare R1 at slot 1",
        "PrePrepare R2 at slot 2",
        "Prepare R1 at slot 1",
        "Prepare R1 at slot 1",
        "Commit slot 1",
    ]
    .iter()
    .enumerate()
    {
        let before = shown(&browser);
        browser.evaluate(&format!(
            "const buttons = [...document.querySelectorAll('#actions button')];
             buttons.find((one) => one.querySelector('.action').textContent === '{action}').click()"
        ));
        browser
            .wait_until(&format!("document.documentElement.dataset.shown.startsWith('{before}/')"));
        assert!(text(&browser, "#steps [aria-current]").contains(action), "step {step}");
        assert!(text(&browser, "#change-list").contains("sends"));
    }
    // Attending to an action tells what it would change.
    browser.evaluate("document.querySelector('#actions button').focus()");
    browser
        .wait_until("document.getElementById('changes-title').textContent === 'What would change'");
    diagram_is_in_view(&browser);
    screenshot(&browser, "explorer-walk.png");
    is_clean(&browser, &served);
}
