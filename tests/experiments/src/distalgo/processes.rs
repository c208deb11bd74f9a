//! The runs of the report that processes can make: no delay, at most ten replicas.

use super::{BESIDE, MODES, PROMPT, Size, beside};
use crate::measure::Measurement;
use crate::real::{self, REPLICAS_MAX, RealError};
use crate::report::{Report, Table};
use crate::setup::{Byzantine, Setup};
use core::time::Duration;

/// What the runs came to, in the order of [`setups`].
#[derive(Clone, Debug)]
pub struct OnProcesses(pub Vec<Measurement>);

fn sizes() -> impl Iterator<Item = (Byzantine, &'static Size)> {
    let small = || PROMPT.iter().filter(|size| size.replicas <= REPLICAS_MAX);
    MODES.into_iter().flat_map(move |mode| small().map(move |size| (mode, size)))
}

/// The runs. A Byzantine process is a stopped one.
#[must_use]
pub fn setups(timeout: Duration, seed: u64) -> Vec<Setup> {
    sizes().map(|(mode, size)| size.setup(mode, Duration::ZERO, timeout, seed)).collect()
}

/// Makes all of them. `tell` hears of each.
pub fn run(
    timeout: Duration,
    seed: u64,
    tell: &dyn Fn(&Measurement),
) -> Result<OnProcesses, RealError> {
    let one = |setup: &Setup| real::run(setup).inspect(|one| tell(one));
    setups(timeout, seed).iter().map(one).collect::<Result<_, _>>().map(OnProcesses)
}

impl OnProcesses {
    /// What is not as it must be.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        let of = |one: &Measurement| {
            let name = &one.setup.name;
            let same_view = one.setup.byzantine == Byzantine::Primary || one.view_changes == 0;
            match (one.verdict.holds(), same_view) {
                (false, _) => Some(format!("{name}: {}", one.verdict.reason)),
                (true, false) => Some(format!("{name}: the view changed, and no primary failed")),
                (true, true) => None,
            }
        };
        self.0.iter().filter_map(of).collect()
    }

    /// Everything beside what they measured.
    #[must_use]
    pub fn report(&self) -> Report {
        let wrong = self.wrong();
        let conclusion = match wrong.is_empty() {
            true => format!("HOLDS: all {} runs are safe and live", self.0.len()),
            false => format!("DIFFERENT: {}", wrong.join("; ")),
        };
        Report {
            title: "PBFT in DistAlgo (2018), and real processes here".to_owned(),
            conclusion,
            notes: vec![
                crate::REAL.to_owned(),
                "Processes tell no lies: a Byzantine replica is stopped (SIGSTOP), which is silence. The other runs have \
                 a delay, or more than ten replicas: leave --real out for these."
                    .to_owned(),
            ],
            tables: vec![self.table()],
            charts: Vec::new(),
            measurements: self.0.clone(),
        }
    }

    fn table(&self) -> Table {
        let row = |(one, (mode, size)): (&Measurement, (Byzantine, &Size))| {
            let verdict = [one.verdict.safe(), one.verdict.live()].map(str::to_owned);
            beside(one, mode, size, Duration::ZERO).into_iter().chain(verdict).collect()
        };
        let head = BESIDE.into_iter().chain(["safe", "live"]).map(str::to_owned).collect();
        let rows = self.0.iter().zip(sizes()).map(row);
        Table {
            title: "Without delay, on processes".to_owned(),
            rows: std::iter::once(head).chain(rows).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::words;
    use super::*;

    #[test]
    fn processes_can_make_every_one_of_them() {
        let setups = setups(Duration::from_secs(2), 1);
        let names: Vec<_> = setups.iter().map(|setup| &*setup.name).collect();
        let (small, large) = ("5×4×5", "10×8×4");
        let expected = MODES.map(words).map(|mode| [small, large].map(|n| format!("{n} {mode}")));
        assert_eq!(names, expected.concat());
        for setup in &setups {
            assert_eq!(real::check(setup), Ok(()), "{}", setup.name);
        }
    }
}
