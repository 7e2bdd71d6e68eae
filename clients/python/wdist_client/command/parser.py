"""The arguments of `wdist remote`; it imports only argparse, so that help and completion are fast."""

from __future__ import annotations

import argparse
import math
from typing import NoReturn

Commands = argparse._SubParsersAction  # the type has no public name

DATA = (
    "a file (.npy, .npz, .parquet, .csv, .zip of images), a folder of images, - for standard input, or an id (ss_...)"
)


class Parser(argparse.ArgumentParser):
    """A parser that reports errors in one line. Its subcommands use the same class."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def parser(prog: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = Parser(
        prog=prog,
        description="Work with a wdist server.",
        epilog="The server is --url, else WDIST_BASE_URL, else http://127.0.0.1:8000; the key is --key-file, else "
        "WDIST_API_KEY. Exit status: 0 done; 1 the estimate failed, was canceled, or is above --fail-above; 2 wrong "
        "usage or refused; 69 no server; 75 busy or timed out; 77 not allowed; 130 Ctrl-C.",
    )
    made.add_argument("--url", metavar="URL", help="address of the server, or :local: for none")
    made.add_argument("--key-file", metavar="FILE", help="file with the API key")
    commands = made.add_subparsers(dest="action", required=True, metavar="COMMAND")
    _status(commands)
    _sets(commands)
    _estimates(commands)
    _results(commands)
    _batches(commands)
    return made


def _add(commands: Commands[argparse.ArgumentParser], name: str, text: str) -> argparse.ArgumentParser:
    made = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    made.add_argument("--json", action="store_true", help="print JSON")
    # Also accepted after the command. If omitted there, the value given before it applies.
    made.add_argument("--url", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    made.add_argument("--key-file", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return made


def _status(commands: Commands[argparse.ArgumentParser]) -> None:
    _add(commands, "status", "say whether the server is ready, and its version")


def _sets(commands: Commands[argparse.ArgumentParser]) -> None:
    upload = _add(commands, "upload", "send sample sets; prints their ids")
    upload.add_argument("data", nargs="+", metavar="DATA", help=DATA)
    upload.add_argument("--name", help="a label for people (default: the file's name)")
    _add_part(upload)
    _add_progress(upload)
    sets = _add(commands, "sets", "list sample sets, newest first")
    sets.add_argument("--sha256", metavar="DIGEST", help="only the one with this content")


def _add_part(made: argparse.ArgumentParser) -> None:
    made.add_argument("--member", metavar="NAME", help="which array of an .npz file")
    made.add_argument("--drop", action="append", metavar="COLUMN", help="leave this column of a table out; repeatable")
    made.add_argument("--labels", metavar="COLUMN", help="take this column of a table only, as labels of groups")


def _add_progress(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--progress", action=argparse.BooleanOptionalAction, help="a bar on stderr (default: on a terminal)"
    )


def _add_wait(made: argparse.ArgumentParser) -> None:
    made.add_argument("--no-wait", dest="wait", action="store_false", help="print the id and return at once")
    made.add_argument("--timeout", type=finite, metavar="SECONDS", help="wait no longer; the job goes on")
    _add_progress(made)


def _add_options(made: argparse.ArgumentParser) -> None:
    """How to estimate. Omitted options get the server's defaults."""
    made.add_argument("--confidence", type=float, help="of the lower bound")
    made.add_argument("--critic", metavar="FAMILY", help="family of critics, or auto")
    made.add_argument("--seed", type=int, help="of the split and of training")
    made.add_argument("--steps", type=int, help="training steps, exactly")
    made.add_argument("--max-seconds", type=float, metavar="SECONDS", help="training time, about")
    made.add_argument("--scale", type=scale, help="none, standardize, a factor, or one per column: 1,2.5,3")
    made.add_argument("--layout", choices=["nhwc", "nchw"], help="axes of images where ambiguous")
    made.add_argument("--device", choices=["auto", "cpu", "cuda"], help="of the worker")
    made.add_argument("--baseline-rows", type=int, metavar="ROWS", help="rows of exact transport beside it; 0: none")
    made.add_argument("--method", choices=["betting", "empirical_bernstein", "paired_betting"], help="of the bound")
    made.add_argument("--split", choices=["random", "blocks"], help="blocks: rows ordered in time")
    made.add_argument("--diameter", type=float, help="largest possible distance of two rows; gives an upper bound")
    made.add_argument("--statements", type=int, metavar="K", help="estimates that are read together")
    made.add_argument("--priority", choices=["high", "normal", "low"])
    made.add_argument(
        "--metadata", action="append", type=label, metavar="NAME=TEXT", help="a label of your own; repeatable"
    )


def scale(text: str) -> float | str | list[float]:
    """none, standardize, a factor, or one factor per column as 1,2.5,3."""
    if text in {"none", "standardize"}:
        return text
    factors = [float(part) for part in text.split(",")]
    return factors[0] if len(factors) == 1 else factors


def finite(text: str) -> float:
    """A finite number. Comparisons with nan or infinity would never be true."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return number


def label(text: str) -> tuple[str, str]:
    """Parse NAME=TEXT."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not like NAME=TEXT")
    return name, value


def _estimates(commands: Commands[argparse.ArgumentParser]) -> None:
    estimate = _add(commands, "estimate", "compare two sample sets; prints the result")
    estimate.add_argument("source", metavar="A", help=DATA)
    estimate.add_argument("target", metavar="B", help="the same")
    _add_options(estimate)
    estimate.add_argument("--drop", action="append", metavar="COLUMN", help="leave a column of tables out; repeatable")
    estimate.add_argument(
        "--groups", nargs=2, metavar=("LABELS_A", "LABELS_B"), help="labels of the rows: groups stay whole"
    )
    estimate.add_argument("--fail-above", type=finite, metavar="W", help="exit with 1 when the lower bound exceeds W")
    _add_wait(estimate)
    listed = _add(commands, "list", "list estimates, newest first")
    listed.add_argument("--status", choices=["queued", "running", "canceling", "succeeded", "failed", "canceled"])
    listed.add_argument("--metadata", action="append", type=label, metavar="NAME=TEXT", help="only with this label")
    listed.add_argument("--limit", type=int, default=20, help="at most so many (default: %(default)s)")
    for name, text in (
        ("show", "print the record of a set, an estimate or a batch"),
        ("cancel", "stop estimates or batches"),
        ("delete", "forget sample sets, or estimates that have ended"),
    ):
        _add(commands, name, text).add_argument("ids", nargs="+", metavar="ID")


def _results(commands: Commands[argparse.ArgumentParser]) -> None:
    watch = _add(commands, "watch", "follow an estimate until it has ended; prints what happens, then the result")
    watch.add_argument("id", metavar="ID")
    result = _add(commands, "result", "print the result of an estimate, waiting for it where it has not ended")
    result.add_argument("id", metavar="ID")
    result.add_argument("--fail-above", type=finite, metavar="W", help="exit with 1 when the lower bound exceeds W")
    _add_wait(result)
    _add(commands, "curve", "print the training curve: step, seconds, value (not certified)").add_argument(
        "id", metavar="ID"
    )
    certificate = _add(commands, "certificate", "write the certificate of an estimate; prints its digest")
    certificate.add_argument("id", metavar="ID")
    certificate.add_argument("file", metavar="FILE")
    evaluate = _add(commands, "evaluate", "score rows with the critic: high where they look like the target")
    evaluate.add_argument("id", metavar="ID")
    evaluate.add_argument("data", metavar="ROWS", help=DATA)
    evaluate.add_argument("--out", metavar="FILE", help="write an .npy file instead of one score a line")


def _batches(commands: Commands[argparse.ArgumentParser]) -> None:
    matrix = _add(commands, "matrix", "compare all pairs of sample sets; prints the lower bounds")
    matrix.add_argument("data", nargs="+", metavar="DATA", help=DATA)
    matrix.add_argument("--reference", action="store_true", help="only the first against each of the others")
    batch = _add(commands, "batch", "compare explicit pairs; prints one JSON object a line")
    batch.add_argument(
        "pairs", metavar="FILE", help='JSON lines {"source": id, "target": id, "custom_id": text}, or - for stdin'
    )
    for made in (matrix, batch):
        _add_options(made)
        made.add_argument("--simultaneous", action="store_true", help="adds bounds that hold for all pairs together")
        _add_wait(made)
    _add(commands, "batches", "list batches, newest first")
    results = _add(commands, "results", "print all estimates of a batch, one JSON object a line")
    results.add_argument("id", metavar="ID")
    _add_wait(results)
