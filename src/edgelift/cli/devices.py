"""`edgelift devices`."""

from __future__ import annotations

import typer

__all__ = ["devices"]


def devices() -> None:
    """List what can run here, and why the rest cannot."""
    from edgelift.runtime.engines import availability

    for found in availability():
        version = f" {found.version}" if found.version else ""
        if found.problem:
            typer.echo(f"{found.engine}{version}: cannot run here: {found.problem}")
            continue
        for device in found.devices:
            precisions = ", ".join(f"{p} (auto)" if p == device.default else p for p in device.precisions)
            typer.echo(f"{found.engine}{version}  {device.name}  {device.title}  {precisions}")
    typer.echo("interpolation  nearest, bilinear, bicubic, lanczos  need no engine")
