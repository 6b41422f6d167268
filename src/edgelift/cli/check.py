"""`edgelift check`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

__all__ = ["check"]


def check(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A bundled name or a bundle file.")],
    on: Annotated[
        list[str] | None, typer.Option("--on", help="onnx-nnapi, onnx-coreml, litert-gpu; all where left out.")
    ] = None,
    variant: Annotated[str | None, typer.Option(help="Of a supernet: the network that is taken.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say which operators of a network fall back to the CPU on accelerators of phones, by their makers' tables."""
    from edgelift.core.errors import EdgeliftError
    from edgelift.forge.compile import checked
    from edgelift.io.bundle import find_bundle, read_bundle
    from edgelift.targets.portability import ACCELERATORS, table_of

    bundle = read_bundle(find_bundle(model))
    rows: dict[str, dict[str, object]] = {}
    for name in on or ACCELERATORS:
        table = table_of(name)
        head = f"{name}: {table.title} (by {table.source}, read {table.read})"
        try:
            found = checked(bundle, name, variant)
        except EdgeliftError as exc:
            if on:
                raise
            rows[name] = {"problem": str(exc)}
            if not json_:
                typer.echo(f"{head}\n  {exc}")
            continue
        rows[name] = {"source": table.source, "read": table.read, "operators": [asdict(each) for each in found]}
        if json_:
            continue
        typer.echo(head)
        for each in found:
            advice = f"; {each.advice}" if each.advice else ""
            words = f"falls back to the CPU: {each.problem}{advice}" if each.problem else "runs"
            typer.echo(f"  {each.count:3} {each.operator}  {words}")
    if json_:
        typer.echo(json.dumps({"model": bundle.spec.name, "accelerators": rows}, ensure_ascii=False))
