"""Runs in the tool chain's own Python (3.10, numpy), one process for one task after the other; see `worker` for the form of
messages. Never imported by edgelift.

The simulator holds one model in a process: a second one would give zeros. What its libraries print goes to standard error.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
import traceback
from typing import Any


def main(root: str, lifeline: int) -> None:
    """Answer requests from standard input until it ends; `lifeline`: a pipe that ends with edgelift."""
    watch(lifeline)
    sys.path.append(os.path.join(root, "python"))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = os.fdopen(0, "rb", closefd=False)
    state: dict[str, Any] = {}
    while True:
        line = requests.readline()
        if not line:
            break
        head, size = (int(number) for number in line.split())
        asked, data = json.loads(requests.read(head)), requests.read(size)
        try:
            said, given = TASKS[asked["task"]](state, asked, data)
        except BaseException as exc:  # SystemExit, too: a tool's own; the client is told, and the process goes on
            last = traceback.format_exception_only(type(exc), exc)[-1].strip()
            said, given = {"error": last or type(exc).__name__}, b""
        text = json.dumps(said).encode()
        answers.write(b"%d %d\n" % (len(text), len(given)))
        answers.write(text)
        answers.write(given)
        answers.flush()


def watch(lifeline: int) -> None:
    """Leave a child that ends this process where edgelift is gone: stopped between tasks, it could not see that itself."""
    worker = os.getpid()
    if os.fork():
        os.close(lifeline)
        return
    for end in (0, 1):  # else edgelift would not see that this process ended
        os.close(end)
    os.read(lifeline, 1)
    if os.getppid() == worker:
        os.kill(worker, signal.SIGKILL)
    os._exit(0)


def tool(state: dict[str, Any], asked: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """Run a Python program of the tool chain as if it had been called."""
    before = sys.argv, os.getcwd()
    try:
        os.chdir(asked["folder"])
        sys.argv = [asked["program"], *asked["arguments"]]
        runpy.run_path(asked["program"], run_name="__main__")
    except SystemExit as exc:
        if exc.code:
            raise
    finally:
        sys.argv = before[0]
        os.chdir(before[1])
    return {}, b""


def open_model(state: dict[str, Any], asked: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """Load a .bmodel; its networks, each with one input and one output."""
    import pyruntime_bm

    state["model"] = model = pyruntime_bm.Model(asked["file"], 0, "")
    state["networks"] = networks = {name: model.Net(name) for name in model.networks}
    said = []
    for name, network in networks.items():
        ends = [*network.inputs, *network.outputs]
        said.append(
            {
                "name": name,
                "ends": [len(network.inputs), len(network.outputs)],
                "shapes": [list(end.data.shape) for end in ends],
                "types": [end.data.dtype.name for end in ends],
            }
        )
    return {"networks": said}, b""


def run(state: dict[str, Any], asked: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """One call of a network: bytes of its input in, bytes of its output out."""
    import numpy

    network = state["networks"][asked["network"]]
    entering, leaving = network.inputs[0].data, network.outputs[0].data
    entering[:] = numpy.frombuffer(data, entering.dtype).reshape(entering.shape)
    network.forward()
    return {}, leaving.tobytes()


TASKS = {"tool": tool, "open": open_model, "run": run}

if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
