"""Remove from environments what a running server never opens: python prune.py ENVIRONMENT... The Dockerfile uses it.

Tests, sources and headers for compilers, symbols for debuggers, and parts of PyTorch, POT, Arrow, SQLAlchemy and Pillow
that wdist does not import: two fifths of what pip installs. tests/release/test_container_images.py reads every kind of
file with what is left, and looks for libraries that a remaining one needs.
"""

from __future__ import annotations

import shutil
import struct
import sys
from pathlib import Path

UNUSED = (
    # Nothing is compiled or type-checked in the image, and nobody works in a shell of it.
    "../../../include",
    "../../../bin/[Aa]ctivate*",
    "*/include",
    "numpy/*/include",
    "numpy/distutils",
    "numpy/random/lib",
    "pyarrow/includes",
    "pyarrow/src",
    "torch/share",
    "**/*.pyi",
    "**/*.pyx",
    "**/*.px[di]",
    "setuptools",
    "setuptools-*",
    "_distutils_hack",
    "distutils-precedence.pth",
    # Tests, and programs for them.
    "alembic/testing",
    "croniter/tests",
    "greenlet/tests",
    "h5py/tests",
    "mako/testing",
    "networkx/**/tests",
    "numpy/**/tests",
    "numpy/_core/_*_tests.*",
    "pyarrow/tests",
    "pyarrow/_pyarrow_cpp_tests*",
    "scipy/**/tests",
    "sqlalchemy/testing",
    "sympy/**/tests",
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
    # Arrow's clients for Flight and for object stores; objects are read by obstore. Its Substrait is linked everywhere.
    "pyarrow/libarrow_flight*",
    "pyarrow/libarrow_python_flight*",
    "pyarrow/libarrow_s3*",
    "pyarrow/_flight*",
    "pyarrow/_substrait*",
    "pyarrow/_s3fs*",
    "pyarrow/_azurefs*",
    "pyarrow/_gcsfs*",
    "pyarrow/_hdfs*",
    "pyarrow/_orc*",
    "pyarrow/_dataset_orc*",
    # Further names of a file that is loaded as libarrow_python.so.NUMBER, each a copy of it.
    "pyarrow/libarrow_python*.so",
    "pyarrow/libarrow_python*.so.*.*",
    # Uploads are PNG or JPEG, and nothing is written on them.
    "PIL/_avif.*",
    "PIL/_imagingcms.*",
    "PIL/_imagingft.*",
    "PIL/_imagingtk.*",
    "PIL/_webp.*",
    "pillow.libs/libavif-*",
    "pillow.libs/libbrotli*",
    "pillow.libs/libfreetype-*",
    "pillow.libs/libharfbuzz-*",
    "pillow.libs/liblcms2-*",
    "pillow.libs/libpng16-*",
    "pillow.libs/libsharpyuv-*",
    "pillow.libs/libwebp*",
    # The databases are SQLite and PostgreSQL.
    "sqlalchemy/dialects/m[sy]*sql",
    "sqlalchemy/dialects/oracle",
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
    if (packages / "nvidia").is_dir():
        return freed  # what libraries for CUDA keep at their end has not been tried
    return freed + sum(cut_symbols(file) for file in packages.rglob("*.so*") if not file.is_symlink())


def cut_symbols(file: Path) -> int:
    """Cut off the end of a 64-bit ELF library that no segment loads: symbols for debuggers. Returns its bytes.

    `strip` does nearly the same, but a slim base image has none. The loader never reads the table of sections.
    """
    with file.open("r+b") as library:
        header = library.read(64)
        if header[:6] != b"\x7fELF\x02\x01":
            return 0
        size = file.stat().st_size
        (table,) = struct.unpack_from("<Q", header, 32)
        entry_size, count = struct.unpack_from("<HH", header, 54)
        library.seek(table)
        entries = library.read(entry_size * count)
        segments = [struct.unpack_from("<QQQQ", entries, at * entry_size + 8) for at in range(count)]
        end = max([table + entry_size * count, *(offset + length for offset, _, _, length in segments)])
        if end >= size:
            return 0
        library.truncate(end)
        library.seek(40)
        library.write(bytes(8))  # where the table of sections was
        library.seek(58)
        library.write(bytes(6))  # its entries
    return size - end


if __name__ == "__main__":
    print(f"{sum(prune(Path(word)) for word in sys.argv[1:]) / 1e6:,.0f} MB that no server opens")
