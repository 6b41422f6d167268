"""The list of engines, in the order in which `auto` tries them. A new one is a file of its own and a row here."""

from __future__ import annotations

from edgelift.core.errors import EngineMissingError
from edgelift.core.registry import Registry
from edgelift.io.bundle import Bundle
from edgelift.runtime.engine import Availability, Engine, EngineKind, Options

__all__ = ["ENGINES", "availability", "open_engine"]

ENGINES = Registry(
    "engine",
    {
        "openvino": "edgelift.runtime.engines.openvino:OpenVINOEngine",
        "onnxruntime": "edgelift.runtime.engines.onnxruntime:ONNXRuntimeEngine",
    },
)


def availability() -> list[Availability]:
    """What each engine can do on this machine, or why it cannot."""
    kinds: list[EngineKind] = [ENGINES.load(name) for name in ENGINES]
    return [kind.available() for kind in kinds]


def open_engine(bundle: Bundle, name: str = "auto", options: Options = Options()) -> Engine:  # noqa: B008  # frozen
    """The engine called `name`, or the first that can run here, with `bundle` compiled.

    Raises `RequestError` for an unknown name, `EngineMissingError` where none can run, `EngineError` from compiling.
    """
    problems = []
    for candidate in ENGINES if name == "auto" else [name]:
        kind: EngineKind = ENGINES.load(candidate)
        found = kind.available()
        if not found.problem:
            return kind(bundle, options)
        problems.append(f"{candidate}: {found.problem}")
    advice = "; or use an interpolation, which needs none: --model bicubic" if name == "auto" else ""
    raise EngineMissingError("no engine can run here: " * (name == "auto") + "; ".join(problems) + advice)
