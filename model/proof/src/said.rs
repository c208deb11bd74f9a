//! What messages and disks say in the theorem's relations: one definition for states of the model and for recorded runs.
//!
//! Individuals are numbers. Views begin with 0 there and here; the first sequence number is 1 there and 0 here. A quorum is
//! a number of its own, or has a bit for each member.

/// A member of a sort.
pub type Individual = u128;

/// A relation, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// PRE-PREPARE or PREPARE.
    Vote,
    /// Somebody honest voted.
    Voted,
    /// A prepared certificate.
    Prepared,
    /// COMMIT.
    Commit,
    /// Holds a certificate of a view or a later one.
    Reached,
    /// A commit certificate.
    Committed,
    /// Votes in a view no more.
    Left,
    /// VIEW-CHANGE.
    ViewChange,
    /// ... whose P has a certificate of a view or a later one.
    Shows,
    /// ... whose h is at or above a number.
    Past,
    /// NEW-VIEW.
    NewView,
    /// A state includes a number.
    Executed,
    /// ... with this batch.
    History,
    /// CHECKPOINT.
    Checkpoint,
    /// A stable checkpoint.
    Stable,
    /// At or below h.
    Low,
    /// A digest's state has executed a batch.
    Content,
    /// ... up to a number.
    Upto,
}

impl Name {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 18] = [
        Self::Vote,
        Self::Voted,
        Self::Prepared,
        Self::Commit,
        Self::Reached,
        Self::Committed,
        Self::Left,
        Self::ViewChange,
        Self::Shows,
        Self::Past,
        Self::NewView,
        Self::Executed,
        Self::History,
        Self::Checkpoint,
        Self::Stable,
        Self::Low,
        Self::Content,
        Self::Upto,
    ];

    /// Its name in the theory.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Vote => "vote",
            Self::Voted => "voted",
            Self::Prepared => "prepared",
            Self::Commit => "commit",
            Self::Reached => "reached",
            Self::Committed => "committed",
            Self::Left => "left",
            Self::ViewChange => "view_change",
            Self::Shows => "shows",
            Self::Past => "past",
            Self::NewView => "new_view",
            Self::Executed => "executed",
            Self::History => "history",
            Self::Checkpoint => "checkpoint",
            Self::Stable => "stable",
            Self::Low => "low",
            Self::Content => "content",
            Self::Upto => "upto",
        }
    }
}

/// A batch at a place: who speaks of it is said beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The view.
    pub view: u64,
    /// The sequence number, from 1.
    pub seq: u64,
    /// The batch.
    pub value: Individual,
}

/// A checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The sequence number, from 1.
    pub seq: u64,
    /// The digest.
    pub digest: Individual,
}

/// The individual that stands for a sequence number; none for 0, which is the state before the first, and of which nothing is
/// said.
fn number(seq: u64) -> Option<Individual> {
    seq.checked_sub(1).map(Individual::from)
}

/// Who takes down what is said.
pub trait Statements {
    /// A relation holds of these.
    fn add(&mut self, name: Name, arguments: &[Individual]);

    /// A relation holds of these, and for the last argument of each individual before `end`.
    fn add_below(&mut self, name: Name, arguments: &[Individual], end: Individual);

    /// PRE-PREPARE, one of O's among them, or PREPARE.
    fn votes(&mut self, id: u32, Named { view, seq, value }: Named) {
        let Some(seq) = number(seq) else { return };
        let view = view.into();
        self.add(Name::Vote, &[id.into(), view, seq, value]);
        self.add(Name::Voted, &[view, seq, value]);
    }

    /// COMMIT.
    fn commits(&mut self, id: u32, Named { view, seq, value }: Named) {
        let Some(seq) = number(seq) else { return };
        self.add(Name::Commit, &[id.into(), view.into(), seq, value]);
    }

    /// A prepared certificate of a view is on its disk.
    fn holds(&mut self, id: u32, seq: u64, view: u64) {
        let Some(seq) = number(seq) else { return };
        self.add_below(Name::Reached, &[id.into(), seq], Individual::from(view) + 1);
    }

    /// It is in this view, or changing to it.
    fn is_in(&mut self, id: u32, view: u64) {
        self.add_below(Name::Left, &[id.into()], view.into());
    }

    /// VIEW-CHANGE, with h.
    fn asks_for(&mut self, id: u32, view: u64, low: u64) {
        self.add(Name::ViewChange, &[id.into(), view.into()]);
        self.add_below(Name::Past, &[id.into(), view.into()], low.into());
    }

    /// The P of its VIEW-CHANGE for a view has a certificate of the view `of`.
    fn shows(&mut self, id: u32, view: u64, seq: u64, of: u64) {
        let Some(seq) = number(seq) else { return };
        let arguments = [id.into(), view.into(), seq];
        self.add_below(Name::Shows, &arguments, Individual::from(of) + 1);
    }

    /// NEW-VIEW, with V from these.
    fn begins(&mut self, view: u64, quorum: Individual) {
        self.add(Name::NewView, &[view.into(), quorum]);
    }

    /// Its state includes a batch.
    fn executes(&mut self, id: u32, seq: u64, value: Individual) {
        let Some(seq) = number(seq) else { return };
        self.add(Name::Executed, &[id.into(), seq]);
        self.add(Name::History, &[id.into(), seq, value]);
    }

    /// Its state is that of a checkpoint; [`Statements::has`] says of which batches.
    fn fetches(&mut self, id: u32, seq: u64) {
        self.add_below(Name::Executed, &[id.into()], seq.into());
    }

    /// Its state includes a batch, which it need not have executed itself.
    fn has(&mut self, id: u32, seq: u64, value: Individual) {
        let Some(seq) = number(seq) else { return };
        self.add(Name::History, &[id.into(), seq, value]);
    }

    /// Its h.
    fn collects(&mut self, id: u32, low: u64) {
        self.add_below(Name::Low, &[id.into()], low.into());
    }

    /// CHECKPOINT.
    fn signs(&mut self, id: u32, Signed { seq, digest }: Signed) {
        let Some(seq) = number(seq) else { return };
        self.add(Name::Checkpoint, &[id.into(), seq, digest]);
    }

    /// A prepared certificate is somewhere.
    fn prepared(&mut self, Named { view, seq, value }: Named) {
        let Some(seq) = number(seq) else { return };
        self.add(Name::Prepared, &[view.into(), seq, value]);
    }

    /// A commit certificate is somewhere.
    fn committed(&mut self, Named { view, seq, value }: Named) {
        let Some(seq) = number(seq) else { return };
        self.add(Name::Committed, &[view.into(), seq, value]);
    }

    /// The proof of a stable checkpoint is somewhere.
    fn stable(&mut self, Signed { seq, digest }: Signed) {
        let Some(seq) = number(seq) else { return };
        self.add(Name::Stable, &[seq, digest]);
    }

    /// The state with a digest is that after a number.
    fn ends(&mut self, Signed { seq, digest }: Signed) {
        let Some(seq) = number(seq) else { return };
        self.add(Name::Upto, &[digest, seq]);
    }

    /// The state with a digest has executed a batch.
    fn includes(&mut self, digest: Individual, seq: u64, value: Individual) {
        let Some(seq) = number(seq) else { return };
        self.add(Name::Content, &[digest, seq, value]);
    }
}
