//! Where the binaries under test lie.

use std::{
    env,
    path::{Path, PathBuf},
};

/// Path of a program of Debian that serves, such as nginx: what `REPARTEE_` and its name in capitals say, else the one in
/// `/usr/sbin`. `None` if there is none.
pub fn installed(name: &str) -> Option<PathBuf> {
    let named = env::var_os(format!("REPARTEE_{}", name.to_uppercase())).map(PathBuf::from);
    Some(named.unwrap_or_else(|| Path::new("/usr/sbin").join(name))).filter(|path| path.is_file())
}

/// Path of the binary `name`: in `REPARTEE_BIN_DIR`, or else where cargo puts it beside this test.
///
/// # Panics
/// Where it was not built; the message says how to build it.
pub fn binary(name: &str) -> PathBuf {
    let folder = env::var_os("REPARTEE_BIN_DIR").map(PathBuf::from).unwrap_or_else(beside_this_test);
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "the binary {name} is not in {}: run `cargo build --workspace --bins` first, or set REPARTEE_BIN_DIR",
        folder.display()
    );
    path
}

/// Tests lie in `target/PROFILE/deps`, binaries one level above.
fn beside_this_test() -> PathBuf {
    let test = env::current_exe().expect("a running test knows its own path");
    test.ancestors().nth(2).expect("cargo puts tests two levels deep").to_path_buf()
}
