"""`python -m wdist.verify`, and what `wdist verify` runs once it has read the rows."""

import argparse
import io
import json
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from .container import CertificateError
from .verifier import Files, verify_certificate, verify_fresh


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """The arguments of `python -m wdist.verify`; `wdist verify` has its own, made as its other commands are."""
    result = Parser(
        prog="python -m wdist.verify",
        description="Re-derive the statement of a certificate from its critic and the rows, in numpy alone.",
    )
    result.add_argument("certificate", metavar="CERT", help="the certificate file")
    result.add_argument("source", metavar="A", help="source rows: a .npy file")
    result.add_argument("target", metavar="B", help="target rows: the same")
    result.add_argument("--sha256", metavar="DIGEST", help="the file's digest, got from the issuer by another way")
    result.add_argument(
        "--fresh",
        action="store_true",
        help="A and B are rows the issuer never saw: evaluate the critic on them, which needs no trust in the issuer",
    )
    result.add_argument("--json", dest="as_json", action="store_true", help="print the report as JSON")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify and print the report; 0 when everything held, 1 when not, 2 for wrong usage or unreadable files."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files are in any alphabet
    return run(**vars(parser().parse_args(arguments)))


def run(
    certificate: str,
    source: Any,
    target: Any,
    *,
    sha256: str | None,
    fresh: bool,
    as_json: bool,
    files: Files | None = None,
) -> int:
    """Verify with parsed arguments, print the report and return the exit status.

    source, target, files: as of `verify_certificate`.
    """
    try:
        if fresh:
            report = verify_fresh(certificate, source, target, sha256)
        else:
            report = verify_certificate(certificate, source, target, sha256, files)
    except CertificateError as error:  # neither verified nor refuted
        sys.stderr.write(f"wdist verify: {error}\n")
        return 2
    sys.stdout.write((json.dumps(report.to_dict(), indent=1) if as_json else str(report)) + "\n")
    return 0 if report.valid else 1
