//! `pbft-sim sweep`: how a cluster of ten does as more of its replicas are malicious, as a tutorial's asyncio simulator
//! did; how it does as more messages are lost; and a colluding adversary at the bound, and one replica beyond it.

mod rows;

pub use rows::rows;

use super::faults::{How, Planned};
use super::figures::panel;
use super::measure::Measurement;
use super::report::{Report, Table};
use super::setup::{Setup, SetupError};
use super::simulate::simulate_all;
use core::time::Duration;
use pbft_cli::chart::{Chart, Horizontal, Mark, Point, Series, Style};
use pbft_core::Membership;
use pbft_sim::behaviour::Behaviour;
use pbft_sim::rng::Rng;
use pbft_sim::tuning::Link;
use serde::Serialize;
use std::num::NonZeroUsize;

/// The replicas of the sweep.
pub const REPLICAS: u32 = 10;

/// Runs of each point.
pub const TRIALS: u32 = 6;

/// Runs of each loss.
pub const LOSS_TRIALS: u32 = 20;

/// Losses with the trials of twenty that succeeded in theirs.
const LOSSES: [(u32, u32); 4] = [(10_000, 19), (20_000, 18), (50_000, 14), (100_000, 10)];

/// How many of six trials succeeded in theirs, by malicious nodes.
const THEIRS: [u32; 10] = [6, 6, 4, 3, 0, 0, 0, 0, 0, 0];

/// What malicious replicas do beside equivocating when they lead.
const HABITS: [Behaviour; 3] =
    [Behaviour::WrongDigest, Behaviour::DoubleVote, Behaviour::SkipReplicas];

/// The end of a trial: of one in which all must go well, and of one beyond f.
const WITHIN: Duration = Duration::from_secs(120);
const BEYOND: Duration = Duration::from_secs(30);

fn base(seed: u64) -> Setup {
    let ms = Duration::from_millis;
    Setup {
        replicas: REPLICAS,
        clients: 2,
        requests: 5,
        delay: (ms(5), ms(35)),
        link: Link { reorder: 50_000, ..Link::default() },
        timeout: Duration::from_secs(2),
        batch: 4,
        limit: Some(WITHIN),
        seed,
        ..Setup::default()
    }
}

fn lies(replica: u32, strategy: Behaviour) -> Planned {
    Planned {
        replicas: vec![replica],
        how: How::Lies(strategy),
        from: Duration::ZERO,
        until: None,
        by: None,
    }
}

/// A trial with so many malicious replicas, the first primary among them.
#[must_use]
pub fn trial(seed: u64, malicious: u32, trial: u32) -> Setup {
    let own = seed.wrapping_mul(1000) + u64::from(malicious) * 100 + u64::from(trial);
    let mut rng = Rng::new(own).fork("malicious");
    let mut others: Vec<u32> = (1..REPLICAS).collect();
    rng.shuffle(&mut others);
    let mut faults = Vec::new();
    for replica in std::iter::once(0).chain(others).take(malicious as usize) {
        faults.push(lies(replica, Behaviour::Equivocate));
        faults.extend(rng.pick(&HABITS).map(|habit| lies(replica, *habit)));
    }
    // Beyond f the run would go on for ever.
    let limit = if malicious > tolerated(REPLICAS) { BEYOND } else { WITHIN };
    let name = format!("{malicious} malicious, trial {}", trial + 1);
    Setup { name, faults, limit: Some(limit), ..base(own) }
}

/// A trial in which messages are lost and nobody is malicious.
#[must_use]
pub fn lossy(seed: u64, drop: u32, trial: u32) -> Setup {
    let own = seed.wrapping_mul(1000) + u64::from(drop) + u64::from(trial);
    let percent = f64::from(drop) / 10_000.0;
    let link = Link { drop, reorder: 50_000, ..Link::default() };
    Setup { name: format!("{percent} % lost, trial {}", trial + 1), link, ..base(own) }
}

/// A trial against an adversary whose replicas lead two halves of the cluster to different decisions, if they can.
#[must_use]
pub fn colluding(replicas: u32, malicious: u32, seed: u64) -> Setup {
    let members = std::iter::once(0).chain(replicas + 1 - malicious..replicas);
    Setup {
        name: format!("{replicas} replicas, {malicious} colluding, seed {seed}"),
        replicas,
        faults: members.map(|replica| lies(replica, Behaviour::Collude)).collect(),
        limit: Some(if malicious > tolerated(replicas) { BEYOND } else { WITHIN }),
        ..base(seed)
    }
}

/// A point of the sweep.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Malicious replicas, or the share of messages that are lost.
    pub at: f64,
    /// Trials.
    pub trials: usize,
    /// Trials in which every operation was answered and executed at every correct replica.
    pub succeeded: usize,
    /// Trials in which no two correct replicas executed differently.
    pub agreed: usize,
    /// Trials in which nothing is claimed.
    pub unclaimed: usize,
    /// Mean latency over the trials, with the least and the most of a trial, in milliseconds.
    pub latency_ms: Option<(f64, f64, f64)>,
    /// Mean view changes.
    pub view_changes: f64,
    /// Contradictions that correct replicas saw.
    pub contradictions: u64,
}

impl Summary {
    fn of(at: f64, trials: &[Measurement]) -> Self {
        let means: Vec<f64> = trials.iter().filter_map(Measurement::mean_latency_ms).collect();
        let latency_ms = (!means.is_empty()).then(|| {
            let least = means.iter().copied().fold(f64::MAX, f64::min);
            let most = means.iter().copied().fold(0.0, f64::max);
            (means.iter().sum::<f64>() / means.len() as f64, least, most)
        });
        let count =
            |holds: fn(&Measurement) -> bool| trials.iter().filter(|one| holds(one)).count();
        let views: u64 = trials.iter().map(|one| one.view_changes).sum();
        Self {
            at,
            trials: trials.len(),
            succeeded: count(|one| one.verdict.is_live()),
            agreed: count(|one| one.verdict.agrees()),
            unclaimed: count(|one| one.verdict.is_beyond()),
            latency_ms,
            view_changes: views as f64 / trials.len().max(1) as f64,
            contradictions: trials.iter().map(|one| one.wire().contradictions).sum(),
        }
    }

    fn success(&self) -> f64 {
        100.0 * self.succeeded as f64 / self.trials.max(1) as f64
    }

    fn claim(&self) -> String {
        match (self.unclaimed, self.agreed == self.trials) {
            (0, true) => "safe".to_owned(),
            (0, false) => "UNSAFE".to_owned(),
            (_, true) => "no claim; agreed all the same".to_owned(),
            (_, false) => {
                format!("no claim; {} of {} disagree", self.trials - self.agreed, self.trials)
            }
        }
    }
}

/// What all trials came to.
#[derive(Clone, Debug)]
pub struct Results {
    /// By malicious replicas.
    pub malicious: Vec<Summary>,
    /// By the percentage of messages lost.
    pub lossy: Vec<Summary>,
    /// Colluding adversaries, at f and at one more, for each size of cluster.
    pub colluding: Vec<(u32, [Summary; 2])>,
    /// Every run.
    pub measurements: Vec<Measurement>,
}

/// The sizes of clusters that the colluding adversary is tried on.
const SIZES: [u32; 3] = [4, 7, 10];

fn tolerated(replicas: u32) -> u32 {
    Membership::new(replicas).map_or(0, |membership| membership.faults() as u32)
}

/// The most that a cluster tolerates, and the least that it does not.
fn at_the_bound(replicas: u32) -> [u32; 2] {
    let least = Membership::new(replicas).map_or(1, |membership| membership.weak() as u32);
    [tolerated(replicas), least]
}

/// Makes all trials.
pub fn run(
    seed: u64,
    threads: NonZeroUsize,
    tell: &(dyn Fn(&Measurement) + Sync),
) -> Result<Results, SetupError> {
    let mut setups = Vec::new();
    for malicious in 0..REPLICAS {
        setups.extend((0..TRIALS).map(|number| trial(seed, malicious, number)));
    }
    for (drop, _) in LOSSES {
        setups.extend((0..LOSS_TRIALS).map(|number| lossy(seed, drop, number)));
    }
    for size in SIZES {
        for malicious in at_the_bound(size) {
            setups.extend((1..=u64::from(TRIALS)).map(|seed| colluding(size, malicious, seed)));
        }
    }
    let measurements = simulate_all(&setups, threads, tell)?;
    let mut rest = &measurements[..];
    let mut take = |at: f64, count: u32| {
        let (trials, others) = rest.split_at((count as usize).min(rest.len()));
        rest = others;
        Summary::of(at, trials)
    };
    let malicious = (0..REPLICAS).map(|count| take(f64::from(count), TRIALS)).collect();
    let lossy = LOSSES.map(|(drop, _)| take(f64::from(drop) / 10_000.0, LOSS_TRIALS)).to_vec();
    let pair = |size| (size, at_the_bound(size).map(|count| take(f64::from(count), TRIALS)));
    let colluding = SIZES.map(pair).to_vec();
    Ok(Results { malicious, lossy, colluding, measurements })
}

impl Results {
    /// What is not as it must be.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        let f = f64::from(tolerated(REPLICAS));
        let mut wrong = Vec::new();
        for point in &self.malicious {
            let within = point.at <= f;
            let perfect = point.succeeded == point.trials && point.agreed == point.trials;
            if within && !(perfect && point.unclaimed == 0) {
                wrong.push(format!(
                    "{} malicious: {} of {} succeed, {}",
                    point.at,
                    point.succeeded,
                    point.trials,
                    point.claim()
                ));
            }
            if !within && point.unclaimed != point.trials {
                wrong.push(format!("{} malicious: something is claimed", point.at));
            }
        }
        for point in self.lossy.iter().filter(|point| point.succeeded < point.trials) {
            wrong.push(format!(
                "{} % lost: {} of {} succeed",
                point.at, point.succeeded, point.trials
            ));
        }
        for (size, [at, beyond]) in &self.colluding {
            if at.agreed < at.trials {
                wrong.push(format!("n = {size}: {} colluding replicas break agreement", at.at));
            }
            if beyond.agreed == beyond.trials {
                wrong.push(format!("n = {size}: {} colluding replicas break nothing", beyond.at));
            }
        }
        wrong
    }

    /// Everything beside what they measured.
    #[must_use]
    pub fn report(&self) -> Report {
        let wrong = self.wrong();
        let conclusion = match wrong.is_empty() {
            true => "HOLDS: every trial succeeds up to f, nothing is claimed beyond, all losses are made good, and \
                     agreement breaks at f+1 colluding replicas and not at f"
                .to_owned(),
            false => format!("DIFFERENT: {}", wrong.join("; ")),
        };
        Report {
            title: "A cluster of ten, and how many of it are malicious".to_owned(),
            conclusion,
            notes: NOTES.map(str::to_owned).to_vec(),
            tables: vec![self.malicious_table(), self.lossy_table(), self.colluding_table()],
            charts: vec![
                ("sweep-latency".to_owned(), self.latency_chart()),
                ("sweep-success".to_owned(), self.success_chart()),
            ],
            measurements: self.measurements.clone(),
        }
    }

    fn malicious_table(&self) -> Table {
        let head = [
            "malicious",
            "their success",
            "success",
            "latency, ms",
            "least",
            "most",
            "digest agreement",
            "view changes",
            "contradictions seen",
            "claim",
        ];
        let row = |(point, theirs): (&Summary, u32)| {
            let (mean, least, most) = latency_words(point);
            vec![
                point.at.to_string(),
                format!("{theirs} of {TRIALS}"),
                format!("{} of {}", point.succeeded, point.trials),
                mean,
                least,
                most,
                format!("{} of {}", point.agreed, point.trials),
                format!("{:.1}", point.view_changes),
                point.contradictions.to_string(),
                point.claim(),
            ]
        };
        table(
            "Malicious replicas, the first primary among them",
            &head,
            self.malicious.iter().zip(THEIRS).map(row),
        )
    }

    fn lossy_table(&self) -> Table {
        let head =
            ["lost, %", "their success", "success", "latency, ms", "least", "most", "view changes"];
        let row = |(point, (_, theirs)): (&Summary, (u32, u32))| {
            let (mean, least, most) = latency_words(point);
            vec![
                point.at.to_string(),
                format!("{theirs} of {LOSS_TRIALS}"),
                format!("{} of {}", point.succeeded, point.trials),
                mean,
                least,
                most,
                format!("{:.1}", point.view_changes),
            ]
        };
        table("Lost messages, nobody malicious", &head, self.lossy.iter().zip(LOSSES).map(row))
    }

    fn colluding_table(&self) -> Table {
        let head = ["replicas", "at f", "agreement", "at f+1", "agreement", "contradictions seen"];
        let row = |(size, [at, beyond]): &(u32, [Summary; 2])| {
            vec![
                size.to_string(),
                at.at.to_string(),
                format!("{} of {}", at.agreed, at.trials),
                beyond.at.to_string(),
                format!("{} of {}", beyond.agreed, beyond.trials),
                format!("{} and {}", at.contradictions, beyond.contradictions),
            ]
        };
        table("Colluding replicas, side by side", &head, self.colluding.iter().map(row))
    }

    fn x() -> Horizontal {
        let names = (0..REPLICAS).map(|count| count.to_string()).collect();
        Horizontal::Names { label: format!("malicious replicas of {REPLICAS}"), names }
    }

    fn bound() -> Mark {
        Mark { x: f64::from(tolerated(REPLICAS)) + 0.5, text: "beyond f: no claim".to_owned() }
    }

    fn latency_chart(&self) -> Chart {
        let point = |one: &Summary| {
            let (mean, least, most) = one.latency_ms?;
            Some(Point { x: one.at, y: mean, spread: Some((least, most)) })
        };
        let points = self.malicious.iter().filter_map(point).collect();
        let series = Series {
            name: "mean, least and most of the trials".into(),
            style: Style::Marks,
            points,
        };
        let mut panel = panel(Self::x(), "latency of answered operations, ms", vec![series]);
        panel.marks = vec![Self::bound()];
        Chart::of("Latency as more replicas are malicious: mean, least and most trial", panel)
    }

    fn success_chart(&self) -> Chart {
        let ours = self.malicious.iter().map(|one| {
            let (least, most) = interval(one.succeeded, one.trials);
            Point { x: one.at, y: one.success(), spread: Some((least, most)) }
        });
        let theirs = THEIRS.iter().enumerate();
        let theirs =
            theirs.map(|(x, of)| Point::new(x as f64, 100.0 * f64::from(*of) / f64::from(TRIALS)));
        let series = |name: &str, points| Series { name: name.into(), style: Style::Marks, points };
        let all = vec![series("here", ours.collect()), series("theirs", theirs.collect())];
        let mut panel = panel(Self::x(), "trials that succeed, %", all);
        (panel.top, panel.marks) = (Some(100.0), vec![Self::bound()]);
        Chart::of("Success as more replicas are malicious, with 95 % intervals", panel)
    }
}

fn table(title: &str, head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Table {
    let head = head.iter().map(|name| (*name).to_owned()).collect();
    Table { title: title.to_owned(), rows: std::iter::once(head).chain(rows).collect() }
}

fn latency_words(point: &Summary) -> (String, String, String) {
    let word = |number: f64| format!("{number:.0}");
    point
        .latency_ms
        .map_or(("none".to_owned(), String::new(), String::new()), |(mean, least, most)| {
            (word(mean), word(least), word(most))
        })
}

/// The 95 % interval of a share, in per cent (Wilson 1927).
fn interval(succeeded: usize, trials: usize) -> (f64, f64) {
    let (n, z) = (trials.max(1) as f64, 1.96f64);
    let share = succeeded as f64 / n;
    let middle = (share + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    (100.0 * (middle - half).max(0.0), 100.0 * (middle + half).min(1.0))
}

const NOTES: [&str; 4] = [
    super::VIRTUAL,
    "Theirs draws the malicious nodes, and fails when the primary is one, having no view change. Here the first primary is \
     always malicious. Malicious replicas equivocate when they lead, and one habit of wrong digests, double votes and \
     withheld messages is drawn for each.",
    "A trial is ten operations of two clients, 5 to 35 ms a message, 5 % reordered, timeout 2 s; it succeeds if all are \
     answered and executed at every correct replica. A trial beyond f ends after 30 s of virtual time.",
    "Colluding replicas propose another batch to each half, and vote in each half for that half's batch only.",
];
