#!/usr/bin/env python3
"""Runs calm and calm-mamba, the program its formats come from, on the same work and prints ratios.

    bench/peer/compare.py BUILD DATASET [--quick]

BUILD has bin/calm; DATASET is a CTDS file, .xz allowed; $CALM_PEER_PYTHON (python3) is the
interpreter that has calm-mamba, whose programs are run as `-m calm.cli.NAME`. Ends with 77 and says
so where there is none. README.md beside this file says what is measured and how.
"""

import argparse
import json
import os
import pathlib
import re
import select
import statistics
import subprocess
import sys
import tempfile
import time

import ctds

MODEL = "{d_model: 64, n_layers: 3, mamba_expand: 2, ffn_expand: 2, mamba_d_state: 16, mamba_d_conv: 4, l_max: 768}"
BATCH = 32
WARM = 2  # steps before the clock starts
TOGETHER = 0.02  # seconds between lines that were told at once: losses come several at a time
PROMPT = "<BOS>git <ATN>"
PROMPT_TOKENS = 6
CONFIG = """model: {model}
training:
  epochs: 1
  batch_size: {batch}
  learning_rate: {lr}
  min_lr: 0.0
  warmup_steps: 0
  clip_grad_norm: 1.0
  weight_decay: 0.01
  patience: 0
  gradient_accumulation_steps: 1
  log_interval_steps: 1
  shuffle: false
  amp: false
"""
# Run in one process by the peer's interpreter: the first call of its program warms up.
PEER_REPEAT = """
import runpy, sys
for _ in range(int(sys.argv[1])):
    arguments, sys.argv = sys.argv, ["inference"] + sys.argv[2:]
    try:
        runpy.run_module("calm.cli.inference", run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise
    sys.argv = arguments
"""


class Failed(Exception):
    pass


class Side:
    """One of the two programs: how it is started."""

    def __init__(self, name, train, environment):
        self.name = name
        self.train = train
        self.environment = environment


def lines_of(process):
    """(time, lines) as they come; what comes together is together. Ends where the process does."""
    fd = process.stdout.fileno()
    text = b""
    ended = False
    while not ended:
        select.select([fd], [], [])
        now = time.monotonic()
        while not ended and select.select([fd], [], [], TOGETHER)[0]:
            block = os.read(fd, 65536)
            ended = not block
            text += block
        *whole, text = text.split(b"\n")
        yield now, [line.decode("utf-8", "replace") for line in whole]


def run_training(side, folder, arguments, until=None):
    """Trains, to the end or for `until` seconds after the warm steps, then ends the process. Gives
    the losses, the step and time of the first and the last mark, and the peak memory in bytes."""
    log = open(folder / f"{side.name}.err", "w+b")
    process = subprocess.Popen(
        side.train + arguments, stdout=subprocess.PIPE, stderr=log, env=side.environment, cwd=folder
    )
    losses, first, last = [], None, None
    stopped = True
    try:
        for now, lines in lines_of(process):
            told = [re.match(r"\s*step=\d+ loss=([0-9.]+|nan|inf)", line) for line in lines]
            losses += [float(found.group(1)) for found in told if found]
            if len(losses) >= WARM and first is None:
                first = (len(losses), now)
            if any(told):
                last = (len(losses), now)
            if until and first and last[0] >= first[0] + 2 and now - first[1] >= until:
                break
        else:
            stopped = False
    finally:
        if stopped:
            process.kill()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
    log.seek(0)
    if not stopped and process.returncode != 0:
        raise Failed(f"{side.name} ended with {process.returncode}: {log.read().decode()[-2000:]}")
    if not losses:
        raise Failed(f"{side.name} told no losses")
    return losses, first, last, usage.ru_maxrss * 1024


def tokens_per_second(lengths, first, last):
    """Real tokens: of a sequence all but the last are inputs."""
    rows = sum(length - 1 for length in lengths[first[0] * BATCH : last[0] * BATCH])
    return rows / (last[1] - first[1])


def check_losses(ours, theirs):
    """Equal to rtol 1e-4, and the last digit shown by either."""
    if len(ours) != len(theirs):
        raise Failed(f"calm made {len(ours)} steps, the peer {len(theirs)}")
    worst = max(abs(a - b) / b for a, b in zip(ours, theirs))
    for step, (a, b) in enumerate(zip(ours, theirs), 1):
        if not abs(a - b) <= 1e-4 * b + 1e-4:
            raise Failed(f"losses differ at step {step}: calm {a}, peer {b}")
    return worst


def steal():
    fields = [int(x) for x in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return fields[7], sum(fields)


def peer_decode(python, environment, model, tokens, calls, folder):
    """Tokens a second of each call after the first, as the peer says."""
    done = subprocess.run(
        [python, "-c", PEER_REPEAT, str(calls + 1), "-m", model, "-r", PROMPT, "-t", "0"]
        + ["--max-tokens", str(tokens), "-s"],
        env=environment, cwd=folder, capture_output=True, text=True, check=False,
    )
    found = re.findall(r"generated (\d+) tokens in ([0-9.]+)s", done.stdout + done.stderr)
    if done.returncode != 0 or len(found) != calls + 1:
        raise Failed(f"the peer's inference: {done.stderr[-2000:]}")
    if any(int(count) < tokens for count, _ in found):
        raise Failed(f"the peer's text ended after {found[0][0]} tokens of {tokens}")
    return [int(count) / float(seconds) for count, seconds in found[1:]]


def our_decode(calm, environment, model, tokens, calls, folder):
    done = subprocess.run(
        [calm, "-q", "bench", "-m", model, "-p", str(PROMPT_TOKENS), "-n", str(tokens), "-k", "0"]
        + ["-r", str(calls), "--json"],
        env=environment, cwd=folder, capture_output=True, text=True, check=False,
    )
    if done.returncode != 0:
        raise Failed(f"calm bench: {done.stderr}")
    return [row["tokens_per_s"] for row in json.loads(done.stdout) if row["test"] == "decode"]


def greedy_texts(python, bin_folder, environment, model, folder):
    arguments = ["-q", "-m", model, "-r", PROMPT, "-t", "0", "--max-tokens", "40", "-s"]
    texts = []
    for program in ([str(bin_folder / "calm-inference")], [python, "-m", "calm.cli.inference"]):
        done = subprocess.run(program + arguments, env=environment, cwd=folder, capture_output=True, check=False)
        if done.returncode != 0:
            raise Failed(done.stderr.decode()[-2000:])
        texts.append(done.stdout)
    return texts


def show(title, unit, ours, theirs, lower_is_better=False):
    def row(name, values):
        raw = " ".join(f"{v:.4g}" for v in values)
        print(f"  {name:5} median {statistics.median(values):.5g} {unit}, "
              f"min {min(values):.5g}, max {max(values):.5g}, runs: {raw}")

    print(title)
    row("calm", ours)
    row("peer", theirs)
    ratio = statistics.median(ours) / statistics.median(theirs)
    ahead = max(ours) < min(theirs) if lower_is_better else min(ours) > max(theirs)
    print(f"  calm : peer = {ratio:.4g}" + ("" if ahead else "  (the runs overlap: no claim)"))
    return {"unit": unit, "calm": ours, "peer": theirs, "ratio": ratio, "ahead": ahead}


def compare(options, python, folder):
    bin_folder = options.build.resolve() / "bin"
    threads = str(options.threads)
    environment = dict(os.environ, HOME=str(folder), PYTHONUNBUFFERED="1", OMP_NUM_THREADS=threads,
                       CALM_THREADS=threads, CUDA_VISIBLE_DEVICES="")
    calm = Side("calm", [str(bin_folder / "calm-train")], environment)
    peer = Side("peer", [python, "-m", "calm.cli.train"], environment)

    # Sequences from all over the file, so that their lengths are those of the whole.
    dataset = ctds.read(options.dataset)
    gate = dataset.spread(options.gate_steps * BATCH)
    timed = dataset.spread(options.steps * BATCH)
    gate.write(folder / "gate.ctds")
    timed.write(folder / "timed.ctds")
    dataset.spread(2).write(folder / "two.ctds")
    for name, lr in (("still", "1.0e-12"), ("config", "1.0e-3")):
        text = CONFIG.format(model=MODEL, batch=BATCH, lr=lr)
        (folder / f"{name}.yaml").write_text(text)

    def arguments(config, data, out):
        return ["--config", f"{config}.yaml", "--dataset", f"{data}.ctds", "--no-shuffle",
                "--epochs", "1", "--domain", "shell", "--save-dir", out]

    # The peer's initial weights: a step too small to change them, exported.
    run_training(peer, folder, arguments("still", "two", "init"))
    init = str(folder / "init" / "model.cwgt")
    start = ["--init-cwgt", init]

    losses = {side.name: run_training(side, folder, arguments("config", "gate", f"gate-{side.name}") + start)[0]
              for side in (calm, peer)}
    worst = check_losses(losses["calm"], losses["peer"])
    print(f"gate: {len(losses['calm'])} losses agree, {losses['peer'][0]} to {losses['peer'][-1]}, "
          f"relative difference at most {worst:.1e}")
    texts = greedy_texts(python, bin_folder, environment, init, folder)
    if texts[0] != texts[1]:
        raise Failed(f"greedy texts differ: {texts}")
    print("gate: greedy texts agree", flush=True)

    rates = {"calm": [], "peer": []}
    memory = {"calm": [], "peer": []}
    before = steal()
    for index in range(options.runs):
        for side in (calm, peer):
            run = arguments("config", "timed", f"timed-{side.name}-{index}") + start
            _, first, last, peak = run_training(side, folder, run, until=options.seconds)
            rates[side.name].append(tokens_per_second(timed.lengths, first, last))
            memory[side.name].append(peak / 1e6)
    result = {
        "train": show(f"training nano, batch {BATCH}, fp32, {threads} threads, real tokens",
                      "tokens/s", rates["calm"], rates["peer"]),
        "memory": show("peak memory of the training process", "MB", memory["calm"], memory["peer"], True),
    }

    one = dict(environment, OMP_NUM_THREADS="1", CALM_THREADS="1")
    decoded = {"calm": [], "peer": []}
    for _ in range(options.runs):
        decoded["calm"] += our_decode(str(bin_folder / "calm"), one, init, options.tokens, 20, folder)
        decoded["peer"].append(statistics.median(
            peer_decode(python, one, init, options.tokens, 3, folder)))
    result["decode"] = show("greedy decoding nano, 1 sequence, 1 thread, fp32", "tokens/s",
                            decoded["calm"], decoded["peer"])
    after = steal()
    stolen = 100 * (after[0] - before[0]) / max(1, after[1] - before[1])
    print(f"steal time {stolen:.1f} %" + ("" if stolen <= 2 else ": too much, take the figures again"))
    result["steal_percent"] = stolen
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", type=pathlib.Path, help="the build folder")
    parser.add_argument("dataset", type=pathlib.Path, help="CTDS file, .xz allowed")
    parser.add_argument("--quick", action="store_true", help="few steps: whether it works, no figures")
    parser.add_argument("--runs", type=int, default=5, help="of each program, interleaved")
    parser.add_argument("--seconds", type=float, default=10, help="of a timed training run")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=pathlib.Path, help="also write the result here")
    options = parser.parse_args()
    options.gate_steps, options.steps, options.tokens = 50, 1000, 600
    if options.quick:
        options.runs, options.seconds = min(options.runs, 2), min(options.seconds, 1)
        options.gate_steps, options.steps, options.tokens = 4, 40, 200

    python = os.environ.get("CALM_PEER_PYTHON", "python3")
    probe = "import sys, torch, calm.cli.train; print(sys.version.split()[0], torch.__version__)"
    try:
        found = subprocess.run([python, "-c", probe], capture_output=True, text=True, check=False)
    except OSError:
        found = None
    if found is None or found.returncode != 0:
        print(f"skipped: calm-mamba is not installed ({python} has no module calm.cli)")
        return 77
    print("peer: calm-mamba on Python {}, torch {}".format(*found.stdout.split()), flush=True)
    with tempfile.TemporaryDirectory() as work:
        try:
            result = compare(options, python, pathlib.Path(work))
        except Failed as failure:
            print(f"FAILED: {failure}", file=sys.stderr)
            return 1
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
