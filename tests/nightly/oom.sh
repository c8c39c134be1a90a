#!/bin/bash
# Makes each allocation of the program fail in turn, alone and with all that follow, while it loads a
# model, trains one step and completes one prompt: oom.sh [BUILD [STEP [CAP]]]. Every STEP-th of the first
# CAP allocations (default: each of 5000) of BUILD (default: build/release). Every run must end with 75, or
# with 0 where the program could do without, and leave no memory behind; no signal, and never an answer
# that takes a file for a bad one.
set -uo pipefail
export LC_ALL=C.UTF-8

root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
build=$(realpath "${1:-$root/build/release}")
step=${2:-1}
cap=${3:-5000}
data=$root/tests/parity/data
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export HOME=$work CALM_OOM_COUNT=$work/count
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:allocator_may_return_null=1
# The leak checker needs to trace its own process, which some containers forbid.
if ! "$build/bin/calm_oom" --version >/dev/null 2>err; then
  echo "no leaks are looked for: $(grep -m 1 . err)"
  export LSAN_OPTIONS=detect_leaks=0 ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
fi

shim=$build/tests/nightly/calm_oom_shim.so
bad=0 runs=0

# sweep NAME FROM COMMAND...: the command with its n-th allocation failing, for every n.
sweep() {
  local name=$1 from=$2 n code tried=$cap worst=""
  shift 2
  local survived=0 refused=0
  for ((n = 1; n <= cap && n <= tried; n += step)); do
    rm -rf run out err count
    CALM_OOM_AT=$n CALM_OOM_FROM=$from timeout 60 "$@" >out 2>err </dev/null
    code=$?
    runs=$((runs + 1))
    # It went through with fewer allocations than n: all were tried.
    if [[ -s count ]] && (($(<count) < n)); then tried=$(<count); fi
    if ((code == 75)) && [[ -s err ]]; then
      refused=$((refused + 1))
    elif ((code == 0)); then
      survived=$((survived + 1))
    else
      bad=$((bad + 1))
      if [[ -z $worst ]]; then worst=$n; fi
      if ((bad <= ${OOM_SHOW:-10})); then
        echo "FAILED $name: allocation $n, all after it: $from: exit $code"
        tail -n 40 err | head -c 4000
      fi
    fi
  done
  echo "$name: allocations 1 to $((tried < cap ? tried : cap)) by $step, all after it: $from:" \
    "$refused ended with 75, $survived went on${worst:+, first failure at $worst}"
}

all() {
  local name=$1
  shift
  for from in 0 1; do
    sweep "$name load" "$from" "$@" info "$data/pico.cwgt"
    sweep "$name complete" "$from" "$@" --threads 2 generate -q -m "$data/pico.cwgt" -r abc --max-tokens 2
    sweep "$name train" "$from" "$@" --threads 2 train --preset nano --set model.d_model=8 \
      --set model.n_layers=1 --set training.warmup_steps=0 --batch-size 2 --max-steps 1 \
      --dataset "$data/ctds/case12.ctds" --save-dir run
  done
}

all "operator new:" "$build/bin/calm_oom"
if [[ -f $shim ]]; then all "malloc:" env "LD_PRELOAD=$shim" "$build/bin/calm"; fi
echo "$runs runs, $bad failed"
((bad == 0))
