"""Removes a demo's directory from within a nest, where the ids that boxes wrote with are ours."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from ironclaw.sandbox import nest


def main() -> int:
    """Remove the directory that the command line names. Returns the exit status."""
    directory = Path(sys.argv[1])
    nest.enter(avoid=[directory])
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
