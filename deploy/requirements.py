"""Print what one layer of the image needs, as pyproject.toml says it: python requirements.py api|torch|training.

The API imports neither torch nor POT nor SciPy; the tests of the images run it without them.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

LAYERS = {"torch": "torch", "scipy": "training", "POT": "training"}


def requirements(layer: str, pyproject: str) -> list[str]:
    """The requirements of one layer; what is named above for no other layer is the API's."""
    project = tomllib.loads(pyproject)["project"]
    every = [*project["dependencies"], *project["optional-dependencies"]["server"]]
    return [line for line in every if LAYERS.get(re.split(r"[^\w.-]", line)[0], "api") == layer]


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1], Path("pyproject.toml").read_text())))
