"""Which weeks raise an alarm, by the defaults of each tool. Runs in an environment of its own, without wdist.

    echo '["alibi-detect, KS", "none", 0]' | build/peers/bin/python benchmarks/peers/detectors.py

An alarm is what the tool itself calls drift: of evidently's preset, that of the data set (half of the columns); of
nannyml, an alert of any column, or of the reconstruction error.
"""

from __future__ import annotations

import functools
import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import series

warnings.filterwarnings("ignore")

MMD_ROWS = 1_000  # of the reference: a batch takes 2 s with these and 6 s with 2,000, growing with the square


@functools.cache
def evidently_counts(kind: str, seed: int) -> list[tuple[float, float]]:
    """Number and share of the columns that have drifted, of each week."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    before, counts = framed(series.reference(seed)), []
    for batch in series.batches(kind, seed):
        metrics = Report([DataDriftPreset()]).run(framed(batch), before).dict()["metrics"]
        value = next(each["value"] for each in metrics if each["metric_name"].startswith("DriftedColumnsCount"))
        counts.append((value["count"], value["share"]))
    return counts


def evidently_preset(kind: str, seed: int) -> list[int]:
    return [week for week, (_, share) in enumerate(evidently_counts(kind, seed), 1) if share >= 0.5]


def evidently_any_column(kind: str, seed: int) -> list[int]:
    return [week for week, (count, _) in enumerate(evidently_counts(kind, seed), 1) if count > 0]


def alibi_ks(kind: str, seed: int) -> list[int]:
    from alibi_detect.cd import KSDrift

    detector = KSDrift(series.reference(seed), p_val=0.05)
    return [
        week for week, batch in enumerate(series.batches(kind, seed), 1) if detector.predict(batch)["data"]["is_drift"]
    ]


def alibi_mmd(kind: str, seed: int) -> list[int]:
    from alibi_detect.cd import MMDDrift

    rows = series.reference(seed)[:MMD_ROWS].astype(np.float32)
    detector = MMDDrift(rows, backend="pytorch", p_val=0.05)
    batches = (batch.astype(np.float32) for batch in series.batches(kind, seed))
    return [week for week, batch in enumerate(batches, 1) if detector.predict(batch)["data"]["is_drift"]]


def nannyml_univariate(kind: str, seed: int) -> list[int]:
    from nannyml import UnivariateDriftCalculator

    return alerts(UnivariateDriftCalculator(column_names=series.NAMES, chunk_size=series.BATCH), kind, seed)


def nannyml_reconstruction(kind: str, seed: int) -> list[int]:
    from nannyml import DataReconstructionDriftCalculator

    return alerts(DataReconstructionDriftCalculator(column_names=series.NAMES, chunk_size=series.BATCH), kind, seed)


def alerts(calculator: Any, kind: str, seed: int) -> list[int]:
    """Weeks with an alert; each batch is one chunk."""
    calculator.fit(framed(series.reference(seed)))
    results = calculator.calculate(framed(np.concatenate(list(series.batches(kind, seed)))))
    frame = results.filter(period="analysis").to_df()
    any_alert = frame[[column for column in frame.columns if column[-1] == "alert"]].any(axis=1)
    return [week for week, alert in enumerate(any_alert, start=1) if alert]


def framed(rows: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=series.NAMES)


TOOLS: dict[str, tuple[str, Callable[[str, int], list[int]]]] = {
    "evidently, preset": ("evidently", evidently_preset),
    "evidently, any column": ("evidently", evidently_any_column),
    "alibi-detect, KS": ("alibi-detect", alibi_ks),
    "alibi-detect, MMD": ("alibi-detect", alibi_mmd),
    "nannyml, columns": ("nannyml", nannyml_univariate),
    "nannyml, reconstruction": ("nannyml", nannyml_reconstruction),
}


def main() -> None:
    """One JSON line for each line on standard input, [tool, kind, seed]: the weeks with an alarm, and of what rows."""
    for line in sys.stdin:
        tool, kind, seed = json.loads(line)
        package, alarms = TOOLS[tool]
        started = time.process_time()
        weeks = alarms(kind, seed)
        answer = {"version": version(package), "weeks": weeks, "cpu_seconds": round(time.process_time() - started, 1)}
        print(json.dumps({**answer, "digest": series.digest(kind, seed)}), flush=True)


if __name__ == "__main__":
    main()
