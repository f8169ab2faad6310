"""The dashboard and the rules ask, in PromQL, for metrics that are told, by labels they have."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from tests.unit.test_docs import table_rows, told_by_all

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "captioner.json").read_text(encoding="utf-8"))
ALERTS = (DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
RULES = [rule for group in yaml.safe_load(ALERTS)["groups"] for rule in group["rules"]]
WRITTEN = table_rows("reference/metrics.md")
OF_PROMETHEUS = {"up": {"job"}, "process_resident_memory_bytes": set()}
"""What Prometheus itself makes, or its client, and the labels that we use of it."""
ADDED = {"job", "instance"}
"""Labels that Prometheus adds to what it scrapes."""


def queries() -> list[str]:
    asked = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    whole = [text.replace("$__rate_interval", "5m").replace("$model", ".*") for text in asked]
    return whole + [rule["expr"] for rule in RULES]


def nodes(expression: Any) -> Iterator[Any]:
    found: list[Any] = []
    promql.walk(expression, found.append)
    return iter(found)


def selectors(query: str) -> Iterator[Any]:
    parsed = promql.parse(query)
    return (node for node in nodes(parsed) if isinstance(node, promql.VectorSelector))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Every series that there is on a real page, and its labels."""
    found: dict[str, set[str]] = {name: set(labels) for name, labels in OF_PROMETHEUS.items()}
    for family in told_by_all(tmp_path_factory.mktemp("told")):
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        names = [family.name + end for end in suffixes.get(family.type, ["", "_sum", "_count"])]
        for name in names:  # where there is nothing to tell yet, the page about metrics says
            row = WRITTEN.get(family.name, WRITTEN.get(f"{family.name}_total", [""]))
            found.setdefault(name, set(re.findall(r"`(\w+)`", row[0])))
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_the_dashboard_can_be_imported_wherever_prometheus_is() -> None:
    names = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    sources = {json.dumps(p["datasource"]) for p in DASHBOARD["panels"] if p["type"] != "row"}

    assert names["datasource"]["type"] == "datasource"
    assert sources == {json.dumps({"type": "prometheus", "uid": "${datasource}"})}
    assert DASHBOARD.get("id") is None
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_no_two_panels_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize(
    "subject",
    [
        "Accepted and finished per second",
        "Queue depth",
        "Age of the oldest job in the queue",
        "Jobs by state",
        "Stage times, p50",
        "Stage times, p95",
        "Batch sizes",
        "Captions that were remembered",
        "Webhooks",
        "Styled pictures, by outcome",
        "Workers that leave a styler alone",
        "Pictures without a caption, by error",
        "Memory",
    ],
)
def test_the_dashboard_shows(subject: str) -> None:
    (panel,) = [panel for panel in DASHBOARD["panels"] if panel["title"] == subject]

    assert panel["targets"]
    assert panel["description"]


@pytest.mark.parametrize("query", queries())
def test_a_query_asks_for_what_is_told(query: str, told: dict[str, set[str]]) -> None:
    asked = list(selectors(query))

    assert asked
    for selector in asked:
        assert selector.name in told
        labels = {matcher.name for matcher in selector.matchers.matchers}
        assert labels <= told[selector.name] | ADDED


@pytest.mark.parametrize("query", queries())
def test_a_query_groups_by_labels_that_its_metrics_have(
    query: str, told: dict[str, set[str]]
) -> None:
    for node in nodes(promql.parse(query)):
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            inside = {s.name for s in nodes(node.expr) if isinstance(s, promql.VectorSelector)}
            for name in inside:
                assert set(node.modifier.labels) <= told[name] | ADDED, (node, name)


def test_a_query_with_a_mistake_would_be_noticed() -> None:
    with pytest.raises(ValueError, match="parenthesis"):
        promql.parse("sum(rate(captioner_jobs[5m])")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_says_what_it_means_and_what_to_do(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m"))
    says = rule["annotations"]
    assert set(says) == {"summary", "description", "runbook_url"}
    assert says["summary"]
    assert len(says["description"]) > 40
    page, _, section = says["runbook_url"].partition("#")
    assert f"\n### {rule['alert']}\n\n" in (ROOT / page).read_text(encoding="utf-8")
    assert section == rule["alert"].lower()


def test_there_is_a_rule_for_whatever_needs_somebody() -> None:
    text = " ".join(rule["expr"] for rule in RULES)

    for name in (
        "captioner_oldest_queued_seconds",
        "captioner_workers",
        "captioner_http_requests_total",
        "captioner_cache_lookups_total",
        "captioner_webhook_attempts_total",
        "captioner_disk_free_bytes",
        "captioner_styled_images_total",
        "captioner_styler_breakers_open",
    ):
        assert name in text


def test_every_section_about_an_alert_has_its_rule() -> None:
    page = (ROOT / "docs" / "guides" / "operating.md").read_text(encoding="utf-8")

    assert set(re.findall(r"^### (Captioner\w+)$", page, re.MULTILINE)) == {
        rule["alert"] for rule in RULES
    }


def test_compose_gives_prometheus_and_grafana_what_is_here() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    worker = services["worker-cpu"]["environment"]
    for name in ("prometheus", "grafana"):
        assert services[name]["profiles"] == ["monitoring"]
        for mount in services[name]["volumes"]:
            source = mount.partition(":")[0]
            assert not source.startswith("./") or (ROOT / source).exists()

    (api, workers) = scraped["scrape_configs"]
    assert api["static_configs"] == [{"targets": ["api:8000"]}]
    folder, _, key = api["authorization"]["credentials_file"].rpartition("/")
    assert key == "key"
    assert f"metrics-key:{folder}:ro" in services["prometheus"]["volumes"]
    assert services["metrics-key"]["volumes"] == ["metrics-key:/data"]
    assert services["prometheus"]["depends_on"]["metrics-key"] == {
        "condition": "service_completed_successfully"
    }
    (found,) = workers["dns_sd_configs"]
    assert str(found["port"]) == worker["CAPTIONER_WORKER_METRICS_PORT"]
    assert set(found["names"]) <= set(services)
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert not [port for port in published if "9109" in port]
