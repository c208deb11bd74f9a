//! Weakened rules: each must make the proof fail, where the record says.

use crate::prove::obligation;
use crate::theory::{Named, SOURCE, Theory, TheoryError};

/// A rule and how it is weakened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weakening {
    /// Its name.
    pub name: String,
    /// What replicas may do then, in words.
    pub meaning: String,
    /// The action in which the line stands, or `axiom`.
    pub block: String,
    /// The line as it is.
    pub line: String,
    /// The line as it would be wrong; empty if it is left out.
    pub instead: String,
    /// The name of the obligation that cannot be shown any more.
    pub fails: String,
}

/// Why a weakened rule cannot be tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakenedError {
    /// The line is not in the theory any more.
    #[error("{name}: `{line}` is not in `{block}` of pbft.txt")]
    Gone {
        /// The rule.
        name: String,
        /// The action.
        block: String,
        /// The line.
        line: String,
    },
    /// No obligation has the recorded name.
    #[error("{name}: there is no obligation `{fails}`")]
    NoObligation {
        /// The rule.
        name: String,
        /// The name on record.
        fails: String,
    },
    /// The weakened theory cannot be read.
    #[error("{name}: {error}")]
    Unreadable {
        /// The rule.
        name: String,
        /// Why.
        error: TheoryError,
    },
    /// A line of the list says nothing.
    #[error("line {line} of weakened.txt says nothing")]
    Line {
        /// From 1.
        line: usize,
    },
}

/// That nothing but the conjunct itself needs it.
pub const ITSELF: &str = "itself";

/// For each conjunct that something else needs: its name, and the question that must have a counterexample once the
/// conjunct is left out.
///
/// # Errors
/// If the record names no obligation.
pub fn without_each_conjunct(theory: &Theory) -> Result<Vec<(&Named, String)>, WeakenedError> {
    let mut questions = Vec::new();
    for (at, conjunct) in theory.conjuncts.iter().enumerate() {
        if conjunct.needed != ITSELF {
            let less = without(theory, at);
            questions.push((conjunct, question(&less, &conjunct.name, &conjunct.needed)?));
        }
    }
    Ok(questions)
}

/// The theory without the conjunct at this place.
#[must_use]
pub fn without(theory: &Theory, at: usize) -> Theory {
    let mut less = theory.clone();
    less.conjuncts.remove(at);
    less
}

/// The question behind the obligation with this name.
fn question(theory: &Theory, name: &str, fails: &str) -> Result<String, WeakenedError> {
    let (name, missing) = (name.to_owned(), fails.to_owned());
    let found = obligation(theory, fails);
    let found = found.ok_or(WeakenedError::NoObligation { name, fails: missing })?;
    Ok(found.query(theory))
}

/// The list of this repository.
///
/// # Errors
/// If a line says nothing.
pub fn weakenings() -> Result<Vec<Weakening>, WeakenedError> {
    let mut all: Vec<Weakening> = Vec::new();
    for (number, line) in include_str!("weakened.txt").lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let nothing = WeakenedError::Line { line: number + 1 };
        let (keyword, rest) = line.split_once(' ').ok_or(nothing.clone())?;
        let rest = rest.trim();
        if keyword == "rule" {
            let (name, meaning) = rest.split_once(' ').ok_or(nothing)?;
            let (name, meaning) = (name.to_owned(), meaning.trim().to_owned());
            all.push(Weakening { name, meaning, ..Weakening::default() });
            continue;
        }
        let last = all.last_mut().ok_or(nothing.clone())?;
        match keyword {
            "in" => {
                let (block, line) = rest.split_once(": ").ok_or(nothing)?;
                (last.block, last.line) = (block.to_owned(), line.to_owned());
            }
            "but" => last.instead = rest.to_owned(),
            "fails" => last.fails = rest.to_owned(),
            _ => return Err(nothing),
        }
    }
    Ok(all)
}

impl Weakening {
    /// The theory with this rule weakened, and nothing else changed.
    ///
    /// # Errors
    /// If the line is gone, or the result is no theory.
    pub fn theory(&self) -> Result<Theory, WeakenedError> {
        let mut text = String::new();
        let (mut inside, mut found) = (self.block == "axiom", false);
        for line in SOURCE.lines() {
            if let Some(head) = line.strip_prefix("action ") {
                inside = head.split('(').next() == Some(&*self.block);
            } else if line.starts_with("conjunct ") {
                inside = false;
            }
            let hit = inside && !found && line.trim() == self.line;
            found |= hit;
            text.push_str(if hit { &self.instead } else { line });
            text.push('\n');
        }
        let name = self.name.clone();
        match found {
            true => Theory::read(&text).map_err(|error| WeakenedError::Unreadable { name, error }),
            false => Err(WeakenedError::Gone {
                name,
                block: self.block.clone(),
                line: self.line.clone(),
            }),
        }
    }

    /// The question that must have a counterexample in `theory`, which is [`Self::theory`].
    ///
    /// # Errors
    /// If there is no such obligation.
    pub fn query(&self, theory: &Theory) -> Result<String, WeakenedError> {
        question(theory, &self.name, &self.fails)
    }
}
