"""Example responses for the OpenAPI document, by name of schema; a test validates each against its schema."""

from __future__ import annotations

from typing import Any

_SETS = ["ss_01jd3v5q3k8e9x7w2m4n6p8r0t", "ss_01jd3v5zz0c2e4g6j8m0p2r4t6"]
_ESTIMATE = "est_01jd3v7c2d4f6h8k0n2q4s6v8x"
_BATCH = "batch_01jd3v8d3e5g7j9m1p3r5t7w9y"

_sample_set = {
    "id": _SETS[0], "object": "sample_set", "name": "very-good", "bytes": 24292, "rows": 12082, "shape": [12082, 2],
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "dtype": "<f4",
    "columns": ["carat", "price"], "created_at": "2026-11-22T12:00:00.000Z",
    "statistics": {"min": -1.8, "max": 6.2, "mean": 0.01, "std": 1.0, "constant": False, "columns": None},
    "table": None, "notes": [], "reading": None,
    "file_sha256": "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8",
}  # fmt: skip
_level: dict[str, Any] = _sample_set | {
    "name": "diamonds: Ideal", "rows": 21551, "shape": [21551, 2], "dtype": "<f8", "bytes": 344944,
    "columns": ["price", "color"],
    "table": {
        "columns": [
            {"name": "price", "kind": "number", "levels": None, "unit": None, "start": None},
            {"name": "color", "kind": "category", "levels": ["E", "D", "F"], "unit": None, "start": None},
        ],
        "missing": False,
    },
    "notes": ["12 of 53,940 rows have missing values and were left out: the distance is between the populations of the "
              "complete rows"],
    "reading": {"categories": ["color", "cut"], "missing": "drop", "by": "cut", "level": "Ideal"},
    "statistics": {
        "min": None, "max": None, "mean": None, "std": None, "constant": False,
        "columns": [
            {"min": 326.0, "max": 18806.0, "mean": 3457.5, "std": 3808.3, "missing": 0},
            {"levels": {"E": 9797, "F": 6775, "D": 4979}, "distinct": 3, "missing": 0},
        ],
    },
}  # fmt: skip
_estimate: dict[str, Any] = {
    "id": _ESTIMATE, "object": "estimate", "name": "Very good against premium", "status": "running",
    "source_name": "very-good", "target_name": "premium", "source": _SETS[0], "target": _SETS[1],
    "options": {"confidence": 0.99, "critic": "auto", "seed": 0}, "priority": "normal", "metadata": {"run": "7"},
    "created_at": "2026-11-22T12:00:01.000Z", "started_at": "2026-11-22T12:00:01.300Z", "finished_at": None,
    "attempt": 1, "result": None, "error": None,
    "progress": {
        "step": 300, "steps": 1500, "seconds": 2.1, "value": 0.69, "eta_seconds": 8.4, "trying": "groupsort",
    },
}  # fmt: skip
_batch = {
    "id": _BATCH, "object": "batch", "name": None, "status": "finished", "kind": "matrix", "sets": _SETS,
    "counts": {"total": 1, "queued": 0, "running": 0, "canceling": 0, "succeeded": 1, "failed": 0, "canceled": 0},
    "options": {"confidence": 0.99, "simultaneous": True}, "priority": "normal", "metadata": {},
    "created_at": "2026-11-22T12:00:00.000Z", "canceled_at": None,
}  # fmt: skip
_matrix = {
    "batch": _BATCH, "complete": True, "rows": _SETS, "columns": _SETS, "value": [[0.0, 0.73], [0.73, 0.0]],
    "confidence": 0.99, "lower_bound": [[0.0, 0.52], [0.52, 0.0]],
    "simultaneous_lower_bound": [[0.0, 0.52], [0.52, 0.0]], "upper_bound": [[0.0, 1.31], [1.31, 0.0]],
    "simultaneous_upper_bound": [[0.0, 1.31], [1.31, 0.0]], "upper_kind": "approximate",
    "units": "Euclidean distance in the data's own units", "split": "random",
    "answer": "They differ (p < 0.001).", "warnings": [],
    "estimates": [[None, _ESTIMATE], [_ESTIMATE, None]], "statuses": [[None, "succeeded"], ["succeeded", None]],
    "p_value": [[1.0, 0.0001], [0.0001, 1.0]],
    "adjusted_p_value": [[1.0, 0.0001], [0.0001, 1.0]],
}  # fmt: skip
_comparison: dict[str, Any] = {
    "batch": _BATCH, "complete": True, "reason": None,
    "comparison": {
        "reference": "real", "confidence": 0.95, "kind": "approximate", "delta": None,
        "units": "Euclidean distance in the data's own units",
        "ranking": [
            {"name": "new", "position": 0, "best": 1, "worst": 1, "value": 0.81, "lower_bound": 0.61,
             "upper_bound": 0.9},
            {"name": "old", "position": 1, "best": 2, "worst": 2, "value": 1.52, "lower_bound": 1.33,
             "upper_bound": 1.65},
        ],
        "differences": [
            {"first": "new", "second": "old", "shown": 0.71, "lower_bound": 0.53, "upper_bound": 0.92, "answer": "yes",
             "within_delta": None, "growth": None,
             "sentence": "`new` is closer to `real` than `old`, by 0.53 to 0.92 (95 %, approximate)."},
        ],
        "missing": [], "sentence": "`new` is closer to `real` than `old`, by 0.53 to 0.92 (95 %, approximate).",
    },
}  # fmt: skip
_upload = {
    "id": "up_01jd3v9e4f6h8k0n2q4s6v8x0z", "object": "upload", "status": "complete", "name": "very-good",
    "format": "npy", "offset": 24292, "length": 24292, "sample_set": _SETS[0], "error": None,
    "created_at": "2026-11-22T12:00:00.000Z", "expires_at": "2026-11-23T12:00:00.000Z",
}  # fmt: skip
_evaluation = {
    "id": "ev_01jd3vb6h8k0n2q4s6v8x0z2b4", "object": "evaluation", "status": "running", "estimate": _ESTIMATE,
    "sample_set": _SETS[0], "gradient": False, "rows": 1000000, "done": 201000, "bytes": None, "error": None,
    "created_at": "2026-11-22T12:00:00.000Z", "finished_at": None,
}  # fmt: skip
_alarm = {"kind": "distance", "column": None, "bound": 0.131, "threshold": 0.1, "since": 7, "since_at": "2026-11-16"}
_figures: dict[str, Any] = {
    "number": 9, "epoch": 1, "at": "2026-11-30", "name": "week-48",
    "rows": {"train": 3000, "select": 500, "test": 1500},
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "value": 0.21, "lower_bound": 0.158,
    "upper_bound": 0.39, "p_value": 0.0001, "series_lower_bound": 0.131, "series_upper_bound": 0.47, "evidence": 3.4,
    "evidence_limit": 131.6, "change": {"value": 0.04, "lower_bound": 0.0},
    "columns": [{"name": "price", "value": 0.19, "lower_bound": 0.11, "attribution": 0.83}],
    "unusual": [{"row": 4127, "score": 2.31}], "alarms": [_alarm], "critic": "groupsort", "steps": 200, "seconds": 2.4,
    "warnings": [],
    "meaning": "The batch is at least 0.13 away from the reference, together with all other bounds of the series.",
}  # fmt: skip
_monitor: dict[str, Any] = {
    "id": "mon_01jd3vc7j9m1p3r5t7w9y1a3c5", "object": "monitor", "status": "active", "name": "orders",
    "reference": "orders-2025", "reference_set": _SETS[0], "reference_rows": 50000, "confidence": 0.95,
    "tolerance": 0.05, "thresholds": {"distance": 0.1, "columns": {"price": 0.2}}, "epoch": 1, "updates": 9,
    "units": "Euclidean distance after dividing each column by its standard deviation", "waiting": 0,
    "last": _figures, "alarms": [_alarm], "options": {"critic": "auto", "seed": 0, "scale": "standardize"},
    "metadata": {"team": "shop"}, "created_at": "2026-09-29T08:00:00.000Z", "updated_at": "2026-11-30T08:00:05.000Z",
}  # fmt: skip
_update: dict[str, Any] = {
    "id": "mu_01jd3vd8k0n2q4s6v8x0z2b4d6", "object": "monitor_update", "status": "succeeded", "monitor": _monitor["id"],
    "epoch": 1, "number": 9, "batch": _SETS[1], "name": "week-48", "at": "2026-11-30",
    "created_at": "2026-11-30T08:00:01.000Z", "started_at": "2026-11-30T08:00:01.300Z",
    "finished_at": "2026-11-30T08:00:05.000Z", "attempt": 1, "progress": {"step": 200, "steps": 200, "seconds": 2.4},
    "figures": _figures, "raised": [], "cleared": [], "error": None,
}  # fmt: skip
_key = {
    "id": "key_01jd3vaf5g7j9m1p3r5t7w9y1a", "object": "api_key", "name": "laptop", "role": "user", "tenant": "local",
    "created_at": "2026-11-22T12:00:00.000Z", "revoked_at": None, "quota": {"bytes": 10737418240, "queued_jobs": 1000},
}  # fmt: skip


def _page(entry: dict[str, Any]) -> dict[str, Any]:
    return {"data": [entry], "has_more": True, "next": entry["id"]}


_webhook: dict[str, Any] = {
    "id": "wh_01jd3v9f4g6h8k0m2n4p6q8r0s", "object": "webhook", "url": "https://example.org/hooks/wdist",
    "events": ["monitor.alarm_raised", "monitor.alarm_cleared"], "description": "on-call", "include_rows": False,
    "status": "enabled", "disabled_at": None, "disabled_reason": None, "failing_since": None, "failures": 0,
    "last_success_at": "2026-11-22T12:00:03.000Z", "previous_secret_until": None,
    "created_at": "2026-11-22T12:00:00.000Z",
}  # fmt: skip
_delivery: dict[str, Any] = {
    "id": "dlv_01jd3va0b1c2d3e4f5g6h7j8k9", "object": "webhook_delivery", "webhook": _webhook["id"],
    "event": "monitor.alarm_raised", "event_id": "evt_jd3va0b1c2d3e4f5g6h7j2k3mn", "status": "queued", "attempts": 1,
    "next_attempt_at": "2026-11-22T12:00:08.000Z", "response_status": 503,
    "reason": "the receiver answered 503", "created_at": "2026-11-22T12:00:02.000Z", "finished_at": None,
}  # fmt: skip
_delivery_detail: dict[str, Any] = _delivery | {
    "payload": {
        "type": "monitor.alarm_raised", "timestamp": "2026-11-22T12:00:02.000Z",
        "data": {"monitor": {"id": "mon_01jd3v9a0b1c2d3e4f5g6h7j8k", "name": "orders"}},
    },
    "response_body": "busy",
    "log": [
        {
            "at": "2026-11-22T12:00:02.500Z", "response_status": 503, "reason": "the receiver answered 503",
            "seconds": 0.041,
        }
    ],
}  # fmt: skip

_witness: dict[str, Any] = {
    "units": "Euclidean distance in standard deviations of each column",
    "means": {"source": -0.21, "target": 0.27},
    "numbering": "Rows are numbered from 0, in the order of the data as given.",
    "unusual": {"source": [{"row": 812, "score": -2.9}], "target": [{"row": 4127, "score": 3.31}]},
    "histogram": {"edges": [-3.0, 0.0, 3.5], "source": [0.58, 0.42], "target": [0.41, 0.59]},
    "columns": [
        {
            "name": "price", "attribution": 0.93, "value": 0.44, "lower_bound": 0.36,
            "histogram": {
                "edges": [0, 500, 1000, 1500], "source": [0.6, 0.3, 0.09], "target": [0.35, 0.4, 0.25],
                "missing": {"source": 0.01, "target": 0.0},
            },
        },
        {
            "name": "cut", "attribution": 0.07, "value": 0.05, "lower_bound": 0.0,
            "histogram": {"levels": ["Ideal", "Good"], "source": [0.7, 0.3], "target": [0.65, 0.35]},
        },
    ],
}  # fmt: skip

EXAMPLES: dict[str, dict[str, Any]] = {
    "SampleSetView": _sample_set,
    "LevelsView": {"object": "list", "by": "cut", "data": [_level]},
    "EstimateView": _estimate,
    "BatchView": _batch,
    "MatrixView": _matrix,
    "BatchComparisonView": _comparison,
    "UploadView": _upload,
    "KeyRequest": {"name": "laptop", "role": "user", "tenant": "local", "quota": {"bytes": 10737418240}},
    "KeyView": _key,
    "NewKeyView": {**_key, "secret": "wd_shown-this-once"},
    "WitnessFigures": _witness,
    "CurveView": {"data": [{"step": 100, "seconds": 0.7, "value": 0.61}], "complete": False},
    "Page_SampleSetView_": _page(_sample_set),
    "Page_EstimateView_": _page(_estimate),
    "Page_BatchView_": _page(_batch),
    "MonitorView": _monitor,
    "MonitorUpdateView": _update,
    "Page_MonitorView_": _page(_monitor),
    "Page_MonitorUpdateView_": _page(_update),
    "EvaluationJobView": _evaluation,
    "Page_EvaluationJobView_": _page(_evaluation),
    "WebhookChange": {"events": ["batch.finished"], "enabled": True},
    "DeliveryDetailView": _delivery_detail,
    "WebhookRequest": {"url": _webhook["url"], "events": _webhook["events"], "description": "on-call"},
    "WebhookView": _webhook,
    "NewWebhookView": {**_webhook, "secret": "whsec_shown-this-once"},
    "DeliveryView": _delivery,
    "Page_WebhookView_": _page(_webhook),
    "Page_DeliveryView_": _page(_delivery),
    "Page_KeyView_": {"data": [_key], "has_more": False, "next": None},
}
