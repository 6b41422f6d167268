"""Reading a profile of the compiler, written by hand in its form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgelift.core.errors import EngineError
from edgelift.toolchain.cycles import parse_cycles

PROFILE = """
ENGINE_BD                                    ENGINE_GDMA
                                             Load_28|GDMA_TENSOR|s:0|b:0|g:1|e:99|t:100|dr:0|sz:1000|bw:12.66
Conv2D_34|LANE_BC|s:100|b:1|g:1|e:109|t:10   Load_29|GDMA_TENSOR|s:100|b:0|g:2|e:149|t:50|dr:0|sz:200|bw:3.15
Conv2D_34|CONV|s:110|b:2|g:2|e:199|t:90
                                             Store_40|GDMA_TENSOR|s:300|b:2|g:3|e:399|t:100|dr:1|sz:500|bw:3.15

flops: 21786880, runtime: 0.400000ms, ComputationAbility: 0.264574T
"""


def test_shares_of_a_run_add_up_to_it() -> None:
    found = parse_cycles(PROFILE, {34: ["relu_Relu"]})
    assert (found.seconds, found.flops, found.bytes) == (pytest.approx(4e-4), 21786880, 1700)
    by = {operation.name: operation for operation in found.operations}
    assert list(by) == ["Load_28", "Conv2D_34", "Load_29", "Store_40"]
    assert sum(operation.seconds for operation in found.operations) == pytest.approx(found.seconds)
    cycle = 1e-6
    assert by["Load_28"].seconds == pytest.approx(100 * cycle)
    assert by["Load_29"].seconds == pytest.approx(25 * cycle), "half of what it runs beside the convolution"
    assert by["Conv2D_34"].seconds == pytest.approx(75 * cycle)
    assert by["Store_40"].seconds == pytest.approx(200 * cycle), "what waits for it counts, too"
    assert (by["Conv2D_34"].computing, by["Conv2D_34"].moving) == (pytest.approx(100 * cycle), 0)
    assert (by["Conv2D_34"].kind, by["Conv2D_34"].tensors, by["Load_29"].tensors) == ("Conv2D", ("relu_Relu",), ())


def test_a_graph_without_arithmetic_has_cycles_and_no_runtime() -> None:
    text = "Depth2Space_11|GDMA_TENSOR|s:0|b:0|g:1|e:1286741|t:1286742|dr:2|sz:262144|bw:0.19\nTCYC : 1286742\n"
    found = parse_cycles(text)
    assert (found.seconds, found.flops, found.bytes) == (pytest.approx(1.286742e-3), 0, 262144)


@pytest.mark.parametrize("text", ["", "flops: 1, runtime: 0.1ms", PROFILE.replace("runtime", "time"), "\x00" * 50])
def test_what_is_no_profile_is_said_so(text: str) -> None:
    with pytest.raises(EngineError, match=r"not a compiler profile of tpu-mlir 1\.30, or a damaged one"):
        parse_cycles(text)


COMMAND = st.tuples(
    st.sampled_from(["Conv2D_1", "Load_2", "Add_3"]), st.booleans(), st.integers(0, 500), st.integers(1, 90)
)


@given(st.lists(COMMAND, min_size=1, max_size=30))
def test_shares_add_up_whatever_runs_beside_what(commands: list[tuple[str, bool, int, int]]) -> None:
    lines = [
        f"{name}|{'GDMA_TENSOR' if moves else 'CONV'}|s:{start}|b:0|g:0|e:{start + took - 1}|t:{took}"
        for name, moves, start, took in commands
    ]
    found = parse_cycles("\n".join([*lines, "flops: 5, runtime: 2.5ms"]))
    assert sum(operation.seconds for operation in found.operations) == pytest.approx(2.5e-3)
    assert all(operation.seconds >= 0 for operation in found.operations)
