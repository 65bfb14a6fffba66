//! The program `polypeer`: a libp2p server and tools around it.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}
