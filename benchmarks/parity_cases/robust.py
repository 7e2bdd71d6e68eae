"""Provably robust classifiers: weights, certified radii, and the attack on them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import samples
from bench import Bench, Case
from tree import internal

# Hard enough that some images are certified and some are broken, and that the best weights are late ones.
RADIUS = 0.3
ATTACKED_AT = np.linspace(0.2, 0.6, 17).tolist()  # a short attack at many radii: where each image breaks


def trained(layers: str, steps: int, **recipe: Any) -> Case:
    """A case that trains the small net with these convolutions."""

    def case(bench: Bench) -> dict[str, Any]:
        return _train(layers, steps, recipe, bench)

    return case


def _train(layers: str, steps: int, recipe: dict[str, Any], bench: Bench, stop_after: int | None = None) -> Any:
    config = internal("ClassifierConfig")("small", layers, classes=4)
    training = internal("RobustTraining")(steps=steps, margin=1.0, learning_rate=0.05, batch=32, **recipe)
    data = (*samples.quadrants(0, 200), samples.quadrants(1, 80))
    train, checkpoint = internal("train_robust_classifier"), bench.folder / "checkpoint"
    if stop_after is not None:
        left = iter(range(stop_after))
        try:
            train(config, *data, training, RADIUS, checkpoint=checkpoint, should_stop=lambda: next(left, None) is None)
            raise AssertionError(f"training was not stopped after {stop_after} steps")
        except internal("Stopped"):
            pass
    module, record = train(config, *data, training, RADIUS, checkpoint=checkpoint)
    images, labels = samples.quadrants(2, 150)
    logits = internal("logits_of")(module, images)
    bounds = internal("pair_bounds")(module, images.shape[1:])
    attack = internal("attack")
    return {
        "weights": dict(module.state_dict()),
        "record": asdict(record),
        "certified": asdict(internal("certified_accuracy")(module, images, labels, RADIUS)),
        "logits": logits,
        "bounds": bounds,
        "broken": [attack(module, images, labels, r, steps=2, restarts=2, seed=1) for r in ATTACKED_AT],
    }


CASES: dict[str, Case] = {
    "bcop": trained("bcop", 30),
    "rko": trained("rko", 30),
    "ossn": trained("ossn", 30),
    "svcm": trained("svcm", 110),  # with a projection after 50 steps and after 100
    "cross-entropy-augmented": trained("rko", 30, loss="cross-entropy", augment=True, seed=5),
    "checkpoint": lambda bench: _train("rko", 30, {"seed": 6}, bench, stop_after=13),
}
