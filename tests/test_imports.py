"""What an import brings in. Each claim is tried in a new interpreter, where packages can be made to look absent."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def installed_with(*wanted: str) -> set[str]:
    """Top-level names of all that a machine has where only `wanted` was installed."""
    todo, done = [Requirement(text) for text in wanted], set()
    while todo:
        requirement = todo.pop()
        key = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if key in done:
            continue
        done.add(key)
        try:
            needs = [Requirement(text) for text in importlib.metadata.requires(requirement.name) or ()]
        except importlib.metadata.PackageNotFoundError:
            continue
        extras = ["", *requirement.extras]
        todo += [need for need in needs if not need.marker or any(need.marker.evaluate({"extra": e}) for e in extras)]
    names = {name for name, _ in done}
    owners = importlib.metadata.packages_distributions()
    return {top for top, by in owners.items() if names & {canonicalize_name(name) for name in by}}


def third_party() -> set[str]:
    """Top-level names of all installed packages but edgelift."""
    return set(importlib.metadata.packages_distributions()) - {"edgelift"} - set(sys.stdlib_module_names)


def run_python(code: str) -> str:
    """What `code` prints in a new interpreter, where it must succeed."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(code: str) -> set[str]:
    """Third-party packages that `code` loads."""
    tops = run_python(
        f"import sys\nbefore = set(sys.modules)\n{code}\n"
        "print('\\nloaded:', *{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    return set(tops.rpartition("loaded:")[2].split()) & third_party()


HELP = """
from edgelift.cli import main
sys.argv = ["edgelift", "--help"]
try:
    main()
except SystemExit as end:
    assert not end.code
"""

EVERY_MODULE = """
import importlib, pkgutil
import edgelift.evaluate as room
names = [module.name for module in pkgutil.walk_packages(room.__path__, room.__name__ + ".")]
assert "edgelift.evaluate.plots" in names and "edgelift.evaluate.profile.page" in names
for name in names:
    importlib.import_module(name)
"""

# Looks like a machine on which the packages BLOCKED are not installed: every finder answers that they are not there.
WITHOUT = """
import importlib, pkgutil, sys
class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in BLOCKED else self.finder.find_spec(name, path, target)
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
room = importlib.import_module(ROOM)
for module in pkgutil.walk_packages(room.__path__, ROOM + "."):
    importlib.import_module(module.name)
"""


def test_importing_edgelift_loads_nothing_else() -> None:
    assert loaded_by("import edgelift") == set()


def test_help_loads_the_command_line_only() -> None:
    assert loaded_by(HELP) <= installed_with("typer", "click", "rich")


def test_degrading_pictures_and_reading_recipes_load_no_pytorch() -> None:
    loaded = loaded_by("import edgelift.training.degrade.files, edgelift.training.recipe")
    assert loaded <= installed_with("numpy", "pillow")


def test_measuring_loads_neither_pytorch_nor_matplotlib_nor_an_engine_before_it_needs_them() -> None:
    assert loaded_by(EVERY_MODULE) <= installed_with("numpy", "onnx", "pyvips[binary]")


@pytest.mark.parametrize(
    ("room", "needs"),
    [
        ("core", ["numpy"]),
        ("toolchain", []),
        ("tiling", ["numpy"]),
        ("io", ["numpy", "onnx", "pyvips[binary]"]),
        ("runtime", ["numpy", "onnx", "pyvips[binary]"]),  # no engine among them
        ("evaluate", ["numpy", "onnx", "pyvips[binary]"]),  # no matplotlib: plots are left out where it is absent
        ("shrink", ["numpy", "onnx"]),
        ("nets", ["numpy", "torch"]),
        ("training", ["numpy", "pillow", "torch"]),
        ("cli", ["click", "rich", "typer"]),
    ],
)
def test_a_room_needs_these_packages_only(room: str, needs: list[str]) -> None:
    if "torch" in needs and importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    blocked = third_party() - installed_with(*needs)
    run_python(f"BLOCKED = {blocked!r}\nROOM = 'edgelift.{room}'\n{WITHOUT}")


def test_a_package_that_looks_absent_cannot_be_imported() -> None:
    with pytest.raises(AssertionError, match="No module named 'numpy'"):
        run_python(f"BLOCKED = {{'numpy'}}\nROOM = 'edgelift.core'\n{WITHOUT}")
