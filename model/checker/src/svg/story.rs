//! Which messages each step of a path used, who had sent them and when, and whose votes made a quorum.
//!
//! The model's network is the set of what was sent, and its guards ask only whether enough messages exist. A picture
//! needs more: for every message the step that sent it, and for every quorum its members. The members are chosen as
//! an honest replica would meet them: its own vote, then honest votes in the order in which they were sent, and the
//! votes of Byzantine replicas only where the others do not suffice. They are counted by the rules of the paper, whatever
//! bug is planted, so a step that a bug allowed shows as a quorum that is too small.

use stateright::Model;

use crate::trace;
use pbft_model::action::Action;
use pbft_model::ids::{ReplicaId, Slot, View};
use pbft_model::state::{NewView, Sent, State, Viewer};
use pbft_model::value::Value;
use pbft_model::{Pbft, properties};

/// The kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    PrePrepare,
    Prepare,
    Commit,
    Checkpoint,
    ViewChange,
    NewView,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::PrePrepare,
        Self::Prepare,
        Self::Commit,
        Self::Checkpoint,
        Self::ViewChange,
        Self::NewView,
    ];

    /// The class of its arrows.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::PrePrepare => "pre-prepare",
            Self::Prepare => "prepare",
            Self::Commit => "commit",
            Self::Checkpoint => "checkpoint",
            Self::ViewChange => "view-change",
            Self::NewView => "new-view",
        }
    }

    /// Its name in the paper.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::PrePrepare => "PRE-PREPARE",
            Self::Prepare => "PREPARE",
            Self::Commit => "COMMIT",
            Self::Checkpoint => "CHECKPOINT",
            Self::ViewChange => "VIEW-CHANGE",
            Self::NewView => "NEW-VIEW",
        }
    }
}

/// A message that a step used.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) from: ReplicaId,
    /// The step that sent it, from 0. None where a Byzantine replica sent it, which needs no step.
    pub(crate) sent_at: Option<usize>,
    /// What it says, beside its kind.
    pub(crate) content: String,
}

/// A quorum that a step needed.
#[derive(Clone, Debug)]
pub(crate) struct Quorum {
    /// What it is of.
    pub(crate) of: &'static str,
    /// Its members, by id.
    pub(crate) voters: Vec<ReplicaId>,
    /// How many the protocol demands.
    pub(crate) needed: u8,
}

impl Quorum {
    /// Whether a correct replica would have waited for more.
    pub(crate) fn is_short(&self) -> bool {
        self.voters.len() < usize::from(self.needed)
    }
}

/// One step of the path.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) action: Action,
    /// The messages of others that it used.
    pub(crate) uses: Vec<Message>,
    /// The VIEW-CHANGEs behind the NEW-VIEW of a Byzantine primary, where it used one.
    pub(crate) behind: Vec<Message>,
    pub(crate) quorum: Option<Quorum>,
    /// What it changed, a line each.
    pub(crate) changes: Vec<String>,
    /// What the state after it violates.
    pub(crate) violated: Vec<&'static str>,
}

/// A path with everything that a picture of it needs.
pub(crate) struct Story<'a> {
    pub(crate) model: &'a Pbft,
    pub(crate) steps: Vec<Step>,
    /// The states between the steps: one more than there are steps.
    pub(crate) states: Vec<State>,
}

impl<'a> Story<'a> {
    /// Follows the actions from the start. Their guards are not evaluated.
    pub(crate) fn new(model: &'a Pbft, actions: &[Action]) -> Self {
        let initial = State::initial(model.config());
        let mut story = Self { model, steps: Vec::new(), states: vec![initial] };
        for action in actions {
            let Some(next) = model.next_state(story.last(), *action) else { break };
            let mut step = story.explain(*action);
            step.changes = trace::diff(model, story.last(), &next);
            step.violated = properties::violated(model, &next);
            story.states.push(next);
            story.steps.push(step);
        }
        story
    }

    /// The state at the end.
    pub(crate) fn last(&self) -> &State {
        &self.states[self.states.len() - 1]
    }

    /// The first step after which something is violated.
    pub(crate) fn first_violation(&self) -> Option<usize> {
        self.steps.iter().position(|step| !step.violated.is_empty())
    }

    /// What an action uses, taken in the last state so far.
    fn explain(&self, action: Action) -> Step {
        let mut step = Step {
            action,
            uses: Vec::new(),
            behind: Vec::new(),
            quorum: None,
            changes: Vec::new(),
            violated: Vec::new(),
        };
        let replica = self.last().replica(action.replica());
        match action {
            Action::Prepare { slot, value, .. } => {
                step.uses.push(self.pre_prepare(replica.view, slot, value));
            }
            Action::Commit { slot, .. } => {
                self.prepared(&mut step, replica.view, slot, replica.accepted[slot.index()]);
            }
            Action::Execute { view, value, .. } => {
                self.committed(&mut step, view, replica.last_executed.next(), value);
            }
            Action::Stabilise { slot, .. } => {
                let own = replica.sent.checkpoints[slot.index()];
                self.stable(&mut step, slot, |other| {
                    own.is_some() && other.checkpoints[slot.index()] == own
                });
            }
            Action::StateTransfer { slot, digest, .. } => {
                self.stable(&mut step, slot, |other| {
                    other.checkpoints[slot.index()] == Some(digest)
                });
            }
            Action::StartViewChange { to, .. } if to > replica.view.next() => {
                let needed = self.model.config().quorums().weak;
                self.view_changes(&mut step, "VIEW-CHANGEs to join", needed, |other| {
                    other.view_changes[to.index()..].iter().any(Option::is_some)
                });
            }
            Action::NewView { outcome, .. } => {
                step.uses = self.justified(&mut step, replica.view, &outcome);
            }
            Action::EnterView { view, outcome, .. } => self.entered(&mut step, view, &outcome),
            Action::PrePrepare { .. }
            | Action::StartViewChange { .. }
            | Action::Flush { .. }
            | Action::Restart { .. } => {}
        }
        step
    }

    /// The step after which a replica had sent a message, if there is one.
    fn sent_at(&self, from: ReplicaId, sent: impl Fn(&Sent) -> bool) -> Option<usize> {
        self.states.iter().position(|state| sent(state.sent(from)))?.checked_sub(1)
    }

    fn byzantine(&self) -> impl Iterator<Item = ReplicaId> {
        let all = (0..self.model.config().replicas()).map(ReplicaId);
        all.filter(|id| self.model.is_byzantine(*id))
    }

    fn pre_prepare(&self, view: View, slot: Slot, value: Value) -> Message {
        let primary = self.model.primary(view);
        let sent = |one: &Sent| one.prepares[view.index()][slot.index()].contains(value);
        let sent_at = self.sent_at(primary, sent);
        // Only a bug makes a backup take a PRE-PREPARE that the primary did not send.
        let from_nobody = sent_at.is_none() && !self.model.is_byzantine(primary);
        let forger = self.byzantine().next().filter(|_| from_nobody);
        Message {
            kind: Kind::PrePrepare,
            from: forger.unwrap_or(primary),
            sent_at,
            content: format!("{view}, {slot}, {value}"),
        }
    }

    /// A prepared certificate: the primary's PRE-PREPARE and the PREPAREs of backups.
    fn prepared(&self, step: &mut Step, view: View, slot: Slot, value: Value) {
        let primary = self.model.primary(view);
        let content = format!("{view}, {slot}, {value}");
        let needed = self.model.config().quorums().prepares();
        let sent = |one: &Sent| one.prepares[view.index()][slot.index()].contains(value);
        let mut voters = self.vote(step, Kind::Prepare, &content, needed, sent, |id| id != primary);
        voters.push(primary);
        voters.sort_unstable();
        step.quorum = Some(Quorum { of: "PRE-PREPARE and PREPAREs", voters, needed: needed + 1 });
    }

    fn committed(&self, step: &mut Step, view: View, slot: Slot, value: Value) {
        let content = format!("{view}, {slot}, {value}");
        let needed = self.model.config().quorums().quorum;
        let sent = |one: &Sent| one.commits[view.index()][slot.index()].contains(value);
        let voters = self.vote(step, Kind::Commit, &content, needed, sent, |_| true);
        step.quorum = Some(Quorum { of: "COMMITs", voters, needed });
    }

    fn stable(&self, step: &mut Step, slot: Slot, sent: impl Fn(&Sent) -> bool) {
        let needed = self.model.config().quorums().quorum;
        let voters = self.vote(step, Kind::Checkpoint, &slot.to_string(), needed, sent, |_| true);
        step.quorum = Some(Quorum { of: "CHECKPOINTs", voters, needed });
    }

    fn view_changes(
        &self,
        step: &mut Step,
        of: &'static str,
        needed: u8,
        sent: impl Fn(&Sent) -> bool,
    ) {
        let voters = self.vote(step, Kind::ViewChange, "", needed, sent, |_| true);
        step.quorum = Some(Quorum { of, voters, needed });
    }

    /// V of a NEW-VIEW: one that gives its outcome, with as few Byzantine senders as can be. Its members make the step's
    /// quorum; returned are the VIEW-CHANGEs that reached the primary from others.
    fn justified(&self, step: &mut Step, view: View, outcome: &NewView) -> Vec<Message> {
        let needed = self.model.config().quorums().quorum;
        let justifying = self.model.new_view_witnesses(self.last(), view);
        let byzantine = |senders: &[ReplicaId]| {
            senders.iter().filter(|id| self.model.is_byzantine(**id)).count()
        };
        let voters = justifying
            .into_iter()
            .filter(|one| one.outcome == *outcome)
            .map(|one| one.senders)
            .min_by_key(|senders| byzantine(senders))
            .unwrap_or_default();
        let primary = self.model.primary(view);
        let asked = |one: &Sent, view: usize| one.view_changes[view].is_some();
        let received = voters.iter().filter(|from| **from != primary).map(|&from| {
            // Only a bug makes a NEW-VIEW count a VIEW-CHANGE for an earlier view: the last one, then.
            let mut views = (0..=view.index()).rev();
            let sent_at = views.find_map(|view| self.sent_at(from, |one| asked(one, view)));
            Message { kind: Kind::ViewChange, from, sent_at, content: view.to_string() }
        });
        let received = received.collect();
        step.quorum = Some(Quorum { of: "VIEW-CHANGEs that give this O", voters, needed });
        received
    }

    /// The NEW-VIEW that a backup follows. That of an honest primary was explained where it was sent.
    fn entered(&self, step: &mut Step, view: View, outcome: &NewView) {
        let primary = self.model.primary(view);
        let sent_at = self.sent_at(primary, |one| one.new_views[view.index()].is_some());
        if self.model.is_byzantine(primary) {
            step.behind = self.justified(step, view, outcome);
        }
        step.uses.push(Message {
            kind: Kind::NewView,
            from: primary,
            sent_at,
            content: format!("{view}, {outcome}"),
        });
    }

    /// Chooses `needed` votes, adds those of others to what the step uses, and returns the voters by id.
    fn vote(
        &self,
        step: &mut Step,
        kind: Kind,
        content: &str,
        needed: u8,
        sent: impl Fn(&Sent) -> bool,
        may_vote: impl Fn(ReplicaId) -> bool,
    ) -> Vec<ReplicaId> {
        let own = step.action.replica();
        let mut votes: Vec<_> = self
            .model
            .honest()
            .filter(|id| may_vote(*id) && sent(self.last().seen_by(Viewer::Replica(own), *id)))
            .map(|id| (id != own, self.sent_at(id, &sent), id))
            .collect();
        votes.sort_unstable();
        let honest = votes.into_iter().map(|(_, sent_at, id)| (id, sent_at));
        let byzantine = self.byzantine().filter(|id| may_vote(*id)).map(|id| (id, None));
        let chosen: Vec<_> = honest.chain(byzantine).take(usize::from(needed)).collect();
        let others = chosen.iter().filter(|(id, _)| *id != own);
        step.uses.extend(others.map(|&(from, sent_at)| Message {
            kind,
            from,
            sent_at,
            content: content.to_owned(),
        }));
        let mut voters: Vec<_> = chosen.into_iter().map(|(id, _)| id).collect();
        voters.sort_unstable();
        voters
    }
}
