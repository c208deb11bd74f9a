//! Simulates clusters of the production core. See `pbft-sim --help`.

fn main() -> std::process::ExitCode {
    pbft_sim_cli::main()
}
