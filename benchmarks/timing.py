"""What all benchmarks share: timing in turn, tables of ratios."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

from edgelift.evaluate.machine import machine

PAUSE = 0.05
"""Seconds before each task: threads of some engines keep spinning for a while after a call, at the cost of the next."""


def in_turn(tasks: dict[str, Callable[[], object]], rounds: int = 15) -> dict[str, list[float]]:
    """Seconds of each task in each of `rounds` rounds, the tasks taking turns, after one warm-up of each."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for task in tasks.values():
        task()
    for _ in range(rounds):
        for name, task in tasks.items():
            time.sleep(PAUSE)
            began = time.perf_counter()
            task()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def show(title: str, seconds: dict[str, list[float]], against: str) -> None:
    """A table of medians and quartiles in milliseconds, each with its ratio to the row `against`; then JSON."""
    base = statistics.median(seconds[against])
    rows = {}
    print(f"\n{title}\n{'':58} {'median':>8} {'quartiles':>17} {'ratio':>7}")
    for name, values in seconds.items():
        low, middle, high = (1000 * q for q in statistics.quantiles(values, n=4))
        rows[name] = {
            "ms": round(middle, 3),
            "q1": round(low, 3),
            "q3": round(high, 3),
            "ratio": round(middle / base / 1000, 4),
        }
        print(f"{name:58} {middle:8.1f} {low:8.1f} {high:8.1f} {rows[name]['ratio']:7.3f}")
    print(json.dumps({"benchmark": title, "machine": machine(), "rows": rows, "against": against}))
