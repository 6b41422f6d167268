"""OpenVINO IR: an .xml file and its weights in a .bin file, for Intel CPUs, GPUs and NPUs without the ONNX front end.

The model takes and gives uint8 pictures as a bundle does, and holds the facts in its `rt_info`. Weights of 16 bits stay
so in the file. Of whole numbers OpenVINO makes its FakeQuantize form, which its plugins run in INT8.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from edgelift.core.errors import EngineError, EngineMissingError
from edgelift.targets.base import Files, Source

__all__ = ["OpenVINOTarget"]

NUMBERED = re.compile(r"^\w+_\d+$")
"""Names that OpenVINO makes up, with a number that counts all nodes of the process."""


class OpenVINOTarget:
    """See the module's text."""

    name: ClassVar[str] = "openvino"
    suffix: ClassVar[str] = ".xml"
    static: ClassVar[bool] = False
    precisions: ClassVar[tuple[str, ...]] = ("float", "fp16", "int8")
    about: ClassVar[str] = "OpenVINO IR (.xml and .bin), for Intel CPUs, GPUs and NPUs"

    @classmethod
    def missing(cls) -> str:
        """See `Target.missing`."""
        found = importlib.util.find_spec("openvino") is not None
        return "" if found else "OpenVINO is not installed; pip install 'edgelift[openvino]'"

    @classmethod
    def problems(cls, source: Source) -> list[str]:
        """See `Target.problems`."""
        return []  # it reads all that a bundle may hold, or says so when it does not

    @classmethod
    def compile(cls, source: Source) -> Files:
        """See `Target.compile`."""
        # OpenVINO reports its use over the network from a forked process; without that package it does not.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None means: not to be imported
        try:
            import openvino
        except (ImportError, OSError) as exc:
            raise EngineMissingError(
                f"OpenVINO is installed, but does not start ({exc}); pip install --force-reinstall 'edgelift[openvino]'"
            ) from exc
        with tempfile.TemporaryDirectory(prefix="edgelift-") as folder:
            place = Path(folder) / "model.xml"
            try:
                model = openvino.Core().read_model(source.whole.SerializeToString())
                _name_alike(model)
                for key, value in source.spec.metadata().items():
                    model.set_rt_info(value, key.split("."))
                openvino.save_model(model, str(place), compress_to_fp16=False)
                return {".xml": _plain(place.read_bytes()), ".bin": place.with_suffix(".bin").read_bytes()}
            except RuntimeError as exc:
                last = [line.strip() for line in str(exc).splitlines() if line.strip()][-1:]
                raise EngineError(f"OpenVINO cannot convert {source.spec.name}: {''.join(last)}") from exc


def _name_alike(model: Any) -> None:
    """Give nodes whose names count up in the process names that count up in the model."""
    for number, node in enumerate(model.get_ordered_ops()):
        if NUMBERED.match(node.get_friendly_name()):
            node.set_friendly_name(f"{node.get_type_name()}.{number}")


def _plain(xml: bytes) -> bytes:
    """Without the copy of the ONNX file's metadata, which `edgelift` states already."""
    return re.sub(rb"\s*<framework>.*?</framework>", b"", xml, flags=re.DOTALL)
