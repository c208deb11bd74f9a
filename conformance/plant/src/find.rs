//! Where a function is in its file, for whoever names it.

use crate::functions::{Function, functions};
use crate::place::line_of;

/// A function that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The line with its name, from 1.
    pub line: usize,
    /// What is between its outer braces.
    pub body: String,
}

/// Why a name does not stand for one function.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// The file cannot be read as Rust.
    #[error("not Rust: {0}")]
    NotRust(String),
    /// There is none.
    #[error("there is no function {0}")]
    Nowhere(String),
    /// There are several.
    #[error("{0} may be each of {1:?}")]
    Several(String, Vec<String>),
}

/// The one function of a file that is called `wanted`: `propose`, `Replica::propose`, `<Replica as Debug>::fmt`. Those of
/// tests are left out.
pub fn find(source: &str, wanted: &str) -> Result<Found, FindError> {
    let all = all(source)?;
    let called: Vec<_> = all.iter().filter(|one| one.is_called(wanted)).collect();
    match called[..] {
        [one] => Ok(Found { line: one.line, body: source[one.body.clone()].to_owned() }),
        [] => Err(FindError::Nowhere(wanted.to_owned())),
        _ => {
            let names = called.iter().map(|one| one.full_name().to_owned()).collect();
            Err(FindError::Several(wanted.to_owned(), names))
        }
    }
}

/// The name of the innermost function that a line is in.
pub fn around(source: &str, line: usize) -> Option<String> {
    let functions = all(source).ok()?;
    let has_it = |one: &&Function| {
        one.line <= line && line <= line_of(source, one.body.end.saturating_sub(1))
    };
    let innermost = functions.iter().filter(has_it).max_by_key(|one| one.body.start)?;
    Some(innermost.full_name().to_owned())
}

/// The names of all functions of a file and what is in each, those of tests left out.
pub fn bodies(source: &str) -> Result<Vec<(String, String)>, FindError> {
    let named = |one: Function| (one.full_name().to_owned(), source[one.body].to_owned());
    Ok(all(source)?.into_iter().map(named).collect())
}

fn all(source: &str) -> Result<Vec<Function>, FindError> {
    functions(source).map_err(|error| FindError::NotRust(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "struct A;\nimpl A {\n    fn new() -> Self {\n        fn inner() {\n        }\n        A\n    }\n}\n\
                          fn new() {}\n#[cfg(test)]\nmod tests {\n    fn inner() {}\n}\n";

    #[test]
    fn a_function_is_found_by_a_name_that_is_its_own() {
        assert_eq!(find(SOURCE, "A::new").map(|found| found.line), Ok(3));
        assert_eq!(
            find(SOURCE, "inner").map(|found| found.line),
            Ok(4),
            "not the one of the tests"
        );
        let several = FindError::Several("new".to_owned(), vec!["A::new".into(), "new".into()]);
        assert_eq!(find(SOURCE, "new"), Err(several));
        assert_eq!(find(SOURCE, "old"), Err(FindError::Nowhere("old".to_owned())));
        assert!(matches!(find("fn", "old"), Err(FindError::NotRust(_))));
    }

    #[test]
    fn a_line_is_in_the_innermost_function_around_it() {
        assert_eq!(around(SOURCE, 4).as_deref(), Some("A::new::inner"));
        assert_eq!(around(SOURCE, 6).as_deref(), Some("A::new"));
        assert_eq!(around(SOURCE, 1), None);
    }
}
