"""`wdist completion SHELL`: a script for bash, zsh or fish that completes all commands and options."""

from typing import Annotated, Literal

from cyclopts import Parameter

from wdist.cli.output import say

# The generated function has another name than the file that zsh loads for `wdist`, and a sourced script registers it.
ZSH = 'if [[ $funcstack[1] == _wdist ]]; then _cyclopts_wdist "$@"; else compdef _cyclopts_wdist wdist; fi'


def completion(shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(name="SHELL")], /) -> int:
    """Print the script; it contains all the words, so that completion does not start Python."""
    from wdist.cli.main import app

    for name in list(app):
        try:
            app[name]
        except ImportError:  # its package is not installed, so there is nothing to complete
            del app[name]
    say(app.generate_completion(shell=shell).rstrip())
    if shell == "zsh":
        say(ZSH)
    return 0
