//! What stands where: acts become nodes and arrows, in causal columns.

use crate::cluster::{Act, Cluster};
use crate::eyes::Deed;
use crate::letter::{About, Fate, short};
use crate::words::Kind;
use pbft_sim::event::Node;
use std::collections::BTreeMap;

/// The lane of the client; replica `i` has lane `i + 1`.
pub(super) const CLIENT: usize = 0;

/// A place: lane and column.
pub(super) type Place = (usize, usize);

/// Something that somebody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deeds {
    pub(super) at: Place,
    /// What, a word or two each.
    pub(super) labels: Vec<String>,
    /// What it is about.
    pub(super) chip: String,
    /// Whether a person put it into a Byzantine replica's mouth.
    pub(super) told: bool,
}

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It arrived.
    Arrived,
    /// It arrived and was refused.
    Refused,
    /// It reached a replica that is down.
    Lost,
    /// It was dropped, or is held, or still under way.
    Never,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrow {
    pub(super) kind: Kind,
    pub(super) from: Place,
    pub(super) to: Place,
    pub(super) end: End,
}

/// From here on a replica is in this view, or on its way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Band {
    pub(super) lane: usize,
    pub(super) from: usize,
    pub(super) view: u64,
    pub(super) active: bool,
}

/// Everything that is drawn.
#[derive(Debug, Default)]
pub(super) struct Story {
    pub(super) nodes: Vec<Deeds>,
    pub(super) arrows: Vec<Arrow>,
    pub(super) bands: Vec<Band>,
    /// The columns.
    pub(super) columns: usize,
    /// The column that each lane has reached.
    reached: Vec<usize>,
    /// Where each message was sent.
    sent: BTreeMap<usize, Place>,
    /// The node of the event under way.
    open: Option<usize>,
    /// The arrow of the event under way.
    arrow: Option<usize>,
    /// The lane of the event under way.
    lane: usize,
    /// What the client or a person has just said.
    spoken: Option<About>,
    /// Whether the event under way has only just begun by itself.
    begun: bool,
}

pub(super) const fn lane_of(node: Node) -> usize {
    match node {
        Node::Host(host) => host + 1,
        Node::Client(_) => CLIENT,
    }
}

impl Story {
    /// Lays out what happened in a cluster.
    pub(super) fn of(cluster: &Cluster) -> Self {
        let lanes = cluster.setup.replicas as usize + 1;
        let mut story = Self { reached: vec![0; lanes], lane: usize::MAX, ..Self::default() };
        story.bands =
            (1..lanes).map(|lane| Band { lane, from: 0, view: 0, active: true }).collect();
        cluster.acts.iter().for_each(|act| story.act(cluster, act));
        story.never_arrived(cluster);
        story.columns = story.reached.iter().max().map_or(1, |last| last + 1);
        story
    }

    fn act(&mut self, cluster: &Cluster, act: &Act) {
        match act {
            Act::Arrived(number) => self.arrived(cluster, *number),
            Act::TimedOut(node, _) => self.begin(lane_of(*node), "TIMEOUT"),
            Act::Ended(host) => self.begin(host + 1, "CRASH"),
            Act::Started(host) => self.begin(host + 1, "START"),
            Act::Sent(number) => self.sent(cluster, *number),
            Act::Dropped(_) => {}
            Act::Did(host, deed) => self.did(host + 1, deed),
            Act::Unread(..) => self.refuse(),
            Act::Answered(number) => {
                let asked = &cluster.asked[number - 1];
                let answer = asked.answer.as_ref().map(|result| asked.ask.answer(result));
                self.note("ACCEPT", &answer.unwrap_or_default());
            }
        }
    }

    /// Something that no message caused: it stands to the right of everything so far.
    fn begin(&mut self, lane: usize, label: &str) {
        (self.lane, self.open, self.arrow) = (lane, None, None);
        let last = self.reached.iter().max().copied().unwrap_or_default();
        self.reached[lane] = last;
        self.note(label, "");
        self.begun = true;
    }

    fn arrived(&mut self, cluster: &Cluster, number: usize) {
        let letter = &cluster.letters[number - 1];
        let lane = lane_of(letter.to);
        (self.lane, self.open, self.arrow) = (lane, None, None);
        (self.spoken, self.begun) = (None, false);
        let Some(from) = self.sent.get(&number).copied() else { return };
        let column = self.reached[lane].max(from.1 + 1);
        self.reached[lane] = column;
        let end = if letter.fate == Fate::Lost { End::Lost } else { End::Arrived };
        self.arrow = Some(self.arrows.len());
        self.arrows.push(Arrow { kind: letter.about.kind, from, to: (lane, column), end });
    }

    fn sent(&mut self, cluster: &Cluster, number: usize) {
        let letter = &cluster.letters[number - 1];
        let About { kind, view, seq, digest, .. } = letter.about.clone();
        if kind.is_housekeeping() || kind == Kind::Refusal {
            return;
        }
        let lane = lane_of(letter.from);
        let is_speech = letter.told || lane == CLIENT;
        let is_new = is_speech && !self.begun && self.spoken.as_ref() != Some(&letter.about);
        if lane != self.lane || is_new {
            (self.lane, self.open, self.arrow) = (lane, None, None);
            // The client asks, or somebody is told to speak: after everything that happened.
            self.reached[lane] = self.reached.iter().max().copied().unwrap_or_default();
        }
        (self.spoken, self.begun) = (is_speech.then(|| letter.about.clone()), false);
        let request = letter.about.request.and_then(|id| cluster.request_number(id));
        let chip = match (kind, request) {
            (Kind::Request, Some(number)) => cluster.asked[number - 1].ask.brief(),
            (Kind::PrePrepare | Kind::Prepare | Kind::Commit, _) => {
                let digest = digest.as_ref().map(short).unwrap_or_default();
                seq.map_or(String::new(), |seq| format!("{seq} {digest}"))
            }
            (Kind::ViewChange | Kind::NewView, _) => {
                view.map_or(String::new(), |view| view.to_string())
            }
            _ => seq.map_or(String::new(), |seq| seq.to_string()),
        };
        let label = match (kind, request) {
            (Kind::Certificate, _) => "CERT.".to_owned(),
            (Kind::Request, Some(number)) => format!("REQUEST {number}"),
            (kind, _) => kind.shown().to_owned(),
        };
        self.note(&label, &chip);
        if letter.told
            && let Some(open) = self.open
        {
            self.nodes[open].told = true;
        }
        let place = (lane, self.reached[lane]);
        self.sent.insert(number, place);
        let is_own = letter.about.signer.is_some_and(|signer| signer.0 as usize + 1 == lane);
        if let (true, Some(view), Kind::ViewChange | Kind::NewView) = (is_own, view, kind) {
            self.band(lane, view.0, kind == Kind::NewView);
        }
    }

    fn did(&mut self, lane: usize, deed: &Deed) {
        match deed {
            Deed::Refused { kind, reason, .. } => {
                if !kind.is_housekeeping() && reason != "duplicate" {
                    self.refuse();
                }
            }
            Deed::Prepared(..) => {}
            Deed::Executed(seq, ..) => self.note_at(lane, "EXECUTE", &format!("#{seq}")),
            Deed::Stable(seq, _) => self.note_at(lane, "STABLE", &format!("#{seq}")),
            Deed::Entered(view) => {
                self.note_at(lane, "ENTER", &format!("v{view}"));
                self.band(lane, *view, true);
            }
            Deed::Installed(seq) => self.note_at(lane, "STATE", &format!("#{seq}")),
            Deed::Halted(_) => self.note_at(lane, "STOP", ""),
        }
    }

    fn refuse(&mut self) {
        if let Some(arrow) = self.arrow {
            self.arrows[arrow].end = End::Refused;
        }
    }

    fn note_at(&mut self, lane: usize, label: &str, chip: &str) {
        if lane != self.lane {
            (self.lane, self.open, self.arrow) = (lane, None, None);
        }
        self.note(label, chip);
    }

    /// Adds to the node of the event under way, or begins it.
    fn note(&mut self, label: &str, chip: &str) {
        let lane = self.lane;
        let open = match self.open {
            Some(open) => open,
            None => {
                let taken = self.nodes.iter().any(|node| node.at == (lane, self.reached[lane]));
                self.reached[lane] += usize::from(taken);
                let at = (lane, self.reached[lane]);
                if let Some(arrow) = self.arrow {
                    self.arrows[arrow].to = at;
                }
                self.nodes.push(Deeds { at, labels: Vec::new(), chip: String::new(), told: false });
                self.nodes.len() - 1
            }
        };
        self.open = Some(open);
        let node = &mut self.nodes[open];
        if node.labels.last().is_none_or(|last| last != label) {
            node.labels.push(label.to_owned());
        }
        if chip.contains(&node.chip) {
            chip.clone_into(&mut node.chip);
        } else if !node.chip.contains(chip) {
            node.chip.push(' ');
            node.chip += chip;
        }
    }

    fn band(&mut self, lane: usize, view: u64, active: bool) {
        let from = self.reached[lane];
        let last = self.bands.iter().rev().find(|band| band.lane == lane);
        if last.is_none_or(|last| (last.view, last.active) != (view, active)) {
            self.bands.push(Band { lane, from, view, active });
        }
    }

    /// Messages that did not arrive by the end.
    fn never_arrived(&mut self, cluster: &Cluster) {
        for (number, from) in &self.sent {
            let letter = &cluster.letters[number - 1];
            if matches!(letter.fate, Fate::Dropped | Fate::UnderWay) {
                let to = (lane_of(letter.to), from.1 + 1);
                self.arrows.push(Arrow {
                    kind: letter.about.kind,
                    from: *from,
                    to,
                    end: End::Never,
                });
            }
        }
    }
}
