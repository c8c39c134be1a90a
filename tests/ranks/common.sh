# Sourced by the scripts of this folder: the program on several processes of this machine, small runs, their numbers.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
calm="${CALM:-$root/build/release/bin/calm}"
data="$root/tests/parity/data"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
unset CALM_PLUGIN_PATH
export HOME="$work" LC_ALL=C.UTF-8

die() {
  echo "FAILED: $*" >&2
  exit 1
}
[[ -x $calm ]] || die "$calm: expected the program, found nothing; build it or name it by CALM"
if [[ ! -e "$(dirname "$calm")/../lib/calm/mpi_comm.so" ]]; then
  echo "skipped: this build has no MPI (packages libopenmpi-dev and openmpi-bin)"
  exit 77
fi
if ! mpirun --version 2>/dev/null | grep -q "Open MPI"; then
  echo "skipped: no mpirun of Open MPI"
  exit 77
fi

# For tests alone: as root, more ranks than processors, no network, no other process's memory.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader OMPI_MCA_btl_vader_single_copy_mechanism=none
export OMPI_MCA_plm=isolated TMPDIR="$work" # one of its own: mpirun clears up what others use

# What MPI's libraries leak or do without locks is not ours to find.
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0" TSAN_OPTIONS="${TSAN_OPTIONS:-}:ignore_noninstrumented_modules=1"

# on N COMMAND…: on that many processes; 1 needs no launcher.
on() {
  if (($1 == 1)); then "${@:2}"; else mpirun -n "$@"; fi
}

settings=(-q --preset nano --domain dictionary --dataset "$data/ctds/case12.ctds" --set model.d_model=16
          --set model.n_layers=2 --lr 0.01 --set training.warmup_steps=3 --set training.log_interval_steps=1)

# losses FOLDER: a line "step loss gradient-norm validation-loss" for each row of a run.
losses() {
  sed -E 's/.*"step":([0-9]+),.*"loss":([^,]+),"val_loss":([^,]+),.*"grad_norm":([^,}]+).*/\1 \2 \4 \3/' "$1/metrics.jsonl"
}

# expect_alike A B [ROWS]: the same steps in the last rows (of all, unless a number is given), their values equal but
# for the rounding of fp32 sums, which a few updates of a large rate have made a little larger.
expect_alike() {
  losses "$1" | tail -n "${3:-+1}" >"$work/a"
  losses "$2" | tail -n "${3:-+1}" >"$work/b"
  [[ $(wc -l <"$work/a") == $(wc -l <"$work/b") && -s $work/a ]] || die "$1 and $2: other rows: $(cat "$work/a" "$work/b")"
  paste "$work/a" "$work/b" | awk '
    function differ(x, y, d) { d = x - y; if (d < 0) d = -d; return x != y && !(d <= 1e-4 * (x < 0 ? -x : x)) }
    $1 != $5 || differ($2, $6) || differ($3, $7) || differ($4, $8) { print "row " NR ": " $0; bad = 1 }
    END { exit bad }' || die "$1 and $2: other numbers"
}

# newest FOLDER: its checkpoint with the most steps, and how many these are.
newest() {
  grep -H '"global_step"' "$1"/checkpoints/*/metadata.json |
    sed -E 's|(.*)/metadata.json:.*"global_step": ([0-9]+).*|\2 \1|' | sort -n | tail -1
}

# child_of PID [N]: the N-th of its children, once it is there.
child_of() {
  local found=()
  while ((${#found[@]} <= ${2:-0})); do
    mapfile -t found < <(grep -sl "^PPid:[[:space:]]*$1\$" /proc/[0-9]*/status | cut -d/ -f3 | sort -n)
    kill -0 "$1" || die "process $1 ended"
  done
  echo "${found[${2:-0}]}"
}

# start FOLDER FLAG…: a run on two processes in the background that would go on for long; returns once it
# has a checkpoint. Sets `launcher`, and `rank0`, `rank1`: the processes that compute, one below those launched.
start() {
  mpirun -n 2 "$calm" train "${settings[@]}" --batch-size 8 --epochs 1000000 --set training.patience=1000000 \
    --save-dir "$@" >out 2>err &
  launcher=$!
  until compgen -G "$1/checkpoints/*/metadata.json" >/dev/null; do
    kill -0 "$launcher" || die "$(cat err)"
  done
  rank0="$(child_of "$(child_of "$launcher" 0)")"
  rank1="$(child_of "$(child_of "$launcher" 1)")"
}
