#!/bin/bash
# A process that is killed takes no one with it for ever: the job ends with 75, and its newest checkpoint is whole.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

for rank in rank0 rank1; do
  start "lost-$rank" --save-every 1
  kill -KILL "${!rank}"
  found=0
  wait "$launcher" || found=$?
  [[ $found == 75 ]] || die "$rank: expected code 75, found $found: $(cat err)"
  grep -q "^calm: rank ${rank#rank} was ended by signal 9" err || die "$rank: said $(cat err)"
  grep -q "^calm: .*rank ${rank#rank} is gone" err || die "$rank: the other one said $(cat err)"
  for pid in "$rank0" "$rank1"; do
    [[ ! -e /proc/$pid ]] || die "$rank: process $pid is left"
  done
  read -r step checkpoint < <(newest "lost-$rank")
  "$calm" info "$checkpoint" >/dev/null || die "$rank: $checkpoint is not whole"
  "$calm" train "${settings[@]}" --resume "lost-$rank" --batch-size 8 --epochs 1000000 --set training.patience=1000000 \
    --max-steps $((step + 2)) >/dev/null 2>err || die "$rank: resume: $(cat err)"
done

# A crash is no bad luck: it would come again.
ulimit -c 0
start crashed
kill -SEGV "$rank1"
found=0
wait "$launcher" || found=$?
[[ $found == 139 ]] || die "a crash: expected code 139, found $found: $(cat err)"
grep -q "^calm: rank 1 crashed: signal 11" err || die "a crash: said $(cat err)"

# One whose device is lost says so, and ends the others, which wait for it.
faulty="$(dirname "$calm")/../tests/fixtures/plugins/faulty.so"
if [[ -e $faulty ]]; then
  found=0
  long=("${settings[@]}" --plugin-path "$(dirname "$faulty")" --backend faulty --batch-size 8 --epochs 1000000
    --save-every 1 --save-dir alone)
  mpirun -n 1 "$calm" train "${long[@]}" : -n 1 "$calm" train "${long[@]}" --backend-option lost_at=4 >out 2>err ||
    found=$?
  [[ $found == 75 ]] || die "a lost device: expected code 75, found $found: $(cat err)"
  grep -q "^calm: rank 1: .*lost" err || die "a lost device: said $(cat err)"
  read -r step checkpoint < <(newest alone)
  "$calm" info "$checkpoint" >/dev/null || die "a lost device: $checkpoint is not whole"
fi
