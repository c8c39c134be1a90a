#!/bin/bash
# What the cuda backend says to several processes before it touches a device: the driver of tests/fixtures paints two.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
export OMPI_MCA_odls_base_sigkill_timeout=0

pair="$(dirname "$calm")/../tests/fixtures/drivers/pair"
[[ -e $pair/libcuda.so.1 ]] || die "$pair: expected a driver, found none"
# A library that is no NCCL, before a real one.
mkdir other
cp "$pair/libcuda.so.1" other/libnccl.so.2
export LD_LIBRARY_PATH="$pair:$work/other${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
if "$calm" backends | grep -A 1 '^cuda ' | grep -q "unusable  cuBLASLt"; then
  echo "skipped: no cuBLASLt"
  exit 77
fi

refused() { # PROCESSES BACKEND CODE MESSAGE
  local found=0
  mpirun -n "$1" "$calm" --backend "$2" train "${settings[@]}" --save-dir run >out 2>err || found=$?
  [[ $found == "$3" ]] || die "$2 on $1: expected code $3, found $found: $(cat err)"
  [[ $(grep -c "^calm: " err) == 1 ]] || die "$2 on $1: expected one line, found $(cat err)"
  grep -q "^calm: $4" err || die "$2 on $1: expected \"$4\", found $(cat err)"
  [[ ! -e run ]] || die "$2 on $1: a folder was made"
}
few="cuda: expected at least 3 devices for the"
refused 3 cuda 2 "$few 3 processes of this host, found 2"
# Nor does it compute on processors what was meant for two cards.
refused 3 auto 2 "$few 3 processes of this host, found 2"
refused 2 cuda:1 2 "$few 2 processes of this host from device 1 on, found 2"
refused 2 cuda 4 "expected ncclGetErrorString in libnccl.so.2, found none"
# A process alone needs no NCCL: it goes on, to the device that is not there.
found=0
"$calm" --backend cuda train "${settings[@]}" --save-dir run >out 2>err || found=$?
[[ $found == 4 ]] || die "alone: expected code 4, found $found: $(cat err)"
grep -q "^calm: cuda: choosing the device: " err || die "alone: said $(cat err)"
