#!/bin/bash
# Runs one text test of the command line: run.sh CALM FILE.test. The format is in README.md beside it.
set -uo pipefail
export LC_ALL=C.UTF-8

program=$(realpath "$1")
test_file=$(realpath "$2")
data=$(dirname "$(dirname "$test_file")")
work=$(mktemp -d)
capture=$(mktemp -d)
trap 'rm -rf "$work" "$capture"' EXIT

# The outside must not leak in: no colours, no configuration, no plugin path of the caller.
for name in $(compgen -e | grep '^CALM_' || true); do unset "$name"; done
unset NO_COLOR CLICOLOR_FORCE XDG_CONFIG_HOME XDG_DATA_HOME
export HOME=$work/home DATA=$data TERM=dumb
export FIXTURES=$(dirname "$(dirname "$program")")/tests/fixtures/plugins
mkdir -p "$HOME" "$work/dir"
PATH="$(dirname "$program"):$PATH"
cd "$work/dir" || exit 1

failures=0
checks=0
command="" line_number=0 command_line=0
declare -a expected_out expected_err
check_out=0 check_err=0 expected_exit=0

# compare STREAM FILE EXPECTED...: each expectation begins with its kind: '=' the line, '~' a regex,
# '*' any number of lines, up to the one where the next expectation holds.
compare() {
  local stream=$1 file=$2 i=0 skip=0 want kind
  shift 2
  local -a lines
  mapfile -t lines <"$file"
  for want in "$@"; do
    kind=${want:0:1} want=${want:1}
    if [[ $kind == '*' ]]; then
      skip=1
      continue
    fi
    while :; do
      if ((i >= ${#lines[@]})); then
        echo "  $stream: expected ${kind/=/line}: $want"
        echo "  $stream: found the end of the output"
        return 1
      fi
      if [[ $kind == '=' && ${lines[i]} == "$want" ]]; then break; fi
      if [[ $kind == '~' && ${lines[i]} =~ ^($want)$ ]]; then break; fi
      if ((skip)); then
        i=$((i + 1))
        continue
      fi
      echo "  $stream line $((i + 1)): expected ${kind/=/line}: $want"
      echo "  $stream line $((i + 1)): found: ${lines[i]}"
      return 1
    done
    skip=0
    i=$((i + 1))
  done
  if ((!skip && i < ${#lines[@]})); then
    echo "  $stream line $((i + 1)): expected the end of the output, found: ${lines[i]}"
    return 1
  fi
}

# Runs the command read so far and judges it; called at each `$` and at the end of the file.
flush() {
  if [[ -z $command ]]; then return; fi
  checks=$((checks + 1))
  local status=0 bad=0
  bash -c "$command" >"$capture/out" 2>"$capture/err" </dev/null || status=$?
  if ((status != expected_exit)); then
    echo "  expected exit $expected_exit, found $status"
    bad=1
  fi
  if ((check_out)); then compare stdout "$capture/out" "${expected_out[@]}" || bad=1; fi
  if ((check_err)); then compare stderr "$capture/err" "${expected_err[@]}" || bad=1; fi
  if ((bad)); then
    failures=$((failures + 1))
    echo "FAILED $(basename "$test_file"):$command_line: $command"
    echo "--- stdout"
    head -c 4000 "$capture/out"
    echo "--- stderr"
    head -c 4000 "$capture/err"
    echo "---"
  fi
  command=""
}

while IFS= read -r line || [[ -n $line ]]; do
  line_number=$((line_number + 1))
  # A continued command goes on until a line without a backslash at its end.
  if [[ $command == *\\ ]]; then
    command=${command%\\}$line
    continue
  fi
  case "$line" in
    '' | '#'*) ;;
    '$ '*)
      flush
      command=${line#\$ } command_line=$line_number expected_exit=0
      expected_out=() expected_err=() check_out=1 check_err=0
      ;;
    '? '*) expected_exit=${line#\? } ;;
    '>') expected_out+=("=") ;;
    '> '*) expected_out+=("=${line#> }") ;;
    '>~ '*) expected_out+=("~${line#>~ }") ;;
    '>*') expected_out+=("*") ;;
    '!') expected_err+=("=") check_err=1 ;;
    '! '*) expected_err+=("=${line#! }") check_err=1 ;;
    '!~ '*) expected_err+=("~${line#!~ }") check_err=1 ;;
    '!*') expected_err+=("*") check_err=1 ;;
    '!-') check_err=1 ;;
    *)
      echo "$(basename "$test_file"):$line_number: not a line of a text test: $line"
      exit 1
      ;;
  esac
done <"$test_file"
flush

echo "$checks commands, $failures failed"
((checks > 0 && failures == 0))
