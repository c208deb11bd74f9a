//! The picture itself.

use super::layout::{Arrow, CLIENT, Deeds, End, Place, Story};
use crate::cluster::Cluster;
use crate::report::row;
use crate::words::Kind;
use pbft_checker::svg::{STYLE, definitions};
use pbft_output::escape_xml;
use std::fmt::Write as _;

/// What this picture has and the Explorer's does not.
const MORE_STYLE: &str = include_str!("lab.css");

const HEAD: f64 = 122.0;
const COLUMN: f64 = 94.0;
const LANE: f64 = 104.0;
const CLIENT_LANE: f64 = 78.0;
const TAIL: f64 = 104.0;
const RADIUS: f64 = 9.0;
const LEGEND: f64 = 30.0;
const TOP: f64 = 6.0;
const WIDTH_MIN: f64 = 940.0;

/// The kinds in the legend.
const KINDS: [Kind; 8] = [
    Kind::Request,
    Kind::PrePrepare,
    Kind::Prepare,
    Kind::Commit,
    Kind::Reply,
    Kind::Checkpoint,
    Kind::ViewChange,
    Kind::NewView,
];

fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Certificate | Kind::Stable | Kind::Status | Kind::Transfer | Kind::Refusal => "help",
        kind => kind.word(),
    }
}

struct Canvas {
    xml: String,
    lanes: usize,
    columns: usize,
}

impl Canvas {
    fn x(&self, column: usize) -> f64 {
        HEAD + COLUMN * (column as f64 + 0.5)
    }

    fn top(&self, lane: usize) -> f64 {
        if lane == CLIENT { TOP } else { TOP + CLIENT_LANE + LANE * (lane as f64 - 1.0) }
    }

    fn height(&self, lane: usize) -> f64 {
        if lane == CLIENT { CLIENT_LANE } else { LANE }
    }

    fn axis(&self, lane: usize) -> f64 {
        self.top(lane) + if lane == CLIENT { 44.0 } else { 56.0 }
    }

    fn end(&self) -> f64 {
        HEAD + COLUMN * self.columns as f64
    }

    fn bottom(&self) -> f64 {
        self.top(self.lanes)
    }

    fn text(&mut self, class: &str, x: f64, y: f64, content: &str) {
        let _ = write!(
            self.xml,
            "<text class='{class}' x='{x:.1}' y='{y:.1}'>{}</text>",
            escape_xml(content)
        );
    }

    fn rect(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64) {
        let _ = write!(
            self.xml,
            "<rect class='{class}' x='{x:.1}' y='{y:.1}' width='{width:.1}' height='{height:.1}' rx='4'/>"
        );
    }

    fn cross(&mut self, x: f64, y: f64) {
        let _ = write!(
            self.xml,
            "<path class='cross' d='M{:.1} {:.1}l8 8m0 -8l-8 8'/>",
            x - 4.0,
            y - 4.0
        );
    }

    fn lane(&mut self, cluster: &Cluster, lane: usize) {
        let (top, height) = (self.top(lane) + 2.0, self.height(lane) - 4.0);
        let width = self.end();
        self.rect("lane", 0.0, top, width, height);
        if lane == CLIENT {
            self.text("name", 10.0, top + 24.0, "client");
        } else {
            let host = lane - 1;
            self.text("name", 10.0, top + 24.0, &format!("replica {host}"));
            if cluster.is_byzantine(host) {
                self.rect("lane-byzantine", HEAD, top, self.end() - HEAD, height);
                self.text("role traitor", 10.0, top + 41.0, "Byzantine");
            }
        }
    }

    fn draw_axis(&mut self, lane: usize) {
        let (axis, end) = (self.axis(lane), self.end());
        let _ = write!(
            self.xml,
            "<line class='axis' x1='{HEAD:.1}' y1='{axis:.1}' x2='{end:.1}' y2='{axis:.1}'/>"
        );
    }

    fn bands(&mut self, cluster: &Cluster, story: &Story) {
        for (at, band) in story.bands.iter().enumerate() {
            let next = story.bands[at + 1..].iter().find(|next| next.lane == band.lane);
            let left = if band.from == 0 { HEAD } else { self.x(band.from) - COLUMN / 2.0 };
            let right = next.map_or(self.end(), |next| self.x(next.from) - COLUMN / 2.0);
            let (top, height) = (self.top(band.lane) + 2.0, LANE - 4.0);
            if right > left && !cluster.is_byzantine(band.lane - 1) {
                let class = if band.active {
                    format!("view-{}", band.view % 4)
                } else {
                    "leaving".to_owned()
                };
                self.rect(&class, left, top, right - left, height);
                let label = if band.active {
                    format!("v{}", band.view)
                } else {
                    format!("→ v{}", band.view)
                };
                self.text("view", left + 5.0, top + 12.0, &label);
            }
        }
    }

    fn point(&self, place: Place) -> (f64, f64) {
        (self.x(place.1), self.axis(place.0))
    }

    fn arrow(&mut self, arrow: &Arrow) {
        let (from, to) = (self.point(arrow.from), self.point(arrow.to));
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = dx.hypot(dy).max(1.0);
        let unit = (dx / length, dy / length);
        let along = |distance: f64| (from.0 + unit.0 * distance, from.1 + unit.1 * distance);
        let start = along(RADIUS + 1.0);
        let (stop, head) = match arrow.end {
            End::Arrived => (along(length - RADIUS - 2.0), true),
            End::Refused | End::Lost => (along(length - RADIUS - 8.0), false),
            End::Never => (along((RADIUS + 30.0).min(length / 2.0)), false),
        };
        let name = class(arrow.kind);
        let faint = if arrow.end == End::Never { " never" } else { "" };
        let head = if head { format!(" marker-end='url(#head-{name})'") } else { String::new() };
        let _ = write!(
            self.xml,
            "<path class='message {name}{faint}'{head} d='M{:.1} {:.1}L{:.1} {:.1}'/>",
            start.0, start.1, stop.0, stop.1
        );
        match arrow.end {
            End::Arrived => {}
            End::Refused | End::Lost => self.cross(stop.0, stop.1),
            End::Never => {
                let _ = write!(
                    self.xml,
                    "<circle class='held' cx='{:.1}' cy='{:.1}' r='2.5'/>",
                    stop.0, stop.1
                );
            }
        }
    }

    fn node(&mut self, node: &Deeds) {
        let (x, y) = self.point(node.at);
        if node.told {
            let _ = write!(
                self.xml,
                "<path class='forged' d='M{x:.1} {:.1}l9 9l-9 9l-9 -9z'/>",
                y - 9.0
            );
        } else {
            let _ =
                write!(self.xml, "<circle class='node' cx='{x:.1}' cy='{y:.1}' r='{RADIUS:.1}'/>");
        }
        let lines = node.labels.len();
        for (at, label) in node.labels.iter().enumerate() {
            let up = (lines - 1 - at) as f64 * 11.5;
            self.text("label", x, y - 14.0 - up, label);
        }
        if !node.chip.is_empty() {
            let chip: String = node.chip.chars().take(18).collect();
            let width = (chip.chars().count() as f64 * 6.2 + 8.0).max(22.0);
            self.rect("chip", x - width / 2.0, y + 13.0, width, 16.0);
            self.text("value", x, y + 25.0, &chip);
        }
    }

    fn tail(&mut self, cluster: &Cluster) {
        let x = self.end() + 8.0;
        for host in cluster.replicas() {
            let row = row(cluster, host);
            let mut y = self.top(host + 1) + 24.0;
            let state = row.down.unwrap_or_else(|| format!("#{} executed", row.executed));
            self.text("end", x, y, &state.chars().take(16).collect::<String>());
            for (account, balance) in row.ledger.iter().take(4) {
                y += 16.0;
                self.text("result", x, y, &format!("{account} {balance}"));
            }
        }
    }

    fn legend(&mut self) {
        let y = self.bottom() + 17.0;
        let mut x = 10.0;
        for kind in KINDS {
            let name = class(kind);
            let _ = write!(
                self.xml,
                "<path class='message {name}' marker-end='url(#head-{name})' d='M{x:.1} {:.1}h24'/>",
                y - 4.0
            );
            self.text("legend", x + 29.0, y, kind.shown());
            x += 37.0 + kind.shown().len() as f64 * 7.2;
        }
        self.cross(x + 4.0, y - 4.0);
        self.text("legend", x + 13.0, y, "refused or lost");
    }
}

/// The picture in words.
fn description(story: &Story) -> String {
    let mut nodes: Vec<&Deeds> = story.nodes.iter().collect();
    nodes.sort_by_key(|node| (node.at.1, node.at.0));
    let line = |node: &&Deeds| {
        let who = if node.at.0 == CLIENT {
            "client".to_owned()
        } else {
            format!("replica {}", node.at.0 - 1)
        };
        format!("{who}: {} {}", node.labels.join(", "), node.chip).trim_end().to_owned()
    };
    nodes.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The whole document.
pub(super) fn document(cluster: &Cluster, story: &Story) -> String {
    let lanes = cluster.setup.replicas as usize + 1;
    let mut canvas = Canvas { xml: String::new(), lanes, columns: story.columns };
    let width = (canvas.end() + TAIL).max(WIDTH_MIN);
    let height = canvas.bottom() + LEGEND;
    canvas.rect("paper", 0.0, 0.0, width, height);
    (0..lanes).for_each(|lane| canvas.lane(cluster, lane));
    canvas.bands(cluster, story);
    (0..lanes).for_each(|lane| canvas.draw_axis(lane));
    story.arrows.iter().for_each(|arrow| canvas.arrow(arrow));
    story.nodes.iter().for_each(|node| canvas.node(node));
    canvas.tail(cluster);
    canvas.legend();
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' class='swim' role='img' width='{width:.0}' height='{height:.0}' \
         viewBox='0 0 {width:.0} {height:.0}'><title>A session of the lab, {} replicas</title><desc>{}</desc>\
         <style>{STYLE}{MORE_STYLE}</style>{}{}</svg>\n",
        cluster.setup.replicas,
        escape_xml(&description(story)),
        definitions(KINDS.map(class).into_iter().chain(["help"])),
        canvas.xml
    )
}
