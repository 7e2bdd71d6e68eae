"""Wrong usage is one line that says what is missing or meant, alike with and without a server."""

from pathlib import Path

import pytest

from wdist.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["estimate", "x.npy"],
            "wdist estimate: B is missing (the second set): wdist estimate A B; see wdist estimate --help",
        ),
        (["estimate", "x.npy", "y.npy", "more"], "estimate takes two sets"),
        (["estimate", "x.npy", "--by", "shop"], "one file are compared by wdist matrix FILE --by COLUMN"),
        (["remote", "estimate", "x.npy", "--by", "shop"], "compared by wdist remote matrix FILE --by COLUMN"),
        (["estimate", "x.npy", "y.npy", "--seed"], "--seed needs a value: --seed SEED"),
        (["estimate", "x.npy", "y.npy", "--scale"], "--scale needs a value: --scale none|standardize|robust"),
        (["plan", "x.npy"], "wdist plan: B is missing (pilot of the second set): wdist plan A B"),
        (["verify", "c", "x.npy"], "wdist verify: B is missing (target rows): wdist verify CERT A B"),
        (["monitor", "create", "m"], "REFERENCE is missing (rows to compare with): wdist monitor create FOLDER"),
        (["monitor", "update", "m"], "BATCH is missing (rows to compare with the reference): wdist monitor update"),
        (["encode", "x.npy"], "--output is missing (where the .npy files are put): wdist encode SET... --output DIR"),
        (["remote", "estimate", "x.npy"], "B is missing (the second set): wdist remote estimate A B; see wdist remote"),
        (["remote", "evaluate", "est_1"], "ROWS is missing (rows to score): wdist remote evaluate ID ROWS"),
        (["remote", "matrix"], "DATA is missing (sample sets): wdist remote matrix DATA..."),
        (["remote", "monitor", "create"], "REFERENCE is missing (rows to compare with): wdist remote monitor create"),
        (["remote", "monitor", "update", "m"], "BATCH is missing (rows to compare with the reference): wdist remote"),
        (
            ["estimate", "x.npy", "y.npy", "--split", "blokcs"],
            'choose from: "random", "blocks" (did you mean "blocks"?)',
        ),
        (["estimate", "x.npy", "--spilt", "blocks", "y.npy"], "unknown option: --spilt (did you mean --split?)"),
        (["estimate", "--layuot", "nchw", "x.npy", "y.npy"], "unknown option: --layuot (did you mean --layout?)"),
        (["estimate", "x.npy", "y.npy", "--fail-above", "nan"], '"nan" for --fail-above; give a finite number'),
        (["matrix", "x.npy", "y.npy", "--fail-above", "inf"], '"inf" for --fail-above; give a finite number'),
        (["matrix", "x.npy", "y.npy", "--fail-above", "high"], "--fail-above: unable to convert"),
        (["matrix", "x.npy", "y.npy", "--refrence"], "unknown option: --refrence (did you mean --reference?)"),
        (["remote", "estimate", "x.npy", "y.npy", "--fail-above", "nan"], "see wdist remote estimate --help"),
        (["remote", "result", "est_1", "--fail-above", "nan"], '"nan" for --fail-above; give a finite number'),
        (["remote", "result", "est_1", "--timeout", "nan"], '"nan" for --timeout; give a finite number'),
        (["remote", "list", "--metadata", "night"], "--metadata: 'night' is not like NAME=TEXT"),
        (["matrix", "x.npy", "y.npy", "--report", "x.html"], "unknown option: --report; see wdist matrix --help"),
        (["remote", "upload"], "wdist remote upload: DATA is missing (sample sets)"),
        (["remote", "plan", "x.npy", "y.npy"], "plan needs no server: `wdist plan`, a command of the library"),
        (["remote", "upload", "--nmae", "x"], "unknown option: --nmae (did you mean --name?)"),
        (["verify", "x.cert"], "see wdist verify --help"),
        (["keys", "list", "--dada", "x"], "unknown option: --dada (did you mean --data?); see wdist keys list --help"),
        (["keys"], "wdist keys: say which command: create, list, revoke; see wdist keys --help"),
        (["esitmate"], "wdist: unknown command: esitmate (did you mean estimate?); see wdist --help"),
        (["--vresion"], "unknown option: --vresion (did you mean --version?)"),
    ],
)
def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err
    assert len(said.err.splitlines()) == 1


VALUES = {  # of options, given as if they were options
    "standardize": "--scale standardize", "standardise": "--scale standardize", "robust": "--scale robust",
    "blocks": "--split blocks", "days": "--time-unit days", "groupsort": "--critic groupsort",
    "none": "--scale none or --upper none", "tight=1": "--upper tight",
}  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("command", ["estimate", "matrix", "compare", "remote estimate", "remote matrix"])
def test_a_value_that_is_given_as_an_option_is_told_its_option(
    capsys: pytest.CaptureFixture[str], command: str, value: str
) -> None:
    assert main([*command.split(), "x.npy", "y.npy", f"--{value}"]) == 2
    assert f"(did you mean {VALUES[value]}?); see wdist {command} --help" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["monitor create m", "remote monitor create"])
def test_a_value_of_a_monitors_option_is_told_its_option(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([*command.split(), "x.npy", "--standardize"]) == 2
    assert "(did you mean --scale standardize?)" in capsys.readouterr().err


def test_of_a_flag_that_lacks_its_end_the_flag_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["matrix", "x.npy", "--by", "a", "--level", "b"]) == 2
    assert "(did you mean --levels?)" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["monitor create m", "monitor epoch m", "remote monitor create"])
@pytest.mark.parametrize("option", ["--groups", "--split=blocks", "--max-seconds", "--fail-above"])
def test_an_option_that_no_monitor_has_is_told_what_to_do_instead(
    capsys: pytest.CaptureFixture[str], command: str, option: str
) -> None:
    assert main([*command.split(), "x.npy", option, "3"]) == 2
    flag = option.partition("=")[0]
    said = capsys.readouterr().err
    assert f"{flag} is no option of a monitor: " in said
    assert len(said.splitlines()) == 1


OUTPUTS = ["estimate --report", "estimate --save", "estimate --certificate", "estimate --save-critic"]
OUTPUTS += ["remote estimate --report", "remote estimate --save", "remote result --report", "remote evaluate --out"]


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_file_that_cannot_be_written_is_told_before_the_work(
    capsys: pytest.CaptureFixture[str], output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the data is even looked for: what was computed would be lost."""
    monkeypatch.chdir(tmp_path)
    *command, flag = output.split()
    sets = ["est_1"] if "result" in command else ["no-set.npy", "nor-this.npy"]
    is_folder = flag == "--save-critic"
    Path("a folder").mkdir()
    Path("a file").touch()
    wrong = {"a file": "a file: it is a file"} if is_folder else {"a folder": "a folder: it is a folder"}
    wrong |= {} if is_folder else {"absent/x.html": "absent/x.html: the folder absent is not there"}
    for path, words in wrong.items():
        assert main([*command, *sets, flag, path]) == 2
        said = capsys.readouterr()
        assert (words in said.err, said.out, len(said.err.splitlines())) == (True, "", 1), said.err


@pytest.mark.parametrize("command", ["estimate x.npy y.npy", "remote estimate x.npy y.npy", "remote result est_1"])
@pytest.mark.parametrize("name", ["r.pdf", "r.PNG", "r.json"])
def test_a_report_is_not_named_as_another_format(capsys: pytest.CaptureFixture[str], command: str, name: str) -> None:
    assert main([*command.split(), "--report", name]) == 2
    assert f"{name}: a report is an HTML file: end its name with .html" in capsys.readouterr().err
