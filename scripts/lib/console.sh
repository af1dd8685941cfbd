# What every script here shares: where the checkout is, how progress is shown, how a step fails.
# Sourced, never run.
# shellcheck shell=bash disable=SC2034 # some of what is set here is used by one script only

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tools=$root/.cache/tools

# One place for build results: the scripts and the test harness name files under target/.
export CARGO_TARGET_DIR=$root/target

# Where rustup puts cargo. A shell that was open before does not look there, and a distribution's own rustc must not be
# taken for the pinned one.
cargo_bin=${CARGO_HOME:-${HOME:-}/.cargo}/bin
if [[ -x $cargo_bin/cargo && :$PATH: != *":$cargo_bin:"* ]]; then
  PATH=$cargo_bin:$PATH
fi

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
  bold=$'\e[1m' red=$'\e[31m' green=$'\e[32m' yellow=$'\e[33m' plain=$'\e[0m'
else
  bold='' red='' green='' yellow='' plain=''
fi

# heading TEXT: the start of a step.
heading() { printf '%s==> %s%s\n' "$bold" "$*" "$plain"; }

# row WORD TEXT: one item of a step, such as `row have "shellcheck 0.9.0"`.
row() { printf '    %s%*s %s\n' "$1" $((15 - $(width "$1"))) '' "$2"; }

# width TEXT: how many columns it takes, colours aside.
width() { local text=${1//$'\e['[0-9]m/}; text=${text//$'\e['[0-9][0-9]m/}; echo ${#text}; }

# warn TEXT: something that did not run and should be known.
warn() { printf '%swarning: %s%s\n' "$yellow" "$*" "$plain" >&2; }

# die TEXT: says what is wrong and what to do about it, and ends the script.
die() {
  printf '%serror: %s%s\n' "$red" "$*" "$plain" >&2
  exit 1
}

# usage FILE: prints the comment at the head of a script, without its comment signs.
usage() { sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$1"; }

# now_ms: milliseconds since some fixed point.
now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo $((t / 1000)); }

# since MS: how long ago that was, such as `3.2s` or `4m07s`.
since() {
  local ms=$(($(now_ms) - $1))
  if ((ms < 60000)); then
    printf '%d.%ds' $((ms / 1000)) $((ms % 1000 / 100))
  else
    printf '%dm%02ds' $((ms / 60000)) $((ms / 1000 % 60))
  fi
}

# scratch: a folder in $scratch that goes away with the script, however it ends.
scratch() {
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

# quietly TEXT COMMAND...: runs a command that takes long. What it prints is shown only where it fails, or with
# verbose=1. On a terminal the elapsed time is shown meanwhile. The word for success is `done`, or $finished. A command
# that could not do its work here, and need not, ends with 77.
quietly() {
  local text=$1 start log status=0
  shift
  start=$(now_ms)
  if [[ ${verbose:-0} == 1 ]]; then
    row running "$text"
    "$@" || status=$?
  else
    log=$(mktemp "$scratch/log.XXXXXX")
    set -m # a process group of its own, so that all of it can be ended
    "$@" >"$log" 2>&1 </dev/null &
    set +m
    await $! "$text" "$start" || status=$?
  fi
  if ((status == 77)); then
    row "${yellow}not run${plain}" "$text ($(since "$start"))"
    return
  fi
  if ((status != 0)); then
    row "${red}failed${plain}" "$text ($(since "$start"), exit $status)"
    [[ -n ${log:-} ]] && sed 's/^/    | /' "$log" >&2
    return "$status"
  fi
  row "${finished:-done}" "$text ($(since "$start"))"
}

# await PID TEXT START: waits for a process group that this shell started; ends it when the script is ended.
await() {
  local pid=$1 text=$2 start=$3 status=0
  trap 'kill -- "-$pid" 2>/dev/null; exit 130' INT
  trap 'kill -- "-$pid" 2>/dev/null; exit 143' TERM
  if [[ -t 1 ]]; then
    while kill -0 "$pid" 2>/dev/null; do
      printf '\r    %-15s %s (%s) ' 'working' "$text" "$(since "$start")"
      sleep 0.5
    done
    printf '\r\e[K'
  fi
  wait "$pid" || status=$?
  trap 'exit 130' INT
  trap 'exit 143' TERM
  return "$status"
}
