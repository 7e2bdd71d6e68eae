"""`wdist reproduce w1` and `train-gan`: from published files to samples, and from samples to a table."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from idx_files import idx
from torch import nn

from wdist import __version__
from wdist.cli.main import main
from wdist.critics.bcop import BCOPConfig
from wdist.critics.critic import Critic, CriticInput
from wdist.critics.frozen import freeze
from wdist.errors import OptionError, SampleError, Stopped
from wdist.paper import w1_table
from wdist.paper.datasets import load_images
from wdist.paper.generator import GanOptions, GanTraining, gradient_penalty, train_generator
from wdist.paper.result_files import SOURCE
from wdist.paper.robustness import ACTIVATIONS, CONVOLUTIONS, ClassifierConfig, build_net
from wdist.stiefel.optimizer import polish

SHIFT = 40  # grey levels between "real" and "generated": W1 = 28 * 40 / 255, attained by an affine critic


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Files of MNIST's form, noise on grey; generated images are brighter by a constant."""
    generator = np.random.default_rng(0)
    (tmp_path / "mnist").mkdir()
    for part, n in (("train", 400), ("t10k", 150)):
        images = generator.integers(60, 120, (n, 28, 28), np.uint8)
        for name, array in (("images-idx3", images), ("labels-idx1", np.zeros(n, np.uint8))):
            (tmp_path / "mnist" / f"{part}-{name}-ubyte.gz").write_bytes(idx(array))
    np.save(tmp_path / "brighter.npy", generator.integers(60, 120, (300, 28, 28), np.uint8) + np.uint8(SHIFT))
    return tmp_path


def test_a_table_from_one_command(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, critics = data / "results", ["bcop-maxmin", "svcm-relu", "auto"]
    command = ["reproduce", "w1", "mnist", "--generated", str(data / "brighter.npy"), "--data", str(data)]
    command += ["--out", str(out), "--steps", "12", "--batch", "64", "--auto-steps", "20"]
    assert main([*command, "--seeds", "1", "--critics", *critics]) == 0
    printed = capsys.readouterr()
    assert "seed 0 svcm-relu" in printed.err
    figures = json.loads((out / "w1-mnist-brighter.json").read_text())
    assert json.loads(printed.out) == figures["table"]
    assert list(figures["table"]) == critics
    truth = 28 * SHIFT / 255
    for row in figures["rows"]:
        assert row["lower_bound"] <= row["value"]
        assert row["lower_bound"] <= truth
        assert row["lipschitz_bound"] < 1 + 1e-5
        assert row["rows"]["source"] == {"train": 120, "select": 30, "test": 150}
        assert row["mean_difference"] == pytest.approx(truth, rel=0.02)
    assert figures["table"]["auto"]["value"] == pytest.approx(truth, rel=0.05)
    assert figures["rows"][2]["null_baseline"]["between"] > figures["rows"][2]["null_baseline"]["within"]
    assert figures["generated"]["images"] == 300


def test_finished_cells_are_kept(data: Path) -> None:
    options = w1_table.TableOptions(steps=3, batch=16, seeds=1)
    told: list[str] = []

    def run(cells: list[str], options: w1_table.TableOptions = options) -> dict[str, dict[str, float]]:
        figures = w1_table.w1_table(
            "mnist",
            data / "brighter.npy",
            data,
            data / "results",
            options,
            cells=cells,
            progress=lambda row: told.append(row["critic"]),
        )
        return figures["table"]

    first = run(["rko-relu"])
    with pytest.raises(Stopped):
        w1_table.w1_table(
            "mnist", data / "brighter.npy", data, data / "results", options,
            cells=["rko-relu", "ossn-maxmin"], should_stop=lambda: True,
        )  # fmt: skip
    second = run(["rko-relu", "rko-maxmin"])
    assert told == ["rko-relu", "rko-maxmin"]
    assert second["rko-relu"] == first["rko-relu"]
    assert run(["rko-relu"], w1_table.TableOptions(steps=3, batch=16, seeds=2))["rko-relu"]["deviation"] > 0
    assert told == ["rko-relu", "rko-maxmin", "rko-relu"]
    with pytest.raises(OptionError, match="cells of other options, images or version"):
        run(["rko-relu"], w1_table.TableOptions(steps=4, batch=16, seeds=1))
    with pytest.raises(OptionError, match="critic 'conv-maxmin' is unknown"):
        run(["conv-maxmin"])


def test_a_killed_table_goes_on(data: Path) -> None:
    """The kill came while a row was written; a cell named twice is one cell."""
    kept = data / "results" / "w1-mnist-brighter.jsonl"

    def run(cells: list[str]) -> dict[str, Any]:
        options = w1_table.TableOptions(steps=3, batch=16, seeds=1)
        return w1_table.w1_table("mnist", data / "brighter.npy", data, data / "results", options, cells=cells)

    first = run(["rko-relu", "rko-relu"])["table"]["rko-relu"]
    assert (first["seeds"], first["deviation"]) == (1, None)
    with kept.open("a") as file:
        file.write('{"critic": "rko-maxmin", "se')
    again = run(["rko-relu", "rko-maxmin"])
    assert again["table"]["rko-relu"] == first
    assert [row["critic"] for row in again["rows"]] == ["rko-relu", "rko-maxmin"]
    assert all(row["source"] == SOURCE and row["version"] == __version__ for row in again["rows"])
    assert len([json.loads(line) for line in kept.read_text().splitlines()]) == 3
    kept.write_text("no table\n")
    with pytest.raises(OptionError, match="is damaged: remove it"):
        run(["rko-relu"])


def test_test_rows_are_test_images(data: Path) -> None:
    rows = w1_table.real_images("mnist", data, 300, seed=1)
    train, test = (load_images("mnist", data, test=is_test)[0].reshape(-1, 784) for is_test in (False, True))
    assert len(rows) == 300
    held, fitted = rows[-150:].reshape(-1, 784), rows[:-150].reshape(-1, 784)
    assert {row.tobytes() for row in held} == {row.tobytes() for row in test}
    assert {row.tobytes() for row in fitted} <= {row.tobytes() for row in train}
    fewer = w1_table.real_images("mnist", data, 200, seed=1)
    assert not np.array_equal(rows[:100], w1_table.real_images("mnist", data, 300, seed=2)[:100])
    assert {row.tobytes() for row in fewer[-100:].reshape(100, -1)} <= {row.tobytes() for row in test}


@pytest.mark.parametrize("layers", CONVOLUTIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_stored_form_of_every_kind_is_the_same_function(layers: str, activation: str) -> None:
    """Biases are not 0 and the shift is not, so that their rescaling is seen; strides are unshuffling."""
    module = build_net(ClassifierConfig("small", layers, activation), (1, 8, 8), 1, seed=1)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("bias"):
                parameter.uniform_(-0.3, 0.3)
    polish(module)
    shift, unit = torch.full((1, 8, 8), 0.25), 3.0
    plain = freeze(module, shift, unit)
    takes = CriticInput((1, 8, 8), "nchw", False, {"kind": "none"})
    critic = Critic(BCOPConfig(), plain, takes)
    x = np.random.default_rng(0).normal(size=(50, 1, 8, 8)).astype(np.float32)
    with torch.no_grad():
        expected = unit * module.double()((torch.from_numpy(x).double() - shift) / unit)
    # float32 weights of four layers: 4 x 2^-24 relative to scores of about 10
    assert np.abs(critic.scores(x) - expected.reshape(-1).numpy()).max() < 1e-5
    assert critic.lipschitz_bound < 1 + 1e-5


def test_files_that_are_no_images_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 and then nothing")
    for name in ("empty.npy", "broken.npz"):
        with pytest.raises(SampleError, match=f"{name} cannot be read"):
            w1_table.read_generated(tmp_path / name)
    np.save(tmp_path / "a.npy", np.zeros((5, 28, 28)))
    np.savez(tmp_path / "b.npz", other=np.zeros((5, 28, 28), np.uint8))
    np.savez(tmp_path / "c.npz", images=np.ones((5, 28, 28), np.uint8))
    with pytest.raises(SampleError, match="must hold uint8 images"):
        w1_table.read_generated(tmp_path / "a.npy")
    with pytest.raises(SampleError, match=r"b\.npz cannot be read"):
        w1_table.read_generated(tmp_path / "b.npz")
    with pytest.raises(SampleError, match=r"none\.npy cannot be read"):
        w1_table.read_generated(tmp_path / "none.npy")
    assert w1_table.read_generated(tmp_path / "c.npz").shape == (5, 28, 28)


def test_samples_from_one_command(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = data / "gan"
    command = ["reproduce", "train-gan", "mnist", "--data", str(data), "--out", str(out), "--batch", "8"]
    assert main([*command, "--steps", "3", "--samples", "700"]) == 0
    images = np.load(out / "generated-mnist-small-0.npy")
    assert images.shape == (700, 28, 28)
    assert images.dtype == np.uint8
    figures = json.loads((out / "generated-mnist-small-0.json").read_text())
    assert figures["options"]["steps"] == 3
    assert "step 3 of 3" in capsys.readouterr().err
    assert np.array_equal(w1_table.read_generated(out / "generated-mnist-small-0.npy"), images)


def test_an_interrupted_gan_ends_as_a_whole_one(data: Path) -> None:
    options = GanOptions(steps=6, batch=8, samples=20)
    train_generator("mnist", data, data / "whole", options)
    left = iter([False] * 4 + [True])
    with pytest.raises(Stopped):
        train_generator("mnist", data, data / "parts", options, should_stop=lambda: next(left))
    train_generator("mnist", data, data / "parts", options)
    name = "generated-mnist-small-0.npy"
    assert np.array_equal(np.load(data / "whole" / name), np.load(data / "parts" / name))
    with pytest.raises(OptionError, match="a checkpoint of other options"):
        train_generator("mnist", data, data / "parts", GanOptions(steps=6, batch=4, samples=20))
    checkpoint = data / "parts" / "generated-mnist-small-0.checkpoint"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(OptionError, match=r"checkpoint is damaged or of another version: remove it"):
        train_generator("mnist", data, data / "parts", options)


def test_a_generator_learns_a_constant_image() -> None:
    """All images are one: a mid-grey with a white corner; after 150 steps samples are near it."""
    image = np.full((1, 8, 8), 0.4, np.float32)
    image[:, :4, :4] = 1.0
    training = GanTraining(GanOptions(batch=16, critic_steps=2, learning_rate=2e-3), np.repeat(image[None], 64, 0))
    before = np.abs(training.draw(50, 0) / 255 - image[0]).mean()
    for _ in range(150):
        training.step()
    drawn = training.draw(50, 0).astype(np.int64)
    assert np.abs(drawn / 255 - image[0]).mean() < 0.5 * before
    # an image is a draw of its own: it does not depend on the others of its batch (rounding: one grey level)
    assert np.abs(training.draw(7, 0).astype(np.int64) - drawn[:7]).max() <= 1


def test_the_penalty_of_a_known_slope() -> None:
    """f(x) = 3 <e, x>: the slope is 3 everywhere, so that the penalty is (3 - 1)^2."""
    critic = nn.Sequential(nn.Flatten(), nn.Linear(16, 1))
    with torch.no_grad():
        critic[1].weight.zero_()[0, 5] = 3.0
    points = torch.rand(10, 1, 4, 4)
    assert gradient_penalty(critic, points, points + 1, torch.rand(10, 1, 1, 1)).item() == pytest.approx(4.0)


def test_options_are_checked() -> None:
    with pytest.raises(OptionError, match="size 'huge' is unknown"):
        GanOptions(size="huge")
    with pytest.raises(OptionError, match="at least 1"):
        GanOptions(steps=0)
    with pytest.raises(OptionError, match="at least 1"):
        w1_table.TableOptions(seeds=0)
    with pytest.raises(OptionError, match="cannot be halved"):
        GanTraining(GanOptions(), np.zeros((5, 1, 9, 9), np.float32))
