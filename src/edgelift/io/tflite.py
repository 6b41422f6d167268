"""The graph in a `.tflite` file, read without LiteRT: tensors, operators and metadata of a flatbuffer.

Nothing is executed and all that is read is limited; a damaged file is a `BundleError`. Numbers of fields and codes are those
of TensorFlow Lite's schema, version 3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from edgelift.core.errors import BundleError

__all__ = ["Graph", "Operator", "Table", "Tensor", "read_graph", "read_metadata", "text_of"]

MAX_ENTRIES = 1000
"""Metadata that are looked through."""
MAX_BUFFERS = 100_000
MAX_OPERATORS = 50_000
MAX_RANK = 8
MAX_NUMBERS = 64
"""Bytes of short lists of integers."""
MAX_PLACES = 1 << 20
"""Scales of one tensor, inputs of one operator."""
MAX_TOTAL = 1 << 23
"""Entries of all lists together: a small file may state one long list for each of its operators."""

MODEL_CODES, MODEL_GRAPHS, MODEL_BUFFERS, MODEL_METADATA = 1, 2, 4, 6
METADATA_NAME, METADATA_BUFFER = 0, 1
BUFFER_DATA, BUFFER_OFFSET = 0, 1
CODE_OLD, CODE = 0, 3
GRAPH_TENSORS, GRAPH_INPUTS, GRAPH_OUTPUTS, GRAPH_OPERATORS = 0, 1, 2, 3
TENSOR_SHAPE, TENSOR_TYPE, TENSOR_BUFFER, TENSOR_NAME, TENSOR_GRIDS, TENSOR_SIGNATURE = 0, 1, 2, 3, 4, 7
GRIDS_SCALE, GRIDS_ZERO = 2, 3
OPERATOR_CODE, OPERATOR_INPUTS, OPERATOR_OUTPUTS, OPERATOR_OPTIONS = 0, 1, 2, 4

TYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8"}
KINDS = {
    0: "ADD", 1: "AVERAGE_POOL_2D", 2: "CONCATENATION", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 5: "DEPTH_TO_SPACE",
    6: "DEQUANTIZE", 8: "FLOOR", 9: "FULLY_CONNECTED", 11: "L2_NORMALIZATION", 14: "LOGISTIC", 17: "MAX_POOL_2D",
    18: "MUL", 19: "RELU", 20: "RELU_N1_TO_1", 21: "RELU6", 22: "RESHAPE", 23: "RESIZE_BILINEAR", 25: "SOFTMAX",
    26: "SPACE_TO_DEPTH", 28: "TANH", 32: "CUSTOM", 34: "PAD", 36: "GATHER", 39: "TRANSPOSE", 40: "MEAN", 41: "SUB",
    42: "DIV", 45: "STRIDED_SLICE", 47: "EXP", 49: "SPLIT", 53: "CAST", 54: "PRELU", 55: "MAXIMUM", 57: "MINIMUM",
    59: "NEG", 60: "PADV2", 65: "SLICE", 67: "TRANSPOSE_CONV", 69: "TILE", 74: "SUM", 75: "SQRT", 76: "RSQRT",
    78: "POW", 83: "PACK", 88: "UNPACK", 92: "SQUARE", 97: "RESIZE_NEAREST_NEIGHBOR", 98: "LEAKY_RELU",
    99: "SQUARED_DIFFERENCE", 100: "MIRROR_PAD", 101: "ABS", 102: "SPLIT_V", 104: "CEIL", 107: "GATHER_ND",
    111: "ELU", 114: "QUANTIZE", 116: "ROUND", 117: "HARD_SWISH", 126: "BATCH_MATMUL",
    127: "PLACEHOLDER_FOR_GREATER_OP_CODES", 130: "BROADCAST_TO", 150: "GELU", 152: "RELU_0_TO_1",
}  # fmt: skip
"""Codes of operators that stand in pictures' networks; any other is called by its number."""


class Table:
    """A table of a flatbuffer, read without its schema. Positions beyond the file raise `struct.error`."""

    def __init__(self, data: bytes, at: int, read: list[int] | None = None) -> None:
        self._data, self._at = data, at
        self._read = [0] if read is None else read  # entries so far, in all tables of the file
        self._rows = at - self._number("<i", at)

    def _number(self, form: str, at: int) -> Any:
        if at < 0:
            raise struct.error("before the file")
        return struct.unpack_from(form, self._data, at)[0]

    def _field(self, number: int) -> int:
        """Where that field stands; 0 where it is left out."""
        slot = 4 + 2 * number
        if slot + 2 > self._number("<H", self._rows):
            return 0
        offset: int = self._number("<H", self._rows + slot)
        return self._at + offset if offset else 0

    def states(self, number: int) -> bool:
        """Whether that field is there."""
        return self._field(number) != 0

    def size(self, number: int) -> int:
        """How many entries that list has."""
        return self._list(number, 1 << 32)[1]

    def integer(self, number: int, default: int = 0, form: str = "<I") -> int:
        """An integer, unsigned of 32 bits where `form`, as in `struct`, does not say otherwise."""
        at = self._field(number)
        return int(self._number(form, at)) if at else default

    def _list(self, number: int, most: int) -> tuple[int, int]:
        """Where the first entry stands, and how many there are."""
        at = self._field(number)
        if not at:
            return 0, 0
        at += self._number("<I", at)
        count: int = self._number("<I", at)
        if count > most:
            raise BundleError(f"a list of {count} entries; at most {most} are read")
        return at + 4, count

    def _counted(self, count: int) -> None:
        """Raise `BundleError` where so many entries more are too many."""
        self._read[0] += count
        if self._read[0] > MAX_TOTAL:
            raise BundleError(f"lists of more than {MAX_TOTAL} entries together")

    def content(self, number: int, most: int) -> bytes:
        """Text or bytes of at most that length."""
        at = self._field(number)
        if not at:
            return b""
        at += self._number("<I", at)
        size = self._number("<I", at)
        if size > most or at + 4 + size > len(self._data):
            raise BundleError(f"an entry of {size} bytes; at most {most} are read")
        self._counted(size)
        return self._data[at + 4 : at + 4 + size]

    def numbers(self, number: int, form: str, most: int) -> tuple[Any, ...]:
        """A list of numbers of at most that length; `form` is one letter of `struct`."""
        at, count = self._list(number, most)
        self._counted(count)
        return struct.unpack_from(f"<{count}{form}", self._data, at) if count else ()

    def table(self, number: int) -> Table | None:
        """A table inside this one."""
        at = self._field(number)
        return Table(self._data, at + self._number("<I", at), self._read) if at else None

    def tables(self, number: int, most: int) -> list[Table]:
        """A list of tables of at most that length."""
        at, count = self._list(number, most)
        self._counted(count)
        places = range(at, at + 4 * count, 4)
        return [Table(self._data, place + self._number("<I", place), self._read) for place in places]


@dataclass(frozen=True)
class Tensor:
    """One tensor of the graph."""

    name: str
    shape: tuple[int, ...]
    """As the file states it; sides that are free are 1 or more there, and -1 in `signature`."""
    signature: tuple[int, ...]
    type: str
    scale: tuple[float, ...]
    """Of whole numbers: one, or one for each channel; empty for floats."""
    zero: tuple[int, ...]
    held: bool
    """Whether the file holds its values."""
    numbers: tuple[int, ...] = ()
    """Its values where it is a short list of integers, such as sides or amounts of padding."""


@dataclass(frozen=True)
class Operator:
    """One operator; inputs of -1 are left out."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None


@dataclass(frozen=True)
class Graph:
    """The first subgraph of a file."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def _root(data: bytes) -> Table:
    if data[4:8] != b"TFL3":
        raise BundleError("not a .tflite file, or a damaged one")
    return Table(data, struct.unpack_from("<I", data)[0])


def text_of(data: bytes) -> str:
    """`data` as text. Raises `BundleError` where it is none."""
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        raise BundleError("a damaged file: there is text in it that is none") from exc


def read_metadata(data: bytes, names: tuple[str, ...], most: int) -> dict[str, str]:
    """The entries of the file's metadata that are called so, of at most `most` bytes each."""
    try:
        model = _root(data)
        buffers = model.tables(MODEL_BUFFERS, MAX_BUFFERS)
        found = {}
        for entry in model.tables(MODEL_METADATA, MAX_ENTRIES):
            name = text_of(entry.content(METADATA_NAME, 1000))
            if name in names:
                found[name] = text_of(buffers[entry.integer(METADATA_BUFFER)].content(BUFFER_DATA, most))
    except (struct.error, IndexError) as exc:
        raise BundleError("a damaged .tflite file") from exc
    return found


def read_graph(data: bytes) -> Graph:
    """The graph of the file `data`; one with several subgraphs is refused."""
    try:
        model = _root(data)
        codes = [
            max(code.integer(CODE, form="<i"), code.integer(CODE_OLD, form="<b"))
            for code in model.tables(MODEL_CODES, MAX_OPERATORS)
        ]
        buffers = model.tables(MODEL_BUFFERS, MAX_BUFFERS)
        graphs = model.tables(MODEL_GRAPHS, MAX_ENTRIES)
        if len(graphs) != 1:
            raise BundleError(f"{len(graphs)} subgraphs in the file; one is read")
        graph = graphs[0]
        tensors = tuple(_tensor(made, buffers) for made in graph.tables(GRAPH_TENSORS, MAX_BUFFERS))
        operators = tuple(_operator(made, codes) for made in graph.tables(GRAPH_OPERATORS, MAX_OPERATORS))
        ends = graph.numbers(GRAPH_INPUTS, "i", MAX_ENTRIES), graph.numbers(GRAPH_OUTPUTS, "i", MAX_ENTRIES)
        named = [*ends[0], *ends[1], *(n for op in operators for n in (*op.inputs, *op.outputs))]
        if any(not -1 <= number < len(tensors) for number in named) or -1 in (*ends[0], *ends[1]):
            raise BundleError("a damaged .tflite file: it names tensors that there are not")
    except (struct.error, IndexError) as exc:
        raise BundleError("a damaged .tflite file") from exc
    return Graph(tensors, operators, *ends)


def _tensor(made: Table, buffers: list[Table]) -> Tensor:
    grids, held = made.table(TENSOR_GRIDS), buffers[made.integer(TENSOR_BUFFER)]
    kind = made.integer(TENSOR_TYPE, form="<b")
    kept = TYPES.get(kind, f"type {kind}")
    few = (
        held.content(BUFFER_DATA, MAX_NUMBERS)
        if kept in ("int32", "int64") and held.size(BUFFER_DATA) <= MAX_NUMBERS
        else b""
    )
    letter = "i" if kept == "int32" else "q"
    return Tensor(
        text_of(made.content(TENSOR_NAME, 10_000)),
        made.numbers(TENSOR_SHAPE, "i", MAX_RANK),
        made.numbers(TENSOR_SIGNATURE, "i", MAX_RANK),
        kept,
        grids.numbers(GRIDS_SCALE, "f", MAX_PLACES) if grids else (),
        grids.numbers(GRIDS_ZERO, "q", MAX_PLACES) if grids else (),
        held.states(BUFFER_DATA) or held.states(BUFFER_OFFSET),
        struct.unpack(f"<{len(few) // struct.calcsize(letter)}{letter}", few),
    )


def _operator(made: Table, codes: list[int]) -> Operator:
    code = codes[made.integer(OPERATOR_CODE)]
    return Operator(
        KINDS.get(code, f"operator {code}"),
        made.numbers(OPERATOR_INPUTS, "i", MAX_PLACES),
        made.numbers(OPERATOR_OUTPUTS, "i", MAX_PLACES),
        made.table(OPERATOR_OPTIONS),
    )
