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

# The versions of Istio that there are tests with. The first is pinned by tests/istio/go.mod, the others each by a
# VERSION.mod beside it, with one source of the control plane for all.
istio_versions=(1.31 1.30)

# pins_of_istio VERSION: the file in tests/istio/.
pins_of_istio() { if [[ $1 == "${istio_versions[0]}" ]]; then echo go.mod; else echo "$1.mod"; fi; }

# build_istio VERSION: Istio's control plane and its agent of a gateway, into .cache/istio/VERSION/, and from now on the
# ones that the tests take. The first time it takes 10 minutes on 2 cores, 3.5 GB for Go's caches and 150 MB for the
# programs; each further version a little less.
build_istio() {
  local version=$1 place=.cache/istio/$1 stamp module
  istio_pins=$(pins_of_istio "$version")
  stamp=$(cat "tests/istio/$istio_pins" "tests/istio/${istio_pins%.mod}.sum" tests/istio/*/*.go | sha256sum)
  mkdir -p "$place" "$tools"
  ln -sfn "../istio/$version" "$tools/istio"
  [[ -f $place/stamp && $(<"$place/stamp") == "$stamp" ]] && return
  module=$(in_istio mod download -json istio.io/istio | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p') || return
  [[ $(<"$module/VERSION") == "$version" ]] || die "tests/istio/$istio_pins pins Istio $(<"$module/VERSION"), not $version"
  quietly "the agent of Istio $version (once, 2 minutes)" istio_program pilot-agent \
    agent,disable_pgv,grpcnotrace,retrynotrace istio.io/istio/pilot/cmd/pilot-agent || return
  quietly "istiod $version (once, 8 minutes)" istio_program istiod vtprotobuf,disable_pgv ./istiod || return
  install -m 644 "$module/tools/packaging/common/envoy_bootstrap.json" "$place/envoy_bootstrap.json" || return
  echo "$stamp" >"$place/stamp"
}

# in_istio COMMAND...: Go with the pins of build_istio's version, and one compiler at a time, for the memory.
in_istio() (cd tests/istio && GOFLAGS="-p=1 -modfile=$istio_pins" CGO_ENABLED=0 "$go" "$@")

# istio_program NAME TAGS PACKAGE: with the tags of Istio's own releases.
istio_program() {
  in_istio build -trimpath -buildvcs=false -mod=readonly -tags "$2" -ldflags '-s -w' -o "$root/$place/$1" "$3"
}
