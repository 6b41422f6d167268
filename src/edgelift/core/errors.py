"""Every error that edgelift raises on purpose.

EdgeliftError                    1
├── RequestError                 2   an argument, a name or a combination of them cannot be served
├── InputError                   3   a picture or a folder cannot be read
├── OutputError                  4   a result cannot be written
├── BundleError                  5   a model file is not a bundle, is damaged or contradicts its own facts
├── EngineError                  6   an engine failed while it compiled or ran
│   ├── EngineMissingError       7   an engine is not installed, or cannot run on this machine
│   └── EngineMemoryError       10   an engine has too little memory for a window
├── BudgetError                 11   a time budget is too small even for the quickest way
└── TrainingError                8   a training run cannot start or had to stop
    └── RecipeError              9   a recipe is not valid

The number is the exit code of the command line. A message says what was wrong, what was expected, what came
and what to do. Errors of other libraries are mapped where those libraries are called.
"""

from __future__ import annotations

__all__ = [
    "BudgetError",
    "BundleError",
    "EdgeliftError",
    "EngineError",
    "EngineMemoryError",
    "EngineMissingError",
    "InputError",
    "OutputError",
    "RecipeError",
    "RequestError",
    "TrainingError",
]


class EdgeliftError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line returns."""

    exit_code = 1


class RequestError(EdgeliftError, ValueError):
    """What was asked for cannot be served as asked."""

    exit_code = 2


class InputError(EdgeliftError):
    """A picture or folder cannot be read."""

    exit_code = 3


class OutputError(EdgeliftError):
    """A result cannot be written."""

    exit_code = 4


class BundleError(EdgeliftError):
    """A model file is not a bundle, is damaged, or contradicts its own facts."""

    exit_code = 5


class EngineError(EdgeliftError):
    """An engine failed while it compiled or ran a model."""

    exit_code = 6


class EngineMissingError(EngineError):
    """An engine is not installed or cannot run here; the message names the command that installs it."""

    exit_code = 7


class EngineMemoryError(EngineError):
    """An engine has too little memory for the windows it was given; smaller ones may fit."""

    exit_code = 10


class BudgetError(EdgeliftError):
    """A time budget is too small even for the quickest way; what there was no time for was done all the same."""

    exit_code = 11


class TrainingError(EdgeliftError):
    """A training run cannot start, or had to stop."""

    exit_code = 8


class RecipeError(TrainingError):
    """A recipe is not valid."""

    exit_code = 9
