"""`wdist reproduce`: one command from published files to a result file."""

import json
import os
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from idx_files import idx
from safetensors.torch import load_file

from wdist.cli.main import main
from wdist.errors import OptionError
from wdist.paper import robustness_table as reproduce
from wdist.paper.result_files import SOURCE
from wdist.paper.robustness import ClassifierConfig, build_classifier, pair_bounds
from wdist.training.checkpoint import read_checkpoint


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of MNIST's form: the label is the image's third of ten bright rows."""
    monkeypatch.setattr(reproduce, "VALIDATION_IMAGES", 100)
    monkeypatch.setattr(reproduce, "ATTACK_STEPS", 30)
    monkeypatch.setattr(reproduce, "ATTACK_RESTARTS", 2)
    generator = np.random.default_rng(0)
    (tmp_path / "mnist").mkdir()
    for part, n in (("train", 700), ("t10k", 60)):
        labels = generator.integers(0, 10, n).astype(np.uint8)
        images = generator.integers(0, 60, (n, 28, 28), np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[2 * label + 4 : 2 * label + 6] += 180
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            (tmp_path / "mnist" / f"{part}-{name}-ubyte.gz").write_bytes(idx(array))
    return tmp_path


def test_one_command_writes_a_whole_result(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = data / "results"
    command = ["reproduce", "robustness", "mnist", "--data", str(data), "--out", str(out), "--epochs", "8"]
    assert main([*command, "--attack-images", "10", "--learning-rate", "0.05"]) == 0
    printed = capsys.readouterr()
    figures = json.loads(printed.out)
    assert "certified on validation images" in printed.err
    assert figures == json.loads((out / "mnist-small-bcop-maxmin-0.json").read_text())
    assert figures["test"]["images"] == 60
    assert figures["test"]["clean"] > 0.9
    assert 0.5 < figures["test"]["certified"] <= figures["test"]["clean"]
    assert figures["test"]["radius"] == 1.58
    assert figures["attack"]["certified_and_broken"] == 0
    assert figures["attack"]["certified_images"] == round(60 * figures["test"]["certified"])
    assert figures["attack"]["accuracy"] >= figures["attack"]["certified"]
    assert (out / "mnist-small-bcop-maxmin-0.safetensors").stat().st_size > 100_000
    assert not list(out.glob("*.checkpoint"))


def test_an_attack_can_follow_later(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = data / "results"
    command = ["reproduce", "robustness", "mnist", "--data", str(data), "--out", str(out), "--epochs", "4"]
    command += ["--loss", "cross-entropy", "--margin", "2.5", "--learning-rate", "0.05"]
    assert main([*command, "--attack-images", "0"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["attack"] is None
    assert (first["training"]["loss"], first["training"]["margin"]) == ("cross-entropy", 2.5)
    assert first == json.loads((out / "mnist-small-bcop-maxmin-cross-entropy-0.json").read_text())
    assert list(out.glob("*.checkpoint"))
    assert main([*command, "--attack-images", "3", "--attack-certified", "5"]) == 0
    printed = capsys.readouterr()
    assert "step" not in printed.err  # nothing was trained again
    assert "attacked" in printed.err
    second = json.loads(printed.out)
    assert second["test"] == first["test"]
    assert second["attack"]["images"] == 3
    assert second["attack"]["certified_images"] == 5
    assert not list(out.glob("*.checkpoint"))


def test_a_classifier_is_checked_from_its_weights(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = data / "results"
    command = ["reproduce", "robustness", "mnist", "--data", str(data), "--out", str(out), "--epochs", "4"]
    assert main([*command, "--batch", "64", "--learning-rate", "0.05", "--attack-images", "0"]) == 0
    trained = json.loads(capsys.readouterr().out)
    assert (trained["training"]["batch"], trained["training"]["steps"]) == (64, 38)
    result = out / "mnist-small-bcop-maxmin-0.json"
    check = ["reproduce", "check", str(result), "--data", str(data), "--attack-images", "5"]
    assert main([*check, "--update"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["test"] == trained["test"]
    assert found["attack"]["certified_images"] == round(60 * found["test"]["certified"]) > 0
    assert json.loads(result.read_text()) == trained | {"attack": found["attack"]}
    narrower = [*check, "--attack-certified", "3", "--update", "--seed", "1"]
    assert main(narrower) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["attack"]["seed"] == 1
    assert "stays as it is" in captured.err
    assert json.loads(result.read_text())["attack"] == found["attack"]
    claim = json.loads(result.read_text())
    claim["test"]["certified"] /= 2
    result.write_text(json.dumps(claim))
    assert main(check) == 1
    assert "is not confirmed: it claims {'images': 60" in capsys.readouterr().err
    result.with_suffix(".safetensors").write_bytes(b"no weights")
    assert main(check) == 2
    assert "does not hold the weights" in capsys.readouterr().err
    result.write_text("{}")
    assert main(check) == 2
    assert "is not a result file" in capsys.readouterr().err


def test_a_result_of_another_training_stays(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = data / "results"
    command = ["reproduce", "robustness", "mnist", "--data", str(data), "--out", str(out), "--attack-images", "0"]
    assert main([*command, "--epochs", "2"]) == 0
    result = out / "mnist-small-bcop-maxmin-0.json"
    first = json.loads(result.read_text())
    assert (first["steps_done"], first["schedules"], first["warnings"]) == (9, [9], [])
    assert sorted(first["unpublished_files"])[0] == "t10k-images-idx3-ubyte.gz"  # of this test, not LeCun's
    assert first["source"] == SOURCE
    assert main([*command, "--epochs", "3", "--margin", "3"]) == 2
    assert "is the result of another training (steps 9 there, 14 now, margin 2.12" in capsys.readouterr().err
    assert main([*command, "--epochs", "1"]) == 2
    assert "has 9 steps behind it" in capsys.readouterr().err
    assert json.loads(result.read_text()) == first
    assert main([*command, "--epochs", "3"]) == 0
    assert json.loads(result.read_text())["schedules"] == [9, 14]
    (out / "mnist-small-bcop-maxmin-0.checkpoint").unlink()
    assert main([*command, "--epochs", "4"]) == 2
    assert "steps 14 there, 19 now" in capsys.readouterr().err


def test_an_order_to_stop_keeps_what_is_done(data: Path) -> None:
    command = [sys.executable, "-m", "wdist_service", "reproduce", "robustness", "mnist", "--epochs", "400"]
    command += ["--data", str(data), "--out", str(data / "results"), "--attack-images", "0"]
    (data / "sitecustomize.py").write_text(
        "import wdist.paper.robustness_table\nwdist.paper.robustness_table.VALIDATION_IMAGES = 100\n"
    )
    environment = os.environ | {"PYTHONPATH": str(data), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        first = run.stderr.readline()
        assert "certified on validation images" in first
        run.send_signal(signal.SIGINT)
        rest = run.stderr.read()
    assert run.returncode == 130
    assert "stopping; what is done is kept" in rest
    assert "steps; the same command goes on" in rest
    found = read_checkpoint(data / "results" / "mnist-small-bcop-maxmin-0.checkpoint")
    assert found is not None
    assert found[1]["record"]["step"] >= int(first.split()[1])


def test_missing_data_and_unknown_sets_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "robustness", "cifar10", "--data", str(tmp_path)]) == 2
    assert "cifar-10-binary.tar.gz is neither in" in capsys.readouterr().err
    assert main(["reproduce", "robustness", "mnist", "--data", str(tmp_path), "--device", "abacus"]) == 2
    assert "device 'abacus' is unknown" in capsys.readouterr().err
    assert main(["reproduce", "robustness", "mnist", "--data", str(tmp_path), "--epochs", "0"]) == 2
    assert "epochs must be above 0" in capsys.readouterr().err
    assert main(["reproduce", "robustness", "mnist", "--data", str(tmp_path), "--batch", "0"]) == 2
    assert "batch at least 1" in capsys.readouterr().err
    with pytest.raises(OptionError, match="'svhn' is unknown"):
        reproduce.robustness("svhn", ClassifierConfig(), tmp_path, tmp_path, reproduce.RobustnessOptions())


PAPER = Path(__file__).resolve().parents[3] / "docs" / "paper"


RESULTS = PAPER / "results"


def paper_tables() -> dict[tuple[str, str], str]:
    """What `python benchmarks/paper_tables.py` prints."""
    return runpy.run_path(str(PAPER.parent.parent / "benchmarks" / "paper_tables.py"))["tables"](RESULTS)


@pytest.mark.parametrize(("page", "heading"), paper_tables())
def test_pages_show_what_the_result_files_hold(page: str, heading: str) -> None:
    """Whole tables, each below its heading: a row in the wrong place, an old one or a missing one fails."""
    (section,) = re.findall(rf"^##+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", (PAPER / page).read_text(), re.M | re.S)
    shown = "\n".join(line for line in section.splitlines() if line.startswith("|"))
    expected = paper_tables()[page, heading]
    assert shown == "\n".join(line for line in expected.splitlines() if line.startswith("|"))
    assert expected.splitlines()[-1] in section


def test_no_certified_image_of_the_kept_results_was_broken() -> None:
    results = [json.loads(path.read_text()) for path in RESULTS.rglob("*.json")]
    attacks = [figures["attack"] for figures in results if figures["experiment"] == "robustness"]
    assert attacks
    assert all(attack is None or attack["certified_and_broken"] == 0 for attack in attacks)


@pytest.mark.parametrize("path", sorted(RESULTS.rglob("*.safetensors")), ids=lambda path: path.stem)
def test_the_kept_weights_are_proven_again(path: Path) -> None:
    figures = json.loads(path.with_suffix(".json").read_text())
    shape = (1, 28, 28) if figures["dataset"] == "mnist" else (3, 32, 32)
    module = build_classifier(ClassifierConfig(**figures["config"]), shape)
    module.load_state_dict(load_file(path))
    # every pair of classes: sqrt(2) times the constant of the features, up to the last layer's float32 rounding
    bounds = pair_bounds(module, shape)
    assert bounds.max() == pytest.approx(np.sqrt(2) * figures["test"]["lipschitz_bound"], rel=1e-6)
    assert figures["test"]["lipschitz_bound"] < 1 + 1e-6
