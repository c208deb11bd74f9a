//! Where everything goes.
//!
//! Coordinates: a column for each step from the left, a lane for each replica from the top. A column has one node, and
//! every text of it stays within it.

use pbft_picture::{BOLD, Canvas, Grid, LANE, Node, Point, RADIUS, TOP, fit, width_of};

use super::label::{chip, content, describe, label, title, tooltip};
use super::story::{Kind, Message, Quorum, Step, Story};
use pbft_model::ids::{ReplicaId, Slot, View};
use pbft_model::properties::PROPERTIES;
use pbft_model::state::{NewView, State};
use pbft_model::value::Value;

/// Width of the column with the names of the replicas.
const HEAD: f64 = 126.0;
/// Width of the column with what each replica executed.
const TAIL: f64 = 86.0;
/// Width that the columns of the steps share as long as each stays within its bounds.
const STEPS: f64 = 900.0;
const COLUMN_MIN: f64 = 64.0;
const COLUMN_MAX: f64 = 104.0;
/// What the legend needs.
const WIDTH_MIN: f64 = 880.0;
const LEGEND: f64 = 28.0;
const LINE: f64 = 20.0;
/// A replica in the list of those whose votes counted: its height, and its width where there is room.
const VOTE: f64 = 12.0;
/// The least width in which its number can be read.
const VOTE_MIN: f64 = 10.0;

/// What a picture is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It shows the last state of the path.
    Still,
    /// The page walks along the path: whatever depends on the step in view is there for each of them, in groups that the page
    /// shows or hides.
    Walk,
}

/// The whole document.
pub(super) fn document(story: &Story<'_>, purpose: Purpose) -> String {
    let layout = Layout::of(story, purpose);
    let mut body = Canvas::new();
    body.rect("paper", Point::new(0.0, 0.0), layout.width, layout.height, 0.0);
    for id in layout.replicas() {
        draw_lane(&mut body, story, layout, id);
    }
    if purpose == Purpose::Walk {
        draw_columns(&mut body, layout);
    }
    for (at, step) in story.steps.iter().enumerate() {
        draw_uses(&mut body, story, layout, at, step);
    }
    for (at, step) in story.steps.iter().enumerate() {
        draw_node(&mut body, story, layout, at, step);
    }
    draw_legend(&mut body, layout);
    draw_endings(&mut body, story, layout);
    draw_heads(&mut body, story, layout);
    if purpose == Purpose::Still {
        draw_violations(&mut body, story, layout);
    }
    let size = (layout.width, layout.height);
    let heads = Kind::ALL.map(Kind::class);
    pbft_picture::document(size, &title(story), &describe(story), heads, body)
}

/// Name and statement of the properties that the last state violates.
pub(super) fn violated(story: &Story<'_>) -> Vec<(&'static str, &'static str)> {
    let fails = PROPERTIES.iter().filter(|one| !(one.holds)(story.model, story.last()));
    fails.map(|one| (one.name, one.statement)).collect()
}

#[derive(Clone, Copy)]
pub(super) struct Layout {
    replicas: u8,
    grid: Grid,
    width: f64,
    height: f64,
    purpose: Purpose,
    /// Whether slots have to be told apart.
    many_slots: bool,
    /// Whether views have to be told apart.
    many_views: bool,
}

impl Layout {
    fn of(story: &Story<'_>, purpose: Purpose) -> Self {
        let config = story.model.config();
        let steps = story.steps.len();
        let least = COLUMN_MIN.max(VOTE_MIN * f64::from(config.replicas()) + 4.0);
        let column = (STEPS / steps.max(1) as f64).clamp(least, COLUMN_MAX);
        let (least_width, lines) = match purpose {
            Purpose::Still => (WIDTH_MIN, violated(story).len().min(2)),
            Purpose::Walk => (HEAD + WIDTH_MIN, 0),
        };
        Self {
            replicas: config.replicas(),
            grid: Grid { head: HEAD, column, columns: steps },
            width: (HEAD + column * steps as f64 + TAIL).max(least_width),
            height: TOP + LANE * f64::from(config.replicas()) + LEGEND + lines as f64 * LINE + 6.0,
            purpose,
            many_slots: config.last_slot() > Slot(1),
            many_views: config.max_view() > View(0),
        }
    }

    fn replicas(self) -> impl Iterator<Item = ReplicaId> {
        (0..self.replicas).map(ReplicaId)
    }

    /// The top of a lane.
    fn top(self, id: ReplicaId) -> f64 {
        self.grid.top(id.index())
    }

    /// Where a step stands in its lane.
    fn node(self, step: usize, id: ReplicaId) -> Point {
        self.grid.node(step, id.index())
    }

    fn column_start(self, step: usize) -> f64 {
        self.grid.column_start(step)
    }

    /// Whether the picture is of the state after a step.
    fn is_last(self, step: usize) -> bool {
        self.purpose == Purpose::Still && step + 1 == self.grid.columns
    }

    fn end(self) -> f64 {
        self.grid.end()
    }

    /// A value with its slot, where there is more than one.
    pub(super) fn value(self, slot: Slot, value: Value) -> String {
        if self.many_slots { format!("{}:{value}", slot.0) } else { value.to_string() }
    }

    /// A value with its view and slot, where there is more than one.
    pub(super) fn vote(self, view: View, slot: Slot, value: Value) -> String {
        let value = self.value(slot, value);
        if self.many_views { format!("v{} {value}", view.0) } else { value }
    }

    /// O of a NEW-VIEW.
    pub(super) fn order(self, outcome: &NewView) -> String {
        let slots = outcome.min_s.until(outcome.max_s);
        let values: Vec<_> =
            slots.map(|slot| self.value(slot, outcome.order[slot.index()])).collect();
        format!("O=[{}]", values.join(" "))
    }
}

fn draw_lane(body: &mut Canvas, story: &Story<'_>, layout: Layout, id: ReplicaId) {
    let lane = id.index();
    body.lane(layout.grid, lane);
    if story.model.is_byzantine(id) {
        body.band("lane-byzantine", layout.grid, lane, 0, layout.grid.columns);
    } else {
        draw_views(body, story, layout, id);
    }
    body.axis(layout.grid, lane);
}

/// The ground of each step, across all lanes: what the page makes paler ahead of the step in view.
fn draw_columns(body: &mut Canvas, layout: Layout) {
    for step in 0..layout.grid.columns {
        body.open("column", step + 1, "");
        let corner = Point::new(layout.column_start(step), TOP);
        let height = LANE * f64::from(layout.replicas);
        body.rect("ground", corner, layout.grid.column, height, 0.0);
        body.close();
    }
}

/// Who each lane is of. The page keeps this group in place while the rest is scrolled: it has a ground of its own there.
fn draw_heads(body: &mut Canvas, story: &Story<'_>, layout: Layout) {
    body.open("heads", 0, "");
    if layout.purpose == Purpose::Walk {
        body.rect("paper", Point::new(0.0, 0.0), HEAD, layout.height, 0.0);
    }
    for id in layout.replicas() {
        if layout.purpose == Purpose::Walk {
            let corner = Point::new(0.0, layout.top(id) + 2.0);
            body.rect("lane", corner, HEAD, LANE - 4.0, 0.0);
        }
        draw_head(body, story, layout, id);
    }
    body.close();
}

fn draw_head(body: &mut Canvas, story: &Story<'_>, layout: Layout, id: ReplicaId) {
    body.name(layout.grid, id.index(), &id.to_string());
    let led: Vec<_> = (0..=story.model.config().max_view().0)
        .filter(|view| story.model.primary(View(*view)) == id)
        .map(|view| view.to_string())
        .collect();
    let mut y = layout.top(id) + 43.0;
    if !led.is_empty() {
        let plural = if led.len() == 1 { "" } else { "s" };
        let role = format!("primary, view{plural} {}", led.join(", "));
        body.text("role", Point::new(10.0, y), &role);
        y += 17.0;
    }
    if story.model.is_byzantine(id) {
        body.byzantine(y);
    }
}

/// What was executed, at the end of the lanes.
fn draw_endings(body: &mut Canvas, story: &Story<'_>, layout: Layout) {
    let last = story.states.len() - 1;
    let first = if layout.purpose == Purpose::Walk { 0 } else { last };
    for at in first..=last {
        body.open("ending", at, "");
        for id in story.model.honest() {
            draw_executed(body, story, layout, &story.states[at], id);
        }
        body.close();
    }
}

/// The views that a replica goes through, as bands along its lane.
fn draw_views(body: &mut Canvas, story: &Story<'_>, layout: Layout, id: ReplicaId) {
    let status = |state: &State| (state.replica(id).view, state.replica(id).active);
    let mut start = 0;
    let mut band = |from: usize, to: usize, (view, active): (View, bool)| {
        let left = layout.column_start(from);
        let view_class = format!("view-{}", view.0 % 4);
        let class = if active { &*view_class } else { "leaving" };
        body.band(class, layout.grid, id.index(), from, to);
        let label = if active { view.to_string() } else { format!("→ {view}") };
        body.text("view", Point::new(left + 5.0, layout.top(id) + 14.0), &label);
    };
    for step in 0..layout.grid.columns {
        let (before, after) = (status(&story.states[step]), status(&story.states[step + 1]));
        if before != after {
            if step > start {
                band(start, step, before);
            }
            start = step;
        }
    }
    if layout.grid.columns > start {
        band(start, layout.grid.columns, status(story.last()));
    }
}

/// What a replica executed, at the end of its lane; a sign where another executed something else.
fn draw_executed(
    body: &mut Canvas,
    story: &Story<'_>,
    layout: Layout,
    state: &State,
    id: ReplicaId,
) {
    let executed = |id: ReplicaId, slot: Slot| state.replica(id).executed[slot.index()];
    let x = layout.end() + 8.0;
    let mut y = layout.top(id) + 28.0;
    for slot in Slot::GENESIS.until(state.replica(id).last_executed) {
        if y == layout.top(id) + 28.0 {
            body.text("end", Point::new(x, y), "executed");
        }
        y += 16.0;
        let own = executed(id, slot);
        let differs = own.is_some()
            && story.model.honest().any(|other| {
                let value = executed(other, slot);
                value.is_some() && value != own
            });
        let text =
            if own.is_some() { layout.value(slot, own) } else { format!("{}: fetched", slot.0) };
        if differs {
            body.text("result differs", Point::new(x, y), &format!("✗ {text}"));
        } else {
            body.text("result", Point::new(x, y), &text);
        }
    }
}

/// The arrows to a step.
fn draw_uses(body: &mut Canvas, story: &Story<'_>, layout: Layout, at: usize, step: &Step) {
    let class = if layout.is_last(at) { "uses latest" } else { "uses past" };
    body.open(class, at + 1, "");
    let here = layout.node(at, step.action.replica());
    let after = story.states[at + 1].replica(step.action.replica());
    let about = content(layout, step.action, &story.states[at], after);
    for message in &step.uses {
        let Some(from) = origin(story, layout, at, message) else { continue };
        body.arrow(message.kind.class(), from, here, RADIUS + 1.0);
        if message.sent_at.is_none() {
            // A VIEW-CHANGE is one of several that the step rests on; any other message says what the step is about.
            let said = if message.kind == Kind::ViewChange { "" } else { &about };
            draw_forged(body, layout, from, said, message);
        }
    }
    let new_view = step.uses.iter().find(|message| message.kind == Kind::NewView);
    for (message, new_view) in step.behind.iter().zip(new_view.iter().cycle()) {
        let Some(from) = origin(story, layout, at, message) else { continue };
        // What the primary claims itself goes nowhere.
        if message.from != new_view.from {
            body.arrow(message.kind.class(), from, layout.node(at, new_view.from), RADIUS);
            if message.sent_at.is_none() {
                draw_forged(body, layout, from, "", message);
            }
        }
    }
    body.close();
}

/// Where a message comes from, unless nothing sent it.
fn origin(story: &Story<'_>, layout: Layout, at: usize, message: &Message) -> Option<Point> {
    match message.sent_at {
        Some(sent_at) => Some(layout.node(sent_at, message.from)),
        None => story.model.is_byzantine(message.from).then(|| layout.node(at, message.from)),
    }
}

/// A Byzantine replica sends a message: a diamond in its lane with what it says.
fn draw_forged(body: &mut Canvas, layout: Layout, at: Point, said: &str, message: &Message) {
    body.diamond("forged", at, 7.0);
    let room = layout.grid.column - 2.0;
    let name = message.kind.name();
    match name.split_once('-') {
        Some((first, second)) if width_of(name) > 0.7 * room => {
            body.text("note", Point::new(at.x, at.y - 24.0), &format!("{first}-"));
            body.text("note", Point::new(at.x, at.y - 13.0), second);
        }
        _ => body.label("note", Point::new(at.x, at.y - 13.0), name, room),
    }
    body.text("note", Point::new(at.x, at.y + 20.0), &fit(said, room));
}

fn draw_node(body: &mut Canvas, story: &Story<'_>, layout: Layout, at: usize, step: &Step) {
    let wrong = story.first_violation() == Some(at);
    let class = match (layout.is_last(at), wrong) {
        (true, true) => "step now wrong",
        (true, false) => "step now",
        (false, true) => "step wrong",
        (false, false) => "step",
    };
    body.open(class, at + 1, &tooltip(story, at, step));
    let here = layout.node(at, step.action.replica());
    let after = story.states[at + 1].replica(step.action.replica());
    let mut label = label(story, at, step.action);
    if let Some(quorum) = step.quorum.as_ref().filter(|quorum| quorum.is_short()) {
        // In the place of the label's first line, which has one line for itself then.
        label = label.replace("- ", "-").replace(' ', "\u{a0}");
        let counted = format!("{} of {}!", quorum.voters.len(), quorum.needed);
        body.text("short", Point::new(here.x, here.y - 31.5), &counted);
    }
    body.node(Node {
        at: here,
        room: layout.grid.column,
        number: &(at + 1).to_string(),
        label: &label,
        content: &content(layout, step.action, &story.states[at], after),
        chip: &chip(story, step.action, &story.states[at]),
        wrong,
    });
    if let Some(quorum) = &step.quorum {
        draw_quorum(body, story, layout, Point::new(here.x, here.y + 35.0), quorum);
    }
    body.close();
}

/// The replicas in a row, those filled in whose votes made the quorum.
fn draw_quorum(body: &mut Canvas, story: &Story<'_>, layout: Layout, at: Point, quorum: &Quorum) {
    let replicas = f64::from(layout.replicas);
    let width = VOTE.min((layout.grid.column - 4.0) / replicas);
    let start = at.x - width * replicas / 2.0;
    for id in layout.replicas() {
        let corner = Point::new(start + width * f64::from(id.0), at.y);
        let votes = quorum.voters.contains(&id);
        let class = match (votes, story.model.is_byzantine(id)) {
            (true, true) => "vote-byzantine",
            (true, false) => "vote-in",
            (false, _) => "vote",
        };
        body.rect(class, Point::new(corner.x + 0.5, corner.y), width - 1.0, VOTE - 1.0, 2.0);
        let name = if votes { "vote-name-in" } else { "vote-name" };
        body.text(name, Point::new(corner.x + width / 2.0, corner.y + 9.0), &id.0.to_string());
    }
}

fn draw_legend(body: &mut Canvas, layout: Layout) {
    let y = TOP + f64::from(layout.replicas) * LANE + 15.0;
    let mut x = if layout.purpose == Purpose::Walk { HEAD } else { 0.0 } + 10.0;
    for kind in Kind::ALL {
        body.arrow(kind.class(), Point::new(x, y - 4.0), Point::new(x + 26.0, y - 4.0), 0.0);
        body.text("legend", Point::new(x + 31.0, y), kind.name());
        x += 31.0 + width_of(kind.name()) * 1.13 + 12.0;
    }
    body.diamond("forged", Point::new(x + 4.0, y - 4.0), 6.0);
    body.text("legend", Point::new(x + 15.0, y), "Byzantine");
    x += 88.0;
    body.rect("vote-in", Point::new(x, y - 10.0), VOTE - 1.0, VOTE - 1.0, 2.0);
    body.text("legend", Point::new(x + 17.0, y), "vote in the quorum");
}

/// The first violated property in full, the others by name.
fn draw_violations(body: &mut Canvas, story: &Story<'_>, layout: Layout) {
    let violated = violated(story);
    let Some(((name, statement), others)) = violated.split_first() else { return };
    let y = TOP + f64::from(layout.replicas) * LANE + LEGEND + 13.0;
    let room = layout.width / (BOLD * BOLD);
    let text = format!("✗ VIOLATED {name}: {statement}");
    body.text("violated", Point::new(10.0, y), &fit(&text, room));
    if !others.is_empty() {
        let names: Vec<_> = others.iter().map(|(name, _)| *name).collect();
        let text = format!("✗ VIOLATED too: {}", names.join(", "));
        body.text("violated", Point::new(10.0, y + LINE), &fit(&text, room));
    }
}
