#!/bin/bash
# A run goes on with another number of processes; where a signal stopped it is where all of them stopped, between
# two updates too.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

run() { # PROCESSES FLAG…
  on "$1" "$calm" train "${settings[@]}" --batch-size 8 --epochs 3 "${@:2}" >/dev/null 2>err || die "$*: $(cat err)"
}
run 1 --save-dir whole
run 2 --save-dir two-one --max-steps 5
run 1 --resume two-one
expect_alike whole two-one
run 1 --save-dir one-two --max-steps 5
run 2 --resume one-two
expect_alike whole one-two

slow=(--set training.gradient_accumulation_steps=3)
for who in rank0:INT:130 rank1:TERM:143; do
  IFS=: read -r rank signal code <<<"$who"
  start "stopped" "${slow[@]}"
  kill "-$signal" "${!rank}"
  found=0
  wait "$launcher" || found=$?
  [[ $found == "$code" ]] || die "$signal to $rank: expected code $code, found $found: $(cat err)"
  grep -q "stopped by a signal after" err || die "$signal to $rank: $(cat err)"
  [[ $(cat out) == "stopped/model.cwgt" ]] || die "$signal to $rank: said $(cat out)"
  read -r step checkpoint < <(newest stopped)
  [[ $checkpoint == */step* ]] || die "$signal to $rank: the newest checkpoint is $checkpoint"
  rest=("${settings[@]}" --batch-size 8 --epochs 1000000 --set training.patience=1000000 "${slow[@]}"
        --max-steps $((step + 4)))
  "$calm" train "${rest[@]}" --resume stopped >/dev/null
  "$calm" train "${rest[@]}" --save-dir undisturbed >/dev/null
  # A run that is stopped at the end of an epoch has no row of its last update (spec I.9): of those after it.
  expect_alike undisturbed stopped 3
  rm -r stopped undisturbed
done
