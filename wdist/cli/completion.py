"""`wdist completion SHELL`: a script for bash, zsh or fish that completes all commands and options."""

from importlib.util import find_spec
from typing import Annotated, Literal

from cyclopts import Parameter

from wdist.cli.output import say


def completion(shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(name="SHELL")], /) -> int:
    """Print the script; it contains all the words, so that completion does not start Python."""
    from wdist.cli.main import app

    if find_spec("wdist_client") is None:
        del app["remote"]
    say(app.generate_completion(shell=shell))
    return 0
