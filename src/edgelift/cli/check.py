"""`edgelift check`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgelift.core.errors import RequestError

if TYPE_CHECKING:
    from edgelift.io.bundle import Bundle
    from edgelift.targets.portability import Finding

__all__ = ["check"]


def check(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A bundled name, a bundle or a .tflite file.")],
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="litert-xnnpack, litert-gpu, litert-qualcomm, litert-mediatek, onnx-nnapi, onnx-coreml, onnx-coreml-nn, "
            "bm1684x; litert or onnx for all of one runtime; all where left out. May be given several times."
        ),
    ] = None,
    rewrite: Annotated[
        bool, typer.Option("--rewrite", help="Write the network with other operators, where these give the same.")
    ] = False,
    resize_conv: Annotated[
        bool,
        typer.Option(
            "--resize-conv",
            help="With --rewrite: resize and convolution for transposed convolutions alone, which is not the same and needs "
            "fine-tuning.",
        ),
    ] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="With --rewrite: the bundle to write.")] = None,
    variant: Annotated[str | None, typer.Option(help="Of a supernet: the network that is taken.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say which operators of a network phones' accelerators and the SOPHON TPU run, by their makers' tables."""
    from edgelift.io.bundle import find_bundle
    from edgelift.io.compiled import read_model
    from edgelift.targets.portability import named

    if rewrite != (output is not None):
        raise RequestError("--rewrite and -o FILE.onnx belong together: say both, or neither")
    if resize_conv and not rewrite:
        raise RequestError("--resize-conv is a way to rewrite; say --rewrite -o FILE.onnx with it")
    if resize_conv and (target or json_):
        raise RequestError("--resize-conv is for all targets and prints no JSON; leave --target and --json out")
    if overwrite and not rewrite:
        raise RequestError("--overwrite replaces what --rewrite writes; say --rewrite -o FILE.onnx with it")
    bundle, names = read_model(find_bundle(model)), named(target or ())
    if variant is not None and bundle.form != "onnx":
        raise RequestError(f"{model}: a compiled file has one network; leave --variant out")
    if resize_conv and output is not None:
        _approximate(bundle, output, variant, overwrite)
    elif rewrite and output is not None:
        _rewrite(bundle, names, output, variant, overwrite, json_)
    else:
        _check(bundle, names, bool(target), variant, json_)


def _check(bundle: Bundle, names: list[str], asked: bool, variant: str | None, json_: bool) -> None:
    from edgelift.core.errors import EdgeliftError
    from edgelift.forge.compile import checked
    from edgelift.targets.portability import table_of

    rows: dict[str, dict[str, object]] = {}
    for name in names:
        table = table_of(name)
        head = f"{name}: {table.title} (by {table.source}, read {table.read})"
        try:
            found = checked(bundle, name, variant)
        except EdgeliftError as exc:
            if asked and len(names) == 1:
                raise
            rows[name] = {"problem": str(exc)}
            lines = [f"  {exc}"]
        else:
            rows[name] = {"source": table.source, "read": table.read, "operators": [asdict(each) for each in found]}
            lines = [f"  {table.remark}"] * bool(table.remark) + [_line(each) for each in found]
        if not json_:
            typer.echo("\n".join([head, *lines]))
    if json_:
        typer.echo(json.dumps({"model": bundle.spec.name, "accelerators": rows}))


def _line(each: Finding) -> str:
    said: dict[str, list[str]] = {}
    for precision, verdict in each.verdicts.items():
        said.setdefault(str(verdict), []).append(precision)
    if len(said) == 1:
        words = next(iter(said))
    else:
        words = "; ".join(f"{', '.join(precisions)}: {verdict}" for verdict, precisions in said.items())
    advice = f"; rewrite: {each.rewrite} (--rewrite)" if each.rewrite else f"; {each.advice}" * bool(each.advice)
    return f"  {each.count:3} {each.operator}  {words}{advice}"


def _rewrite(bundle: Bundle, names: list[str], output: Path, variant: str | None, overwrite: bool, json_: bool) -> None:
    from edgelift.forge.rewriting import rewrite_bundle

    made = rewrite_bundle(bundle, names, output, variant=variant, overwrite=overwrite)
    if json_:
        facts = {
            "file": str(output), "rewrites": {rewrite.name: count for rewrite, count in made.done.items()},
            "core_difference": made.core_difference, "byte_difference": made.byte_difference, "differing": made.differing,
        }  # fmt: skip
        typer.echo(json.dumps(facts))
        return
    for rewrite, count in made.done.items():
        typer.echo(f"{count} × {rewrite.name}: {rewrite.what}")
    typer.echo(
        f"{output}: the same function; on random pictures it differs by at most {made.core_difference:.2g} of 255 before "
        f"rounding, and in {made.differing:.2%} of the samples by one level after it"
    )


def _approximate(bundle: Bundle, output: Path, variant: str | None, overwrite: bool) -> None:
    from edgelift.forge.rewriting import approximate_bundle

    parity, count = approximate_bundle(bundle, output, variant=variant, overwrite=overwrite)
    near = "the same bits" if parity.psnr_to_parent is None else f"{parity.psnr_to_parent:.2f} dB"
    typer.echo(
        f"{output}: {count} × resize and convolution for a transposed convolution; {near} from the network as it was, "
        f"{0.0 - round(parity.loss, 2):+.2f} dB against the truth (drawn scenes)"
    )
    typer.echo(
        "It is another function and has to be fine-tuned: in PyTorch put nn.Upsample(scale_factor=stride, mode='bilinear') and "
        "nn.Conv2d in the place of each nn.ConvTranspose2d, start it with the weights 'resize-conv/…' of this file and all else "
        "as it was, train for a tenth of the steps at a tenth of the rate, export to ONNX, then: edgelift import"
    )
