//! The workflow that other projects call: its steps, run as GitHub runs them, with what the example hands over.

use pbft_tests::binary::{pbft_binary, program, workspace_root};
use pbft_tests::cluster::Turn;
use pbft_tests::ports::free_ports;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use yaml_rust2::{Yaml, YamlLoader};

const WORKFLOW: &str = ".github/workflows/verify.yml";
const EXAMPLE: &str = "docs/examples/ci-user";

fn yaml(path: &str) -> Yaml {
    let text = fs::read_to_string(workspace_root().join(path)).expect(path);
    YamlLoader::load_from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}")).remove(0)
}

fn entries(yaml: &Yaml) -> BTreeMap<String, String> {
    let hash = yaml.as_hash().expect("a table");
    let text = |yaml: &Yaml| yaml.as_str().expect("a text").to_owned();
    hash.iter().map(|(name, value)| (text(name), text(value))).collect()
}

/// What the workflow gets if the example calls it: the defaults, and what the example says.
fn inputs() -> BTreeMap<String, String> {
    let declared = &yaml(WORKFLOW)["on"]["workflow_call"]["inputs"];
    let said =
        entries(&yaml(&format!("{EXAMPLE}/.github/workflows/pbft.yml"))["jobs"]["verify"]["with"]);
    let declared = declared.as_hash().expect("inputs");
    let mut inputs = BTreeMap::new();
    for (name, input) in declared {
        let name = name.as_str().expect("a name");
        let value = said.get(name).cloned().or(input["default"].as_str().map(str::to_owned));
        let value = value.unwrap_or_else(|| panic!("the example does not say {name}"));
        inputs.insert(name.to_owned(), value);
    }
    for name in said.keys() {
        assert!(inputs.contains_key(name), "the workflow has no input {name}");
    }
    inputs
}

/// The variables of the job. Whatever is computed must be an input.
fn variables(job: &Yaml, inputs: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let value = |said: &String| match said.strip_prefix("${{ inputs.") {
        Some(rest) => inputs[rest.strip_suffix(" }}").expect("one input and nothing else")].clone(),
        None => said.clone(),
    };
    entries(&job["env"]).iter().map(|(name, said)| (name.clone(), value(said))).collect()
}

struct Job {
    directory: tempfile::TempDir,
    variables: BTreeMap<String, String>,
    path: String,
    base_port: u16,
}

impl Job {
    /// A checkout of the example on a machine that has the tools.
    fn new(variables: BTreeMap<String, String>) -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let record = workspace_root().join(EXAMPLE).join("record.sh");
        fs::copy(record, directory.path().join("record.sh")).expect("copied");
        let tools = ["pbft-conform", "pbft-model", "pbft-sim"].map(program);
        let tools = tools.iter().map(PathBuf::as_path).chain([pbft_binary()]);
        let places = tools.filter_map(|tool| Some(tool.parent()?.display().to_string()));
        let path = std::env::var("PATH").unwrap_or_default();
        let path = places.chain([path]).collect::<Vec<_>>().join(":");
        Self { directory, variables, path, base_port: free_ports(16) }
    }

    fn root(&self) -> &Path {
        self.directory.path()
    }

    fn run(&self, script: &str) -> Output {
        let mut command = Command::new("bash");
        // As GitHub does it for `shell: bash`.
        command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script]);
        command.current_dir(self.root()).envs(&self.variables).env("PATH", &self.path);
        command.env("BASE_PORT", self.base_port.to_string());
        command.env("GITHUB_STEP_SUMMARY", self.root().join("summary.md"));
        command.output().expect("a shell")
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }
}

#[test]
fn the_workflow_that_others_call_checks_the_example() {
    let _turn = Turn::take();
    let workflow = yaml(WORKFLOW);
    let job = &workflow["jobs"]["verify"];
    assert_eq!(job["defaults"]["run"]["shell"].as_str(), Some("bash"));
    let steps = job["steps"].as_vec().expect("steps");
    let scripts: Vec<(&str, &str)> = steps
        .iter()
        .filter_map(|step| Some((step["name"].as_str().unwrap_or_default(), step["run"].as_str()?)))
        .collect();
    for (name, script) in &scripts {
        assert!(!script.contains("${{"), "{name}: what is pasted into a script can be a script");
    }
    let machine = Job::new(variables(job, &inputs()));
    let names: Vec<&str> = scripts.iter().map(|(name, _)| *name).collect();
    let (build, rest) = scripts.split_first().expect("steps");
    assert_eq!(build.0, "Build the tools", "{names:?}");
    for tool in ["pbft", "pbft-conform", "pbft-model", "pbft-sim"] {
        assert!(build.1.contains(&format!("--bin {tool}")), "{tool} is not built");
    }
    for (name, script) in rest {
        let output = machine.run(script);
        assert!(output.status.success(), "{name}: {output:?}");
    }
    assert!(machine.read("results/run.xml").contains("<testsuite"));
    assert!(machine.read("results/model.xml").contains("n4-b0-v1-s1-d2"));
    let summary = machine.read("summary.md");
    assert!(summary.contains("Recorded run: holds"), "{summary}");
    assert!(summary.contains("n4-b0-v1-s1-d2") && summary.contains("20 runs"), "{summary}");

    // A recording that was tampered with fails its step, and what it says is still attached and summarised.
    let file = machine.root().join("traces/replica-2.jsonl");
    let text = fs::read_to_string(&file).expect("a recording");
    let cut: Vec<&str> =
        text.lines().enumerate().filter(|(at, _)| *at != 3).map(|(_, line)| line).collect();
    fs::write(&file, cut.join("\n") + "\n").expect("written");
    let scripts: BTreeMap<&str, &str> = scripts.into_iter().collect();
    let refused = machine.run(scripts["Hold it against the model"]);
    assert!(!refused.status.success(), "{refused:?}");
    fs::remove_file(machine.root().join("summary.md")).expect("removed");
    assert!(machine.run(scripts["Summarise"]).status.success());
    assert!(!machine.read("summary.md").is_empty());
    let always: Vec<&str> = steps
        .iter()
        .filter(|step| step["if"].as_str() == Some("always()"))
        .filter_map(|step| step["name"].as_str())
        .collect();
    assert_eq!(always.len(), 2, "{always:?}: summary and artifact");
}
