#!/bin/bash
# Exchanges files with calm-mamba, the program our formats come from, run as a program:
#
#   tests/interchange/peer.sh BUILD
#
# CTDS, CWGT and weights folders written by either are read by the other; greedy texts are the same,
# losses equal to 1e-4. $CALM_PEER_PYTHON (python3) is the interpreter that has it. Ends with 77 and says
# so where there is none.
set -euo pipefail
export LC_ALL=C.UTF-8

root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
bin=$(realpath "${1:?expected the build folder}")/bin
data=$root/tests/parity/data

python=${CALM_PEER_PYTHON:-python3}
if ! "$python" -c 'import calm.cli.train' 2>/dev/null; then
  echo "skipped: calm-mamba is not installed ($python has no module calm.cli)"
  exit 77
fi
peer() { "$python" -m "calm.cli.$1" "${@:2}"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export HOME=$work

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# same_numbers WHAT OURS THEIRS: two lists of numbers, each pair equal to 1e-4 and the last digit shown.
same_numbers() {
  awk -v a="$2" -v b="$3" 'BEGIN {
    n = split(a, x); if (n == 0 || n != split(b, y)) exit 1
    for (i = 1; i <= n; ++i) { d = x[i] - y[i]; if (d < 0) d = -d; if (d > 1e-4 * y[i] + 1e-4) exit 1 }
  }' || fail "$1: ours $2, theirs $3"
  echo "ok: $1: $2"
}

losses() { grep -oE '(train|val|loss)=[0-9.]+' "$1" | cut -d= -f2 | tr '\n' ' '; }

# same_text MODEL: what both complete greedily after a few prompts.
same_text() {
  local prompt ours theirs
  for prompt in 'abc' '<BOS>git <ATN>' '<BOS><CWD>/home/u<END><ATN><CMD>ls' '<BOS><WORD>cat<ATN>'; do
    ours=$("$bin/calm-inference" -q -m "$1" -r "$prompt" -t 0 --max-tokens 40 -s)
    theirs=$(peer inference -q -m "$1" -r "$prompt" -t 0 --max-tokens 40 -s)
    [[ $ours == "$theirs" ]] || fail "$1 after $prompt: ours $ours, theirs $theirs"
  done
  echo "ok: greedy texts of $1"
}

# Datasets.
for text in "$data"/text/*.txt; do
  status=0
  "$bin/calm-text-to-ctds" "$text" -o ours.ctds >/dev/null 2>&1 || status=$?
  theirs=0
  peer text_to_ctds "$text" -o theirs.ctds >/dev/null 2>&1 || theirs=$?
  [[ $((status != 0)) == $((theirs != 0)) ]] || fail "$text: exit codes $status and $theirs"
  if [[ -e theirs.ctds || -e ours.ctds ]]; then cmp ours.ctds theirs.ctds || fail "$text"; fi
  rm -f ours.ctds theirs.ctds
done
echo "ok: $(ls "$data"/text/*.txt | wc -l) texts become the same datasets"

# Training from the same weights, in the same order.
train=(--config "$data/train_accum_ewc/config.yaml" --dataset "$data/train_accum_ewc/train.ctds"
       --val-dataset "$data/train_accum_ewc/val.ctds" --init-cwgt "$data/train_accum_ewc/init.cwgt"
       --no-shuffle --epochs 2 --domain shell)
"$bin/calm-train" "${train[@]}" --save-dir ours >ours.log
peer train "${train[@]}" --save-dir theirs >theirs.log
same_numbers "losses of training" "$(losses ours.log)" "$(losses theirs.log)"

# Models: each program reads both.
same_text ours/model.cwgt
same_text theirs/model.cwgt

# A checkpoint of theirs, read for its weights: with next to no learning rate the loss is that of the
# weights.
sed -e 's/learning_rate: .*/learning_rate: 1.0e-12/' -e 's/min_lr: .*/min_lr: 0.0/' \
  -e '/^continual/,$d' "$data/train_accum_ewc/config.yaml" >flat.yaml
resume=(--config flat.yaml --dataset "$data/train_accum_ewc/train.ctds" --no-shuffle --epochs 1
        --resume theirs/checkpoints/epoch0002)
"$bin/calm-train" "${resume[@]}" --resume-weights-only --save-dir ours-resumed >ours.log 2>err
peer train "${resume[@]}" --save-dir theirs-resumed >theirs.log
same_numbers "loss of their checkpoint" "$(losses ours.log)" "$(losses theirs.log)"
"$bin/calm" -q convert theirs/checkpoints/epoch0002 theirs.cwgt >/dev/null
same_text theirs.cwgt

# A weights folder of ours. Their programs take checkpoints only, whose optimizer must be a pickle, so
# it is read by their library.
"$bin/calm" -q convert ours/model.cwgt folder >/dev/null
"$python" - folder <<'PYTHON'
import sys
from calm.checkpoint import load_checkpoint
from safetensors.numpy import load_file

loaded = load_checkpoint(sys.argv[1])
model = next(part for part in loaded if hasattr(part, "state_dict"))
theirs = {name: value.numpy() for name, value in model.state_dict().items()}
ours = {name[6:]: value for name, value in load_file(sys.argv[1] + "/weights.safetensors").items()}
assert set(theirs) == set(ours), set(theirs) ^ set(ours)
assert all((theirs[name] == ours[name]).all() for name in ours)
print(f"ok: they read our folder, {len(ours)} tensors")
PYTHON
