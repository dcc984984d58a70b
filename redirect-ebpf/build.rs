//! Compiles the kernel side with clang.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCES: &str = "src/bpf";
const OBJECT: &str = "redirect";

fn main() {
    println!("cargo:rerun-if-changed={SOURCES}");
    println!("cargo:rerun-if-env-changed=CLANG");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let source = Path::new(SOURCES).join(format!("{OBJECT}.bpf.c"));
    let object = out.join(format!("{OBJECT}.bpf.o"));
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    let status = Command::new(&clang)
        .args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror"])
        .args(multiarch_include())
        .arg("-c")
        .arg(&source)
        .arg("-o")
        .arg(&object)
        .status();
    match status {
        Ok(status) if status.success() => {}
        Ok(_) => panic!(
            "{clang} could not compile {}: if a header is missing, `apt-get install libbpf-dev \
             linux-libc-dev`",
            source.display()
        ),
        Err(error) => panic!(
            "cannot run {clang} ({error}), which compiles the eBPF programs: `apt-get install \
             clang llvm libbpf-dev`, or name it in CLANG"
        ),
    }
    // Without it the object is merely larger: the loader ignores DWARF.
    let _stripped = Command::new("llvm-strip").arg("-g").arg(&object).status();
}

/// Debian keeps `asm/types.h` in a folder of the machine's own, which `-target bpf` leaves out.
fn multiarch_include() -> Vec<String> {
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let path = format!("/usr/include/{arch}-linux-gnu");
    if Path::new(&path).is_dir() { vec![format!("-I{path}")] } else { Vec::new() }
}
