#!/bin/bash
# What several processes cannot do ends all of them at once, is said once, and has the code that one would have.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# Nobody needs the second that mpirun leaves them after its signal.
export OMPI_MCA_odls_base_sigkill_timeout=0

refused() { # CODE MESSAGE FLAG…
  local found=0
  mpirun -n 2 "$calm" train "${settings[@]}" "${@:3}" >out 2>err || found=$?
  [[ $found == "$1" ]] || die "${*:3}: expected code $1, found $found: $(cat err)"
  [[ $(grep "^calm: " err | grep -vc "^calm: warning: ") == 1 ]] || die "${*:3}: expected one line, found $(cat err)"
  grep -q "^calm: .*$2" err || die "${*:3}: expected \"$2\", found $(cat err)"
  [[ ! -s out ]] || die "${*:3}: said $(cat out)"
}
touch file
refused 2 "--dry-run: expected one process, found 2" --dry-run
refused 2 "no model is named \"none\"" --set backbone=none
refused 74 "file" --save-dir file
refused 65 "expected" --resume . --save-dir none
refused 4 "quantum" --backend quantum --save-dir none
refused 3 "training diverged" --set training.learning_rate=1e30 --batch-size 4 --epochs 20 --set training.clip_grad_norm=1e30 --save-dir diverged
[[ ! -e none/model.cwgt && ! -e diverged/model.cwgt ]] || die "something was published"

settings=(-q --preset nano --objective contrastive --pairs "$data/pairs/basic.txt" --set model.d_model=16)
refused 2 "compares all pairs of a batch with each other: expected one process, found 2" --save-dir pairs
[[ ! -e pairs ]] || die "a folder was made for a run that cannot be"
settings=(-q --preset nano --dataset "$data/ctds/case12.ctds")
mpirun -n 2 "$calm" train "${settings[@]}" --print-config >printed
cmp printed <("$calm" train "${settings[@]}" --print-config) || die "the configuration is not printed once"

# Every rank has the data of the first.
found=0
mpirun -n 1 "$calm" train "${settings[@]}" --save-dir other : \
  -n 1 "$calm" train -q --preset nano --dataset "$data/ctds/case12_val.ctds" --save-dir other >out 2>err || found=$?
[[ $found == 2 ]] || die "other data: expected code 2, found $found: $(cat err)"
grep -q "^calm: rank 1: .*case12_val.ctds: expected the data of rank 0, found other sequences" err || die "other data: $(cat err)"

# Nor does one backend's sum meet another's.
if [[ -e "$(dirname "$calm")/../lib/calm/plugins/onednn.so" ]]; then
  found=0
  mpirun -n 1 "$calm" train "${settings[@]}" --backend reference --save-dir other : \
    -n 1 "$calm" train "${settings[@]}" --backend onednn --save-dir other >out 2>err || found=$?
  [[ $found == 2 ]] || die "other backend: expected code 2, found $found: $(cat err)"
  grep -q "^calm: rank 1: expected backend reference as rank 0, found onednn" err || die "other backend: $(cat err)"
fi

# Time is over for all at once.
mpirun -n 2 "$calm" train "${settings[@]}" --set model.d_model=16 --epochs 1000000 --set training.patience=1000000 \
  --max-time 0.2s --save-dir timed >out
[[ $(cat out) == timed/model.cwgt ]] || die "the time is over: $(cat out)"

# Variables of a launcher that has not launched.
found=0
OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=0 "$calm" train "${settings[@]}" --save-dir none >out 2>err || found=$?
[[ $found == 4 ]] || die "no launcher: expected code 4, found $found: $(cat err)"
grep -q "2 processes were launched (OMPI_COMM_WORLD_SIZE), .*expected 2 ranks, found 1" err || die "no launcher: $(cat err)"

# Without the library nothing but training misses it.
mkdir -p tree/bin tree/lib/calm
cp "$calm" tree/bin/
cp -r "$(dirname "$calm")/../lib/calm/plugins" tree/lib/calm/
chmod -R go-w tree
export OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=0
tree/bin/calm info "$data/ctds/case12.ctds" >/dev/null 2>err || die "info needs MPI: $(cat err)"
found=0
tree/bin/calm train "${settings[@]}" --save-dir none >out 2>err || found=$?
[[ $found == 4 ]] || die "no library: expected code 4, found $found: $(cat err)"
grep -q "^calm: 2 processes were launched .*tree/lib/calm/mpi_comm.so" err || die "no library: $(cat err)"
