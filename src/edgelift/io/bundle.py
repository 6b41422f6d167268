"""Bundles: one ONNX file that takes and gives pictures, with the facts of its model in the metadata.

`docs/bundle-format.md` is the description; this module reads, checks and writes it. A bundle is data: nothing in it is
executed or unpickled while it is read, external files are refused, and everything that is read is limited.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from edgelift.core.errors import BundleError, RequestError
from edgelift.core.resize import KERNELS
from edgelift.core.spec import ModelSpec
from edgelift.io.places import FilePlace, fill, make_folder, require_free

__all__ = [
    "CORE_IN", "CORE_OUT", "IMAGE", "LARGER", "MAX_BYTES", "Bundle", "bundled", "core_out", "find_bundle", "parse_bundle",
    "read_bundle", "require_bundle_place", "write_bundle",
]  # fmt: skip

MAX_BYTES = 1 << 30
MAX_NODES = 50_000
IMAGE, LARGER = "image", "larger"
"""Names of the graph's input and output."""
CORE_IN, CORE_OUT = "core_in", "core_out"
"""Names of the cut points."""
DOMAINS = ("", "ai.onnx")
UINT8 = onnx.TensorProto.UINT8


@dataclass(frozen=True)
class Bundle:
    """A checked bundle in memory."""

    spec: ModelSpec
    data: bytes
    """The file's bytes."""
    source: str
    """Where it came from, for messages."""
    form: str = "onnx"
    """What `data` is: an ONNX bundle, or what one was compiled to: `openvino`, `litert` or `sophon` (see `io.compiled`)."""
    weights: bytes = b""
    """The bytes of the second file of forms that have two."""

    def graph(self) -> onnx.ModelProto:
        """The ONNX model, parsed anew. Raises `BundleError` where it was compiled to another form."""
        if self.form != "onnx":
            raise BundleError(f"{self.source}: compiled for {self.form}; this needs the ONNX bundle that it came from")
        return onnx.load_model_from_string(self.data)


def core_out(spec: ModelSpec, variant: int) -> str:
    """Name of the tensor at which the core of `variant` (from 1) ends; that of the widest leads to the picture."""
    return CORE_OUT if variant == spec.widest else f"{CORE_OUT}.{variant}"


def read_bundle(path: Path) -> Bundle:
    """Read and check `path`. Raises `BundleError` that says what is wrong with it."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise BundleError(f"{path}: {size} bytes; bundles of at most {MAX_BYTES} are read")
        data = path.read_bytes()
    except OSError as exc:
        raise BundleError(f"{path}: cannot be read ({exc.strerror or exc})") from exc
    return parse_bundle(data, str(path))


def parse_bundle(data: bytes, source: str = "bundle") -> Bundle:
    """Check the bytes of a bundle; see `read_bundle`."""
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError, RuntimeError) as exc:
        raise BundleError(f"{source}: not an ONNX file, or a damaged one") from exc
    if not data:
        raise BundleError(f"{source}: an empty file")
    try:
        spec = ModelSpec.from_metadata({entry.key: entry.value for entry in model.metadata_props})
        _check_graph(model, spec)
    except BundleError as exc:
        raise BundleError(f"{source}: {exc}") from exc
    except (TypeError, UnicodeError) as exc:  # protobuf hands out bytes where a name is no text
        raise BundleError(f"{source}: a damaged ONNX file: there is text in it that is none") from exc
    return Bundle(spec, data, source)


def _check_graph(model: onnx.ModelProto, spec: ModelSpec) -> None:
    graph = model.graph
    if len(graph.node) > MAX_NODES:
        raise BundleError(f"the graph has {len(graph.node)} nodes; at most {MAX_NODES} are read")
    for node in graph.node:
        if node.domain not in DOMAINS:
            raise BundleError(
                f"the graph uses the operator {node.op_type!r} of {node.domain!r}; only standard ONNX is run"
            )
        if any(a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for a in node.attribute):
            raise BundleError(f"the operator {node.op_type!r} holds a graph of its own; a bundle has one plain graph")
    if model.functions:
        raise BundleError("the model defines functions; a bundle has one plain graph")
    if graph.sparse_initializer:
        raise BundleError("sparse weights, which may be kept in another file; a bundle holds plain ones itself")
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in _tensors(graph)):
        raise BundleError("weights are kept in another file; a bundle holds everything itself")
    for values, name in ((graph.input, IMAGE), (graph.output, LARGER)):
        _check_value(values, name)
    produced = {name for node in graph.node for name in node.output}
    ends = [core_out(spec, variant) for variant in range(1, spec.widest + 1)]
    if missing := [name for name in (CORE_IN, *ends) if name not in produced]:
        raise BundleError(f"the graph has no tensor called {missing[0]!r}, a cut point")
    weights = sum(_elements(t) for t in graph.initializer)
    if spec.architecture != "foreign" and weights < spec.parameters:
        raise BundleError(f"the facts state {spec.parameters} parameters, the graph holds {weights} values")
    try:
        onnx.checker.check_model(model)  # some engines never end, or crash, on what it refuses
    except (onnx.checker.ValidationError, RuntimeError) as exc:
        raise BundleError(f"not a valid ONNX graph: {str(exc).strip().splitlines()[0]}") from exc


def _tensors(graph: onnx.GraphProto) -> Iterable[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for sparse in [attribute.sparse_tensor, *attribute.sparse_tensors]:
                yield from (sparse.values, sparse.indices)


def _elements(tensor: onnx.TensorProto) -> int:
    total = 1
    for n in tensor.dims:
        total *= n
    return total


def _check_value(values: Iterable[onnx.ValueInfoProto], name: str) -> None:
    found = list(values)
    if [v.name for v in found] != [name]:
        raise BundleError(
            f"the graph must have exactly {name!r} there, it has {', '.join(v.name for v in found)[:200] or 'nothing'}"
        )
    tensor = found[0].type.tensor_type
    dims = tensor.shape.dim
    if tensor.elem_type != UINT8 or len(dims) != 4 or dims[3].dim_value != 3 or any(d.dim_value for d in dims[:3]):
        raise BundleError(f"{name!r} must be uint8 with the shape (batch, height, width, 3), the first three free")


def require_bundle_place(path: Path, overwrite: bool, *sources: str | Path) -> None:
    """Raise `RequestError` where `path` has no name for a bundle, and `OutputError` as `places.require_free` does."""
    if path.suffix != ".onnx":
        raise RequestError(f"{path}: a bundle's name ends in .onnx")
    require_free(path, overwrite, *sources)


def write_bundle(model: onnx.ModelProto, spec: ModelSpec, path: Path, *, overwrite: bool = False) -> Bundle:
    """Put `spec` into `model`, check both, and write `path`: complete or not at all. Raises as `require_bundle_place` too."""
    require_bundle_place(path, overwrite)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, spec.metadata())
    data = model.SerializeToString(deterministic=True)
    bundle = parse_bundle(data, str(path))
    make_folder(path.parent)
    fill((FilePlace(path, overwrite), data))
    return bundle


def bundled() -> dict[str, Path]:
    """Name -> file of the bundles in the package, sorted by name."""
    folder = Path(str(resources.files("edgelift") / "weights"))
    return {p.stem: p for p in sorted(folder.glob("*.onnx"), key=lambda p: p.stem)}


def find_bundle(model: str | Path) -> Path:
    """The file for `model`: a bundled name or a path. Raises `RequestError` that lists the names there are."""
    names = bundled()
    if str(model) in names:
        return names[str(model)]
    path = Path(model)
    if os.path.isfile(path):  # unlike Path.is_file, says no to a name that no file can have
        return path
    listed = ", ".join([*names, *KERNELS])
    raise RequestError(f"no model is called {str(model)!r} and there is no such file; there are {listed}")
