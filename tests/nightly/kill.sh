#!/bin/bash
# Ends training by a signal at random moments, resumes it, and compares the result with that of a run
# nobody disturbed: weights, moments and the exported model must be the same bits (promises.md, P4 and P9).
#
#   tests/nightly/kill.sh [KILLS=200] [SIGNAL=KILL]      CALM=path of the program
#
# KILL ends the program at once; TERM and HUP let it finish the step, save, and say how to go on.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
kills="${1:-200}"
signal="${2:-KILL}"
RANDOM="${SEED:-1}"

declare -A expected time_ms
for c in "${configurations[@]}"; do
  begin=$(date +%s%N)
  train "$c" "$work/whole-$c" >/dev/null
  time_ms[$c]=$((($(date +%s%N) - begin) / 1000000))
  expected[$c]="$(result "$work/whole-$c")"
done

done_kills=0 runs=0
while ((done_kills < kills)); do
  c="${configurations[$((runs % ${#configurations[@]}))]}"
  folder="$work/run-$runs"
  for ((;;)); do
    command_for "$c" "$folder"
    "${command[@]}" >"$work/out" 2>&1 &
    pid=$!
    span=$((time_ms[$c] + 20))
    sleep "$(printf '0.%03d' $((RANDOM % (span < 999 ? span : 999))))"
    if ((done_kills < kills)) && kill "-$signal" "$pid" 2>/dev/null; then
      code=0
      wait "$pid" 2>/dev/null || code=$?
      done_kills=$((done_kills + 1))
      # It may have been over already; a signal that asks is answered, unless nothing was left to do.
      case "$signal:$code" in
        *:0 | KILL:137) ;;
        TERM:143 | HUP:129) grep -q "to go on: calm train --resume" "$work/out" || ((code > 0)) ;;
        *) die "configuration $c, run $runs: code $code after $signal: $(cat "$work/out")" ;;
      esac
      ((code == 0)) || continue
      break
    fi
    wait "$pid" || die "configuration $c, run $runs: $(cat "$work/out")"
    break
  done
  [[ "$(result "$folder")" == "${expected[$c]}" ]] ||
    die "configuration $c, run $runs: other bits than the undisturbed run"
  leftovers="$(find "$folder" -name '.tmp-*')"
  [[ -z $leftovers ]] || die "configuration $c, run $runs: left behind $leftovers"
  rm -rf "$folder"
  runs=$((runs + 1))
done
echo "$done_kills times $signal in $runs runs of ${#configurations[@]} configurations: every result equal"
