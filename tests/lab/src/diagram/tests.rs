use super::draw;
use super::layout::{End, Story};
use crate::cluster::Setup;
use crate::session::Session;
use crate::words::Kind;

fn story(lines: &[&str]) -> (Session, Story) {
    let mut session = Session::new(Setup::default()).expect("a session");
    for line in lines {
        session.run(line).expect(line);
    }
    let story = Story::of(&session.cluster);
    (session, story)
}

#[test]
fn one_operation_is_the_figure_of_the_normal_case() {
    let (_, story) = story(&["deposit alice 100", "deliver"]);
    let column = |label: &str| -> Vec<usize> {
        let with = story.nodes.iter().filter(|node| node.labels.iter().any(|one| one == label));
        with.map(|node| node.at.1).collect()
    };
    assert_eq!(column("REQUEST 1"), [0]);
    assert_eq!(column("PRE-PREPARE"), [1]);
    assert_eq!(column("PREPARE"), [2, 2, 2]);
    assert_eq!(column("COMMIT"), [3, 3, 3, 3]);
    assert_eq!(column("ACCEPT"), [5]);
    assert!(story.arrows.iter().all(|arrow| arrow.from.1 < arrow.to.1), "causes are to the left");
}

#[test]
fn what_is_held_and_what_is_refused_ends_differently() {
    let (session, story) = story(&[
        "withhold prepare from 1",
        "deposit alice 100",
        "deliver",
        "3 says new-view in 1",
        "deliver",
    ]);
    let ends = |kind: Kind, end: End| {
        story.arrows.iter().filter(|arrow| (arrow.kind, arrow.end) == (kind, end)).count()
    };
    assert_eq!(ends(Kind::Prepare, End::Never), 3);
    assert_eq!(ends(Kind::NewView, End::Refused), 3);
    let svg = draw(&session);
    let document = roxmltree::Document::parse(&svg).expect("XML");
    let crosses =
        document.descendants().filter(|node| node.attribute("class") == Some("cross")).count();
    assert_eq!(crosses, 3 + 1, "and one in the legend");
}
