"""Write tests/upgrade/fixtures with the code of release 0.1, for the tests that the present code still reads them.

The fixtures are made once for a release and then kept. To make them again, from the root of the repository:

    git worktree add ../wdist-0.1 1ce186b
    old=$(realpath ../wdist-0.1)
    make -C $old setup
    export PYTHONPATH=$old/tests:$old/tests/service
    unshare --uts sh -c "hostname fixture; exec $old/.venv/bin/python tests/upgrade/make_fixtures.py"

`unshare` (as root) gives the workers a neutral host name; without it the fixtures tell the name of your machine. It
takes two minutes, and fails when the moment at which the servers are killed was not the one that is wanted: on a
machine that is much faster or slower, change RUNNING_STEPS in making_servers.py.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import making_library
import making_servers

import wdist

FIXTURES = Path(__file__).parent / "fixtures"
RELEASE = "0.1.0"


def main() -> None:
    assert wdist.__version__ == RELEASE, f"wdist {wdist.__version__} is on PYTHONPATH, not {RELEASE}"
    FIXTURES.mkdir(exist_ok=True)
    manifest = {"release": RELEASE}
    with tempfile.TemporaryDirectory(prefix="wdist-fixtures-", dir="/tmp") as folder:
        manifest |= {"library": making_library.make(Path(folder), FIXTURES)}
        manifest |= {"local": making_servers.make_local(Path(folder), FIXTURES)}
        manifest |= {"shared": making_servers.make_shared(Path(folder), FIXTURES)}
    (FIXTURES / "manifest.json").write_text(json.dumps(manifest, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
