# Programs that are had as Go modules: built once, with the versions pinned here, into .cache/tools/. What is fetched is
# checked against Go's checksum database.
# Sourced, never run.
# shellcheck shell=bash disable=SC2154 # root and tools are set by console.sh

oldest_go=1.26

# find_go: puts a Go that is new enough into $go; fails without a word where there is none.
find_go() {
  local candidate version
  for candidate in "$(command -v go || true)" /usr/local/go/bin/go "$tools/go-compiler/bin/go"; do
    [[ -x $candidate ]] || continue
    version=$(GOTOOLCHAIN=local "$candidate" env GOVERSION 2>/dev/null) || continue
    if [[ $(printf '%s\n' "$oldest_go" "${version#go}" | sort -V | head -n 1) == "$oldest_go" ]]; then
      go=$candidate
      return
    fi
  done
  return 1
}

# shellcheck disable=SC2034 # for those who source this
go_is_missing="Go $oldest_go or later is not here (https://go.dev/dl): "

# go_program NAME: the path of a program in $program, built if it is not there in this version.
go_program() {
  local module version
  case $1 in
    kubeconform) module=github.com/yannh/kubeconform/cmd/kubeconform version=v0.8.0 ;;
    kustomize) module=sigs.k8s.io/kustomize/kustomize/v5 version=v5.8.1 ;;
    oras) module=oras.land/oras/cmd/oras version=v1.3.6 ;;
    *) die "no Go program $1 is pinned in scripts/lib/go.sh" ;;
  esac
  mkdir -p "$tools/go"
  program=$tools/go/$1-$version
  ln -sfn "go/$1-$version" "$tools/$1"
  [[ -x $program ]] && return
  find_go || return
  local built
  built=$(mktemp -d "$tools/go/build.XXXXXX")
  # One compiler at a time: the links of these programs take much memory.
  quietly "building $1 $version (once)" \
    env GOBIN="$built" CGO_ENABLED=0 GOFLAGS=-p=1 "$go" install "$module@$version" &&
    mv "$built/${1}" "$program"
  local status=$?
  rm -rf "$built"
  return "$status"
}
