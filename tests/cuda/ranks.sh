#!/bin/bash
# Two processes, an emulated card and the emulated NCCL: they learn what one learns, whatever runs first of what may run
# in any order, and a process that is killed takes no one with it for ever.
source "$(dirname "${BASH_SOURCE[0]}")/../ranks/common.sh"

build="$(cd "$(dirname "$calm")/.." && pwd)"
[[ -e $build/tests/cuda/lib/libnccl.so.2 ]] || die "$build/tests/cuda/lib: expected the emulated NCCL, found none"
mkdir -p tree/bin tree/lib
cp "$calm" tree/bin/
cp -rL "$build/tests/cuda/lib/calm" tree/lib/
cp "$build/lib/calm/mpi_comm.so" tree/lib/calm/
chmod -R go-w tree
calm="$PWD/tree/bin/calm"
export LD_LIBRARY_PATH="$build/tests/fixtures/drivers/pair${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

# A flat group of 2.5 MB: two of its three pieces travel early.
settings=("${settings[@]/nano/micro}" --backend cuda --set model.d_model=96 --set model.n_layers=5)
run() { # FOLDER PROCESSES FLAG…
  on "$2" "$calm" train "${settings[@]}" --batch-size 2 --seed 7 --save-dir "$1" "${@:3}" >out 2>err || die "$1: $(cat err)"
  ! grep -q "^calm: " err || die "$1: said $(cat err)"
}
run one 1 --max-steps 3
for order in forward backward; do
  CALM_EMULATED_ORDER=$order run two 2 --max-steps 3
  expect_alike one two
  rm -r two
done
rm -r one

more=(--set training.gradient_accumulation_steps=2 --set continual.method=online_ewc --set continual.lambda=100
  --set continual.fisher_update_interval_steps=2 --set continual.fisher_batches=1 --set continual.buffer_batches=2)
run one 1 --max-steps 3 "${more[@]}"
CALM_EMULATED_ORDER=backward run two 2 --max-steps 3 "${more[@]}"
expect_alike one two

start lost --save-every 1
kill -KILL "$rank1"
found=0
wait "$launcher" || found=$?
[[ $found == 75 ]] || die "expected code 75, found $found: $(cat err)"
# The other one may have no time left to say that it is gone: mpirun gives it a second, and a step takes longer here.
grep -q "^calm: rank 1 was ended by signal 9" err || die "said $(cat err)"
