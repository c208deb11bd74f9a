//! The results of a run so far: a line of JSON for each piece of work, written when it is finished.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::run::{RunDir, build};

const FILE: &str = "finished.jsonl";

/// The file of a run that is under way.
#[derive(Debug)]
pub struct Finished {
    file: File,
    path: PathBuf,
    build: String,
}

/// A line: results are those of one build.
#[derive(Serialize, Deserialize)]
struct Line<T> {
    build: String,
    report: T,
}

impl Finished {
    /// An empty file in a run directory.
    pub fn create(directory: &RunDir) -> Result<Self, String> {
        let path = directory.path().join(FILE);
        let file = File::create(&path).map_err(|error| failed("creating", &path, &error))?;
        Ok(Self { file, path, build: build() })
    }

    /// Adds a result.
    pub fn add<T: Serialize>(&mut self, report: &T) -> Result<(), String> {
        let line = Line { build: self.build.clone(), report };
        let mut text = serde_json::to_string(&line).map_err(|error| error.to_string())?;
        text.push('\n');
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|error| failed("writing", &self.path, &error))
    }

    /// The results in the directory of an earlier run. Those of another build are not believed, and a last line that was
    /// cut off is left out.
    pub fn read<T: DeserializeOwned>(directory: &Path) -> Result<Vec<T>, String> {
        let path = directory.join(FILE);
        let text = fs::read_to_string(&path).map_err(|error| failed("reading", &path, &error))?;
        let this = build();
        let mut reports = Vec::new();
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let Line { build: of, report } = serde_json::from_str(line)
                .map_err(|error| format!("{} is not of such a run: {error}", path.display()))?;
            if of != this {
                return Err(format!(
                    "{} is of another build ({of}; this is {this}): run it again without --resume",
                    path.display()
                ));
            }
            reports.push(report);
        }
        Ok(reports)
    }
}

fn failed(what: &str, path: &Path, error: &io::Error) -> String {
    format!("{what} {}: {error}", path.display())
}
