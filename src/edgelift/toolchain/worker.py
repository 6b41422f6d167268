"""A process in a tool chain's Python that is kept alive and asked for one thing after the other.

A message is a line of two numbers, the bytes of a JSON object and those of data, then the object and the data; both ways.

Between tasks the process is stopped: the simulator's threads would otherwise wait by asking again and again, and keep a core
busy. It has a child that ends it where edgelift is killed meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

from edgelift.core.errors import EngineError
from edgelift.toolchain.chain import Chain

__all__ = ["SCRIPT", "Worker"]

SCRIPT = Path(__file__).with_name("sophon_worker.py")
MAX_ANSWER = 1 << 31
"""Bytes of data that an answer may state."""
SAID = 20_000
"""Bytes of what the process printed that are looked through for a reason."""
UNTELLING = ("[!Error]", "SystemExit")
"""In an error that only says that a program failed: what it printed says why."""
TELLING = ("error", "assert", "abort", "fail", "not support", "unsupport")
ASIDE = ("[Running]", "WARNING", "[Warning]")
"""Beginnings of lines that give no reason, whatever words are in them."""


class Worker:
    """Started at once. `ask` may be called from several threads; one task runs at a time. Raises `EngineMissingError` where
    the tool chain is not ready."""

    def __init__(self, chain: Chain, script: Path = SCRIPT) -> None:
        chain.demand()
        self._name, self._lock = chain.title, threading.Lock()
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115  # held as long as the process
        root = next(iter(chain.variables.values()), "")
        ends, self._lifeline = os.pipe()
        try:
            self._process = subprocess.Popen(
                [chain.interpreter, "-B", script, chain.site / root, str(ends)], env=chain.environment(), pass_fds=(ends,),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._printed, process_group=0,
            )  # fmt: skip
        except OSError as exc:
            raise EngineError(f"{self._name}: cannot be started ({exc.strerror}); {chain.install} --again") from exc
        finally:
            os.close(ends)

    def ask(self, task: str, data: bytes = b"", **more: Any) -> tuple[dict[str, Any], bytes]:
        """What the process answers. Raises `EngineError` where the task fails or the process ends."""
        text = json.dumps({"task": task, **more}).encode()
        with self._lock:
            begun = self._length()
            try:
                self._signal(signal.SIGCONT)
                self._write(b"%d %d\n" % (len(text), len(data)) + text, data)
                said, given = self._read()
                self._signal(signal.SIGSTOP)
            except (OSError, ValueError) as exc:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(1)  # until all that it has to say is there
                reason = self._reason(begun) or "it gave no reason"
                raise EngineError(f"{self._name} ended while it did {task!r}: {reason}") from exc
            except BaseException:  # interrupted in the middle of an answer: what follows could not be told apart
                self._process.kill()
                raise
            if error := said.get("error"):
                plain = not any(word in error for word in UNTELLING)
                raise EngineError(f"{self._name}: {error if plain else self._reason(begun) or error}")
            return said, given

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def _write(self, head: bytes, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(head)
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def _read(self) -> tuple[dict[str, Any], bytes]:
        assert self._process.stdout is not None
        head, size = (int(number) for number in self._process.stdout.readline().split())
        if not 0 <= size <= MAX_ANSWER:
            raise ValueError("an answer of that size is none")
        said = json.loads(self._process.stdout.read(head))
        given = self._process.stdout.read(size)
        if len(given) < size:
            raise ValueError("it ended early")
        return said, given

    def _length(self) -> int:
        return os.fstat(self._printed.fileno()).st_size

    def _reason(self, begun: int) -> str:
        """The first telling line of what was printed since then; empty where there is none."""
        start = max(begun, self._length() - SAID)
        text = os.pread(self._printed.fileno(), SAID, start).decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        telling = [
            line for line in lines if any(word in line.lower() for word in TELLING) and not line.startswith(ASIDE)
        ]
        return (telling or lines or [""])[0][:400]

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process; calling it twice is allowed."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()
        self._printed.close()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *why: object) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # at the end of the program nothing may be left of what it needs
            self.close()
