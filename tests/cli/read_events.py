"""Reads a run's TensorBoard events with TensorBoard itself: read_events.py FOLDER."""

import sys

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(0)

events = EventAccumulator(sys.argv[1])
events.Reload()
losses = events.Scalars("loss/train")
assert set(events.Tags()["scalars"]) >= {"loss/train", "loss/validation", "lr", "grad_norm", "tokens_per_s"}
assert [e.step for e in losses] == sorted(e.step for e in losses)
print(f"{sys.argv[1]}: {len(losses)} losses, last step {losses[-1].step}")
