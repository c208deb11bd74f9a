//! The picture of the crates says what the manifests say.

use crate::crates::{dependencies, manifests};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Where it is.
const PICTURE: &str = "docs/images/architecture.svg";

type Arrows = BTreeSet<(String, String)>;

/// The arrows that are drawn.
fn drawn(picture: &str) -> Arrows {
    let arrows = picture.split("data-from=\"").skip(1);
    let ends = arrows.filter_map(|rest| {
        let (from, rest) = rest.split_once("\" data-to=\"")?;
        Some((from.to_owned(), rest.split_once('"')?.0.to_owned()))
    });
    ends.collect()
}

/// Who depends on whom, without what is known from others: if a depends on b, and b on c, then a may depend on c.
fn needed(direct: &BTreeMap<String, BTreeSet<String>>) -> Arrows {
    let leads = |from: &str, to: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(next) = open.pop() {
            let further = direct.get(next).into_iter().flatten();
            open.extend(further.filter(|one| seen.insert(one.as_str())).map(String::as_str));
        }
        seen.contains(to)
    };
    let all = direct.iter().flat_map(|(from, tos)| tos.iter().map(move |to| (from, to, tos)));
    let bare = all.filter(|(_, to, tos)| !tos.iter().any(|by| by != *to && leads(by, to)));
    bare.map(|(from, to, _)| (from.clone(), to.clone())).collect()
}

/// What the picture has too much, or lacks.
pub(crate) fn differences(root: &Path) -> Vec<String> {
    let content = |path| std::fs::read_to_string(root.join(path)).unwrap_or_default();
    let picture = &content(PICTURE);
    let names: BTreeSet<&str> = manifests().map(|(_, name)| name).collect();
    let mut direct = BTreeMap::new();
    for (path, name) in manifests() {
        let manifest = content(path).parse().unwrap_or_default();
        let on = dependencies(&manifest, &["dependencies"]).into_iter();
        direct.insert(name.to_owned(), on.filter(|one| names.contains(&**one)).collect());
    }
    let (drawn, needed) = (drawn(picture), needed(&direct));
    let lacks = needed.difference(&drawn).map(|(from, to)| format!("no arrow {from} to {to}"));
    let wrong = drawn.difference(&needed).map(|(from, to)| format!("an arrow {from} to {to}"));
    let absent = names.iter().filter(|name| !picture.contains(&format!(">{name}<")));
    lacks.chain(wrong).chain(absent.map(|name| format!("{name} is not drawn"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_known_from_others_is_needed() {
        let on = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let direct = BTreeMap::from([
            ("a".to_owned(), on(&["b", "c", "d"])),
            ("b".to_owned(), on(&["c"])),
            ("c".to_owned(), on(&[])),
            ("d".to_owned(), on(&[])),
        ]);
        let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        let expected = [pair("a", "b"), pair("a", "d"), pair("b", "c")];
        assert_eq!(needed(&direct), BTreeSet::from(expected));
    }

    #[test]
    fn arrows_are_read() {
        let read = drawn(r#"<path data-from="a" data-to="b" d="M0 0"/>"#);
        assert_eq!(read, BTreeSet::from([("a".to_owned(), "b".to_owned())]));
        assert!(!differences(Path::new("nowhere")).is_empty());
    }
}
