//! A browser, driven over WebDriver: requests with JSON bodies to chromedriver.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::{Value as Json, json};

use crate::http::request;

/// How long the page may take to show what is waited for.
const DEADLINE_MS: u64 = 30_000;

/// Keys, in WebDriver's code.
pub(crate) const DOWN: &str = "\u{e015}";
pub(crate) const END: &str = "\u{e010}";
pub(crate) const ENTER: &str = "\u{e007}";
pub(crate) const HOME: &str = "\u{e011}";
pub(crate) const LEFT: &str = "\u{e012}";
pub(crate) const RIGHT: &str = "\u{e014}";
pub(crate) const UP: &str = "\u{e013}";

/// The programs that a browser test needs.
pub(crate) struct Programs {
    driver: PathBuf,
    chromium: PathBuf,
}

impl Programs {
    /// Looks for Chromium and its driver along PATH.
    pub(crate) fn find() -> Option<Self> {
        let driver = find(&["chromedriver"])?;
        let chromium = find(&["chromium", "chromium-browser", "google-chrome"])?;
        Some(Self { driver, chromium })
    }
}

fn find(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let places =
        env::split_paths(&path).flat_map(|place| names.iter().map(move |name| place.join(name)));
    places.into_iter().find(|program| program.is_file())
}

/// A driver process, ended when this is dropped.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A browser window.
pub(crate) struct Browser {
    address: SocketAddr,
    session: String,
    // In this order: the driver ends before its directory goes.
    _driver: Driver,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts a new headless Chromium with a new profile.
    pub(crate) fn start(programs: &Programs, width: u32, height: u32) -> Self {
        let mut process = Command::new(&programs.driver)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver runs");
        let stdout = process.stdout.take().expect("a pipe");
        let driver = Driver(process);
        let mut lines = BufReader::new(stdout);
        let port = loop {
            let mut line = String::new();
            assert_ne!(lines.read_line(&mut line).expect("text"), 0, "chromedriver ended");
            if let Some((_, rest)) = line.split_once("started successfully on port ") {
                break rest.trim().trim_end_matches('.').parse().expect("a port");
            }
        };
        // Whatever else it writes is read, so that it never waits for a reader.
        thread::spawn(move || lines.read_to_end(&mut Vec::new()));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let profile = tempfile::tempdir().expect("a directory");
        let mut arguments: Vec<String> = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        arguments.push(format!("--window-size={width},{height}"));
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": programs.chromium, "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "timeouts": {"script": DEADLINE_MS, "pageLoad": DEADLINE_MS},
        }}});
        let mut browser =
            Self { address, session: String::new(), _driver: driver, _profile: profile };
        let answer = browser.post("/session", &wanted);
        browser.session = answer["sessionId"].as_str().expect("a session").to_owned();
        // What the browser shows before the first page is its own affair.
        browser.open("about:blank");
        browser.log("performance");
        browser.resize(width, height);
        browser
    }

    /// Gives the page another size; it has that, not a window around it.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let page =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", page);
        // The page has heard of it when it draws the frame after the next.
        self.command(
            "execute/async",
            &json!({"script": "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))", "args": []}),
        );
    }

    /// Goes back in the history of the window.
    pub(crate) fn back(&self) {
        self.command("back", &json!({}));
    }

    fn post(&self, path: &str, body: &Json) -> Json {
        let headers =
            [format!("Host: {}", self.address), "Content-Type: application/json".to_owned()];
        let headers: Vec<_> = headers.iter().map(String::as_str).collect();
        let response = request(self.address, "POST", path, &headers, &body.to_string());
        assert_eq!(response.status, 200, "{path}: {}\n{}", response.head, response.body);
        let mut answer = response.json();
        answer["value"].take()
    }

    fn command(&self, name: &str, body: &Json) -> Json {
        self.post(&format!("/session/{}/{name}", self.session), body)
    }

    /// A command of the DevTools protocol.
    pub(crate) fn devtools(&self, command: &str, parameters: Json) -> Json {
        self.command("goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    /// Opens a link.
    pub(crate) fn open(&self, link: &str) {
        self.command("url", &json!({"url": link}));
    }

    /// The value that a script returns.
    pub(crate) fn evaluate(&self, script: &str) -> Json {
        self.command("execute/sync", &json!({"script": script, "args": []}))
    }

    /// Waits until an expression becomes true, whenever the document changes.
    pub(crate) fn wait_until(&self, expression: &str) {
        let script = format!(
            "const done = arguments[0];
             const holds = () => Boolean({expression});
             if (holds()) {{ done(true); return; }}
             const observer = new MutationObserver(() => {{
               if (holds()) {{ observer.disconnect(); done(true); }}
             }});
             observer.observe(document, {{ attributes: true, childList: true, subtree: true, characterData: true }});"
        );
        self.command("execute/async", &json!({"script": script, "args": []}));
    }

    /// Presses keys, one after the other.
    pub(crate) fn press(&self, keys: &[&str]) {
        let strokes: Vec<_> = keys
            .iter()
            .flat_map(|key| {
                [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})]
            })
            .collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": strokes});
        self.command("actions", &json!({"actions": [keyboard]}));
    }

    /// Clicks the element that a selector finds, as a person would.
    pub(crate) fn click(&self, selector: &str) {
        let found = self.command("element", &json!({"using": "css selector", "value": selector}));
        let id = found.as_object().and_then(|found| found.values().next()).and_then(Json::as_str);
        let id = id.unwrap_or_else(|| panic!("no {selector}"));
        self.command(&format!("element/{id}/click"), &json!({}));
    }

    /// The entries of a log since the last call.
    pub(crate) fn log(&self, kind: &str) -> Vec<Json> {
        let mut entries = self.command("se/log", &json!({"type": kind}));
        entries.as_array_mut().map(std::mem::take).unwrap_or_default()
    }

    /// What the window shows, as a PNG file.
    pub(crate) fn screenshot(&self, file: &Path) {
        let shot = self.devtools("Page.captureScreenshot", json!({"format": "png"}));
        let bytes = decode_base64(shot["data"].as_str().expect("an image"));
        std::fs::write(file, bytes).expect("written");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            // Ends Chromium; the driver alone would leave it behind.
            let headers = [format!("Host: {}", self.address)];
            let path = format!("/session/{}", self.session);
            request(self.address, "DELETE", &path, &[headers[0].as_str()], "");
        }
    }
}

/// Bytes from base64 as DevTools writes it.
fn decode_base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("not base64: {other}"),
    };
    let digits: Vec<_> = text.trim_end_matches('=').bytes().map(digit).collect();
    let group = |digits: &[u32]| {
        let bits =
            digits.iter().enumerate().fold(0, |bits, (at, digit)| bits | digit << (18 - 6 * at));
        let [_, first, second, third] = bits.to_be_bytes();
        [first, second, third].into_iter().take(digits.len() - 1).collect::<Vec<_>>()
    };
    digits.chunks(4).flat_map(group).collect()
}

#[test]
fn base64_is_decoded() {
    for (text, bytes) in
        [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg==", "foob")]
    {
        assert_eq!(decode_base64(text), bytes.as_bytes());
    }
}
