"""SOPHON's cards by the vendor's runtime, `sophon.sail`. Written after its documentation, and not tested on hardware.

The runtime comes from the vendor's SDK and is on no package index. In SYSIO mode `sail.Engine.process` takes and gives
arrays of the host, and copies them to the card and back itself.
"""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelift.core.errors import EngineError, EngineMissingError, RequestError
from edgelift.io.bundle import Bundle
from edgelift.runtime.engine import Availability, Device, Options, engine_error
from edgelift.runtime.engines.bmodel import PRECISIONS, BModelEngine, Network

__all__ = ["SailEngine", "decode", "load_sail"]

MISSING = "sophon.sail is not installed; it comes with SOPHON's SDK (sophon-sail), for machines with a card"
ERRORS = (RuntimeError, ValueError, TypeError, MemoryError, AttributeError, KeyError)
"""What its bindings raise."""


def load_sail() -> ModuleType:
    """The module `sophon.sail`. Raises `EngineMissingError`."""
    try:
        from sophon import sail
    except (ImportError, OSError) as exc:
        raise EngineMissingError(f"sophon: {MISSING} ({exc})") from exc
    module: ModuleType = sail
    return module


class SailEngine(BModelEngine):
    """See the module's text. Options: `device` is bm1684x, or bm1684x.N for card N."""

    name: ClassVar[str] = "sophon"
    forms: ClassVar[tuple[str, ...]] = ("sophon",)

    def __init__(self, bundle: Bundle, options: Options) -> None:
        found = self.available()
        if found.problem:
            raise EngineMissingError(f"{self.name}: {found.problem}")
        names = [device.name for device in found.devices]
        asked = names[0] if options.device.upper() in ("AUTO", "BM1684X") else options.device.upper()
        if asked not in names:
            raise RequestError(f"sophon.sail has no device {options.device.upper()!r}; it has {', '.join(names)}")
        super().__init__(bundle, options)
        self.device, self._sail = asked, load_sail()
        card = names.index(asked)
        try:
            self._engine = self._sail.Engine(bundle.data, len(bundle.data), card, self._sail.IOMode.SYSIO)
            self._accept([self._network(name) for name in self._engine.get_graph_names()])
        except ERRORS as exc:
            raise engine_error(f"sophon.sail cannot load {bundle.spec.name} on card {card}: {exc}", exc) from exc

    @classmethod
    def available(cls) -> Availability:
        """Where the runtime is installed and sees a card."""
        try:
            if importlib.util.find_spec("sophon") is None:
                return Availability(cls.name, problem=MISSING)
            sail = load_sail()
            cards = int(sail.get_available_tpu_num())
        except (EngineMissingError, *ERRORS) as exc:
            return Availability(cls.name, problem=f"installed, but does not start ({exc})")
        if not cards:
            return Availability(cls.name, problem="sophon.sail is installed, and sees no card")
        precisions = tuple(PRECISIONS.values())
        devices = tuple(Device(f"BM1684X.{n}", f"SOPHON card {n}", precisions, "f32") for n in range(cards))
        return Availability(cls.name, str(getattr(sail, "__version__", "unknown")), devices)

    def _network(self, name: str) -> Network:
        engine = self._engine
        ins, outs = engine.get_input_names(name), engine.get_output_names(name)
        if len(ins) != 1 or len(outs) != 1:
            raise EngineError(f"{self.spec.name}: expected one input and one output in {name!r}, got {ins} and {outs}")
        types = [engine.get_input_dtype(name, ins[0]), engine.get_output_dtype(name, outs[0])]
        if any(found != self._sail.Dtype.BM_UINT8 for found in types):
            raise EngineError(f"{self.spec.name}: expected bytes in and out of {name!r}, got {types}")
        self._ends = {**getattr(self, "_ends", {}), name: (ins[0], outs[0])}
        return Network(name, tuple(engine.get_input_shape(name, ins[0])), tuple(engine.get_output_shape(name, outs[0])))

    def call(self, network: Network, window: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """See `BModelEngine.call`."""
        entering, leaving = self._ends[network.name]
        try:
            given = np.asarray(self._engine.process(network.name, {entering: window})[leaving])
        except ERRORS as exc:
            raise engine_error(f"sophon.sail failed on a window of {window.shape[1:3]}: {exc}", exc) from exc
        if given.shape != network.leaving or given.dtype != np.uint8:
            raise EngineError(
                f"{self.spec.name}: the card gave {given.shape} {given.dtype}, expected {network.leaving} uint8"
            )
        return given

    def close(self) -> None:
        """Release the card."""
        super().close()
        self._engine = None


def decode(path: str, card: int = 0) -> NDArray[np.uint8]:
    """The picture in `path`, decoded and converted on the card: height × width × 3, RGB, 0 … 255.

    By `sail.Decoder` and `sail.Bmcv`. Baseline JPEG and video frames are decoded by hardware; the result comes back once, in
    the form in which windows are cut. Raises `EngineMissingError` without the runtime, `EngineError` where it cannot.
    """
    sail = load_sail()
    try:
        handle = sail.Handle(card)
        image = sail.Decoder(path, True, card).read(handle)
        packed = sail.BMImage(
            handle, image.height(), image.width(), sail.Format.FORMAT_BGR_PACKED, sail.ImgDtype.DATA_TYPE_EXT_1N_BYTE
        )
        sail.Bmcv(handle).convert_format(image, packed)
        found = np.asarray(packed.asmat())  # in the order of OpenCV
    except ERRORS as exc:
        raise engine_error(f"{path}: the card cannot decode it ({exc})", exc) from exc
    if found.ndim != 3 or found.shape[2] != 3 or found.dtype != np.uint8:
        raise EngineError(f"{path}: the card gave {found.shape} {found.dtype}, expected height × width × 3 uint8")
    return np.ascontiguousarray(found[:, :, ::-1])
