//! A counterexample as a picture: a lane for each replica and one for certificates, what was said from left to right in the order
//! of views, the step at the end, and below what does not hold any more.

mod item;

use crate::counterexample::{Counterexample, Fact};
use crate::theory::Theory;
use item::{Item, items_of, label};
use pbft_picture::{BOLD, Canvas, Grid, LANE, Node, Point, RADIUS, TOP, width_of};
use std::collections::BTreeSet;

const HEAD: f64 = 158.0;
const COLUMN: f64 = 92.0;
const WIDTH_MIN: f64 = 760.0;
const LINE: f64 = 18.0;

/// Why quorums may look small.
const ASKED: &str =
    "A quorum has Byzantine members, too, who are not drawn: their votes are there for the asking.";

/// Everything that a picture shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The weakened rule, or the conjunct that is left out.
    pub name: String,
    /// What that means.
    pub meaning: String,
    /// The obligation that cannot be shown.
    pub fails: String,
    /// Why not.
    pub found: Counterexample,
}

impl Explained {
    /// The same as text, as `cargo prove --explain` prints it.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { name, meaning, fails, found } = self;
        format!(
            "{name}: {meaning}\nthen `{fails}` fails. A state that satisfies the invariant:\n{found}"
        )
    }

    /// The picture, as an SVG document whose description is the text.
    #[must_use]
    pub fn to_svg(&self, theory: &Theory) -> String {
        let scene = Scene::new(self, theory);
        let words = self.words(theory);
        let grid = scene.grid();
        let width = (grid.end() + 12.0).max(WIDTH_MIN);
        let mut body = Canvas::new();
        let lines: Vec<(&str, String)> = words
            .iter()
            .flat_map(|(class, words)| {
                wrapped(words, width - 20.0, class).map(move |w| (*class, w))
            })
            .collect();
        let below = TOP + LANE * scene.lanes.len() as f64;
        let height = below + LINE * lines.len() as f64 + 14.0;
        body.rect("paper", Point::new(0.0, 0.0), width, height, 0.0);
        scene.draw(&mut body, grid);
        for (at, (class, line)) in lines.iter().enumerate() {
            body.text(class, Point::new(10.0, below + 18.0 + LINE * at as f64), line);
        }
        let heads = ["prepare", "commit", "checkpoint", "view-change", "new-view"];
        pbft_picture::document((width, height), &self.name, &self.text(), heads, body)
    }

    /// What is written below the lanes.
    fn words(&self, theory: &Theory) -> [(&'static str, String); 4] {
        let (before, broken) = self.fails.rsplit_once(": ").unwrap_or(("goal", &self.fails));
        let named = theory.conjuncts.iter().chain(&theory.goals).find(|one| one.name == broken);
        let why = named.map_or("", |one| &*one.why);
        let state = match before {
            "goal" => {
                "The rest of the invariant allows this state, in the order of views (what makes it wrong is red)."
            }
            _ => {
                "The rest of the invariant allows this state, in the order of views; then the step in red."
            }
        };
        let broken = match before {
            "goal" => format!("✗ NOT {broken}: {why}"),
            _ => format!("✗ BREAKS {broken}: {why}"),
        };
        [
            ("legend", format!("{}: {}.", self.name, self.meaning)),
            ("legend", state.to_owned()),
            ("legend", ASKED.to_owned()),
            ("violated", broken),
        ]
    }
}

/// The words in lines that fit.
fn wrapped(words: &str, width: f64, class: &str) -> std::vec::IntoIter<String> {
    let wider = if class == "violated" { BOLD * BOLD } else { 1.0 };
    let mut lines: Vec<String> = vec![String::new()];
    for word in words.split(' ') {
        let last = lines.len() - 1;
        let longer =
            format!("{}{}{word}", lines[last], if lines[last].is_empty() { "" } else { " " });
        match width_of(&longer) * wider > width {
            true => lines.push(word.to_owned()),
            false => lines[last] = longer,
        }
    }
    lines.into_iter()
}

struct Scene {
    /// The replicas, and none for the lane of certificates.
    lanes: Vec<Option<String>>,
    items: Vec<Item>,
    facts: Vec<Fact>,
    byzantine: BTreeSet<String>,
}

impl Scene {
    fn new(explained: &Explained, theory: &Theory) -> Self {
        let before = explained.found.facts_before();
        let adds = explained.found.facts_added();
        let goal = explained.fails.strip_prefix("goal: ");
        let goal = theory.goals.iter().find(|one| Some(&*one.name) == goal);
        let mut blamed = BTreeSet::new();
        goal.into_iter().for_each(|one| {
            one.formula.relations(&mut |name, _| {
                blamed.insert(name.to_owned());
            });
        });
        let mut items = items_of(&before);
        items.iter_mut().for_each(|item| item.wrong = blamed.contains(&item.fact.relation));
        items.sort_by(|a, b| a.order.cmp(&b.order));
        let step = items_of(&adds).into_iter().map(|item| Item { step: true, wrong: true, ..item });
        items.extend(step);
        let who: BTreeSet<Option<String>> = items.iter().map(|item| item.who.clone()).collect();
        let honest =
            |id: &String| before.iter().any(|f| f.relation == "honest" && f.arguments[0] == *id);
        let byzantine = who.iter().flatten().filter(|id| !honest(id)).cloned().collect();
        Self { lanes: who.into_iter().collect(), items, facts: before, byzantine }
    }

    fn grid(&self) -> Grid {
        Grid { head: HEAD, column: COLUMN, columns: self.items.len().max(6) }
    }

    fn draw(&self, body: &mut Canvas, grid: Grid) {
        for (lane, who) in self.lanes.iter().enumerate() {
            self.draw_lane(body, grid, lane, who.as_deref());
        }
        for (to, item) in self.items.iter().enumerate() {
            for (from, source) in self.items.iter().enumerate().filter(|(from, _)| *from != to) {
                if let Some(class) = self.rests_on(item, source) {
                    let [from, to] = [(from, source), (to, item)]
                        .map(|(column, item)| self.place(grid, column, item));
                    body.arrow(class, from, to, RADIUS + 1.0);
                }
            }
        }
        for (column, item) in self.items.iter().enumerate() {
            let class = match (item.step, item.wrong) {
                (_, true) => "step wrong",
                _ => "step",
            };
            body.open(class, column + 1, &item.fact.to_string());
            let value = item.value.as_deref().map(|value| value[1..].parse::<usize>());
            let chip = match value {
                Some(Ok(number)) => format!("chip request-{}", number % 4),
                _ => "chip".to_owned(),
            };
            body.node(Node {
                at: self.place(grid, column, item),
                room: COLUMN,
                number: &(column + 1).to_string(),
                label: &item.label,
                content: &item.content,
                chip: &chip,
                wrong: item.wrong,
            });
            body.close();
        }
    }

    fn place(&self, grid: Grid, column: usize, item: &Item) -> Point {
        let lane = self.lanes.iter().position(|who| *who == item.who).unwrap_or_default();
        grid.node(column, lane)
    }

    fn draw_lane(&self, body: &mut Canvas, grid: Grid, lane: usize, who: Option<&str>) {
        body.lane(grid, lane);
        let byzantine = who.is_some_and(|id| self.byzantine.contains(id));
        if byzantine {
            body.band("lane-byzantine", grid, lane, 0, grid.columns);
        }
        if let Some(first) = self.items.iter().position(|item| item.step) {
            body.band("view-1", grid, lane, first, self.items.len());
        }
        let y = grid.top(lane) + 43.0;
        let Some(id) = who else {
            body.axis(grid, lane);
            body.name(grid, lane, "certificates");
            return body.text("role", Point::new(10.0, y), "for all to see");
        };
        body.axis(grid, lane);
        body.name(grid, lane, &format!("replica {}", label(id)));
        let quorums = self.of("member", 0, id).map(|fact| label(&fact.arguments[1]));
        let quorums: Vec<String> = quorums.collect();
        let plural = if quorums.len() == 1 { "quorum" } else { "quorums" };
        match byzantine {
            true => body.byzantine(y),
            false if quorums.is_empty() => body.text("role", Point::new(10.0, y), "honest"),
            false => {
                let role = format!("honest, {plural} {}", quorums.join(", "));
                body.text("role", Point::new(10.0, y), &role);
            }
        }
    }

    /// The facts of a relation with this argument.
    fn of(&self, relation: &str, at: usize, argument: &str) -> impl Iterator<Item = &Fact> {
        let fits = move |fact: &&Fact| fact.relation == relation && fact.arguments[at] == argument;
        self.facts.iter().filter(fits)
    }

    /// The class of the arrow, if one rests on the other.
    fn rests_on(&self, item: &Item, on: &Item) -> Option<&'static str> {
        let (to, from) = (&item.fact, &on.fact);
        let same = |a: &[String], b: &[String]| a == b;
        match (&*from.relation, &*to.relation) {
            ("vote", "prepared") if same(&from.arguments[1..], &to.arguments) => Some("prepare"),
            ("commit", "committed") if same(&from.arguments[1..], &to.arguments) => Some("commit"),
            ("prepared", "commit") if same(&from.arguments, &to.arguments[1..]) => Some("prepare"),
            ("checkpoint", "stable") if same(&from.arguments[1..], &to.arguments) => {
                Some("checkpoint")
            }
            ("view_change", "new_view") if from.arguments[1] == to.arguments[0] => {
                let mut members = self.of("member", 1, &to.arguments[1]);
                members
                    .any(|member| member.arguments[0] == from.arguments[0])
                    .then_some("view-change")
            }
            ("new_view", "vote") if from.arguments[0] == to.arguments[1] => Some("new-view"),
            _ => None,
        }
    }
}
