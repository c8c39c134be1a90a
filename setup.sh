#!/bin/bash
# Installs what calm needs on Debian 12, builds it, tests it, shows it.
#
#   ./setup.sh deps [--tools]   packages only; --tools adds formatter, tidy, clang, coverage
#   ./setup.sh build            packages, then build/release/bin/calm
#   ./setup.sh cuda             NVIDIA's compiler into build/cuda-toolkit (1 GB); the next build has the cuda backend
#   ./setup.sh test             the same, then the whole test suite
#   ./setup.sh fuzz             packages and clang, then every reader fuzzed for FUZZ_SECONDS (60) each
#   ./setup.sh demo             the same, then: a dictionary -> data set -> trained model -> definitions
#
# Packages come from apt, through sudo when you are not root; nothing is asked of apt when all are there.
# The demo reads the dictionary out of Debian's package dict-gcide without installing the dictionary
# server that the package asks for. DEMO_TIME (default 5m) is how long it trains.
set -euo pipefail
umask 022 # plugins that a group may write to are refused
cd "$(dirname "${BASH_SOURCE[0]}")"

needed=(g++ cmake ninja-build ccache libboost-dev libtomlplusplus-dev libyaml-cpp-dev libcli11-dev
        libfmt-dev nlohmann-json3-dev zlib1g-dev libssl-dev libsqlite3-dev libunistring-dev libdnnl-dev
        libhwy-dev libopenmpi-dev openmpi-bin libbenchmark-dev libgtest-dev libgmock-dev)
tools=(clang clang-format clang-tidy gcovr)

say() { printf '\n== %s\n' "$*" >&2; }

# install <package>...: those that are missing; silent when none is.
install() {
  local missing=() package
  for package in "$@"; do
    if [[ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" != ii* ]]; then
      missing+=("$package")
    fi
  done
  if ((${#missing[@]} == 0)); then return; fi
  say "installing ${missing[*]}"
  if ! command -v apt-get >/dev/null; then
    echo "setup.sh: apt-get not found; install the equivalents of: ${missing[*]}" >&2
    exit 1
  fi
  as_root apt-get update -q >&2
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${missing[@]}" </dev/null >&2
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "setup.sh: must be root, or have sudo, to run: $*" >&2
    exit 1
  fi
}

# dictionary <dir>: prints the path of the index of GCIDE, fetched into <dir> unless it is installed.
dictionary() {
  local index=/usr/share/dictd/gcide.index
  if [[ ! -e $index ]]; then
    if [[ ! -e $1$index ]]; then
      say "fetching dict-gcide"
      local download=(apt-get download -q -o APT::Sandbox::User=root dict-gcide)
      (cd "$1" && { "${download[@]}" || { as_root apt-get update -q && "${download[@]}"; }; }) >&2
      dpkg-deb -x "$1"/dict-gcide_*.deb "$1"
    fi
    index=$1$index
  fi
  echo "$index"
}

build() {
  install "${needed[@]}"
  say "building"
  cmake --preset release
  cmake --build --preset release
}

# From NVIDIA's wheels: Debian 12 packages a toolkit that knows no C++20. Nothing of the system is changed.
cuda() {
  local toolkit=build/cuda-toolkit
  install g++ python3-pip
  say "fetching NVIDIA's compiler and cuBLAS into $toolkit"
  python3 -m pip install --quiet --upgrade --target "$toolkit" 'nvidia-cuda-nvcc==13.0.*' 'nvidia-cuda-crt==13.0.*' \
    'nvidia-nvvm==13.0.*' 'nvidia-cuda-cccl==13.0.*' 'nvidia-cuda-runtime==13.0.*' 'nvidia-cublas==13.*'
  # Where nvcc and CMake look.
  ln -sfn lib "$toolkit/nvidia/cu13/lib64"
  ln -sfn libcudart.so.13 "$toolkit/nvidia/cu13/lib/libcudart.so"
  "$toolkit/nvidia/cu13/bin/nvcc" --version >&2
  say "to run it where cuBLAS is not installed: export LD_LIBRARY_PATH=$PWD/$toolkit/nvidia/cu13/lib"
}

demo() {
  local calm=build/release/bin/calm out=build/demo
  mkdir -p "$out"
  local index
  index=$(dictionary "$out")
  run() {
    printf '\n$ %s\n' "calm $*" >&2
    "$calm" "$@"
  }
  run dataset import dictionary "$index" -o "$out/gcide.txt"
  run dataset encode "$out/gcide.txt" -o "$out/gcide.ctds" --val-split 0.02 \
    --val-output "$out/gcide_val.ctds" --stats
  run train --preset nano --domain dictionary --dataset "$out/gcide.ctds" \
    --val-dataset "$out/gcide_val.ctds" --save-dir "$out/run" --max-time "${DEMO_TIME:-5m}" \
    --val-every 100
  local word
  for word in Oblateness Patelliform; do  # in the validation part: headwords are split by hash
    run generate -m "$out/run/model.cwgt" -i "$word" -s --max-tokens 200
  done
}

fuzz() {
  install "${needed[@]}" clang libclang-rt-14-dev # libFuzzer is in the latter
  say "fuzzing"
  tests/nightly/fuzz.sh --seconds "${FUZZ_SECONDS:-60}"
}

case "${1:-}" in
  deps)
    install "${needed[@]}"
    if [[ "${2:-}" == --tools ]]; then install "${tools[@]}"; fi
    ;;
  build) build ;;
  cuda) cuda ;;
  test)
    build
    say "testing"
    ctest --preset release -j "$(nproc)"
    ;;
  fuzz) fuzz ;;
  demo)
    build
    demo
    ;;
  *)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
    ;;
esac
