"""Remove from an environment what a running server never opens: python prune.py ENVIRONMENT. The Dockerfile uses it.

Tests, headers for compilers, and parts of PyTorch, POT and Arrow that wdist does not import: a third of the image.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

UNUSED = (
    # Nothing is compiled in the image.
    "*/include",
    "numpy/*/include",
    "torch/share",
    # Tests, and programs for them.
    "numpy/**/tests",
    "scipy/**/tests",
    "sympy/**/tests",
    "networkx/**/tests",
    "pyarrow/tests",
    "torch/test",
    "torch/bin/*Test",
    "torch/bin/test_*",
    "torch/bin/*.ptl",
    "torch/bin/protoc*",
    "torch/lib/libtorchbind_test.so",
    "torch/lib/libjitbackend_test.so",
    "torch/lib/libbackend_with_compiler.so",
    # wdist.transport.pot imports `ot.lp` alone; this part holds 170 MB of debug symbols.
    "ot/bsp",
    # Arrow's clients for Flight, Substrait and S3; objects are read by obstore.
    "pyarrow/libarrow_flight*",
    "pyarrow/libarrow_substrait*",
    "pyarrow/libarrow_s3*",
    "pyarrow/_flight*",
    "pyarrow/_substrait*",
    "pyarrow/_s3fs*",
    # Further names of a file that is loaded as libarrow_python.so.NUMBER, each a copy of it.
    "pyarrow/libarrow_python.so",
    "pyarrow/libarrow_python.so.*.*",
)


def prune(environment: Path) -> int:
    """Remove the unused parts; returns how many bytes they had."""
    (packages,) = environment.glob("lib/python3*/site-packages")
    freed = 0
    for pattern in UNUSED:
        for path in sorted(packages.glob(pattern)):
            if path.is_dir():
                freed += sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
                shutil.rmtree(path)
            elif path.exists():
                freed += path.stat().st_size
                path.unlink()
    return freed


if __name__ == "__main__":
    print(f"{prune(Path(sys.argv[1])) / 1e6:,.0f} MB that no server opens")
