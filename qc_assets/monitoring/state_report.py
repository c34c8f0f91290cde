"""The state of everything as one page that can be sent: data, models, fairness, drift, payouts and what is wrong.

It is read from the warehouse alone, so that anybody who may read that can make it.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from qc_assets import pages
from qc_assets.errors import WarehouseMissingError
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import task_of
from qc_assets.models.specs import SPECS
from qc_assets.monitoring import champion_charts, svg_charts
from qc_assets.monitoring.measures import ANSWERS
from qc_assets.monitoring.svg_charts import Mark, shown_number
from qc_assets.source_traits import all_traits
from qc_assets.store.readable import rows_of
from qc_assets.store.schema import define_functions, sql_sections
from qc_assets.store.warehouse import Warehouse

SCRIPT = """
const filter = document.getElementById("filter");
filter.addEventListener("input", () => {
  const text = filter.value.trim().toLowerCase();
  for (const part of document.querySelectorAll("[data-group]")) {
    const group = part.getAttribute("data-group").toLowerCase();
    part.style.display = group && text && !group.includes(text) ? "none" : "";
  }
});
"""
_HASH = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
REPORT_POLICY = (
    f"default-src 'none'; script-src 'sha256-{_HASH}'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""What the page may do where it is served: show itself, and run its own script."""
_FINDINGS = 12
# How each part of the page comes to be, where it is not there.
_MENDS = {
    "repositories": "features are not computed yet: `qc train` does",
    "funnel": "features are not computed yet: `qc train` does",
    "activity": "reports are not computed yet: `qc train` does",
    "calibration": "reports are not computed yet: `qc train` does",
    "weeks": "the champions are not examined yet: `qc train` does, or the job scoring",
    "reliability": "the champions are not examined yet: `qc train` does, or the job scoring",
    "drift": "the champions are not examined yet: `qc train` does, or the job scoring",
    "payouts": "payouts are not computed again yet: the job scoring does",
    "refusals": "payouts are not computed again yet: the job scoring does",
    "patterns": "payouts are not computed again yet: the job scoring does",
}
Rows = list[dict[str, Any]]


def state_report(store: Warehouse) -> str:
    """The page, as HTML that needs no other file; what is missing is named, with the command that makes it."""
    try:
        tables, missing = _tables(store)
    except WarehouseMissingError as error:
        tables, missing = {}, [str(error)]
    models = [_model(spec, tables) for spec in SPECS]
    repositories = tables.get("repositories", [])
    synthetic = {name for name, traits in all_traits().items() if traits.synthetic}
    return pages.render(
        "report.html",
        is_synthetic=any(row["is_synthetic"] for row in tables.get("versions", []))
        or any(row["source"] in synthetic for row in tables.get("sources", [])),
        missing=list(dict.fromkeys(missing)),
        summary=_summary(tables, models),
        sources=tables.get("sources", []),
        days=tables.get("days", []),
        funnel=_funnel(tables.get("funnel", [])),
        activity=_activity(tables.get("activity", [])),
        repositories=repositories,
        worst=_worst(repositories),
        models=models,
        payouts=tables.get("payouts", []),
        payments=_payments(tables.get("payouts", [])),
        refusals=tables.get("refusals", []),
        patterns=tables.get("patterns", []),
        alerts=tables.get("alerts", []),
        number=shown_number,
        script=SCRIPT,
    )


def _tables(store: Warehouse) -> tuple[dict[str, Rows], list[str]]:
    """What each query answers, and how to make what is not there."""
    queries = {name: query for name, query in sql_sections("reports/state").items() if name}
    queries["alerts"] = sql_sections("reports/alerts")["rows"]  # as of now, and not of the last run that was green
    queries["funnel"] = sql_sections("reports/overview")["funnel"]
    tables: dict[str, Rows] = {}
    missing = []
    with store.read() as connection:
        define_functions(connection, " ".join(queries.values()))
        for name, query in queries.items():
            try:
                _, tables[name] = rows_of(connection, query)
            except duckdb.CatalogException:
                if name not in _MENDS:
                    raise
                missing.append(_MENDS[name])
    if tables.get("size") and not tables["size"][0]["repositories"]:
        missing.insert(0, "nothing is loaded yet: `qc demo` makes something up, `qc backfill` reads a source")
    return tables, missing


def _summary(tables: Mapping[str, Rows], models: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, bool]]:
    """Sentences, the part of the page that each is about, and whether it is one to look at."""
    size = (tables.get("size") or [{"pull_requests": 0, "issues": 0, "repositories": 0}])[0]
    champions = [model for model in models if model["champion"]]
    red = [check for model in models for check in model["checks"] if not check["passed"]]
    flagged = sum(len(model["flagged"]) for model in models)
    drifting = sum(model["drifting"] for model in models)
    moved = [model["name"] for model in models if model["have_answers_moved"]]
    amounts = tables.get("payouts", [])
    wrong = sum(row["wrong"] for row in amounts)
    paid, refused = (sum(row[name] for row in amounts) for name in ("paid", "refused"))
    not_done = sum(row["not_done"] for row in tables.get("days", []))
    alerts = len(tables.get("alerts", []))
    worse = [f"{model['name']} ({', '.join(model['worse'])})" for model in champions if model["worse"]]
    return [
        (
            f"{size['pull_requests']:,} pull requests and {size['issues']:,} issues of {size['repositories']:,} "
            + ("repository" if size["repositories"] == 1 else "repositories")
            + (f"; {not_done} days are not loaded whole" if not_done else ""),
            "data",
            bool(not_done),
        ),
        (f"{len(champions)} of {len(models)} models have a champion", "models", len(champions) < len(models)),
        (f"{len(red)} of their checks are red" if red else "none of their checks is red", "models", bool(red)),
        *(
            [(f"surely worse than a prediction that knows nothing: {', '.join(worse)}", "models", True)]
            if worse
            else []
        ),
        (f"{flagged} groups are flagged as treated differently", "models", flagged > 0),
        # Inputs move with every month; what people are told moves if the answers do.
        (
            (f"the answers have moved far of {', '.join(moved)}" if moved else "no answers have moved far")
            + f"; {drifting} inputs have",
            "models",
            bool(moved),
        ),
        (
            f"{paid:,} payouts, {refused:,} refusals" + (f", {wrong} do not add up" if wrong else ", all add up"),
            "payouts",
            wrong > 0,
        ),
        (f"{alerts} promises of newest versions are broken", "alerts", alerts > 0),
    ]


def _funnel(rows: Rows) -> Any:
    marks = [
        Mark(step, count, f"{step}: {count:,}; {row['dropped'] or 0:,} left out before")
        for row in rows
        for step, count in [(row["step"], row["pull_requests"])]
    ]
    return svg_charts.bars(marks) if marks else None


def _activity(rows: Rows) -> dict[str, Any] | None:
    if not rows:
        return None
    weeks = [str(row["week"]) for row in rows][::-1]
    counts = {name.replace("_", " "): [row[name] for row in rows][::-1] for name in list(rows[0])[1:6]}
    shares = {"pass rate": [row["pass_rate"] for row in rows][::-1]}
    return {"counts": svg_charts.lines(weeks, counts), "shares": svg_charts.lines(weeks, shares, most=1)}


def _worst(repositories: Rows) -> dict[str, Any] | None:
    """Of repositories with thirty rows or more, the one that passes fewest first reviews."""
    large = [row for row in repositories if row["used"] >= 30 and row["pass_rate"] is not None]
    return min(large, key=lambda row: row["pass_rate"], default=None)


def _model(spec: ModelSpec, tables: Mapping[str, Rows]) -> dict[str, Any]:
    of = {name: [row for row in rows if row.get("model") == spec.name] for name, rows in tables.items()}
    versions = of.get("versions", [])
    champion = next((row for row in versions if row["status"] == "champion"), None)
    newest = versions[-1] if versions else None
    judged = champion or newest
    metrics = _metrics(spec, of.get("metrics", []), judged)
    drift = of.get("drift", [])
    findings = of.get("bias", [])
    bias = [row for row in findings if row["status"] != "too small to say"]
    return {
        "name": spec.name,
        "question": spec.question,
        "champion": champion,
        "newest": newest if newest is not champion else None,
        "versions": versions,
        "is_duration": task_of(spec).groups_as == "number",
        "metrics": metrics,
        "worse": [row["label"] for row in metrics if row["is_sure"] and not row["is_better"]],
        "baseline": task_of(spec).trivial_name,
        "broken": [row for row in of.get("gates", []) if judged and row["version"] == judged["version"]],
        "checks": of.get("checks", []),
        "calibration": champion_charts.calibration_chart(of.get("calibration", [])),
        "weeks": champion_charts.weeks_chart(of.get("weeks", [])),
        "parts": champion_charts.charts_of_parts(of.get("reliability", [])),
        "drift": champion_charts.drift_chart(drift),
        "drifting": sum(row["is_drifting"] for row in drift if row["feature"] != ANSWERS),
        "have_answers_moved": any(row["is_drifting"] for row in drift if row["feature"] == ANSWERS),
        "flagged": [row for row in bias if row["status"] == "flagged"],
        "compared": len(bias),
        "too_small": len(findings) - len(bias),
        "bias": bias[:_FINDINGS],
    }


def _metrics(spec: ModelSpec, rows: Rows, version: Mapping[str, Any] | None) -> Rows:
    """The metrics that decide, first, each beside its baseline."""
    if version is None:
        return []
    known = {row["metric"]: row for row in rows if row["version"] == version["version"]}
    metrics = task_of(spec).metrics
    order = [*spec.margins, *(name for name in metrics if name not in spec.margins)]
    shown = []
    for name in order:
        row = known.get(name)
        if row is None:
            continue
        is_better, is_sure = metrics[name].beside(row["value"], row["lower"], row["upper"], row["baseline"])
        words = {"label": metrics[name].label, "decides": name in spec.margins}
        shown.append(row | words | {"is_better": is_better, "is_sure": is_sure})
    return shown


def _payments(rows: Rows) -> Any:
    if not rows:
        return None
    return svg_charts.bars(
        [
            Mark(f"{row['month']:%Y-%m}", float(row["amount"] or 0), f"{row['paid']} paid, {row['refused']} refused")
            for row in rows[-36:]
        ]
    )
