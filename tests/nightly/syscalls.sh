#!/bin/bash
# Ends or fails one small run at every system call that touches its folder (promises.md, P5 and P6):
#   kill     SIGKILL at the call; resumed, the run gives the bits of an undisturbed one: the newest or the
#            previous checkpoint was whole
#   ENOSPC, EIO   the call fails; the program ends with code 74 and names what it could not write, and
#            resumed it gives the same bits
#   EINTR    the call is interrupted; nothing is lost either way
#
#   tests/nightly/syscalls.sh [STEP=1] [MODE…]     every STEP-th call; all modes unless some are named
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
step="${1:-1}"
shift || true
modes=("$@")
((${#modes[@]})) || modes=(kill ENOSPC EIO EINTR)
# 77: cannot be tested here, which ctest shows as skipped.
if ! strace -qq -o /dev/null true 2>/dev/null; then
  echo "strace is not installed (./setup.sh deps --tools) or may not trace here" >&2
  exit 77
fi
# The leak checker of a sanitized build cannot work under a tracer.
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0"
EPOCHS=2
settings=(--preset nano --domain dictionary --batch-size 14 --epochs 2 --set model.d_model=8 --set model.n_layers=1
          --threads 1)
calls=openat,write,fsync,rename,renameat2,mkdir,close,pwrite64,ftruncate,flock

train plain "$work/whole" >/dev/null
expected="$(result "$work/whole")"

# Every call in order, with the paths behind the descriptors; all of these come from the first thread.
mkdir "$work/probe"
command_for plain "$work/probe/run"
strace -y -qq -e trace="$calls" -o "$work/trace" \
  "${command[@]}" >/dev/null
# "NAME ORDINAL LINE" of each call: strace counts the calls of one name.
mapfile -t touched < <(awk -v dir="$work/probe/run" '{ name = substr($0, 1, index($0, "(") - 1); n[name]++ }
  index($0, dir) { print name, n[name], $0 }' "$work/trace")
((${#touched[@]} > 20)) || die "expected system calls in the run's folder, found ${#touched[@]}"

# A file's bytes are durable before its name is, and the name before anything later (P7).
awk -v dir="$work/probe/run" '
  /^write\(/ && /\.tmp-/      { match($0, /<[^>]*>/); dirty[substr($0, RSTART + 1, RLENGTH - 2)] = 1 }
  /^fsync\(/                  { match($0, /<[^>]*>/); p = substr($0, RSTART + 1, RLENGTH - 2); delete dirty[p]; delete moved[p] }
  /^rename/ && /\.tmp-/       { split($0, q, "\""); if (q[2] in dirty) { print "renamed before fsync: " q[2]; bad = 1 }
                                parent = q[4]; sub(/\/[^\/]*$/, "", parent); moved[parent] = 1; n++ }
  END { for (p in moved) { print "folder not made durable: " p; bad = 1 }
        if (n == 0) { print "no file was published"; bad = 1 }
        exit bad }' "$work/trace" || die "publishing is not durable"

declare -A codes
checked=0
for mode in "${modes[@]}"; do
  for ((i = 0; i < ${#touched[@]}; i += step)); do
    read -r name when call <<<"${touched[$i]}"
    folder="$work/run"
    rm -rf "$folder"
    inject="error=$mode"
    [[ $mode == kill ]] && inject="signal=KILL"
    code=0
    command_for plain "$folder"
    { strace -qq -e trace="$name" -e inject="$name:$inject:when=$when" -o /dev/null \
      "${command[@]}" >"$work/out" 2>&1; } 2>/dev/null || code=$?
    codes[$mode:$code]=$((${codes[$mode:$code]:-0} + 1))
    case "$mode:$code" in
      kill:137 | kill:0) ;;
      EINTR:0 | EINTR:74) ;;
      *:74) grep -q "^calm: .*" "$work/out" || die "$mode at $name $when ($call): no message" ;;
      # A log that cannot be written ends no run; what is published must be.
      *:0) [[ $call == *metrics.jsonl* || $call == *tfevents* || $call == close* ]] || die "$mode at $name $when ($call): code 0" ;;
      *) die "$mode at $name $when ($call): expected code 74, found $code: $(cat "$work/out")" ;;
    esac
    train plain "$folder" >"$work/out" 2>&1 || die "$mode at $name $when ($call): not resumed: $(cat "$work/out")"
    [[ "$(result "$folder")" == "$expected" ]] || die "$mode at $name $when ($call): other bits after resuming"
    checked=$((checked + 1))
  done
done
for key in "${!codes[@]}"; do echo "${key%%:*}: code ${key##*:}: ${codes[$key]}"; done | sort
echo "$checked interruptions at ${#touched[@]} system calls: nothing lost"
