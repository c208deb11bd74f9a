/// n4-b0-v0-s1-d2 --mutant restart-forgets-accepted: 11 steps to a state that violates agreement, certificate-uniqueness, client-reply
#[test]
fn restart_forgets_accepted_in_n4_b0_v0_s1_d2() {
    use pbft_model::trace::follow;
    use pbft_model::{Mutant, Pbft, properties};

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
    const VIOLATED: [&str; 3] = ["agreement", "certificate-uniqueness", "client-reply"];
    let correct = Pbft::new("n4-b0-v0-s1-d2".parse().expect("a configuration"));
    let broken = correct.clone().with_mutant(Some(Mutant::RestartForgetsAccepted));
    let last = follow(&broken, &STEPS).expect("every step is enabled");
    assert_eq!(properties::violated(&broken, &last), VIOLATED);
    let refused = follow(&correct, &STEPS).expect_err("the correct protocol refuses it");
    assert_eq!(refused.step, 7);
}
