# An nginx that reads PROXY headers of up to 4096 bytes, built from the source that tests/nginx pins: with TCP and nothing
# else, so that nothing but a C compiler is needed.
# Sourced, never run.
# shellcheck shell=bash disable=SC2154 # root, tools and scratch are set by console.sh

# built_nginx_version: the pinned one. The crate has a version of its own, and nginx's behind the plus sign.
built_nginx_version() { sed -n '/^name = "nginx-src"$/{n;s/^version = ".*+\(.*\)"$/\1/p}' tests/nginx/Cargo.lock; }

# build_nginx: into .cache/tools/nginx-built; half a minute on one core.
build_nginx() {
  local version program
  version=$(built_nginx_version)
  program=$tools/nginx-built-$version
  if [[ -x $program ]]; then
    row "already there" "nginx $version, built"
  else
    row installing "nginx $version into .cache/tools (crates.io, compiled here)"
    quietly "compiling nginx $version" compile_nginx "$program" || die "nginx $version cannot be built. What was tried stands above"
  fi
  ln -sfn "nginx-built-$version" "$tools/nginx-built"
}

# compile_nginx PROGRAM. A newer compiler's new warning is no fault here. The program has its name last: a build that was
# broken off leaves none.
compile_nginx() (
  set -e
  source=$(nginx_source)
  mkdir -p "$tools" "$scratch/nginx-built"
  cp -r "$source/." "$scratch/nginx-built"
  cd "$scratch/nginx-built"
  auto/configure --prefix=. --with-stream --without-http --without-pcre --without-quic_bpf_module \
    --with-cc-opt='-O1 -g0 -Wno-error'
  make
  install -m 755 objs/nginx "$1.new"
  mv "$1.new" "$1"
)

# nginx_source: its folder, fetched by cargo where it is not there.
nginx_source() {
  local host
  host=$(rustc -vV | sed -n 's/^host: //p')
  cargo metadata --locked --format-version 1 --filter-platform "$host" --manifest-path "$root/tests/nginx/Cargo.toml" |
    sed -nE 's|.*"manifest_path":"([^"]*/nginx-src-[^"]*)/Cargo\.toml".*|\1/nginx|p' | grep .
}
