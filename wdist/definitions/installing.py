"""Commands that install what is missing, as they work in this environment. wdist itself is on no package index."""

from __future__ import annotations

import json
import re
import shutil
import sys
import sysconfig
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

_DISTRIBUTIONS = {"PIL": "pillow", "ot": "POT"}  # whose packages are imported by another name


def pip_install(*packages: str) -> str:
    """`pip install` of these, with the pip of the environment that runs, which is not always the first on the path."""
    found = shutil.which("pip")
    is_here = found is not None and Path(found).parent == Path(sysconfig.get_path("scripts"))
    pip = "pip" if is_here else f"{_quoted(sys.executable)} -m pip"
    return f"{pip} install {' '.join(map(_quoted, packages))}"


def install_module(name: str) -> str:
    """The command for a package that wdist imports by this name."""
    return pip_install(_DISTRIBUTIONS.get(name, name))


def install_extra(extra: str) -> str:
    """The command for an extra of wdist: from where wdist was installed, or else by the names of its packages."""
    source, options = _source()
    if source is not None:
        return pip_install(*options, f"{source}[{extra}]")
    return pip_install(*(_missing(extra) or _required(extra)))


def install_client() -> str:
    """The command for the client: its folder or wheel beside that of wdist."""
    source, options = _source()
    folder = Path("clients", "python")
    if source is not None and source.is_dir() and (source / folder).is_dir():
        return pip_install(*options, str(source / folder))
    if source is not None and (wheels := sorted(source.parent.glob("wdist_client-*.whl"))):
        return pip_install(str(wheels[-1]))
    return f"{pip_install('./clients/python')} in a clone of wdist's repository"


def _source() -> tuple[Path | None, list[str]]:
    """The folder or wheel that wdist was installed from, if it is still there, and the options that pip had."""
    try:
        origin = json.loads(distribution("wdist").read_text("direct_url.json") or "{}")  # PEP 610
    except PackageNotFoundError:
        origin = {}
    at = urlsplit(origin.get("url", ""))
    if at.scheme != "file" or not (path := Path(url2pathname(at.path))).exists():
        return None, []
    return path, ["-e"] if origin.get("dir_info", {}).get("editable") else []


def _required(extra: str) -> list[str]:
    """What an extra lists, as in `fastapi<1,>=0.135`."""
    try:
        listed = distribution("wdist").requires or []
    except PackageNotFoundError:
        return []
    split = (requirement.partition(";") for requirement in listed)
    return [what.strip() for what, _, marker in split if re.search(rf"extra == ['\"]{extra}['\"]", marker)]


def _missing(extra: str) -> list[str]:
    return [each for each in _required(extra) if not _is_installed(re.split(r"[^\w.-]", each, maxsplit=1)[0])]


def _is_installed(name: str) -> bool:
    try:
        return bool(Distribution.from_name(name))
    except PackageNotFoundError:
        return False


def _quoted(word: str) -> str:
    """In double quotes, which every shell knows, if it has characters that mean something to one."""
    return word if re.fullmatch(r"[\w./\\:~+-]+", word) else f'"{word}"'
