"""PyTorch as an engine to be profiled: the network that a bundle was exported from, and the time of its operators."""

from __future__ import annotations

import os
import time
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from edgelift.core.errors import RequestError
from edgelift.evaluate.profile.bench import Bench, noise
from edgelift.evaluate.profile.macs import Work
from edgelift.evaluate.profile.operators import Operators, summarise
from edgelift.evaluate.profile.timing import Clock
from edgelift.forge.bundles import network_from
from edgelift.forge.reference import ReferenceEngine
from edgelift.io.bundle import Bundle
from edgelift.nets.network import Network
from edgelift.runtime.engine import Options
from edgelift.runtime.probe import NodeTime

__all__ = ["torch_bench", "torch_operators"]

PRODUCTS = ("conv", "mm", "addmm", "bmm", "baddbmm", "linear", "matmul")
"""Operators, by the beginnings of their names, whose floating-point operations PyTorch counts as two a multiply-add."""


def torch_bench(bundle: Bundle, options: Options) -> Bench:
    """`bundle` on the PyTorch reference engine; `threads` other than 0 hold for the whole process.

    Raises `RequestError` for a device other than the CPU and a precision other than f32, `BundleError` where the network
    cannot be rebuilt.
    """
    if options.device.lower() not in ("auto", "cpu") or options.precision not in ("auto", "f32"):
        asked = f"{options.device} {options.precision}"
        raise RequestError(f"the torch engine is a reference and runs on the cpu in f32, not on {asked}")
    if options.threads:
        torch.set_num_threads(options.threads)
    network = network_from(bundle)
    return Bench(bundle, options, open=lambda bundle, asked: ReferenceEngine(network, bundle.spec, asked.samples))


def torch_operators(
    bundle: Bundle, size: tuple[int, int] = (360, 640), *, rounds: int = 5, clock: Clock = time.perf_counter
) -> Operators:
    """The operators of PyTorch for the core of the network (see `Network.core`) on a window of `size`."""
    height, width = (-(-side // bundle.spec.multiple_of) * bundle.spec.multiple_of for side in size)
    network = network_from(bundle)
    batch = torch.from_numpy(noise(height, width)[None].copy()).permute(0, 3, 1, 2).float() / 255
    work = Work({}, {}, {})  # PyTorch counts multiply-adds itself
    return summarise(lambda count: _Probe(network, batch, count), work, (height, width), rounds, clock)


class _Probe:
    """See `runtime.probe.Probe`."""

    def __init__(self, network: Network, batch: torch.Tensor, count: bool) -> None:
        self._network, self._batch, self._count = network, batch, count
        self._runs: list[list[NodeTime]] = []
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else the profiler writes to stderr when it starts and stops

    @torch.no_grad()
    def run(self) -> None:
        """See `Probe.run`."""
        if not self._count:
            self._network.core(self._batch)
            return
        with profile(activities=[ProfilerActivity.CPU], record_shapes=True, with_flops=True) as found:
            self._network.core(self._batch)
        self._runs.append(_nodes(found.events()))

    def counted(self) -> list[list[NodeTime]]:
        """See `Probe.counted`."""
        return self._runs

    def close(self) -> None:
        """Nothing is held."""


def _nodes(events: Any) -> list[NodeTime]:
    """The operators that the network itself calls, with all that they call; numbered where there are several."""
    rows: list[NodeTime] = []
    for event in events:
        if event.cpu_parent is not None or not event.name.startswith("aten::"):
            continue
        kind = event.name.removeprefix("aten::")
        macs = event.flops // 2 if kind.startswith(PRODUCTS) else 0
        number = sum(row.kind == kind for row in rows)
        rows.append(NodeTime(f"{kind}_{number}", kind, event.cpu_time_total / 1e6, macs=macs))
    return rows
