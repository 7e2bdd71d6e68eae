"""`wdist verify`: checks a certificate, with the formats that `wdist estimate` reads."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from wdist.cli.arguments import AsJson, SetName, Switch
from wdist.cli.inputs import HELP, convert_inputs
from wdist.cli.options import readings_as_flags
from wdist.cli.output import refuse
from wdist.definitions.reading import Reading


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
    """The verifier reads .npy alone; what `wdist estimate` reads besides is converted for it here."""
    from wdist.errors import WdistError
    from wdist.verify.command import run

    try:
        reading = Reading.checked(**arguments)
        if {source[-4:], target[-4:]} == {".npy"} and reading == Reading():
            return run(certificate, source, target, sha256=sha256, fresh=fresh, as_json=as_json)
        with tempfile.TemporaryDirectory(prefix="wdist-") as folder:
            rows = map(str, convert_inputs([source, target], Path(folder), reading, same_columns=fresh))
            return run(certificate, *rows, sha256=sha256, fresh=fresh, as_json=as_json)
    except WdistError as error:
        return refuse(error)
