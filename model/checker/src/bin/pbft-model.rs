//! Checks the model of PBFT. See `pbft-model --help`.

fn main() -> std::process::ExitCode {
    pbft_checker::cli::main()
}
