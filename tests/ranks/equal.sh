#!/bin/bash
# Two and three processes learn what one learns, with every backend of the host's processor.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

for backend in reference onednn; do
  "$calm" backends --json | grep -q "\"$backend\"" || continue
  # 28 sequences in batches of nine: the last has one, so there is a rank with none.
  run() { # FOLDER PROCESSES FLAG…
    on "$2" "$calm" train "${settings[@]}" --backend "$backend" --batch-size 9 --epochs 3 --seed 7 \
      --val-dataset "$data/ctds/case12_val.ctds" --save-every 2 --save-dir "$1" "${@:3}" >out 2>err ||
      die "$backend, $1: $(cat err)"
    [[ $(cat out) == "$1/model.cwgt" ]] || die "$backend, $1: said $(cat out)"
    # mpirun itself may have something to say.
    ! grep -q "^calm: " err || die "$backend, $1: said $(cat err)"
  }
  run one 1
  run two 2
  expect_alike one two
  run three 3
  expect_alike one three
  # Written once, and by one.
  diff <(ls one one/checkpoints | sed 's/tfevents.*//;s/^three:/one:/') <(ls three three/checkpoints | sed 's/tfevents.*//;s/^three/one/') ||
    die "$backend: other files"
  [[ $(sed '/save_dir/d' one/config.toml) == "$(sed '/save_dir/d' two/config.toml)" ]] || die "$backend: other settings"

  # Accumulation and online EWC: penalty and Fisher information of all ranks.
  more=(--set training.gradient_accumulation_steps=2 --set continual.method=online_ewc --set continual.lambda=100
        --set continual.fisher_update_interval_steps=2 --set continual.fisher_batches=2
        --set continual.buffer_batches=4 --export-ewc --set training.gradient_checkpointing=true)
  run ewc-one 1 "${more[@]}"
  run ewc-two 2 "${more[@]}"
  expect_alike ewc-one ewc-two
  rm -r one two three ewc-one ewc-two
done
