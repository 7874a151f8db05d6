//! Generates the Rust types of `schemas/` without `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=schemas");
    let files = ["review", "chat", "click", "scored"].map(|name| format!("groundswell/v1/{name}.proto"));
    let descriptors = protox::compile(files, ["schemas"])?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
