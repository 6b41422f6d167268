"""The BM1684X on any Linux machine: the vendor's bit-accurate simulator, in a process of the tool chain's own Python.

It gives the bytes that the chip gives, some ten thousand times as slowly: for proofs and for small pictures. A process holds
one model; it is kept alive as long as the engine.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import EngineError, EngineMissingError, RequestError
from edgelift.io.bundle import Bundle
from edgelift.runtime.engine import Availability, Device, Options
from edgelift.runtime.engines.bmodel import PRECISIONS, BModelEngine, Network
from edgelift.toolchain.sophon import SOPHON
from edgelift.toolchain.worker import Worker

__all__ = ["SimulatorEngine"]

DEVICE = Device("BM1684X", "SOPHON's simulator of one core", tuple(PRECISIONS.values()), "f32")


class SimulatorEngine(BModelEngine):
    """See the module's text. Options: `device` is bm1684x."""

    name: ClassVar[str] = "sophon-simulator"
    forms: ClassVar[tuple[str, ...]] = ("sophon",)
    simulated: ClassVar[bool] = True
    """What its runs take says nothing; what the file states holds for the chip."""
    remark: ClassVar[str] = "run bit by bit on the simulator; the time is the compiler's cycle model"

    def __init__(self, bundle: Bundle, options: Options) -> None:
        if problem := self.available().problem:
            raise EngineMissingError(f"{self.name}: {problem}")
        if options.device.upper() not in ("AUTO", DEVICE.name):
            raise RequestError(f"the simulator has no device {options.device.upper()!r}; it has {DEVICE.name}")
        super().__init__(bundle, options)
        self.device = DEVICE.name
        self._worker = Worker(SOPHON)
        try:
            self._accept(self._opened(bundle))
        except BaseException:
            self._worker.close()
            raise

    @classmethod
    def available(cls) -> Availability:
        """Where the tool chain is installed."""
        state = SOPHON.state()
        if state.kind != "ready":
            return Availability(cls.name, problem=state.words)
        return Availability(cls.name, f"tpu_mlir {SOPHON.versions()['tpu_mlir']}", (DEVICE,))

    def _opened(self, bundle: Bundle) -> list[Network]:
        with tempfile.TemporaryDirectory(prefix="edgelift-") as folder:
            path = Path(folder) / "model.bmodel"
            path.write_bytes(bundle.data)
            said, _ = self._worker.ask("open", file=str(path))
        found = []
        for each in said["networks"]:
            if each["ends"] != [1, 1] or each["types"] != ["uint8", "uint8"]:
                raise EngineError(
                    f"{bundle.spec.name}: expected one uint8 picture in and one uint8 tensor out in {each['name']!r}"
                )
            found.append(Network(each["name"], *(tuple(shape) for shape in each["shapes"])))
        return found

    def call(self, network: Network, window: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """See `BModelEngine.call`."""
        _, given = self._worker.ask("run", window.tobytes(), network=network.name)
        found = np.frombuffer(given, np.uint8)
        if found.size != np.prod(network.leaving):
            raise EngineError(f"{self.spec.name}: the simulator gave {found.size} bytes, expected {network.leaving}")
        return found.reshape(network.leaving)

    def close(self) -> None:
        """End the process."""
        super().close()
        self._worker.close()
