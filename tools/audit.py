"""Asks an advisory service about every version in constraints.txt, with pip-audit.

    make audit

pip-audit itself says "no known vulnerabilities" of packages that it skipped. Here a skipped package is a finding.

Exit status: 0 nothing is known against any of them; 1 findings, one a line; 69 no advisory service answers.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).resolve().parent.parent / "constraints.txt"
CLEAN, FOUND, UNAVAILABLE = 0, 1, 69
_COMMAND = ("--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off")


_NO_ANSWER = ("ConnectionError", "Could not connect", "ReadTimeout")


class NoServiceError(Exception):
    """No advisory service answers."""


def findings(report: dict[str, Any]) -> list[str]:
    """What pip-audit's report has against a package, or why it knows nothing of it.

    Raises NoServiceError if it knows nothing of any package: what answered is no advisory service.
    """
    packages = report["dependencies"]
    skipped = [f"{each['name']}: not audited: {each['skip_reason']}" for each in packages if "skip_reason" in each]
    if len(skipped) == len(packages):
        raise NoServiceError("none of the packages is known to what answered")
    known = [
        f"{each['name']} {each['version']}: {advisory['id']}, mended in {', '.join(advisory['fix_versions']) or 'none'}"
        for each in packages
        for advisory in each.get("vulns", ())
    ]
    return known + skipped


def audit(constraints: Path, *arguments: str) -> list[str]:
    """The findings about the versions in a file; `arguments` of pip-audit choose another service.

    Raises NoServiceError if none answers, and RuntimeError if pip-audit cannot read the file.
    """
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(constraints), *_COMMAND, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the environment's own
    if not done.stdout.startswith("{"):
        error = NoServiceError if any(sign in done.stderr for sign in _NO_ANSWER) else RuntimeError
        raise error(done.stderr.strip()[-500:])
    return findings(json.loads(done.stdout))


def probe(*arguments: str) -> None:
    """Raise NoServiceError unless a service answers that knows a package which every service knows."""
    with tempfile.TemporaryDirectory() as folder:
        (file := Path(folder) / "one.txt").write_text("requests==2.32.0\n")
        audit(file, *arguments)


def main() -> int:
    try:
        probe(*sys.argv[1:])
        found = audit(CONSTRAINTS, *sys.argv[1:])
    except NoServiceError as error:
        sys.stderr.write(f"no advisory service answers: {error}\n")
        return UNAVAILABLE
    sys.stdout.write("".join(f"{line}\n" for line in found))
    return FOUND if found else CLEAN


if __name__ == "__main__":
    sys.exit(main())
