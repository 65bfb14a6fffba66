//! `polypeer-bindgen MODULE.wasm OUT_DIR NAME`: what `wasm-bindgen --target web`
//! does, as a program of the workspace, so that nobody has to install a tool in
//! the one version that fits.

use std::{env, process::ExitCode};

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [module, folder, name] = arguments.as_slice() else {
        eprintln!("usage: polypeer-bindgen MODULE.wasm OUT_DIR NAME");
        return ExitCode::from(2);
    };
    match generate(module, folder, name) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("polypeer-bindgen: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn generate(module: &str, folder: &str, name: &str) -> Result<(), Box<dyn std::error::Error>> {
    Bindgen::new()
        .input_path(module)
        .out_name(name)
        .web(true)?
        // The package brings the module itself: no `new URL` for bundlers to guess at.
        .omit_default_module_path(true)
        .typescript(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(folder)?;
    Ok(())
}
