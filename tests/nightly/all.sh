#!/bin/bash
# The slow tests in full, one after the other; a summary at the end. See README.md in this folder.
#
#   tests/nightly/all.sh      builds the presets it needs; about two hours on two cores
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cmake --preset release >/dev/null && cmake --build --preset release >&2 || exit 1

declare -a summary
failed=0
part() {
  local begin=$SECONDS status=0
  printf '\n== %s\n' "$*"
  "$@" || status=$?
  case $status in
    0) summary+=("ok      $* ($((SECONDS - begin)) s)") ;;
    77) summary+=("skipped $*") ;;
    *) summary+=("FAILED  $*") && failed=1 ;;
  esac
}
part tests/nightly/kill.sh 200
part tests/nightly/kill.sh 50 TERM
part tests/nightly/syscalls.sh
part tests/nightly/oom.sh
part tests/nightly/fuzz.sh
part tests/nightly/tsan.sh
part cmake --workflow --preset asan
printf '\n'
printf '%s\n' "${summary[@]}"
exit "$failed"
