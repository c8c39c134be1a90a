#!/bin/bash
# Runs what uses several threads under the thread sanitizer: tsan.sh [BUILD]. The thread pool and the host,
# the backends that run on the processor, and on each the loops of training and generation with four
# threads. Builds what it needs into BUILD (default: build/tsan). Any report fails.
set -euo pipefail
export LC_ALL=C.UTF-8

root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
build=${1:-$root/build/tsan}
if [[ ! -f $build/CMakeCache.txt ]]; then
  cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS_DEBUG="-O1 -g" \
    -DCMAKE_CXX_FLAGS_DEBUG="-O1 -g" -DCALM_SANITIZE=thread -DCALM_BENCH=OFF
fi
cmake --build "$build" --target calm calm_test_core calm_test_reference
export TSAN_OPTIONS=halt_on_error=1

"$build/tests/calm_test_core" --gtest_brief=1 \
  --gtest_filter='ThreadPool*:Host*:Run*:Train*:Generat*:Session*:Evaluate*:Stages*'
"$build/tests/calm_test_reference" --gtest_brief=1
backends=(reference)
if [[ -e $build/lib/calm/plugins/onednn.so ]]; then
  backends+=(onednn)
  cmake --build "$build" --target calm_test_onednn
  "$build/tests/calm_test_onednn" --gtest_brief=1 --gtest_filter='OnednnTraining*:OnednnDecode*'
fi

# The program itself, both loops.
data=$root/tests/parity/data
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work
calm=$build/bin/calm
for backend in "${backends[@]}"; do
  export CALM_BACKEND=$backend
  "$calm" -q --threads 4 train --preset nano --dataset "$data/ctds/case12.ctds" \
    --val-dataset "$data/ctds/case12_val.ctds" --batch-size 8 --epochs 2 --val-every 2 \
    --set training.warmup_steps=0 --set model.d_model=32 --save-dir "$work/$backend"
  model=$work/$backend/model.cwgt
  "$calm" -q --threads 4 generate -m "$model" -r abc -n 4 --max-tokens 32 >"$work/text"
  "$calm" -q --threads 4 eval -m "$model" --dataset "$data/ctds/case12.ctds"
done
echo "no data race was found"
