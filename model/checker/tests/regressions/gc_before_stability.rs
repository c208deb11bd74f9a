/// n4-b0-v1-s1-d2-k1 --mutant gc-before-stability: 14 steps to a state that violates agreement, checkpoint-agreement, committed-survives, client-reply
#[test]
fn gc_before_stability_broken_in_n4_b0_v1_s1_d2_k1() {
    use pbft_checker::mutant_record;
    use pbft_checker::trace::follow;
    use pbft_model::{Pbft, properties};

    const STEPS: [&str; 14] = [
        "replica 1 StartViewChange to view 1",
        "replica 2 Prepare R1 at slot 1",
        "replica 3 Prepare R1 at slot 1",
        "replica 2 Commit slot 1",
        "replica 3 Commit slot 1",
        "replica 2 Execute R1, committed in view 0",
        "replica 2 StartViewChange to view 1",
        "replica 1 NewView O=[]",
        "replica 1 PrePrepare R2 at slot 1",
        "replica 3 EnterView view 1 with O=[]",
        "replica 3 Prepare R2 at slot 1",
        "replica 1 Commit slot 1",
        "replica 3 Commit slot 1",
        "replica 1 Execute R2, committed in view 1",
    ];
    const VIOLATED: [&str; 4] =
        ["agreement", "checkpoint-agreement", "committed-survives", "client-reply"];
    let model = Pbft::new("n4-b0-v1-s1-d2-k1".parse().expect("a configuration"));
    match mutant_record::active() {
        Some("gc-before-stability") => {
            let last = follow(&model, &STEPS).expect("every step is enabled");
            assert_eq!(properties::violated(&model, &last), VIOLATED);
        }
        Some(_) => {}
        None => {
            let refused = follow(&model, &STEPS).expect_err("the protocol refuses it");
            assert_eq!(refused.step, 8);
        }
    }
}
