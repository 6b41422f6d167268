"""`python -m edgelift`."""

from edgelift.cli import main

main()
