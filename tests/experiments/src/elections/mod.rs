//! What a reader who comes from Raft looks for first: who leads, and what happens when nobody does. A sequence of scenes,
//! each told step by step: what is done, what is seen, and what must be seen (`pbft-sim elections`).
//!
//! Most play on four `pbft` processes on loopback, with their own clients, sockets and disks. Those that need a replica
//! that lies, or hours, play in the simulator, and say so.

pub mod cli;
mod cluster;
mod scenes;
mod simulated;
mod story;

pub use story::{Step, Told};

use super::{Kind, Outcome};
use pbft_sim::judge::guarded;
use std::pin::Pin;
use story::{Different, Story};

/// The virtual time for which the simulator watches an idle cluster, in hours.
const IDLE_HOURS: u64 = 2;

type Ends<'a> = Pin<Box<dyn Future<Output = Result<(), Different>> + 'a>>;

/// How a scene is played.
#[derive(Clone, Copy, Debug)]
enum Play {
    Processes(fn(&mut Story) -> Ends<'_>),
    Simulation(fn(&mut Story) -> Result<(), Different>),
}

/// A scene.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// The row that it shows.
    pub row: &'static str,
    /// What it is about.
    pub title: &'static str,
    play: Play,
}

const fn processes(
    row: &'static str,
    title: &'static str,
    play: fn(&mut Story) -> Ends<'_>,
) -> Scene {
    Scene { row, title, play: Play::Processes(play) }
}

const fn simulation(
    row: &'static str,
    title: &'static str,
    play: fn(&mut Story) -> Result<(), Different>,
) -> Scene {
    Scene { row, title, play: Play::Simulation(play) }
}

/// All scenes, in the order in which they are told.
pub const SCENES: &[Scene] = &[
    processes("S1.1", "Fewer than four replicas, and fewer than a quorum", |story| {
        Box::pin(scenes::too_few(story))
    }),
    simulation("S1.2", "Forged view changes and new views", simulated::forgeries),
    simulation("S1.3", "Replicas that call for a new view without need", simulated::lone_callers),
    processes("S1.4", "The client asks for another primary", |story| {
        Box::pin(scenes::client_intervenes(story))
    }),
    processes("S1.5", "Primaries are killed, and one returns", |story| {
        Box::pin(scenes::primaries_fail(story))
    }),
    processes("S1.6", "A replica that was away learns who leads", |story| {
        Box::pin(scenes::rejoining(story))
    }),
    processes("S1.7", "A laggard catches up; a primary of the past undoes nothing", |story| {
        Box::pin(scenes::catching_up(story))
    }),
    processes("S1.8", "A backup forwards a request to the primary", |story| {
        Box::pin(scenes::forwarding(story))
    }),
    processes("S1.10", "Nobody asks for anything", |story| Box::pin(scenes::idle(story))),
    simulation("S1.10", "Hours without a request; view-change spam", |story| {
        simulated::idle_and_spam(story, IDLE_HOURS)
    }),
];

impl Scene {
    /// Where it plays.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self.play {
            Play::Processes(_) => Kind::Processes,
            Play::Simulation(_) => Kind::Simulation,
        }
    }

    /// Plays it. Whatever goes wrong is a step of its story.
    #[must_use]
    pub fn tell(&self) -> Told {
        if self.kind() == Kind::Processes {
            // Building it, if it must be built, is no part of the story.
            pbft_tests::binary::pbft_binary();
        }
        let mut story = Story::default();
        let ended = guarded(|| match self.play {
            Play::Simulation(play) => drop(play(&mut story)),
            Play::Processes(play) => match tokio::runtime::Runtime::new() {
                Ok(runtime) => drop(runtime.block_on(play(&mut story))),
                Err(error) => panic!("no runtime: {error}"),
            },
        });
        if let Err(violation) = ended {
            // The scene cannot go on; why is what was seen.
            let _ = story.check("the scene", violation.detail, "it comes to its end", false);
        }
        let (steps, took) = story.into_steps();
        let Self { row, title, .. } = *self;
        Told { row, title, kind: self.kind(), steps, seconds: took.as_secs_f64() }
    }
}

/// Plays the scenes of one row.
#[must_use]
pub fn outcome(row: &str) -> Outcome {
    let scenes = SCENES.iter().filter(|scene| scene.row == row);
    let told: Vec<Told> = scenes.map(Scene::tell).collect();
    let said = told.iter().map(Told::said).collect::<Vec<_>>().join("; ");
    Outcome { holds: !told.is_empty() && told.iter().all(Told::holds), said }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_that_panics_or_differs_is_told_as_different() {
        let panics = simulation("S1.0", "panics", |_| panic!("no such replica"));
        let told = panics.tell();
        assert!(!told.holds());
        assert!(told.said().contains("no such replica"), "{}", told.said());
        let differs = simulation("S1.0", "differs", |story| story.check("look", "3", "2", false));
        assert!(!differs.tell().holds());
        assert!(!outcome("S1.0").holds, "a row without a scene shows nothing");
    }
}
