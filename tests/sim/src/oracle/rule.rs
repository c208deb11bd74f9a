//! The rules that a run is held to.

use serde::{Deserialize, Serialize};

macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident = $name:literal, $text:literal;)*) => {
        /// A rule that an oracle holds the run to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Rule {
            $($(#[$doc])* $rule,)*
        }

        impl Rule {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$rule),*];

            /// What a correct replica keeps to whatever the others are, and however many of them are faulty.
            pub const OF_ONE: &'static [Self] = &[
                Self::NoEquivocation,
                Self::Promise,
                Self::Durable,
                Self::Monotonic,
                Self::RejectionChangesNothing,
                Self::NoFailure,
                Self::NoPanic,
                Self::Memory,
                Self::HelpIsBounded,
            ];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$rule => $name,)* }
            }

            /// What it says.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$rule => $text,)* }
            }
        }
    };
}

rules! {
    /// Agreement.
    Agreement = "agreement", "correct replicas execute the same batch at each sequence number";
    /// Order.
    Order = "order", "a correct replica executes every sequence number, in order";
    /// Validity.
    Validity = "validity", "what is executed was signed by its client";
    /// Exactly-once.
    ExactlyOnce = "exactly-once", "no request is executed twice, or after a later one of its lane";
    /// Equal states.
    EqualStates = "equal-states", "correct replicas have equal states at equal sequence numbers";
    /// Results.
    Results = "results", "a correct replica answers with the result that the agreed order gives";
    /// One statement.
    NoEquivocation = "no-equivocation", "a correct replica signs one statement a kind, view and sequence number, also across restarts";
    /// Promises.
    Promise = "promise", "a correct replica votes in no view that it has left, also across restarts";
    /// Evidence.
    NoFalseEvidence = "no-false-evidence", "nothing that a correct replica signs is taken for evidence of a fault";
    /// Admission.
    Admission = "admission", "what no correct sender sends is refused, for what it is";
    /// Signatures.
    Signatures = "signatures", "a signature is believed exactly if it holds";
    /// Evidence that must not be lost.
    EvidenceKept = "evidence-kept", "what convicts a liar is on the disk of the replica that noticed it";
    /// Durability.
    Durable = "durable", "a vote is on its replica's disk before it leaves";
    /// Monotony.
    Monotonic = "monotonic", "views, water marks and executed numbers never fall";
    /// Rejections.
    RejectionChangesNothing = "rejection-changes-nothing", "a rejected input leaves the replica as it was";
    /// Halts.
    NoHalt = "no-halt", "no correct replica stops while at most f are faulty";
    /// Halts after restarts.
    HaltIsFinal = "halt-is-final", "a replica that has halted does not run again, however often it is started";
    /// Failures.
    NoFailure = "no-failure", "a replica's process ends for its disk's sake, or because the replica has halted, and for no other reason";
    /// Panics.
    NoPanic = "no-panic", "nothing that arrives makes a step panic";
    /// Memory.
    Memory = "memory", "what a replica holds stays below its computed bound";
    /// Help.
    HelpIsBounded = "help-is-bounded", "between two ticks a replica gives a peer no more than its budget, and one message of each kind";
    /// Client results.
    ClientResult = "client-result", "a client accepts the result that the agreed order gives";
    /// Linearizability.
    Linearizable = "linearizable", "the clients' histories are those of one bank";
    /// The model.
    Model = "model", "the model allows the recorded run";
    /// Progress.
    Progress = "progress", "once a quorum is healed, all correct replicas execute all requests within the bound";
}
