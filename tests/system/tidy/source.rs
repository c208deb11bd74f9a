//! The repository's files, and Rust source without its comments and strings.

use std::path::{Path, PathBuf};

/// A text file of the repository.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    /// Its path from the root, with `/` between names.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) content: String,
}

impl Text {
    /// A file for the tests of a rule.
    pub(crate) fn sample(path: &str, content: &str) -> Self {
        Self { path: path.to_owned(), content: content.to_owned() }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether it is part of a test and of nothing else.
    pub(crate) fn is_test(&self) -> bool {
        let names: Vec<&str> = self.path.split('/').collect();
        let Some((file, directories)) = names.split_last() else { return false };
        // `tests/` at the root has crates; what is for others is in their `src/`.
        let in_test_directory = match directories {
            ["tests", _, "src", ..] => false,
            ["tests", "system", ..] => true,
            ["tests", inner @ ..] => inner.contains(&"tests"),
            _ => directories.contains(&"tests"),
        };
        in_test_directory || *file == "tests.rs" || file.ends_with("_tests.rs")
    }
}

/// Names of what is not part of the repository, although it is in its directory.
const FOREIGN: [&str; 4] = [".git", "target", "runs", "cluster"];

/// The text files below `root` that people write.
pub(crate) fn all_texts(root: &Path) -> Vec<Text> {
    let mut texts = Vec::new();
    collect(root, root, &mut texts);
    texts.sort_by(|a, b| a.path.cmp(&b.path));
    texts
}

fn collect(root: &Path, directory: &Path, texts: &mut Vec<Text>) {
    let entries = std::fs::read_dir(directory).expect("a directory that can be listed");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    for path in paths.collect::<Vec<PathBuf>>() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            // The directories of build tools carry this mark, whatever their name is.
            let foreign = directory == root && FOREIGN.contains(&&*name);
            if !foreign && !path.join("CACHEDIR.TAG").exists() {
                collect(root, &path, texts);
            }
        } else if is_written_by_people(&path, &name)
            && let Ok(content) = std::fs::read_to_string(&path)
        {
            let relative = path.strip_prefix(root).expect("below the root");
            let names: Vec<_> = relative.iter().map(|name| name.to_string_lossy()).collect();
            texts.push(Text { path: names.join("/"), content });
        }
    }
}

fn is_written_by_people(path: &Path, name: &str) -> bool {
    let kinds = ["rs", "md", "toml", "yml", "yaml", "sh"];
    let kind = path.extension().unwrap_or_default().to_string_lossy();
    let script = path.parent().and_then(Path::file_name).is_some_and(|name| name == ".ci");
    script || kinds.contains(&&*kind) || name == ".gitignore"
}

/// Rust source with comments, strings and characters blanked out; every line stays where it is.
pub(crate) fn code_of(source: &str) -> String {
    let mut rest = source;
    let mut code = String::with_capacity(source.len());
    while let Some(first) = rest.chars().next() {
        let before = code.chars().next_back();
        let len = literal_len(rest, before);
        if len == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let (literal, after) = rest.split_at(len);
            code.extend(literal.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = after;
        }
    }
    code
}

/// The length of the comment, string or character at the beginning of `rest`; 0 if there is none.
fn literal_len(rest: &str, before: Option<char>) -> usize {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let bytes = rest.as_bytes();
    match bytes {
        [b'/', b'/', ..] => rest.find('\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment_len(rest),
        [b'"', ..] => 1 + quoted_len(&rest[1..], b'"'),
        [b'b', b'"', ..] if !in_word => 2 + quoted_len(&rest[2..], b'"'),
        [b'r', ..] | [b'b', b'r', ..] if !in_word => raw_string_len(rest),
        // A character, and not a lifetime.
        [b'\'', b'\\', ..] => 1 + quoted_len(&rest[1..], b'\''),
        [b'\'', ..] => {
            let inside = rest[1..].chars().next().map_or(0, char::len_utf8);
            match bytes.get(1 + inside) {
                Some(b'\'') => 2 + inside,
                _ => 0,
            }
        }
        _ => 0,
    }
}

/// The length up to and with the closing quote.
fn quoted_len(text: &str, quote: u8) -> usize {
    let mut escaped = false;
    for (position, byte) in text.bytes().enumerate() {
        match (escaped, byte) {
            (true, _) => escaped = false,
            (false, b'\\') => escaped = true,
            (false, byte) if byte == quote => return position + 1,
            (false, _) => {}
        }
    }
    text.len()
}

fn raw_string_len(rest: &str) -> usize {
    let after = rest.trim_start_matches('b').strip_prefix('r').unwrap_or_default();
    let hashes = after.bytes().take_while(|byte| *byte == b'#').count();
    if after.as_bytes().get(hashes) != Some(&b'"') {
        return 0;
    }
    let start = rest.len() - after.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    rest[start..].find(&end).map_or(rest.len(), |position| start + position + end.len())
}

fn block_comment_len(rest: &str) -> usize {
    let (mut depth, mut position) = (0, 0);
    let bytes = rest.as_bytes();
    while position < bytes.len() {
        match bytes[position..] {
            [b'/', b'*', ..] => (depth, position) = (depth + 1, position + 2),
            [b'*', b'/', ..] => (depth, position) = (depth - 1, position + 2),
            _ => position += 1,
        }
        if depth == 0 {
            return position;
        }
    }
    rest.len()
}

/// Code without its inline test modules, which are blanked out.
pub(crate) fn without_test_modules(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(position) = rest.find(MARK) {
        let (before, from) = rest.split_at(position);
        kept.push_str(before);
        let len = block_end(from).unwrap_or(MARK.len());
        kept.extend(from[..len].chars().filter(|c| *c == '\n'));
        rest = &from[len..];
    }
    kept + rest
}

/// Where the first block of `code` ends, if there is one before the first semicolon.
pub(crate) fn block_end(code: &str) -> Option<usize> {
    let (mut depth, mut brackets) = (0usize, 0i32);
    for (position, byte) in code.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth <= 1 => return Some(position + 1),
            b'}' => depth -= 1,
            // In `[u8; 32]` it ends nothing.
            b'[' | b'(' => brackets += 1,
            b']' | b')' => brackets -= 1,
            b';' if depth == 0 && brackets == 0 => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_characters_are_no_code() {
        let source = "a(\"x \\\" { y\"); // {\nb('{', '\\'', 'é'); /* { /* { */ */ c::<'a>(r#\"{\"\"#, b\"{\");\nbar\"{\"";
        let code = code_of(source);
        assert_eq!(code.lines().count(), 3);
        assert!(!code.contains('{') && !code.contains('y') && !code.contains('é'), "{code}");
        for kept in ["a(", "b(", "c::<'a>(", "bar"] {
            assert!(code.contains(kept), "{kept}: {code}");
        }
    }

    #[test]
    fn test_modules_are_no_code_that_is_shipped() {
        let code = "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() { {} }\n}\nfn c() {}\n#[cfg(test)]\nmod tests;\nfn d() {}";
        let kept = without_test_modules(code);
        assert!(!kept.contains("fn b"), "{kept}");
        assert!(kept.contains("fn a") && kept.contains("fn c") && kept.contains("fn d"), "{kept}");
        assert_eq!(kept.lines().count(), code.lines().count());
    }

    #[test]
    fn what_is_a_test_is_known() {
        let is_test = |path| Text::sample(path, "").is_test();
        assert!(is_test("impl/core/tests/paper/client.rs") && is_test("tests/system/e2e/main.rs"));
        assert!(is_test("impl/node/src/store/tests.rs") && is_test("impl/host/src/frame_tests.rs"));
        assert!(!is_test("tests/system/src/cluster.rs") && !is_test("tests/sim/src/world/mod.rs"));
        assert!(is_test("tests/sim/tests/sim/main.rs") && !is_test("model/spec/src/lib.rs"));
    }
}
