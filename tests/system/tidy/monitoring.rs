//! What `deploy/` has for Prometheus and Grafana names metrics and labels that a replica exposes, and each alert has a
//! section in the runbook.

use pbft_node::admin::exposition;
use pbft_node::metrics::{Metrics, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use yaml_rust2::{Yaml, YamlLoader};

/// Labels that Prometheus adds.
const TARGET: [&str; 2] = ["job", "instance"];

/// The functions and words of PromQL that the files use, beside names of metrics and labels.
const WORDS: [&str; 19] = [
    "up",
    "max",
    "min",
    "sum",
    "count",
    "by",
    "on",
    "and",
    "or",
    "rate",
    "increase",
    "time",
    "histogram_quantile",
    "label_values",
    "p50",
    "p99",
    "ALERTS",
    "without",
    "ignoring",
];

/// Names of metrics with the labels of each.
type Exposed = BTreeMap<String, BTreeSet<String>>;

/// What a replica exposes.
fn exposed() -> Exposed {
    let metrics = Metrics::default();
    let mut exposed = Exposed::new();
    for family in metrics.families() {
        let (ends, label): (&[&str], _) = match &family.value {
            Value::Histogram(_) | Value::Durations(_) => (&["_bucket", "_sum", "_count"], None),
            Value::ByReason(label, _) => (&[""], Some(*label)),
            Value::OneOf(_) => (&[""], Some(family.name)),
            _ => (&[""], None),
        };
        for end in ends {
            let label = if *end == "_bucket" { Some("le") } else { label };
            let labels = label.map(str::to_owned).into_iter().collect();
            exposed.insert(format!("pbft_{}{end}", family.name), labels);
        }
    }
    // What is not counted by the replica itself: as it is shown.
    for line in exposition(&metrics).lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        if name == "pbft_build_info" || name.starts_with("process_") {
            let labels = line.split(['{', ',']).skip(1).filter_map(|part| part.split_once('='));
            let labels = labels.map(|(label, _)| label.to_owned()).collect();
            exposed.insert(name.to_owned(), labels);
        }
    }
    exposed
}

/// The words of an expression outside of its strings, and the strings that a label is compared with.
fn words(expression: &str) -> (Vec<&str>, Vec<(&str, &str)>) {
    let mut outside = Vec::new();
    let mut matched = Vec::new();
    for (at, part) in expression.split('"').enumerate() {
        if at % 2 == 1 {
            let before = expression.split('"').nth(at - 1).unwrap_or_default();
            let label = before.trim_end_matches(['=', '!', '~']).rsplit(|c| !is_word(c)).next();
            matched.push((label.unwrap_or_default(), part));
        } else {
            let words = part.split(|c: char| !is_word(c) && c != '$');
            outside.extend(words.filter(|word| word.starts_with(|c: char| c.is_alphabetic())));
        }
    }
    (outside, matched)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// What an expression names that nobody exposes.
fn unknown(exposed: &Exposed, expression: &str) -> Vec<String> {
    let (outside, matched) = words(expression);
    let named: Vec<&str> = outside.iter().copied().filter(|w| exposed.contains_key(*w)).collect();
    let labels: BTreeSet<&str> =
        named.iter().flat_map(|name| &exposed[*name]).map(String::as_str).chain(TARGET).collect();
    let is_known = |word: &&str| {
        exposed.contains_key(*word)
            || labels.contains(*word)
            || WORDS.contains(word)
            || word.trim_end_matches(|c: char| c.is_ascii_digit()).len() < 2
    };
    let mut unknown: Vec<String> =
        outside.iter().filter(|word| !is_known(word)).map(|word| (*word).to_owned()).collect();
    let values = one_of_values();
    for (label, value) in matched {
        let wrong = values.get(label).is_some_and(|known| !known.contains(value));
        if wrong || !labels.contains(label) {
            unknown.push(format!("{label}={value}"));
        }
    }
    if named.is_empty() && !outside.contains(&"up") {
        unknown.push(format!("no metric in {expression}"));
    }
    unknown
}

/// The values of labels that have a fixed list.
fn one_of_values() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let families = Metrics::default().families();
    let named = families.into_iter().filter_map(|family| match family.value {
        Value::OneOf(names) => Some((family.name, names)),
        Value::ByReason("kind", names) => Some(("kind", names)),
        _ => None,
    });
    named.map(|(label, names)| (label, names.into_iter().map(|(name, _)| name).collect())).collect()
}

/// An alert: its name, its expression, and where the runbook speaks of it.
struct Alert {
    name: String,
    expression: String,
    runbook: String,
}

fn alerts(root: &Path) -> Vec<Alert> {
    let text = read(root, "deploy/prometheus/alerts.yml");
    let documents = YamlLoader::load_from_str(&text).expect("YAML");
    let groups = documents[0]["groups"].as_vec().expect("groups");
    let rules = groups.iter().flat_map(|group| group["rules"].as_vec().expect("rules"));
    let text = |yaml: &Yaml| yaml.as_str().expect("a text").trim().to_owned();
    rules
        .map(|rule| Alert {
            name: text(&rule["alert"]),
            expression: text(&rule["expr"]),
            runbook: text(&rule["annotations"]["runbook"]),
        })
        .collect()
}

fn read(root: &Path, path: &str) -> String {
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every expression of a dashboard, in order.
fn expressions(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, inner) in fields {
                match inner.as_str().filter(|_| ["expr", "definition"].contains(&name.as_str())) {
                    Some(text) => found.push(text.to_owned()),
                    None => expressions(inner, found),
                }
            }
        }
        serde_json::Value::Array(all) => all.iter().for_each(|inner| expressions(inner, found)),
        _ => {}
    }
}

#[test]
fn alerts_name_what_replicas_expose_and_have_a_section_in_the_runbook() {
    let root = crate::commands::root();
    let (exposed, alerts) = (exposed(), alerts(&root));
    assert!(alerts.len() >= 15, "{} alerts", alerts.len());
    let runbook = read(&root, "docs/runbook.md");
    let sections: Vec<&str> =
        runbook.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let names: Vec<&str> = alerts.iter().map(|alert| alert.name.as_str()).collect();
    assert_eq!(sections, names, "a section for each alert, in order");
    let tests = read(&root, "deploy/prometheus/alerts_test.yml");
    for Alert { name, expression, runbook } in &alerts {
        let lost = unknown(&exposed, expression);
        assert!(lost.is_empty(), "{name}: nobody exposes {lost:?}");
        assert_eq!(runbook, &format!("docs/runbook.md#{}", name.to_lowercase()));
        assert!(tests.contains(&format!("    name: {name}\n")), "no test makes {name} fire");
        assert!(tests.contains(&format!("alertname: {name}, exp_alerts: []")), "nor be silent");
    }
}

#[test]
fn the_dashboard_names_what_replicas_expose() {
    let root = crate::commands::root();
    let dashboard = read(&root, "deploy/grafana/pbft.json");
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).expect("JSON");
    let mut found = Vec::new();
    expressions(&dashboard, &mut found);
    assert!(found.len() > 30, "{} expressions", found.len());
    let exposed = exposed();
    for expression in found {
        let lost = unknown(&exposed, &expression);
        assert!(lost.is_empty(), "{expression}: nobody exposes {lost:?}");
    }
}

/// Documents speak of metrics by their names.
#[test]
fn documents_name_metrics_that_are_there() {
    let root = crate::commands::root();
    let exposed = exposed();
    let mut count = 0;
    for text in crate::source::all_texts(&root).iter().filter(|text| text.path.ends_with(".md")) {
        let spans = text.content.split('`').skip(1).step_by(2);
        for word in spans.flat_map(|span| span.split(|c: char| !is_word(c))) {
            let of_a_crate = |word: &str| {
                crate::crates::manifests().any(|(_, name)| name.replace('-', "_") == word)
            };
            let is_prefix = word.ends_with('_');
            if word.starts_with("pbft_") && !is_prefix && !of_a_crate(word) {
                count += 1;
                let histogram = exposed.contains_key(&format!("{word}_bucket"));
                assert!(exposed.contains_key(word) || histogram, "{}: {word}", text.path);
            }
        }
    }
    assert!(count > 15, "{count} names");
}

/// With Prometheus' own tool, where it is installed (Debian's package `prometheus`).
#[test]
fn promtool_finds_nothing_wrong() {
    let run = |arguments: &[&str]| {
        Command::new("promtool")
            .args(arguments)
            .current_dir(crate::commands::root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    };
    let Ok(mut metrics) = run(&["check", "metrics"]) else {
        assert!(std::env::var_os("PBFT_REQUIRE_PROMTOOL").is_none(), "promtool is not here");
        eprintln!("promtool is not here: nothing is checked");
        return;
    };
    let shown = exposition(&Metrics::default());
    let mut input = metrics.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut input, shown.as_bytes()).expect("written");
    drop(input);
    let output = metrics.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for arguments in [
        ["check", "rules", "deploy/prometheus/alerts.yml"],
        ["check", "config", "deploy/prometheus/prometheus.yml"],
        ["test", "rules", "deploy/prometheus/alerts_test.yml"],
    ] {
        let output = run(&arguments).expect("it runs").wait_with_output().expect("it ends");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
}

#[test]
fn what_nobody_exposes_is_found() {
    let exposed = exposed();
    let none = Vec::<String>::new();
    let right = "sum by (instance, le) (rate(pbft_prepare_seconds_bucket{job=\"x\"}[5m])) > 0.5";
    assert_eq!(unknown(&exposed, right), none);
    assert_eq!(unknown(&exposed, "pbft_standing{standing=\"halted\"} == 1"), none);
    assert_eq!(unknown(&exposed, "pbft_standing{standing=\"asleep\"} == 1"), ["standing=asleep"]);
    assert_eq!(unknown(&exposed, "pbft_view{reason=\"x\"}"), ["reason", "reason=x"]);
    assert_eq!(unknown(&exposed, "pbft_view + pbft_gone"), ["pbft_gone"]);
    assert_eq!(unknown(&exposed, "sum by (color) (pbft_view)"), ["color"]);
    assert_eq!(unknown(&exposed, "pbft_prepare_seconds > 1").len(), 2, "a histogram has parts");
}
