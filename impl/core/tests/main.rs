//! The core's tests are one program: to compile the test cluster for each file of them took longer than all of them run.

mod amnesia;
mod budget;
mod catching_up;
mod client_lane;
mod common;
mod disorder;
mod evidence;
mod finality;
mod liveness;
mod paper;
mod poison;
mod properties;
mod scenarios;
mod sparing;
mod state_transfer;
mod wall;
mod withheld;
