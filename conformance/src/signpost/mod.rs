//! Where a difference leads: the handler in the code at which it was seen, the rule that says what is right, and what else
//! to look at.
//!
//! What was seen is known in types ([`Fact`]): which input came ([`Given`]), what is missing, what is there too much, which
//! field differs, which reason a refusal has. From each follows a place ([`guards`], [`deeds`], [`owed`]). So nothing is
//! said here that a difference of the same kind could contradict.

pub mod deeds;
pub mod given;
pub mod guards;
pub mod owed;

use crate::statement::StatementKind;
use deeds::{Deed, Field};
use given::Given;
use pbft_core::RejectionKind;
use pbft_model as model;
use pbft_plant::{find, switch};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::fmt;
use std::path::Path;

/// A function, in the code or in the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handler {
    /// Its file, from the directory of the workspace.
    pub file: &'static str,
    /// Its name, with its type's if it has one.
    pub function: &'static str,
}

macro_rules! places {
    ($($macro:ident: $directory:literal),*) => {
        $(macro_rules! $macro {
            ($file:literal, $function:literal) => {
                $crate::signpost::Handler { file: concat!($directory, $file), function: $function }
            };
        })*
        $(pub(crate) use $macro;)*
    };
}

places! {
    in_core: "impl/core/src/",
    in_host: "impl/host/src/",
    in_node: "impl/node/src/",
    in_model: "model/spec/src/"
}

impl Handler {
    /// The line at which it stands now, if the sources are here.
    pub fn line(&self) -> Option<usize> {
        let source = std::fs::read_to_string(switch::sources()?.join(self.file)).ok()?;
        Some(find::find(&source, self.function).ok()?.line)
    }

    /// The function that a line of this build is in, as a panic tells it.
    pub fn at(file: &str, line: u32) -> Option<Self> {
        let source = std::fs::read_to_string(Path::new(switch::BUILT_FROM).join(file)).ok()?;
        let function = find::around(&source, line as usize)?;
        // One for each panic that was seen, and the first ends a run.
        Some(Self { file: file.to_owned().leak(), function: function.leak() })
    }
}

impl fmt::Display for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line() {
            Some(line) => write!(f, "{}:{line} {}", self.file, self.function),
            None => write!(f, "{} {}", self.file, self.function),
        }
    }
}

impl Serialize for Handler {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut fields = to.serialize_struct("Handler", 3)?;
        fields.serialize_field("file", self.file)?;
        fields.serialize_field("function", self.function)?;
        fields.serialize_field("line", &self.line())?;
        fields.end()
    }
}

/// What says what is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The paper's section.
    pub section: &'static str,
    /// The model's rule; none for what the model leaves out.
    pub place: Option<Handler>,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some(place) => write!(f, "§{}, {place}", self.section),
            None => write!(f, "§{}; the model leaves this out", self.section),
        }
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut fields = to.serialize_struct("Rule", 4)?;
        fields.serialize_field("section", self.section)?;
        fields.serialize_field("file", &self.place.map(|place| place.file))?;
        fields.serialize_field("function", &self.place.map(|place| place.function))?;
        fields.serialize_field("line", &self.place.and_then(|place| place.line()))?;
        fields.end()
    }
}

/// A place to look at, and what it has to do with the difference.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Clue {
    /// The place.
    #[serde(flatten)]
    pub handler: Handler,
    /// What it does.
    pub why: String,
}

/// Something that was seen, from which a place follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The code refused for this reason.
    Refused(RejectionKind),
    /// The rule refuses for this reason, and the code did not.
    MustRefuse(RejectionKind),
    /// The code did this too early, or though it must not.
    Did(Deed),
    /// The model does this, and the code did not.
    Lacks(Deed),
    /// Both do this, each in its own way.
    Differs(Deed),
    /// This left before it was written.
    Undurable(Deed),
    /// Frames left before the disk was synced.
    Unsynced,
    /// This part of the state differs.
    Field(Field),
    /// The signature on this is not of what it says.
    Signed(Given),
    /// The digest is not of the batch beside it.
    BatchDigest,
    /// The replica had just been started again.
    Restarted,
    /// Two statements are evidence, or not.
    Evidence,
    /// The code stopped here by a panic.
    Panicked(Handler),
    /// What left the node is not in its peers' queues.
    Queued,
    /// A reply went to another client.
    Misdirected,
    /// A timer that was set does not run out.
    ClockStands,
    /// Evidence is not on the node's disk.
    EvidenceLost,
    /// The service's state on the node's disk is not the one that was there.
    ServiceLost,
}

/// So many places are named beside the handler, at most.
const CLUES_MAX: usize = 6;

/// Where a difference leads.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Signpost {
    /// The handler at which it was seen.
    pub handler: Handler,
    /// What says what is right.
    pub rule: Rule,
    /// What else to look at, nearest first.
    pub look_at: Vec<Clue>,
}

/// On which arm a difference was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// The core in its host, alone.
    Core,
    /// The core in the production node.
    Node,
}

impl Arm {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Node => "node",
        }
    }
}

impl Signpost {
    /// Where these facts lead that were seen at, or after, a step of the model, by a probe or by none; after an input or
    /// without one.
    pub fn of(
        arm: Arm,
        action: Option<&model::Action>,
        probe: Option<&str>,
        given: Option<Given>,
        facts: &[Fact],
    ) -> Self {
        let owed = probe.and_then(owed::of);
        let mut found = Finder { arm, given, restart: false, clues: Vec::new() };
        found.around_the_core(facts);
        // What was done is what follows where a guard is missing: then that guard says it all.
        let is_unguarded = facts.iter().any(|fact| matches!(fact, Fact::MustRefuse(_)));
        let told = |fact: &&Fact| !(is_unguarded && matches!(fact, Fact::Did(_)));
        let owes = |found: &mut Finder| {
            owed.iter().for_each(|owed| found.all(owed.places, owed.why));
        };
        if is_unguarded {
            owes(&mut found);
        }
        facts.iter().filter(told).for_each(|fact| found.fact(fact));
        owes(&mut found);
        let step = action.filter(|_| probe.is_none()).map(deeds::taken_by);
        if let Some((place, _)) = step {
            found.all(&[place], "takes this step");
        }
        let handler = given.map(Given::handler).or(owed.as_ref().map(|owed| owed.places[0]));
        let handler = handler.or(step.map(|(place, _)| place)).unwrap_or(given::STEP);
        let handler = if found.restart { given::RECOVER } else { handler };
        // A probe is about its own guard, a step about its own rule; what came last is about either.
        let starts = given.filter(|given| *given == Given::Start).map(Given::rule);
        let rule = starts.or(owed.as_ref().map(|owed| owed.rule));
        let rule = rule.or(guards::rule(given, facts));
        let rule = rule.or(step.map(|(_, rule)| rule)).or(given.map(Given::rule));
        let rule = rule.unwrap_or(Rule { section: "4", place: None });
        let mut look_at = found.clues;
        look_at.retain(|clue| clue.handler != handler);
        look_at.truncate(CLUES_MAX);
        Self { handler, rule, look_at }
    }

    /// All places in the code that it names.
    pub fn places(&self) -> impl Iterator<Item = Handler> + '_ {
        [self.handler].into_iter().chain(self.look_at.iter().map(|clue| clue.handler))
    }
}

impl fmt::Display for Signpost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  handler: {}", self.handler)?;
        write!(f, "  rule: {}", self.rule)?;
        for (at, clue) in self.look_at.iter().enumerate() {
            let lead = if at == 0 { "look at:" } else { "        " };
            write!(f, "\n  {lead} {}, which {}", clue.handler, clue.why)?;
        }
        Ok(())
    }
}

struct Finder {
    arm: Arm,
    given: Option<Given>,
    /// It was seen when the replica started.
    restart: bool,
    clues: Vec<Clue>,
}

impl Finder {
    fn all(&mut self, places: &[Handler], why: &str) {
        for handler in places {
            if self.clues.iter().all(|clue| clue.handler != *handler) {
                self.clues.push(Clue { handler: *handler, why: why.to_owned() });
            }
        }
    }

    fn fact(&mut self, fact: &Fact) {
        match fact {
            Fact::Refused(reason) => self.guard("refuses", *reason),
            Fact::MustRefuse(reason) => self.guard("has to refuse", *reason),
            Fact::Did(deed) => self.all(deed.decided(), &format!("decides on {deed}, done here")),
            Fact::Lacks(deed) => {
                self.all(deed.decided(), &format!("decides on {deed}, lacking here"));
            }
            Fact::Differs(deed) => {
                self.all(deed.made(), &format!("makes {deed}, and that differs"));
            }
            Fact::Undurable(deed) => {
                self.all(deed.sent(), &format!("has to write before it sends {deed}"));
                self.all(deeds::IN_ORDER, "does what the core asks for, in its order");
            }
            Fact::Unsynced => self.all(deeds::SYNC, "has a part in what is synced, and when"),
            Fact::Field(field) => self.field(*field),
            Fact::Signed(given) => {
                self.all(given.encoded(), "makes the bytes that are signed");
            }
            Fact::BatchDigest => self.all(deeds::BATCH_DIGEST, "makes the digest of a batch"),
            Fact::Restarted => {
                self.all(deeds::RECOVERY, "brings the replica back, as was just done");
            }
            Fact::Evidence => self.all(deeds::EVIDENCE, "says what is evidence"),
            Fact::Panicked(place) => self.all(&[*place], "panicked"),
            Fact::Queued => self.all(deeds::QUEUES, "has a part in what a peer's queue holds"),
            Fact::Misdirected => self.all(deeds::PERFORM, "hands a reply to its client"),
            Fact::ClockStands => self.all(deeds::PERFORM, "sets a timer"),
            Fact::EvidenceLost => self.all(deeds::KEEP_EVIDENCE, "keeps evidence"),
            Fact::ServiceLost => self.all(deeds::STORE_SERVICE, "keeps the service's state"),
        }
    }

    fn guard(&mut self, what: &str, reason: RejectionKind) {
        let why = format!("{what} for the reason {reason}");
        self.all(&guards::raise(self.given, reason), &why);
        self.all(guards::read(self.given, reason), "says what that is held against");
    }

    fn field(&mut self, field: Field) {
        let why = format!("sets the {field}");
        if self.given == Some(Given::Start) {
            self.restart = true;
            self.all(field.recovered(), &format!("brings back the {field}"));
            if self.arm == Arm::Node {
                self.all(field.stored(), &format!("has a part in keeping the {field}"));
            }
            return;
        }
        self.all(field.set(), &why);
    }

    /// What differs may have been made by the core's host, and at a node what is lacking have been lost on the way to it.
    fn around_the_core(&mut self, facts: &[Fact]) {
        for fact in facts {
            let places = match fact {
                Fact::Lacks(_) if self.arm == Arm::Node => deeds::ON_THE_WAY,
                Fact::Differs(
                    Deed::Reply | Deed::Execute | Deed::Says(StatementKind::Checkpoint),
                ) => deeds::BY_THE_HOST,
                _ => continue,
            };
            self.all(places, "stands between the core and what was compared");
        }
    }
}
