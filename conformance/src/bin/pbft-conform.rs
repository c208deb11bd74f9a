//! Shows that the model and the code are the same protocol. See `pbft-conform --help`.

fn main() -> std::process::ExitCode {
    pbft_conformance::cli::main()
}
