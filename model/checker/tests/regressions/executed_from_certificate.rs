/// n4-b0-v1-s1-d1: 10 steps to a state that violates nothing
#[test]
fn correct_in_n4_b0_v1_s1_d1() {
    use pbft_checker::trace::follow;
    use pbft_model::{Pbft, properties};

    const STEPS: [&str; 10] = [
        "replica 1 Prepare R1 at slot 1",
        "replica 1 StartViewChange to view 1",
        "replica 2 Prepare R1 at slot 1",
        "replica 2 Commit slot 1",
        "replica 2 StartViewChange to view 1",
        "replica 1 NewView O=[1:R1]",
        "replica 2 EnterView view 1 with O=[1:R1]",
        "replica 1 Commit slot 1",
        "replica 2 Commit slot 1",
        "replica 1 Execute R1, committed in view 1",
    ];
    let model = Pbft::new("n4-b0-v1-s1-d1".parse().expect("a configuration"));
    let last = follow(&model, &STEPS).expect("every step is enabled");
    assert!(properties::violated(&model, &last).is_empty());
}
