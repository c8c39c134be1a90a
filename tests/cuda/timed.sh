#!/bin/bash
# Runs on an emulated card with algorithms chosen by time: the second reads what the first has kept, and learns the same
# weights; a file that is damaged costs a warning.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
calm="$(realpath "${CALM:-$root/build/release/bin/calm}")"
build="$(cd "$(dirname "$calm")/.." && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
for name in $(compgen -e | grep '^CALM_' || true); do [[ $name == CALM_EMULATED_ORDER ]] || unset "$name"; done
unset XDG_DATA_HOME XDG_CONFIG_HOME
export HOME="$work" LC_ALL=C.UTF-8 XDG_CACHE_HOME="$work/cache"

die() {
  echo "FAILED: $*" >&2
  exit 1
}
# Plugins are looked for beside the program, and not in folders that others can write to.
mkdir -p tree/bin tree/lib
cp "$calm" tree/bin/
cp -rL "$build/tests/cuda/lib/calm" tree/lib/
chmod -R go-w tree
export LD_LIBRARY_PATH="$build/tests/cuda/lib:$build/tests/fixtures/drivers/card${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

# run FOLDER OPTION…: two steps of a small model.
run() {
  tree/bin/calm train -q --preset nano --domain dictionary --dataset "$root/tests/parity/data/ctds/case12.ctds" \
    --set model.d_model=16 --set model.n_layers=1 --batch-size 2 --max-steps 2 --seed 7 --save-dir "$1" \
    --backend cuda "${@:2}" >out 2>err || die "$1: $(cat err)"
}
timed=(--backend-option algorithms=timed)

run first
[[ ! -e cache ]] || die "found a cache that nobody asked for"
run one "${timed[@]}"
file="$(ls cache/calm/cuda_algorithms-*.txt)"
lines="$(wc -l <"$file")"
((lines > 10)) || die "expected an algorithm for each product, found $lines lines"
grep -q '00000000000000050*$' "$file" || die "expected a choice that is not the first, found none: $(cat "$file")"
cp --preserve=timestamps "$file" before
run two "${timed[@]}"
[[ ! $file -nt before ]] || die "expected the file to be read, found it written"
cmp -s one/model.cwgt two/model.cwgt || die "expected the same weights, found others"
[[ ! -s err ]] || die "said $(cat err)"

sed -i 's/00000000000000050/00000000000000060/' "$file"
run three "${timed[@]}"
grep -q "^calm: .*expected a file that ends with its sum" err || die "said $(cat err)"
(($(wc -l <err) == 1)) || die "expected one warning, found $(cat err)"
cmp -s "$file" before || die "expected the file as it was, found another"
cmp -s one/model.cwgt three/model.cwgt || die "expected the same weights after it was damaged, found others"
