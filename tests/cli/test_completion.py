"""Completion of the command `wdist` in the shells that its users have."""

import os
import pty
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from terminal import until

from wdist.cli.main import main

COMPLETE = {  # a shell that completes the words it is given
    "bash": 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _wdist; printf "%s\n" "${COMPREPLY[@]}"',
    "fish": 'source $argv[1]; complete -C (string join " " -- $argv[2..])',
}
LINES = [
    (["wdist", "est"], "estimate"),
    (["wdist", "estimate", "x.npy", "--lay"], "--layout"),
    (["wdist", "matrix", "x.npy", "--empi"], "--empirical"),
    (["wdist", "plan", "x.npy", "--det"], "--detect"),
    (["wdist", "estimate", "x.npy", "--layout", "n"], "nchw"),
    (["wdist", "remote", "certi"], "certificate"),
    (["wdist", "remote", "monitor", "thr"], "thresholds"),
    (["wdist", "remote", "monitor", "update", "--if"], "--if-new"),
    (["wdist", "remote", "matrix", "--key"], "--key-file"),
    (["wdist", "remote", "list", "--status", "f"], "failed"),
    (["wdist", "keys", "rev"], "revoke"),
    (["wdist", "verify", "--fr"], "--fresh"),
]


def completed(shell: str, path: str, script: Path, line: list[str], expected: str) -> str:
    if shell == "zsh":
        return typed_in_zsh(path, script, " ".join(line), expected)
    plain = {"bash": "--norc", "fish": "--no-config"}[shell]
    command = [path, plain, "-c", COMPLETE[shell], str(script), *line]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout


def typed_in_zsh(path: str, script: Path, line: str, expected: str) -> str:
    """What a terminal shows after a line and a tab: zsh completes nowhere else."""
    (script.parent / "_wdist").write_text(script.read_text())
    terminal, end = pty.openpty()
    with subprocess.Popen([path, "-f", "-i"], stdin=end, stdout=end, stderr=end, start_new_session=True) as zsh:
        os.close(end)
        start = f"fpath=({script.parent} $fpath); autoload -U compinit; compinit -D -u; PS1=; print rea''dy\n"
        os.write(terminal, start.encode())
        until(terminal, "ready", 20)
        os.write(terminal, f"{line}\t".encode())
        shown = until(terminal, expected, 3)
        zsh.kill()
    os.close(terminal)
    return re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(capsys: pytest.CaptureFixture[str], tmp_path: Path, shell: str) -> None:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"no {shell} on this machine")
    assert main(["completion", shell]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    for line, expected in LINES:
        assert expected in completed(shell, path, script, line, expected), line
