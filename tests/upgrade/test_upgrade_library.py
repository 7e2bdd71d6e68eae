"""Critics, certificates, checkpoints and results that the library 0.1 wrote, read by the present one."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archives import unpack
from present import WDIST, ClassifierConfig, RobustTraining, certified_accuracy, train_robust_classifier
from striped_images import small_classes, write_mnist

from wdist import WdistError, estimate_w1, load_critic, verify_certificate
from wdist.verify import verify_fresh

FAMILIES = ("affine", "sliced", "groupsort", "cone", "cone, standardized", "bcop")
# Training is repeated exactly on one processor only: on another one, sums are rounded in another order, and the figures
# of what was trained may differ in the third digit.
OTHER_PROCESSOR = 0.01
ROUNDING = {"rtol": 1e-9, "atol": 1e-9}  # float64: only the order of sums in a matrix product differs


@pytest.fixture(scope="module")
def left(fixtures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of 0.1."""
    return unpack(fixtures / "library.tar.xz", tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def said(manifest: dict[str, Any]) -> dict[str, Any]:
    """What 0.1 computed from them."""
    return dict(manifest["library"])


def rows(left: Path, name: str) -> np.ndarray:
    return np.load(left / "rows" / f"{name}.npy")


def test_every_family_is_there(said: dict[str, Any]) -> None:
    assert tuple(said["critics"]) == FAMILIES


@pytest.mark.parametrize("name", FAMILIES)
def test_critics_give_the_scores_of_0_1(left: Path, said: dict[str, Any], name: str) -> None:
    critic, stored = load_critic(left / "critics" / name), said["critics"][name]
    given = rows(left, "images" if name == "bcop" else "x")
    assert critic.family == stored["family"]
    assert np.ptp(stored["scores"]) > 1  # a critic that tells rows apart
    np.testing.assert_allclose(critic.evaluate(given), stored["scores"], **ROUNDING)
    np.testing.assert_allclose(critic.gradient(given[:5]), stored["slopes"], **ROUNDING)
    assert critic.lipschitz_bound == pytest.approx(stored["lipschitz_bound"], rel=1e-7)


@pytest.mark.parametrize("name", ["plain", "grouped"])
def test_certificates_are_refused_with_the_reason(left: Path, said: dict[str, Any], name: str, tmp_path: Path) -> None:
    stored = said["certificates"][name]
    files = [left / "certificates" / name, left / "rows" / "x.npy", left / "rows" / "y.npy"]
    for verify in (verify_certificate, verify_fresh):
        report = verify(*files, stored["sha256"])
        assert not report.valid
        assert "written by wdist 0.1.0 in format 1" in report.checks[-1].detail
        assert "ask for a new certificate" in report.checks[-1].detail
    run = subprocess.run([WDIST, "verify", *files], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "ask for a new certificate" in run.stdout


def test_an_estimate_does_not_go_on_from_a_checkpoint_of_another_split(
    left: Path, said: dict[str, Any], tmp_path: Path
) -> None:
    stored, told = said["checkpoint"], []
    checkpoint = Path(shutil.copy(left / "estimate.checkpoint", tmp_path))
    pair = rows(left, "x"), rows(left, "y")
    result = estimate_w1(*pair, **stored["options"], checkpoint=checkpoint, progress=told.append)
    # 0.1 split the rows in another way: some that its critic learned from are test rows now.
    assert told[0].step < stored["first_step"]
    assert not any(point in stored["stopped_curve"] for point in result.curve if point["step"])
    anew, found = estimate_w1(*pair, **stored["options"]).to_dict(), result.to_dict()
    assert {**found, "seconds": 0} == {**anew, "seconds": 0}


def test_a_checkpoint_of_other_options_is_told_apart(left: Path, said: dict[str, Any], tmp_path: Path) -> None:
    checkpoint = Path(shutil.copy(left / "estimate.checkpoint", tmp_path))
    with pytest.raises(WdistError, match="other data or options"):
        estimate_w1(
            rows(left, "x"), rows(left, "y"), **(said["checkpoint"]["options"] | {"seed": 4}), checkpoint=checkpoint
        )


def test_a_robust_classifier_is_trained_on(left: Path, said: dict[str, Any], tmp_path: Path) -> None:
    stored, looks = said["robust"], []
    images, held_out = stored["images"]
    validation = small_classes(held_out, images)
    module, record = train_robust_classifier(
        ClassifierConfig(**stored["config"]),
        *small_classes(images),
        validation,
        RobustTraining(**stored["training"]),
        stored["radius"],
        checkpoint=Path(shutil.copy(left / "robust.checkpoint", tmp_path)),
        progress=lambda step, _: looks.append(step),
    )
    assert looks[0] == stored["first_step"]
    assert record.curve[: len(stored["stopped_curve"])] == stored["stopped_curve"]
    figures = certified_accuracy(module, *validation, stored["radius"])
    assert figures.lipschitz_bound == pytest.approx(stored["lipschitz_bound"], rel=1e-6)
    two_images = 2 / held_out + 1e-9
    assert record.value == pytest.approx(stored["value"], abs=two_images)
    assert figures.clean == pytest.approx(stored["clean"], abs=two_images)


def test_a_result_of_reproduce_is_confirmed(left: Path, said: dict[str, Any], tmp_path: Path) -> None:
    stored = said["classifier"]
    data = write_mnist(tmp_path, *stored["images"])
    command = [WDIST, "reproduce", "check", left / stored["result"], "--data", data, "--attack-images", "0"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["confirmed"]
    assert (found["test"]["clean"], found["test"]["certified"]) == (
        stored["test"]["clean"],
        stored["test"]["certified"],
    )
