#!/bin/sh
# Writes empty sources beside each manifest below this folder, so that the dependencies can be built without the sources.
set -eu
find . -mindepth 2 -name Cargo.toml | while read -r manifest; do
  crate=${manifest%/Cargo.toml}
  mkdir -p "$crate/src" "$crate/tests"
  echo 'fn main() {}' | tee "$crate/src/main.rs" >"$crate/build.rs"
  : >"$crate/src/lib.rs"
  # Tests that a manifest names have to be there.
  sed -n '/^\[\[test\]\]/,/^$/s/^name = "\(.*\)"$/\1/p' "$manifest" | while read -r name; do : >"$crate/tests/$name.rs"; done
done
