"""The example of alert rules: Prometheus can load it, and each metric and label in it is one that a server has."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from service_process import Server

RULES = Path(__file__).resolve().parents[2] / "deploy" / "prometheus-alerts.yaml"
FIELDS = {"alert", "expr", "for", "labels", "annotations"}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_each_metric_and_label_is_one_of_a_server(own_server: Any) -> None:
    server: Server = own_server("--workers", "0")
    labels: dict[str, set[str]] = {"wdist_monitor_alarms": {"monitor"}, "wdist_monitor_update_age_seconds": {"monitor"}}
    text = server.client.get("/metrics").text
    for family in text_string_to_metric_families(text):
        labels.setdefault(family.name, set()).update(name for each in family.samples for name in each.labels)
    described = set(re.findall(r"^# HELP (\w+)", text, re.MULTILINE))
    assert labels.keys() >= {"wdist_jobs", "wdist_workers"}
    for rule in rules():
        used = re.findall(r"(wdist_\w+)(?:\{([^}]*)\})?", rule["expr"])
        assert used, rule
        for name, matchers in used:
            assert name in described, f"{rule['alert']}: no metric {name}"
            assert set(re.findall(r"(\w+)=", matchers)) <= labels[name], rule["alert"]
        if "$labels.monitor" in str(rule["annotations"]):
            assert all("monitor" in labels[name] for name, _ in used), rule["alert"]


def test_the_rules_have_the_fields_that_prometheus_knows() -> None:
    found = rules()
    assert len({rule["alert"] for rule in found}) == len(found) > 3
    for rule in found:
        assert rule.keys() <= FIELDS
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["expr"].count("(") == rule["expr"].count(")")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool on this machine")
def test_promtool_accepts_the_rules() -> None:
    checked = subprocess.run(["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
