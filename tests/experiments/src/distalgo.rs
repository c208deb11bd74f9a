//! `pbft-sim distalgo`: the runs of a course report on PBFT in DistAlgo (2018), all thirty, and those that it could not
//! make: fifty replicas with seventy clients, every primary failing in turn, more faulty replicas than f.

pub mod processes;

use super::figures::panel;
use super::measure::Measurement;
use super::report::{Report, Table};
use super::row::{Outcome, Row};
use super::setup::{Byzantine, Setup, SetupError};
use super::simulate::{simulate, simulate_all};
use core::time::Duration;
use pbft_cli::chart::{Chart, Horizontal, Panel, Point, Series, Style};
use std::num::NonZeroUsize;

/// A configuration with what they measured.
#[derive(Clone, Copy, Debug)]
struct Size {
    replicas: u32,
    clients: u32,
    requests: u32,
    /// Operations a second without faults, and with Byzantine backups; where they give a number.
    rates: [Option<f64>; 2],
    /// Their messages, without faults.
    messages: Option<u64>,
}

const fn size(
    (replicas, clients, requests): (u32, u32, u32),
    rates: [Option<f64>; 2],
    messages: Option<u64>,
) -> Size {
    Size { replicas, clients, requests, rates, messages }
}

/// Without delay.
const PROMPT: [Size; 5] = [
    size((5, 4, 5), [Some(92.0), Some(88.0)], Some(1094)),
    size((10, 8, 4), [Some(29.7), Some(35.0)], Some(6684)),
    size((15, 8, 2), [Some(14.8), Some(1.5)], Some(7382)),
    size((25, 6, 4), [Some(5.5), Some(6.2)], Some(30_559)),
    size((22, 8, 3), [Some(7.4), Some(8.1)], Some(23_718)),
];

/// With a delay of 0.05 s.
const DELAYED: [Size; 5] = [
    size((5, 4, 5), [Some(53.0), None], None),
    size((10, 8, 4), [Some(3.0), None], None),
    size((15, 8, 2), [Some(1.5), None], None),
    size((25, 6, 4), [Some(2.1), None], None),
    size((22, 4, 3), [Some(7.2), None], None),
];

const DELAY: Duration = Duration::from_millis(50);

const MODES: [Byzantine; 3] = [Byzantine::None, Byzantine::Primary, Byzantine::Backups];

const fn words(mode: Byzantine) -> &'static str {
    match mode {
        Byzantine::None => "no faults",
        Byzantine::Primary => "Byzantine primary",
        Byzantine::Backups => "Byzantine backups",
    }
}

impl Size {
    fn name(&self) -> String {
        format!("{}×{}×{}", self.replicas, self.clients, self.requests)
    }

    fn setup(&self, mode: Byzantine, delay: Duration, timeout: Duration, seed: u64) -> Setup {
        let late = if delay.is_zero() { "" } else { ", delay" };
        Setup {
            name: format!("{} {}{late}", self.name(), words(mode)),
            replicas: self.replicas,
            clients: self.clients,
            requests: self.requests,
            byzantine: mode,
            delay: (delay, delay),
            timeout,
            seed,
            ..Setup::default()
        }
    }

    fn theirs(&self, mode: Byzantine, delay: Duration) -> String {
        let number =
            |rate: Option<f64>| rate.map_or("not given".to_owned(), |rate| rate.to_string());
        match (mode, delay.is_zero()) {
            (Byzantine::None, _) => number(self.rates[0]),
            (Byzantine::Backups, true) => number(self.rates[1]),
            (Byzantine::Primary, true) => "0.6 to 1.5".to_owned(),
            (_, false) => "not given".to_owned(),
        }
    }
}

/// The thirty runs: sizes without delay, then with; each without faults, with a Byzantine primary, with Byzantine backups.
#[must_use]
pub fn thirty(timeout: Duration, seed: u64) -> Vec<Setup> {
    let of = |sizes: &'static [Size], delay| {
        MODES.into_iter().flat_map(move |mode| {
            sizes.iter().map(move |size| size.setup(mode, delay, timeout, seed))
        })
    };
    of(&PROMPT, Duration::ZERO).chain(of(&DELAYED, DELAY)).collect()
}

/// Fifty replicas and seventy clients.
#[must_use]
pub fn fifty(seed: u64) -> Setup {
    Setup {
        name: "50×70×10".to_owned(),
        replicas: 50,
        clients: 70,
        requests: 10,
        batch: 16,
        seed,
        ..Setup::default()
    }
}

/// Every primary is killed in turn, twice around; each comes back when the next one leads.
#[must_use]
pub fn every_primary(seed: u64) -> Setup {
    const REPLICAS: u32 = 5;
    let fault = |number: u32| {
        let (from, replica) = (2000 + 4000 * number, number % REPLICAS);
        format!("replica {replica}: crash at {from}ms, back at {}ms", from + 3000).parse().ok()
    };
    Setup {
        name: "every primary in turn".to_owned(),
        replicas: REPLICAS,
        clients: 2,
        requests: 200,
        think: Duration::from_millis(200),
        timeout: Duration::from_millis(500),
        faults: (0..2 * REPLICAS).filter_map(fault).collect(),
        seed,
        ..Setup::default()
    }
}

/// Seven replicas of which four are Byzantine.
#[must_use]
pub fn too_many(seed: u64) -> Setup {
    Setup {
        name: "7 replicas, 4 Byzantine".to_owned(),
        replicas: 7,
        clients: 2,
        requests: 5,
        byzantine: Byzantine::Backups,
        faulty: Some(4),
        seed,
        ..Setup::default()
    }
}

/// What all runs came to.
#[derive(Debug)]
pub struct Results {
    /// The thirty runs.
    pub thirty: Vec<Measurement>,
    /// Fifty replicas, every primary in turn, too many faulty ones.
    pub others: [Measurement; 3],
}

/// Makes all runs.
pub fn run(
    timeout: Duration,
    seed: u64,
    threads: NonZeroUsize,
    tell: &(dyn Fn(&Measurement) + Sync),
) -> Result<Results, SetupError> {
    let mut setups = thirty(timeout, seed);
    setups.extend([fifty(seed), every_primary(seed), too_many(seed)]);
    let mut all = simulate_all(&setups, threads, tell)?;
    let others = all.split_off(all.len() - 3);
    let others: Result<[Measurement; 3], _> = others.try_into();
    match others {
        Ok(others) => Ok(Results { thirty: all, others }),
        // As many results as setups.
        Err(_) => Err(SetupError::Nothing),
    }
}

/// Whether a fault-free, unbatched run took exactly the messages that the protocol needs.
#[must_use]
pub fn keeps_to_the_formula(one: &Measurement) -> bool {
    one.wire().ordering == one.formula()
}

impl Results {
    /// What is not as it must be.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        let [fifty, turns, beyond] = &self.others;
        let mut wrong: Vec<String> = self
            .thirty
            .iter()
            .chain([fifty, turns])
            .filter(|one| !one.verdict.holds())
            .map(|one| format!("{}: {}", one.setup.name, one.verdict.reason))
            .collect();
        let fault_free = self.thirty.iter().filter(|one| one.setup.byzantine == Byzantine::None);
        for one in fault_free.filter(|one| !keeps_to_the_formula(one)) {
            let (name, got, formula) = (&one.setup.name, one.wire().ordering, one.formula());
            wrong.push(format!("{name}: {got} messages order the requests, not {formula}"));
        }
        if turns.view_changes < turns.crashes {
            let (views, crashes) = (turns.view_changes, turns.crashes);
            wrong.push(format!("{views} view changes for {crashes} primaries"));
        }
        if !beyond.verdict.is_beyond() {
            wrong.push(format!("beyond f something is claimed: {}", beyond.verdict.reason));
        }
        wrong
    }

    /// Everything beside what they measured.
    #[must_use]
    pub fn report(&self) -> Report {
        let (prompt, delayed) = self.thirty.split_at(self.thirty.len() / 2);
        let wrong = self.wrong();
        let conclusion = match wrong.is_empty() {
            true => "HOLDS: all thirty runs, 50 × 70 and every primary in turn are safe and live; beyond f nothing is claimed".to_owned(),
            false => format!("DIFFERENT: {}", wrong.join("; ")),
        };
        Report {
            title: "PBFT in DistAlgo (2018), and here".to_owned(),
            conclusion,
            notes: NOTES.map(str::to_owned).to_vec(),
            tables: vec![
                comparison("Without delay", prompt, &PROMPT, Duration::ZERO),
                comparison("With a delay of 0.05 s", delayed, &DELAYED, DELAY),
                self.beyond_theirs(),
            ],
            charts: charts(&self.thirty),
            measurements: self.thirty.iter().chain(&self.others).cloned().collect(),
        }
    }

    fn beyond_theirs(&self) -> Table {
        let theirs = ["deadlocked at times", "not done", "hangs; clients rebroadcast for ever"];
        let row = |(one, theirs): (&Measurement, &str)| {
            vec![
                one.setup.name.clone(),
                theirs.to_owned(),
                format!("{} of {}", one.answered, one.setup.operations()),
                one.view_changes.to_string(),
                one.verdict.reason.clone(),
            ]
        };
        let head = ["run", "theirs", "answered", "view changes", "verdict"].map(str::to_owned);
        let rows = self.others.iter().zip(theirs).map(row);
        Table {
            title: "What theirs did not do".to_owned(),
            rows: std::iter::once(head.to_vec()).chain(rows).collect(),
        }
    }
}

/// Where the comparison is not like for like.
const NOTES: [&str; 5] = [
    super::VIRTUAL,
    "Theirs are in DistAlgo, on Python. Their rates are limited by computing, ours by \
     rounds of messages, so compare the shape over the sizes and not the numbers.",
    "Their messages count what a replica puts into its own log; ours are those on the wire between replicas, 2n(n−1) a \
     request, which every fault-free run takes exactly. Requests are not batched here (50 × 70: up to 16 in a batch).",
    "k ≤ f replicas are Byzantine in their runs; here it is always f. A Byzantine primary is silent, so that timeouts \
     dominate as in theirs; Byzantine backups vote for digests of nothing. Their timeout is 25 s unless set; ours is \
     2 s unless --timeout says otherwise.",
    "A quorum is ⌈(n+f+1)/2⌉, which is 2f+1 only for n = 3f+1 (10, 22 and 25 of these sizes).",
];

/// The heads of what [`beside`] says.
const BESIDE: [&str; 7] = [
    "replicas×clients×requests",
    "f, quorum",
    "faults",
    "their op/s",
    "our op/s",
    "our total, s",
    "view",
];

/// A run beside theirs: the cells that every table of this report begins with.
fn beside(one: &Measurement, mode: Byzantine, size: &Size, delay: Duration) -> [String; 7] {
    [
        size.name(),
        format!("{}, {}", one.tolerated, one.quorum),
        words(mode).to_owned(),
        size.theirs(mode, delay),
        format!("{:.1}", one.throughput()),
        format!("{:.3}", one.total.as_secs_f64()),
        one.view.to_string(),
    ]
}

fn comparison(title: &str, ours: &[Measurement], sizes: &[Size], delay: Duration) -> Table {
    let more = ["their messages", "our messages", "2n(n−1)R", "safe", "live"];
    let sizes = MODES.into_iter().flat_map(|mode| sizes.iter().map(move |size| (mode, size)));
    let row = |(one, (mode, size)): (&Measurement, (Byzantine, &Size))| {
        let fault_free = mode == Byzantine::None;
        let theirs = size.messages.filter(|_| fault_free);
        let more = [
            theirs.map_or(String::new(), |number| number.to_string()),
            one.wire().ordering.to_string(),
            one.formula().to_string(),
            one.verdict.safe().to_owned(),
            one.verdict.live().to_owned(),
        ];
        beside(one, mode, size, delay).into_iter().chain(more).collect()
    };
    let rows = ours.iter().zip(sizes).map(row);
    let named = |head: &str| head.replace("our op/s", "our op/s, virtual");
    let named = |head: &str| named(head).replace("our total, s", "our total, s, virtual");
    let head = BESIDE.into_iter().chain(more).map(named).collect();
    Table { title: title.to_owned(), rows: std::iter::once(head).chain(rows).collect() }
}

/// A quantity of a run.
type Quantity = fn(&Measurement) -> f64;

/// The nine charts of the thirty runs, each with its name.
#[must_use]
pub fn charts(thirty: &[Measurement]) -> Vec<(String, Chart)> {
    let (prompt, delayed) = thirty.split_at(thirty.len() / 2);
    let mut charts = four_charts("without delay", "no-delay", prompt, &PROMPT);
    charts.extend(four_charts("with a delay of 0.05 s", "delay", delayed, &DELAYED));
    charts.push(("total-time".to_owned(), total_time(prompt, delayed)));
    charts
}

/// Process time, messages, throughput and time on the wall over the sizes.
fn four_charts(
    words_of: &str,
    suffix: &str,
    ours: &[Measurement],
    sizes: &[Size],
) -> Vec<(String, Chart)> {
    let quantities: [(&str, &str, Quantity); 4] = [
        ("Process time", "processor time a replica, s", |one| one.cost.process_time_s),
        ("Messages", "messages that order requests", |one| one.wire().ordering as f64),
        ("Throughput", "answered operations/s", Measurement::throughput),
        ("Wall clock", "time on the wall, s", |one| one.cost.wall_clock_s),
    ];
    let one = |(title, axis, quantity): (&str, &str, Quantity)| {
        let mut series = by_mode(ours, sizes, quantity);
        let theirs: Vec<Option<f64>> = match title {
            "Throughput" => sizes.iter().map(|size| size.rates[0]).collect(),
            "Messages" => {
                sizes.iter().map(|size| size.messages.map(|number| number as f64)).collect()
            }
            _ => Vec::new(),
        };
        let known =
            theirs.iter().enumerate().filter_map(|(x, y)| Some(Point::new(x as f64, (*y)?)));
        let known: Vec<Point> = known.collect();
        if !known.is_empty() {
            series.push(Series {
                name: "theirs, no faults".into(),
                style: Style::Bars,
                points: known,
            });
        }
        let chart = Chart::of(
            &format!("{title}, {words_of}"),
            Panel { log: true, ..panel(names(sizes), axis, series) },
        );
        (format!("{}-{suffix}", title.to_lowercase().replace(' ', "-")), chart)
    };
    quantities.into_iter().map(one).collect()
}

fn names(sizes: &[Size]) -> Horizontal {
    let label = "replicas × clients × requests of each".to_owned();
    Horizontal::Names { label, names: sizes.iter().map(Size::name).collect() }
}

fn by_mode(ours: &[Measurement], sizes: &[Size], quantity: Quantity) -> Vec<Series> {
    let series = |(mode, runs): (Byzantine, &[Measurement])| {
        let points = runs.iter().enumerate().map(|(x, one)| Point::new(x as f64, quantity(one)));
        Series { name: words(mode).to_owned(), style: Style::Bars, points: points.collect() }
    };
    MODES.into_iter().zip(ours.chunks(sizes.len())).map(series).collect()
}

/// Total virtual time, without and with delay.
fn total_time(prompt: &[Measurement], delayed: &[Measurement]) -> Chart {
    let total: Quantity = |one| one.total.as_secs_f64();
    let one = |ours, sizes: &[Size], words: &str| Panel {
        log: true,
        ..panel(names(sizes), &format!("total time {words}, s"), by_mode(ours, sizes, total))
    };
    let panels =
        vec![one(prompt, &PROMPT, "without delay"), one(delayed, &DELAYED, "with 0.05 s delay")];
    Chart { title: "Total time".to_owned(), panels }
}

const COMMAND: &str = "cargo sim distalgo";

fn outcome(of: Result<Vec<Measurement>, SetupError>, also: fn(&Measurement) -> bool) -> Outcome {
    let all = match of {
        Ok(all) => all,
        Err(error) => return Outcome::failed(&error),
    };
    let good = |one: &&Measurement| one.verdict.holds() && also(one);
    let bad: Vec<String> = all
        .iter()
        .filter(|one| !good(one))
        .map(|one| format!("{}: {}", one.setup.name, one.verdict.reason))
        .collect();
    let rates: Vec<String> = all.iter().map(|one| format!("{:.1}", one.throughput())).collect();
    let messages: Vec<String> = all.iter().map(|one| one.wire().ordering.to_string()).collect();
    match bad.is_empty() {
        true => Outcome {
            holds: true,
            said: format!(
                "{} runs safe and live; {} op/s in virtual time; {} messages",
                all.len(),
                rates.join(", "),
                messages.join(", ")
            ),
        },
        false => Outcome::failed(&bad.join("; ")),
    }
}

fn some(delay: bool, mode: Option<Byzantine>) -> Result<Vec<Measurement>, SetupError> {
    let mut setups = thirty(Duration::from_secs(2), 1);
    setups.retain(|setup| {
        setup.delay.1.is_zero() != delay && mode.is_none_or(|mode| setup.byzantine == mode)
    });
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    simulate_all(&setups, threads, &|_| {})
}

fn beyond() -> Outcome {
    match simulate(&too_many(1)) {
        Ok(one) => Outcome {
            holds: one.verdict.is_beyond() && !one.verdict.is_live(),
            said: one.verdict.reason,
        },
        Err(error) => Outcome::failed(&error),
    }
}

/// The rows that these runs answer.
#[must_use]
pub fn rows() -> Vec<Row> {
    vec![
        Row::simulated("S0.3", "five sizes without delay", "92 to 5.5 op/s", COMMAND, || {
            outcome(some(false, Some(Byzantine::None)), keeps_to_the_formula)
        }),
        Row::simulated(
            "S0.4",
            "the same with a Byzantine primary",
            "0.6 to 1.5 op/s",
            COMMAND,
            || outcome(some(false, Some(Byzantine::Primary)), |one| one.view_changes > 0),
        ),
        Row::simulated(
            "S0.5",
            "the same with Byzantine backups",
            "88 to 1.5 op/s",
            COMMAND,
            || outcome(some(false, Some(Byzantine::Backups)), |_| true),
        ),
        Row::simulated(
            "S0.6",
            "fifteen runs with a delay of 0.05 s",
            "one did not end",
            COMMAND,
            || outcome(some(true, None), |_| true),
        ),
        Row::simulated("S0.7", "50 replicas, 70 clients", "deadlocked at times", COMMAND, || {
            outcome(simulate(&fifty(1)).map(|one| vec![one]), |_| true)
        }),
        Row::simulated("S0.8", "every primary fails in turn", "not done", COMMAND, || {
            outcome(simulate(&every_primary(1)).map(|one| vec![one]), |one| {
                one.view_changes >= one.crashes && one.crashes == 10
            })
        }),
        Row::simulated(
            "S0.9",
            "7 replicas, 4 of them Byzantine",
            "hangs",
            "cargo sim run --replicas 7 --byzantine backups --faulty 4",
            beyond,
        ),
        Row::simulated(
            "S0.12",
            "messages are 2n(n−1) a request",
            "R(2n²+n), own log counted",
            COMMAND,
            || outcome(some(false, Some(Byzantine::None)), keeps_to_the_formula),
        ),
    ]
}
