//! Where lanes and columns are, and the nodes in them.

use crate::canvas::{BOLD, Canvas, Point, fit, width_of};

/// Height of a lane.
pub const LANE: f64 = 110.0;
/// Above the first lane.
pub const TOP: f64 = 6.0;
/// From the top of a lane to its axis.
pub const AXIS: f64 = 60.0;
/// Of a node.
pub const RADIUS: f64 = 11.0;

/// Columns from the left, lanes from the top.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// Width of the names on the left.
    pub head: f64,
    /// Width of a column.
    pub column: f64,
    /// How many columns.
    pub columns: usize,
}

impl Grid {
    /// The top of a lane.
    #[must_use]
    pub fn top(self, lane: usize) -> f64 {
        TOP + LANE * lane as f64
    }

    /// Where a column begins.
    #[must_use]
    pub fn column_start(self, column: usize) -> f64 {
        self.head + self.column * column as f64
    }

    /// Where the last column ends.
    #[must_use]
    pub fn end(self) -> f64 {
        self.column_start(self.columns)
    }

    /// The middle of a node.
    #[must_use]
    pub fn node(self, column: usize, lane: usize) -> Point {
        Point::new(self.column_start(column) + self.column / 2.0, self.top(lane) + AXIS)
    }
}

/// Something that a replica says or does.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// Its middle.
    pub at: Point,
    /// The width that its texts have.
    pub room: f64,
    /// In the circle.
    pub number: &'a str,
    /// Above it. A space is where it may be broken.
    pub label: &'a str,
    /// Below it.
    pub content: &'a str,
    /// The class of the field with the content.
    pub chip: &'a str,
    /// Whether something is wrong with it.
    pub wrong: bool,
}

impl Canvas {
    /// The ground of a lane.
    pub fn lane(&mut self, grid: Grid, lane: usize) {
        let at = Point::new(0.0, grid.top(lane) + 2.0);
        self.rect("lane", at, grid.end(), LANE - 4.0, 4.0);
    }

    /// Another ground, between two columns.
    pub fn band(&mut self, class: &str, grid: Grid, lane: usize, from: usize, to: usize) {
        let at = Point::new(grid.column_start(from), grid.top(lane) + 2.0);
        let width = grid.column_start(to) - grid.column_start(from);
        self.rect(class, at, width, LANE - 4.0, 4.0);
    }

    /// The axis of a lane.
    pub fn axis(&mut self, grid: Grid, lane: usize) {
        let axis = grid.top(lane) + AXIS;
        self.line("axis", Point::new(grid.head, axis), Point::new(grid.end(), axis));
    }

    /// The name of a lane.
    pub fn name(&mut self, grid: Grid, lane: usize, name: &str) {
        self.text("name", Point::new(10.0, grid.top(lane) + 26.0), name);
    }

    /// That a lane is of a Byzantine replica, under its name.
    pub fn byzantine(&mut self, y: f64) {
        self.diamond("forged", Point::new(16.0, y - 4.0), 6.0);
        self.text("role traitor", Point::new(26.0, y), "Byzantine");
    }

    /// A node with its texts.
    pub fn node(&mut self, node: Node<'_>) {
        let Node { at: here, room, number, label, content, chip, wrong } = node;
        if wrong {
            self.circle("ring", here, RADIUS + 4.0);
        }
        self.circle("node", here, RADIUS);
        self.text("number", Point::new(here.x, here.y + 4.0), number);
        match label.split_once(' ').filter(|_| width_of(label) * BOLD > room - 2.0) {
            Some((first, second)) => {
                self.label("label", Point::new(here.x, here.y - 31.0), first, room - 2.0);
                self.label("label", Point::new(here.x, here.y - 19.5), second, room - 2.0);
            }
            None => {
                let label = label.replace("- ", "-");
                self.label("label", Point::new(here.x, here.y - 19.5), &label, room - 2.0);
            }
        }
        if !content.is_empty() {
            let content = fit(content, room - 6.0);
            let width = (width_of(&content) + 8.0).max(22.0);
            let corner = Point::new(here.x - width / 2.0, here.y + 17.0);
            self.rect(chip, corner, width, 16.0, 4.0);
            self.text("value", Point::new(here.x, here.y + 29.0), &content);
        }
    }
}
