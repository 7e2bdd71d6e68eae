"""`wdist verify` checks a certificate, with the formats that `wdist estimate` reads; `wdist encode` writes its rows."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from wdist.cli.arguments import AsJson, SetName, Switch
from wdist.cli.inputs import HELP, write_inputs
from wdist.cli.options import readings_as_flags
from wdist.cli.output import refuse, say
from wdist.definitions.reading import Reading
from wdist.errors import OptionError, SampleError, WdistError

if TYPE_CHECKING:
    from wdist.data.tables.encoding import Encoding


@readings_as_flags()
def verify(
    certificate: Annotated[str, Parameter(name="CERT", help="the certificate file")],
    source: Annotated[SetName, Parameter(name="A", help=f"source rows: {HELP}")],
    target: Annotated[SetName, Parameter(name="B", help="target rows: the same")],
    /,
    *,
    sha256: Annotated[str | None, Parameter(metavar="DIGEST", help="of CERT, as the issuer gave it")] = None,
    fresh: Annotated[Switch, Parameter(help="A and B are rows the issuer never saw: it need not be trusted")] = False,
    as_json: AsJson = False,
    **arguments: Any,
) -> int:
    """The verifier reads .npy alone; what `wdist estimate` reads besides is read here, as the certificate says."""
    import numpy as np

    from wdist.verify.command import run

    try:
        document, given = _document(certificate), Reading.checked(**arguments)
        if not document and (other := next((each for each in (source, target) if _document(each)), None)) is not None:
            raise OptionError(
                f"{certificate} is no certificate, and {other} is one: give it first, wdist verify CERT A B"
            )
        if not document:  # the verifier says why it is none, before any file is read without its recipe
            rows = np.zeros((2, 1))
            return run(certificate, rows, rows, sha256=sha256, fresh=fresh, as_json=as_json)
        reading, encoding = _recipe(document, given)
        if _are_npy([source, target], document, given):
            return run(certificate, source, target, sha256=sha256, fresh=fresh, as_json=as_json)
        with tempfile.TemporaryDirectory(prefix="wdist-") as folder:
            paths = [Path(folder) / "source.npy", Path(folder) / "target.npy"]
            with _told_with_other_files(document, (source, target), fresh=fresh):
                written = write_inputs([source, target], paths, reading, encoding, same_columns=fresh)
            files = None if document.get("recipe") is None or fresh else (written.digests[0], written.digests[1])
            return run(
                certificate, *map(str, written.paths), sha256=sha256, fresh=fresh, as_json=as_json, files=files
            )  # fmt: skip
    except WdistError as error:
        return refuse(error)


@readings_as_flags()
def encode(
    *sets: Annotated[SetName, Parameter(name="SET", help=f"sets that are compared: {HELP}")],
    output: Annotated[Path, Parameter(name=("--output", "-o"), metavar="DIR", help="where the .npy files are put")],
    certificate: Annotated[
        Path | None, Parameter(metavar="CERT", help="read and encode the sets as this certificate says")
    ] = None,
    **arguments: Any,
) -> int:
    """Write the rows of sets as one metric sees them, for `python -m wdist.verify`; returns the exit status."""
    try:
        if not sets:
            raise OptionError("give the sets, such as: wdist encode A B -o DIR")
        reading, encoding = _recipe({} if certificate is None else _document(certificate), Reading.checked(**arguments))
        output.mkdir(parents=True, exist_ok=True)
        written = write_inputs(sets, [output / name for name in _names(sets)], reading, encoding)
        for path in written.paths:
            say(path)
        if written.encoding is not None:
            recipe = {"reading": reading.model_dump(mode="json", exclude_defaults=True)}
            recipe["encoding"] = written.encoding.to_json() | {"names": written.encoding.names}
            (output / "recipe.json").write_text(json.dumps(recipe, indent=1) + "\n")
            say(output / "recipe.json")
    except WdistError as error:
        return refuse(error)
    except OSError as error:
        return refuse(OptionError(f"{error.filename or output}: {error.strerror or error}"))
    return 0


@contextmanager
def _told_with_other_files(document: Mapping[str, Any], texts: tuple[str, str], *, fresh: bool) -> Iterator[None]:
    """Where sets cannot be read: says if that is because they are not the certified files, or are read otherwise."""
    from wdist.verify.report import other_than_certified

    try:
        yield
    except WdistError as error:
        given = [_digest(text) for text in texts]
        stated = [document["data"][side]["file_sha256"] for side in ("source", "target")]
        if fresh or not any(given):
            raise
        if (said := other_than_certified("file", given, stated)) is not None:
            raise SampleError(f"{said} (reading them says: {error})") from error
        if None not in (*given, *stated):
            raise SampleError(
                f"the files are the certified ones, but not read as the certificate says: leave out the options of "
                f"reading (they say: {error})"
            ) from error
        raise


def _digest(text: str) -> str | None:
    """Of a file; None for standard input, folders, and what is not there."""
    try:
        with Path(text).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() if Path(text).is_file() else None
    except OSError:
        return None


def _names(sets: tuple[str, ...]) -> list[str]:
    """Names of the files to write: those of the sets, numbered where two are called the same."""
    stems = [Path(text).stem if text != "-" else "stdin" for text in sets]
    numbered = [f"{stem}-{k}" if stems.count(stem) > 1 else stem for k, stem in enumerate(stems, start=1)]
    return [f"{stem}.npy" for stem in numbered]


def _document(certificate: str | Path) -> Mapping[str, Any]:
    """The certificate's JSON; empty if it cannot be read, which the verifier says better."""
    from wdist.verify.container import CertificateError
    from wdist.verify.contents import open_certificate

    try:
        document, _ = open_certificate(Path(certificate).read_bytes())
    except (OSError, ValueError, CertificateError):
        return {}
    return document


def _recipe(document: Mapping[str, Any], given: Reading) -> tuple[Reading, Encoding | None]:
    """How sets are read and encoded: as the certificate says, but for what flags say otherwise."""
    from wdist.data.tables.encoding import Encoding

    recipe = document.get("recipe")
    if not isinstance(recipe, dict):
        return given, None
    reading = Reading.checked(**recipe["reading"] | given.model_dump(exclude_defaults=True))
    if not (given.drop or given.columns):
        reading = reading.for_more(document.get("columns"))  # new rows need not have what the certified ones left out
    return reading, None if recipe["encoding"] is None else Encoding.from_json(recipe["encoding"])


def _are_npy(texts: list[str], document: Mapping[str, Any], given: Reading) -> bool:
    """Whether the files are .npy files of the rows themselves, as they are or as `wdist encode` wrote them."""
    if {text[-4:] for text in texts} != {".npy"} or given != Reading():
        return False
    if not isinstance(recipe := document.get("recipe"), dict) or recipe["encoding"] is None:
        return True
    import numpy as np

    try:
        shapes = [np.load(text, mmap_mode="r").shape for text in texts]
    except (OSError, ValueError):
        return True
    return all(shape[1:] == tuple(document["input"]["row_shape"]) for shape in shapes)
