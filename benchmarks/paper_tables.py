"""The tables of docs/paper from the result files behind them: python benchmarks/paper_tables.py [FOLDER]

A test compares the pages with what this prints.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "paper" / "results"
NAMES = {"bcop": "BCOP", "rko": "RKO", "ossn": "OSSN", "svcm": "SVCM", "maxmin": "MaxMin", "relu": "ReLU"}
NETS = {"small": "Small", "large": "Large", "fc3": "FC-3", "deep": "`deep`"}
DATASETS = {"mnist": "MNIST", "cifar10": "CIFAR-10"}


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """All results, by their path in the folder."""
    return {p.relative_to(folder).as_posix(): json.loads(p.read_text()) for p in sorted(folder.rglob("*.json"))}


def table(titles: list[str], rows: list[list[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def percent(share: float, digits: int = 2) -> str:
    return f"{100 * share:.{digits}f}"


def robust_row(figures: dict[str, Any]) -> list[str]:
    config, training, attack = figures["config"], figures["training"], figures["attack"]
    dense = config["net"] == "fc3"  # no convolutions: only the name of the file has them
    whole = attack is not None and attack["images"] == 1_000  # of fewer, only the certified ones are told
    first = "" if not whole else f"{percent(attack['accuracy'], 1)} / {percent(attack['certified'], 1)}"
    return [
        NETS[config["net"]],
        "none" if dense else NAMES[config["layers"]],
        training.get("loss", "hinge"),
        f"{figures['epochs']:g}",
        str(training["batch"]),
        percent(figures["test"]["clean"]),
        percent(figures["test"]["certified"]),
        percent(figures["validation"]["certified"]),
        "not yet" if attack is None else f"{attack['certified_images']:,}",
        "" if attack is None else str(attack["certified_and_broken"]),
        first,
        f"{figures['training_seconds']:,.0f}",
    ]


def robust_table(results: dict[str, dict[str, Any]], dataset: str) -> str:
    """One row for each classifier of a data set, the most certified first."""
    own = [r for r in results.values() if r["experiment"] == "robustness" and r["dataset"] == dataset]
    own.sort(key=lambda figures: -figures["test"]["certified"])
    titles = ["net", "convolutions", "loss", "passes", "batch", "clean", "certified", "on validation images"]
    titles += ["certified images attacked", "broken", "first 1,000: left by the attack / certified", "seconds"]
    return table(titles, [robust_row(figures) for figures in own])


def w1_table(figures: dict[str, Any]) -> str:
    """Critics of one pair, `auto` first, then by value; below, what stands beside them."""
    rows = []
    for critic, row in sorted(figures["table"].items(), key=lambda item: (item[0] != "auto", -item[1]["value"])):
        name = "`auto`" if critic == "auto" else ", ".join(NAMES[part] for part in critic.split("-"))
        deviation = "" if row["deviation"] is None else f" ± {row['deviation']:.3f}"
        first = next(r for r in figures["rows"] if r["critic"] == critic and r["seed"] == 0)["lower_bound"]
        figures_of_critic = [f"{row['value']:.3f}{deviation}", f"{first:.3f}", f"{row['lower_bound']:.3f}"]
        rows.append([name, *figures_of_critic, f"{row['lipschitz_bound']:.7f}", f"{row['cpu_seconds']:.0f}"])
    titles = ["critic", "value", "lower bound of seed 0", "mean of the bounds", "largest proven L", "CPU seconds"]
    auto = [row for row in figures["rows"] if row["critic"] == "auto"]

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    images = f"{auto[0]['null_baseline']['rows']:,} + {auto[0]['null_baseline']['rows']:,} images"
    between, within = (mean([row["null_baseline"][name] for row in auto]) for name in ("between", "within"))
    return (
        f"{table(titles, rows)}\n\nMean difference {mean([row['mean_difference'] for row in auto]):.3f}. "
        f"Exact transport between {images}: {between:.2f}; within one set: {within:.2f}."
    )


def polytope_table(figures: dict[str, Any]) -> str:
    titles = ["passes", "batch", "projections", "clean", "certified", "first 1,000: left by the attack"]
    titles += ["certified and broken", "seconds of training", "of the certificate"]
    options = figures["options"]
    row = [str(options["epochs"]), str(options["batch"]), str(options["projections"])]
    row += [percent(figures["clean"]), percent(figures["certified"]), percent(figures["right_under_attack"], 1)]
    row += [str(figures["certified_and_broken"])]
    row += [f"{figures['training_seconds']:,.0f}", f"{figures['certificate_seconds']:,.0f}"]
    return table(titles, [row])


def tables(folder: Path) -> dict[tuple[str, str], str]:
    """(page, heading of its section) -> what stands there."""
    results = read(folder)
    found = {("robustness.md", name): robust_table(results, dataset) for dataset, name in DATASETS.items()}
    headings = {"wgan_gp": "WGAN-GP", "vae": "VAE", "mlp_gan": "GAN of dense layers"}
    for path, figures in results.items():
        if figures["experiment"] == "w1":
            seeds = max(row["seeds"] for row in figures["table"].values())
            name = next((name for key, name in headings.items() if key in path), "")
            if not name:  # a generator of `train-gan`: after how many steps is in the file's name
                (steps,) = re.findall(r"-(\d+)-steps", path)
                name = f"CIFAR-10 after {int(steps):,} steps"
            found["w1.md", f"{name}, {seeds} seed{'s' * (seeds > 1)}"] = w1_table(figures)
        elif figures["experiment"] == "convex_adversarial":
            found["baselines.md", "Measured"] = polytope_table(figures)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=RESULTS)
    for (page, heading), text in tables(parser.parse_args().folder).items():
        print(f"{page}, {heading}\n\n{text}\n")


if __name__ == "__main__":
    main()
