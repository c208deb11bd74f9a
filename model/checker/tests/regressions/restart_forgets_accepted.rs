/// n4-b0-v0-s1-d2 --mutant restart-forgets-accepted: 11 steps to a state that violates agreement, certificate-uniqueness, client-reply, votes-kept
#[test]
fn restart_forgets_accepted_broken_in_n4_b0_v0_s1_d2() {
    use pbft_checker::mutant_record;
    use pbft_checker::trace::follow;
    use pbft_model::{Pbft, properties};

    const STEPS: [&str; 11] = [
        "replica 1 Prepare R1 at slot 1",
        "replica 2 Prepare R1 at slot 1",
        "replica 3 Prepare R2 at slot 1",
        "replica 1 Commit slot 1",
        "replica 2 Commit slot 1",
        "replica 1 Execute R1, committed in view 0",
        "replica 2 Restart",
        "replica 2 Prepare R2 at slot 1",
        "replica 3 Commit slot 1",
        "replica 2 Commit slot 1",
        "replica 3 Execute R2, committed in view 0",
    ];
    const VIOLATED: [&str; 4] =
        ["agreement", "certificate-uniqueness", "client-reply", "votes-kept"];
    let model = Pbft::new("n4-b0-v0-s1-d2".parse().expect("a configuration"));
    match mutant_record::active() {
        Some("restart-forgets-accepted") => {
            let last = follow(&model, &STEPS).expect("every step is enabled");
            assert_eq!(properties::violated(&model, &last), VIOLATED);
        }
        Some(_) => {}
        None => {
            let refused = follow(&model, &STEPS).expect_err("the protocol refuses it");
            assert_eq!(refused.step, 7);
        }
    }
}
