//! Somebody who types anything: whatever is said, nothing panics, no line is too wide, no rule is broken with one Byzantine
//! replica, and the model allows what the correct ones did.

use pbft_conformance::validate::{Options, Recording, Validity, validate};
use pbft_lab::cluster::Setup;
use pbft_lab::saved;
use pbft_lab::session::{Session, Step};
use pbft_lab::text::{WIDTH, lines};
use pbft_sim::rng::Rng;

/// What may be typed; `%` is a number, `@` a replica.
const LINES: [&str; 44] = [
    "deposit alice %",
    "deposit bob %",
    "withdraw alice %",
    "transfer alice bob %",
    "balance bob",
    "deposit alice -%",
    "deliver",
    "deliver",
    "deliver",
    "round",
    "round",
    "deliver %",
    "deliver prepare from @",
    "deliver all to @",
    "drop %",
    "drop commit to @",
    "withhold prepare from @",
    "withhold commit to @",
    "withhold all from @ to @",
    "release",
    "release prepare from @",
    "@ says pre-prepare for % seq % to @",
    "@ says prepare to @",
    "@ says prepare wrong",
    "@ says commit for % seq %",
    "@ says commit as @ in %",
    "@ says checkpoint seq %",
    "@ says view-change in %",
    "@ says view-change empty",
    "@ says new-view twice in %",
    "@ says reply % for % as @",
    "crash @",
    "recover @",
    "recover @",
    "time 200ms",
    "run 400ms",
    "run 2s",
    "timeout",
    "timeout @",
    "checkpoint",
    "votes",
    "list",
    "log",
    "says @ % to nobody",
];

fn line(rng: &mut Rng) -> String {
    let template = rng.pick(&LINES).copied().unwrap_or_default();
    let parts = template.split_inclusive(['%', '@']);
    let fill = |part: &str| match (part.strip_suffix('%'), part.strip_suffix('@')) {
        (Some(before), _) => format!("{before}{}", rng.below(9)),
        (_, Some(before)) => format!("{before}{}", rng.below(4)),
        (None, None) => part.to_owned(),
    };
    parts.map(fill).collect()
}

fn types(seed: u64) {
    let mut rng = Rng::new(seed).fork("monkey");
    let byzantine = rng.below(4) as usize;
    let setup = Setup { byzantine: vec![byzantine], ..Setup::default() };
    let mut session = Session::new(setup).expect("a session");
    let mut done = 0;
    for _ in 0..80 {
        let line = line(&mut rng);
        match session.run(&line) {
            Ok(Step::Reports(reports)) => {
                done += 1;
                for shown in reports.iter().flat_map(lines) {
                    assert!(shown.chars().count() <= WIDTH, "seed {seed}, {line}: {shown}");
                }
            }
            Ok(Step::Quit) => unreachable!("nobody says so"),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        let broken = &session.cluster.world().oracle.violation;
        assert!(broken.is_none(), "seed {seed}: {broken:?}\n{}", session.script.join("\n"));
    }
    assert!(done > 20, "seed {seed}: only {done} lines could be done");
    let recordings = saved::recordings(&session).expect("the session once more");
    let logs = recordings.iter().map(|(name, bytes)| Recording::new(name.into(), &bytes[..]));
    let options = Options { byzantine: [byzantine as u32].into(), truncated_ok: true };
    let validation = validate(logs.collect(), &options).expect("readable recordings");
    let script = session.script.join("\n");
    assert_ne!(validation.verdict, Validity::Divergence, "{:?}\n{script}", validation.divergence);
}

#[test]
fn anything_may_be_typed() {
    (0..15).for_each(types);
}
