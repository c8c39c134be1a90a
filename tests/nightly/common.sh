# Sourced by the scripts of this folder: the program, its data, a place to work, a run to interrupt.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
calm="${CALM:-$root/build/release/bin/calm}"
data="$root/tests/parity/data/ctds"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
export HOME="$work" CALM_PLUGIN_PATH=
unset CALM_PLUGIN_PATH

die() {
  echo "FAILED: $*" >&2
  exit 1
}
[[ -x $calm ]] || die "$calm: expected the program, found nothing; build it or name it by CALM"

# Configurations of one small run, a word each for `train_flags`.
configurations=(plain accumulation early best ewc pairs)
train_flags() {
  local common=(--dataset "$data/case12.ctds" -q)
  case "$1" in
    plain) common+=(--save-every 1) ;;
    accumulation) common+=(--save-every 2 --set training.gradient_accumulation_steps=3) ;;
    # The losses of a rate this high do not fall: patience ends the run.
    early) common+=(--val-dataset "$data/case12_val.ctds" --lr 0.5 --set training.patience=2) ;;
    ewc) common+=(--save-every 1 --set continual.method=online_ewc --set continual.lambda=100
                  --set continual.fisher_update_interval_steps=2 --set continual.fisher_batches=2
                  --set continual.buffer_batches=4) ;;
    pairs) common=(-q --objective contrastive --pairs "$root/tests/parity/data/pairs/basic.txt" --save-every 1) ;;
    best) common+=(--val-dataset "$data/case12_val.ctds" --val-every 2 --save-every 3) ;;
  esac
  printf '%s\n' "${common[@]}"
}
settings=(--preset nano --domain dictionary --batch-size 3 --epochs "${EPOCHS:-6}" --set model.d_model=16
          --set model.n_layers=2 --set training.warmup_steps=3)

# command_for <configuration> <folder> [flag…]: puts into `command` what goes on with a run from its newest
# checkpoint, or starts it where there is none.
command_for() {
  local flags
  mapfile -t flags < <(train_flags "$1")
  command=("$calm" train "${settings[@]}" "${flags[@]}" "${@:3}")
  if compgen -G "$2/checkpoints/*/metadata.json" >/dev/null; then
    command+=(--resume "$2")
  else
    command+=(--save-dir "$2")
  fi
}

# train <configuration> <folder> [flag…]: runs that.
train() {
  command_for "$@"
  "${command[@]}"
}

# result <folder>: one line that stands for the weights, the moments and the model of a finished run.
result() {
  local newest
  newest="$(grep -l '"global_step"' "$1"/checkpoints/*/metadata.json | while read -r f; do
    printf '%s %s\n' "$(sed -n 's/.*"global_step": \([0-9]*\).*/\1/p' "$f")" "$(dirname "$f")"
  done | sort -n | tail -1 | cut -d' ' -f2-)"
  sha256sum "$newest/weights.safetensors" "$newest/optimizer.safetensors" "$1/model.cwgt" | cut -c1-64 | tr '\n' ' '
}
