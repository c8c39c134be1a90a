#!/bin/bash
# Conformance of a backend opened with options: with_options.sh CALM_TEST_CONFORMANCE CALM BACKEND OPTION...
# Exits with 77 and the reason where this machine lacks what an option asks for.
set -euo pipefail
export LC_ALL=C.UTF-8

tests=$1 calm=$2 backend=$3
shift 3
model=$(dirname "${BASH_SOURCE[0]}")/../parity/data/pico.cwgt
given=()
for option in "$@"; do given+=(--backend-option "$option"); done
status=0
refusal=$("$calm" generate -q -m "$model" -r a -n 1 --max-tokens 0 --backend "$backend" "${given[@]}" \
  2>&1 >/dev/null) || status=$?
if ((status != 0)); then
  echo "$refusal"
  # Exit code 4 is that of a backend that cannot be used here (calm/base.h).
  [[ $status == 4 || $refusal == *"this processor has no"* ]] && exit 77
  exit 1
fi
CALM_TEST_BACKENDS=$backend CALM_TEST_BACKEND_OPTIONS="$*" exec "$tests" --gtest_brief=1
