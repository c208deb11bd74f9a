//! The command `pbft-liar`.

fn main() -> std::process::ExitCode {
    pbft_tests::liar::main()
}
