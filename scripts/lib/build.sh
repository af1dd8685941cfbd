# The product as the demo, the end-to-end tests and the benchmarks use it: target/release/l4-front and
# target/filter/identity_filter.wasm.
# Sourced, never run.
# shellcheck shell=bash

# Where it fails, the compiler's output is shown and the status is not 0.
build_product() {
  heading "build (about 4 minutes the first time on 2 cores, seconds after that)"
  quietly "l4-front" cargo build --locked --release --package l4-front || return
  quietly "the identity filter for Wasm" scripts/build-filter
}

# build_program NAME: a program of the harness, as target/release/NAME.
build_program() {
  quietly "the program $1" cargo build --locked --release --package e2e --bin "$1"
}
