//! Some of the scenes that `pbft-sim elections` tells; the others take longer.

use pbft_experiments::elections::SCENES;

#[test]
fn scenes_on_processes_go_as_expected() {
    for row in ["S1.4", "S1.5", "S1.8"] {
        let scene = SCENES.iter().find(|scene| scene.row == row).expect("a scene");
        let told = scene.tell();
        assert!(told.holds(), "{}", told.to_text());
    }
}
