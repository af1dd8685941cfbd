# The product as the demo, the end-to-end tests and the benchmarks use it: target/release/l4-front and
# target/filter/identity_filter.wasm.
# Sourced, never run.
# shellcheck shell=bash disable=SC2154 # go is set by go.sh

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

# Istio's control plane and its agent of a gateway, at the version that tests/istio/go.mod pins, into .cache/istio/.
# The first time it takes 10 minutes on 2 cores, 3.5 GB for Go's caches and 150 MB for the programs.
build_istio() {
  local stamp
  stamp=$(cat tests/istio/go.mod tests/istio/go.sum tests/istio/*/*.go | sha256sum)
  [[ -f .cache/istio/stamp && $(<.cache/istio/stamp) == "$stamp" ]] && return
  mkdir -p .cache/istio
  quietly "Istio's agent (once, 2 minutes)" istio_program pilot-agent agent,disable_pgv,grpcnotrace,retrynotrace \
    istio.io/istio/pilot/cmd/pilot-agent || return
  quietly "istiod (once, 8 minutes)" istio_program istiod vtprotobuf,disable_pgv ./istiod || return
  local module
  module=$(cd tests/istio && "$go" list -m -f '{{.Dir}}' istio.io/istio) || return
  install -m 644 "$module/tools/packaging/common/envoy_bootstrap.json" .cache/istio/envoy_bootstrap.json || return
  echo "$stamp" >.cache/istio/stamp
}

# istio_program NAME TAGS PACKAGE: with the tags of Istio's own releases; one compiler at a time, for the memory.
istio_program() (
  cd tests/istio &&
    CGO_ENABLED=0 GOFLAGS=-p=1 "$go" build -trimpath -buildvcs=false -mod=readonly -tags "$2" -ldflags '-s -w' \
      -o "../../.cache/istio/$1" "$3"
)
