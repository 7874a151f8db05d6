use std::process::ExitCode;

fn main() -> ExitCode {
    groundswell::cli::main()
}
