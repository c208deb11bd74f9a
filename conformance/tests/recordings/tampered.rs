//! Recordings of real replicas, to be changed line by line.

use crate::cluster::{Cluster, orderly};
use crate::{files, validated};
use pbft_conformance::validate::merge::ValidateError;
use pbft_conformance::validate::refusal::Reason;
use pbft_conformance::validate::{Divergence, Options, Validation, Validity};
use pbft_core::Timer;
use pbft_node::trace::format::{Body, Input, Output, Step};
use pbft_node::trace::{Line, ShortDigest};

/// A cluster's recordings, line by line.
pub(crate) struct Tampered(pub(crate) Vec<Vec<Line>>);

impl Tampered {
    pub(crate) fn new(run: &Cluster) -> Self {
        let parse = |bytes: Vec<u8>| {
            let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            lines.map(|line| serde_json::from_slice(line).expect("a line")).collect()
        };
        Self(files(run).into_iter().map(parse).collect())
    }

    pub(crate) fn bytes(&self) -> Vec<Vec<u8>> {
        let line = |line: &Line| [serde_json::to_vec(line).expect("JSON"), vec![b'\n']].concat();
        self.0.iter().map(|lines| lines.iter().flat_map(line).collect()).collect()
    }

    pub(crate) fn validate(&self) -> Result<Validation, ValidateError> {
        validated(&self.bytes(), &Options::default())
    }

    /// The first step that is not allowed.
    pub(crate) fn divergence(&self) -> Divergence {
        let validation = self.validate().expect("a recording");
        assert_eq!(validation.verdict, Validity::Divergence, "{validation}");
        let divergence = validation.divergence.expect("a divergence");
        let text = divergence.to_string();
        assert!(text.contains(&format!(".jsonl:{}: replica ", divergence.line)), "{text}");
        assert!(divergence.history.len() <= 10 && !divergence.allowed.is_empty(), "{text}");
        divergence
    }

    /// The reason why it is refused.
    pub(crate) fn reason(&self) -> Reason {
        self.divergence().reason.expect("a reason")
    }

    /// The conjuncts of the theorem's invariant that it breaks.
    pub(crate) fn broken(&self) -> Vec<String> {
        self.divergence().broken.into_iter().map(|breach| breach.conjunct).collect()
    }

    /// Why the file is refused as such.
    pub(crate) fn problem(&self) -> String {
        match self.validate() {
            Err(ValidateError::Refused(refused)) => refused.problem,
            other => panic!("{other:?}"),
        }
    }

    /// The steps of a replica.
    pub(crate) fn steps(&mut self, id: usize) -> impl Iterator<Item = &mut Step> {
        self.0[id].iter_mut().filter_map(|line| match line {
            Line::Step(step) => Some(&mut **step),
            _ => None,
        })
    }

    /// The place of the first line of a replica whose step satisfies a condition.
    pub(crate) fn find(&self, id: usize, condition: impl Fn(&Step) -> bool) -> usize {
        let fits = |line: &Line| matches!(line, Line::Step(step) if condition(step));
        self.0[id].iter().position(fits).expect("such a step")
    }

    pub(crate) fn step(&mut self, id: usize, at: usize) -> &mut Step {
        let Line::Step(step) = &mut self.0[id][at] else { panic!("line {at} is no step") };
        step
    }

    /// Numbers the steps anew, so that nothing seems to be missing.
    pub(crate) fn renumber(&mut self, id: usize) {
        let mut number = 0;
        for line in &mut self.0[id] {
            match line {
                Line::Step(step) => {
                    number += 1;
                    step.number = number;
                }
                Line::End { steps } => *steps = number,
                Line::Header(_) | Line::Gap { .. } => {}
            }
        }
    }
}

pub(crate) fn commits(step: &Step) -> bool {
    step.out.iter().any(|output| matches!(output, Output::All(Body::Commit(_))))
}

pub(crate) fn prepares(step: &Step) -> bool {
    step.out.iter().any(|output| matches!(output, Output::All(Body::Prepare(_))))
}

pub(crate) fn takes_prepare(step: &Step) -> bool {
    step.refused.is_none() && matches!(step.input, Input::Message { body: Body::Prepare(_), .. })
}

pub(crate) const OTHER: ShortDigest = ShortDigest(77);

pub(crate) fn run() -> Tampered {
    Tampered::new(&orderly(4, 20))
}

/// A run in which the primary of view 0 is left with a batch that has prepared.
pub(crate) fn view_change() -> Tampered {
    let mut cluster = Cluster::new(4, 1, 8);
    for client in 0..3 {
        cluster.request(client, 0);
        cluster.settle();
    }
    cluster.request(0, 0);
    // A part of what is under way arrives: PRE-PREPARE and some PREPAREs.
    (0..14).for_each(|_| cluster.deliver_next());
    cluster.kill(0);
    for id in 1..4 {
        cluster.fire(id, Timer::ViewChange);
    }
    cluster.settle();
    cluster.heal(2);
    cluster.start(0);
    cluster.heal(5);
    cluster.request(1, 0);
    cluster.heal(5);
    cluster.stop();
    Tampered::new(&cluster)
}
