#!/bin/bash
# Fuzzes every reader with libFuzzer, address and undefined behaviour sanitizers.
#
#   tests/nightly/fuzz.sh                       20 million executions of each binary format, 5 million
#                                               of each other reader
#   tests/nightly/fuzz.sh --runs N [READER...]  N executions of each reader named, or of all
#   tests/nightly/fuzz.sh --seconds N [READER...]
#
# Prints a line for each reader: executions, executions a second, edges covered. Ends with 1 when any
# crashed, hung, leaked or asked for more than 64 MiB at once; the input lies in build/fuzz/fuzz/crashes,
# and build/fuzz/fuzz/calm_fuzz_READER INPUT shows it again. What was learnt is kept in
# build/fuzz/fuzz/corpus. Two readers run at a time; JOBS=1 makes it one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

declare -A max_len=([cwgt]=4608 [ctds]=512 [safetensors]=512 [config]=1024 [yaml]=1024 [manifest]=1536 [template]=512
                    [inline_pattern]=256 [pairs]=1024 [dictd]=1024 [gunzip]=512)
readers=(cwgt ctds safetensors config yaml manifest template inline_pattern pairs dictd gunzip)
formats=" cwgt ctds safetensors "

limit=()
case "${1:-}" in
  --seconds) limit=(-max_total_time="$2") && shift 2 ;;
  --runs) limit=(-runs="$2") && shift 2 ;;
  -*) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2 && exit 2 ;;
esac
if (($# > 0)); then readers=("$@"); fi
for reader in "${readers[@]}"; do
  [[ -n ${max_len[$reader]:-} ]] || { echo "fuzz.sh: expected a reader, found $reader" >&2; exit 2; }
done

cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --target calm_fuzz >&2

out=build/fuzz/fuzz
mkdir -p "$out/crashes" "$out/logs"
# Stacks of allocations are what costs most; a report of a leak or a use after free does without.
export ASAN_OPTIONS=malloc_context_size=0:quarantine_size_mb=1:thread_local_quarantine_size_kb=64

# The leak checker traces its own process, which some containers forbid.
if "$out/calm_fuzz_pairs" -runs=1 2>&1 | grep -a -q 'LeakSanitizer has encountered a fatal error'; then
  echo "no leaks are looked for: this process may not be traced" >&2
  export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
fi

# fuzz <reader>: its log, and a line on standard output.
fuzz() {
  local reader=$1 corpus=$out/corpus/$1 log=$out/logs/$1.log options=("${limit[@]}") status=0
  mkdir -p "$corpus"
  if ((${#options[@]} == 0)); then
    options=(-runs=$([[ $formats == *" $reader "* ]] && echo 20000000 || echo 5000000))
  fi
  case $reader in
    cwgt | ctds | safetensors) "$out/calm_fuzz_seeds" "$reader" "$corpus" ;;
  esac
  case $reader in
    cwgt) cp tests/parity/data/tiny_*.cwgt tests/parity/data/load/*.cwgt "$corpus" ;;
    ctds) cp tests/parity/data/ctds/*.ctds "$corpus" ;;
    safetensors) ;;
    *) cp tests/fuzz/seeds/"$reader"/* "$corpus" ;;
  esac
  if [[ -e tests/fuzz/dictionaries/$reader ]]; then
    options+=(-dict=tests/fuzz/dictionaries/"$reader")
  fi
  # Names of new functions are looked up by a symbolizer that takes longer than the fuzzing.
  "$out/calm_fuzz_$reader" -max_len="${max_len[$reader]}" -malloc_limit_mb=64 -rss_limit_mb=1024 \
    -timeout=10 -print_funcs=0 -entropic=0 -reload=0 -print_final_stats=1 \
    -artifact_prefix="$out/crashes/$reader-" "${options[@]}" "$corpus" >"$log" 2>&1 || status=$?
  awk -v reader="$reader" -v status="$status" '
    /cov: / { for (i = 1; i < NF; ++i) if ($i == "cov:") edges = $(i + 1) }
    /^stat::number_of_executed_units/ { runs = $2 }
    /^stat::average_exec_per_sec/ { speed = $2 }
    END { printf "%-16s %12d executions %8d/s %6d edges  %s\n", reader, runs, speed, edges,
          status == 0 ? "ok" : "FAILED" }' "$log"
  if ((status != 0)); then
    grep -a -m 3 -E 'ERROR|fuzz: |runtime error|SUMMARY' "$log" >&2 || tail -n 5 "$log" >&2
  fi
  return "$status"
}

failed=0
running=0
for reader in "${readers[@]}"; do
  if ((running == ${JOBS:-2})); then
    wait -n || failed=1
    running=$((running - 1))
  fi
  fuzz "$reader" &
  running=$((running + 1))
done
while ((running > 0)); do
  wait -n || failed=1
  running=$((running - 1))
done
exit "$failed"
