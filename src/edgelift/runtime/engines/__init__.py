"""The list of engines, in the order in which `auto` tries them. A new one is a file of its own and a row here."""

from __future__ import annotations

from edgelift.core.errors import EngineMissingError, RequestError
from edgelift.core.registry import Registry
from edgelift.io.bundle import Bundle
from edgelift.runtime.engine import Availability, Engine, EngineKind, Options

__all__ = ["ENGINES", "availability", "open_engine"]

ENGINES = Registry(
    "engine",
    {
        "openvino": "edgelift.runtime.engines.openvino:OpenVINOEngine",
        "onnxruntime": "edgelift.runtime.engines.onnxruntime:ONNXRuntimeEngine",
        "litert": "edgelift.runtime.engines.litert:LiteRTEngine",
        "sophon": "edgelift.runtime.engines.sail:SailEngine",
        "sophon-simulator": "edgelift.runtime.engines.sophon:SimulatorEngine",
    },
)


def availability() -> list[Availability]:
    """What each engine can do on this machine, or why it cannot."""
    kinds: list[EngineKind] = [ENGINES.load(name) for name in ENGINES]
    return [kind.available() for kind in kinds]


def open_engine(bundle: Bundle, name: str = "auto", options: Options = Options()) -> Engine:  # noqa: B008  # frozen
    """The engine called `name`, or the first that can run `bundle` here and has the device asked for, with it compiled.

    Raises `RequestError` for an unknown name or one that does not run models of this form, and for a device that there
    is not, `EngineMissingError` where none can run, `EngineError` from compiling.
    """
    problems, others = [], []
    for candidate in ENGINES if name == "auto" else [name]:
        kind: EngineKind = ENGINES.load(candidate)
        if bundle.form not in kind.forms:
            if name != "auto":
                raise RequestError(f"{candidate} runs {_listed(kind.forms)}; {bundle.source} is {_WORDS[bundle.form]}")
            continue
        found = kind.available()
        if found.problem:
            problems.append(f"{candidate}: {found.problem}")
        elif name == "auto" and not _has(found, options.device):
            others.append(f"{candidate} has {', '.join(device.name for device in found.devices)}")
        else:
            return kind(bundle, options)
    if others:
        raise RequestError(f"no engine here has a device {options.device.upper()!r}; {'; '.join([*others, *problems])}")
    where = "no engine can run here: " if bundle.form == "onnx" else f"nothing here can run {_WORDS[bundle.form]}: "
    advice = (
        "; or use an interpolation, which needs none: --model bicubic"
        if name == "auto" and bundle.form == "onnx"
        else ""
    )
    raise EngineMissingError(where * (name == "auto") + "; ".join(problems) + advice)


def _has(found: Availability, device: str) -> bool:
    """Whether an engine has that device: by its name, or by the name of several such as GPU of GPU.0."""
    asked = device.upper()
    return asked == "AUTO" or any(d.name == asked or d.name.startswith(asked + ".") for d in found.devices)


_WORDS = {"onnx": "an ONNX bundle", "openvino": "OpenVINO IR", "litert": "a LiteRT file", "sophon": "a .bmodel"}


def _listed(forms: tuple[str, ...]) -> str:
    return " and ".join(_WORDS[form] for form in forms)
