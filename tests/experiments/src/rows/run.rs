//! Runs what shows a row.

use super::{Entry, Shown};
use crate::{Outcome, elections};
use pbft_lab as lab;
use pbft_sim::matrix;
use pbft_tests::binary::{cargo, workspace_root};

/// A test of the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Test {
    /// Its package.
    pub package: &'static str,
    /// Its test target; `lib` for those beside the code.
    pub target: &'static str,
    /// Its name there, modules included.
    pub name: &'static str,
}

impl Test {
    /// What cargo is told after `test`.
    fn arguments(&self) -> Vec<&'static str> {
        let target = match self.target {
            "lib" => vec!["--lib"],
            target => vec!["--test", target],
        };
        [&["--package", self.package][..], &target].concat()
    }

    /// The command, to be typed.
    fn command(&self) -> String {
        format!("cargo test {} {}", self.arguments().join(" "), self.name)
    }

    /// The file that it is in, from the root of the workspace, and the name of its function.
    pub(super) fn place(&self) -> (String, &'static str) {
        let root = match self.package {
            "pbft-cli" => "impl/cli",
            "pbft-core" => "impl/core",
            "pbft-host" => "impl/host",
            "pbft-ledger" => "impl/ledger",
            "pbft-node" => "impl/node",
            _ => "",
        };
        let (modules, name) = self.name.rsplit_once("::").unwrap_or(("", self.name));
        let directory = match (self.target, root) {
            ("lib", _) => "src",
            (_, "") => "tests/system",
            _ => "tests",
        };
        let target = if self.target == "lib" { "" } else { self.target };
        let modules = modules.replace("::", "/");
        let parts = [root, directory, target, &modules];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        (format!("{}.rs", parts.join("/")), name)
    }

    /// Runs it, and reads from what cargo says whether it passed.
    fn run(&self) -> Result<String, String> {
        let mut command = cargo();
        command.arg("test").args(self.arguments()).args(["--", "--exact", self.name]);
        let output = command.output().map_err(|error| format!("cargo does not run: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        match has_passed(&text, self.name) && output.status.success() {
            true => Ok(format!("`{}` passes", self.place().1)),
            false => {
                let errors = String::from_utf8_lossy(&output.stderr);
                Err(format!("`{}` does not pass: {}", self.name, last_line(&text, &errors)))
            }
        }
    }
}

/// Whether the test harness says that this test, and it alone, was run and passed.
fn has_passed(output: &str, name: &str) -> bool {
    let own = format!("test {name} ... ok");
    output.lines().any(|line| line == own)
        && output.lines().any(|line| line.starts_with("test result: ok. 1 passed; 0 failed; "))
}

/// The last words of a test that failed, or of cargo.
fn last_line(output: &str, errors: &str) -> String {
    let mut lines = output.lines().chain(errors.lines()).filter(|line| !line.trim().is_empty());
    let telling = lines.clone().rfind(|line| line.contains("panicked") || line.contains("error"));
    telling.or_else(|| lines.next_back()).unwrap_or("no output").trim().to_owned()
}

impl Shown {
    /// The command that shows it.
    pub(super) fn command(&self, entry: &Entry) -> String {
        match self {
            Self::Experiment => {
                experiment(entry.id).map_or(String::new(), |row| row.command.into())
            }
            Self::Elections => format!("cargo sim elections --only {}", entry.id),
            Self::Lab => {
                let names = cases(entry.id).map(|case| format!("case {}", case.id.to_lowercase()));
                format!("cargo sim lab -c '{}'", names.collect::<Vec<_>>().join("; "))
            }
            Self::Matrix(rows) => {
                let rows: Vec<String> = rows.iter().map(u8::to_string).collect();
                format!("cargo sim matrix {}", rows.join(" "))
            }
            Self::Test(test) => test.command(),
            Self::Page(page) => format!("[{page}]({})", page.trim_start_matches("docs/")),
            Self::Planned(_) => String::new(),
        }
    }

    /// Runs it.
    pub(super) fn run(&self, entry: &Entry) -> Outcome {
        let outcome = |result: Result<String, String>| match result {
            Ok(said) => Outcome { holds: true, said },
            Err(why) => Outcome { holds: false, said: why },
        };
        let nothing = || Outcome::failed(&"nothing shows this row yet");
        match self {
            Self::Experiment => experiment(entry.id).map_or_else(nothing, |row| (row.run)()),
            Self::Elections => elections::outcome(entry.id),
            Self::Lab => play(entry.id),
            Self::Matrix(rows) => outcome(fault_matrix(rows)),
            Self::Test(test) => outcome(test.run()),
            Self::Page(page) => outcome(read(page)),
            Self::Planned(what) => Outcome { holds: true, said: format!("planned: {what}") },
        }
    }
}

fn experiment(id: &str) -> Option<crate::Row> {
    crate::rows().into_iter().find(|row| row.id == id)
}

/// The cases of the lab that show a row: one of its name, or several with a letter behind it.
fn cases(id: &str) -> impl Iterator<Item = &'static lab::Case> + '_ {
    let is_of = move |name: &str| {
        let rest = name.strip_prefix(id);
        rest.is_some_and(|rest| rest.chars().all(|letter| letter.is_ascii_lowercase()))
    };
    lab::cases().iter().filter(move |case| is_of(case.id))
}

/// Runs the cases of the lab that show a row.
fn play(id: &str) -> Outcome {
    let (mut holds, mut said) = (true, Vec::new());
    for case in cases(id) {
        let outcome = lab::run(case);
        let verdict = if outcome.holds { "as expected" } else { "NOT as expected" };
        said.push(format!("{}: {verdict}", case.title));
        holds &= outcome.holds;
    }
    match said.is_empty() {
        true => Outcome::failed(&"the lab has no such case"),
        false => Outcome { holds, said: said.join("; ") },
    }
}

/// Tries rows of the fault matrix.
fn fault_matrix(numbers: &[u8]) -> Result<String, String> {
    let mut said = Vec::new();
    for number in numbers {
        let row = matrix::ROWS.iter().find(|row| row.number == *number);
        let row = row.ok_or_else(|| format!("the fault matrix has no row {number}"))?;
        said.push(format!("{}: {}", row.fault, matrix::try_row(row).result()?));
    }
    Ok(said.join("; "))
}

/// Whether a page is there, the list of pages names it, and all files that it links to exist.
fn read(page: &str) -> Result<String, String> {
    let root = workspace_root();
    let text = |path: &str| {
        std::fs::read_to_string(root.join(path)).map_err(|error| format!("{path}: {error}"))
    };
    let content = text(page)?;
    let name = page.trim_start_matches("docs/");
    if !text("docs/README.md")?.contains(&format!("]({name})")) {
        return Err(format!("docs/README.md does not name {name}"));
    }
    let mut links = 0;
    let named = content.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for link in named.filter(|link| !link.contains("://")) {
        let file = link.split('#').next().unwrap_or(link);
        if !root.join("docs").join(file).exists() {
            return Err(format!("{page}: there is no {file}"));
        }
        links += 1;
    }
    let lines = content.lines().count();
    Ok(format!("{lines} lines; {links} links, all to files that are there"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_harness_says_is_read() {
        let name = "a::b";
        let good =
            "running 1 test\ntest a::b ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored\n";
        assert!(has_passed(good, name));
        assert!(!has_passed(&good.replace("a::b ... ok", "a::b ... FAILED"), name));
        assert!(!has_passed(&good.replace("a::b", "a::bc"), name), "another test");
        let none = "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored\n";
        assert!(!has_passed(none, name), "a test that is gone has not passed");
        let ignored = "test a::b ... ignored\n\ntest result: ok. 0 passed; 0 failed; 1 ignored\n";
        assert!(!has_passed(ignored, name));
    }

    #[test]
    fn a_page_is_read_with_its_links() {
        assert!(read("docs/from-raft.md").is_ok_and(|said| said.contains("links")));
        assert!(read("docs/from-nowhere.md").is_err());
        assert!(
            read("docs/adr/0007-raw-public-keys.md").is_err(),
            "the list has it by another name"
        );
    }
}
