"""What MLflow's pages say in words: how to compare runs, what an alias means, and why a version has it or not."""

import json
from collections.abc import Mapping
from typing import Any

from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import task_of
from qc_assets.pages import markdown_text
from qc_assets.registry.mlflow_store import NOTE
from qc_assets.registry.standing import Standing, VersionReference

WITHOUT_MODEL = "without_model"  # group of the metrics of the prediction that knows nothing
_VIEW = "Trainings"
# Characters that MLflow's tables have room for. SQLite takes more; PostgreSQL refuses, and with it the training.
_LIMIT, _VERSION_LIMIT, _HEAD_LIMIT, _REASON_LIMIT = 8_000, 5_000, 4_000, 400
_REST = "\n\n*The rest is in the artifact model_card.md of the run.*\n"
_BETWEEN = "\n\n---\n\n"
ALIASES = {
    "champion": "It is the **champion**: the API, scoring and payouts ask it.",
    "challenger": "It is the **challenger**: the newest version that did not become champion. It answers nobody.",
}


def about_experiment(spec: ModelSpec) -> dict[str, str]:
    """Tags of a model's experiment: how its trainings are compared, and a saved view of them with what one compares."""
    task = task_of(spec)
    judged = [
        f"`test/{name}` ({task.metrics[name].label}, {'higher' if task.metrics[name].higher_is_better else 'lower'} "
        "is better)"
        for name in spec.margins
    ]
    note = f"""**{spec.question}** Compare trainings by *Views › {_VIEW}*: a run is a training, below it are candidates.

- **Compare by** {", then ".join(judged)}. Select two and press *Compare*: the parameters show why they differ.
- Groups: `test` is the newest 15 %, which nothing was fitted to; `last_30_days` its end; `validation` chose between
  candidates; `search` is one step a trial; `without_model` is what a prediction that knows nothing reaches on the test.
- A column says nothing of chance: intervals are in `evaluation.json` and `model_card.md` of a run, and
  `comparison.html` compares with the champion on the same rows, which alone decides who is promoted.
- Versions, and which one answers: [{spec.name}](#/models/{spec.name}).
"""
    return {NOTE: note, f"mlflow.sharedViewState.{_VIEW.lower()}": _view(spec)}


def _view(spec: ModelSpec) -> str:
    """A view of trainings as MLflow saves one: with the metrics that are judged, the newest first."""
    groups = ("test", WITHOUT_MODEL)
    parameters = ("rows", "data_until", "quick", "trials")
    columns = [f"metrics.`{group}/{name}`" for group in groups for name in spec.margins]
    columns += [f"params.`{name}`" for name in parameters] + ["tags.`decision`"]
    state = {
        "searchFilter": 'tags.level = "training"',
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "runsHiddenMode": "FIRST_10_RUNS",
    }
    return json.dumps({"name": _VIEW, "createdAt": 1, "updatedAt": 1, "state": json.dumps(state)})


def model_description(spec: ModelSpec) -> str:
    """What a registered model is, and what its aliases mean."""
    return f"""{spec.question}

- `champion` answers: the API, scoring and payouts ask it. Only what passes its gates and is no regression on the same
  rows gets the alias; `qc rollback {spec.name}` gives it to an earlier version.
- `challenger` is the newest version that did not become champion. It answers nobody.
- Why a version has its alias is on its page, with card, comparison, bias report, Dagster run and data.
"""


def describe_versions(client: Any, standing: Standing, challenger: int | None, card: Mapping[int, str]) -> None:
    """Let the page of every version say where it stands now; those that say so already are left alone.

    Args:
        client: MLflow's.
        standing: of the model.
        challenger: the version with that alias.
        card: cards of versions that have no description yet, by number.
    """
    experiment = client.get_experiment_by_name(standing.model)
    place = f"#/experiments/{experiment.experiment_id}" if experiment else ""
    for registered in client.search_model_versions(f"name = '{standing.model}'", max_results=10_000):
        number, before = int(registered.version), registered.description or ""
        kept = card.get(number) or before.rpartition(_BETWEEN)[2]
        alias = "challenger" if number == challenger else ""
        if standing.champion and standing.champion.version == number:
            alias = "champion"
        head = version_head(standing, VersionReference(number, str(registered.run_id)), alias, registered.tags, place)
        text = beginning_of(f"{beginning_of(head, _HEAD_LIMIT)}{_BETWEEN}{kept}", _VERSION_LIMIT)
        if text != before:
            client.update_model_version(standing.model, registered.version, description=text)


def version_head(
    standing: Standing, version: VersionReference, alias: str, tags: Mapping[str, str], experiment: str
) -> str:
    """What stands above the card of a version: its alias, the decision, and where the rest is.

    Args:
        standing: of the model.
        version: which one.
        alias: of the version; empty if it has none.
        tags: of the version.
        experiment: the model's in MLflow's UI, as a link; empty if it is gone.
    """
    decisions = [each for each in standing.decisions if each.subject == version]
    lines = [
        f"**Version {version.version} of {standing.model}.** {ALIASES.get(alias) or _without_alias(standing, version)}"
    ]
    for decision in decisions[-3:]:
        verdict = "Promoted" if decision.promoted else "Not promoted"
        against = f", compared with version {decision.before.version}" if decision.before else ""
        is_long = len(decision.reason) > _REASON_LIMIT
        reason = markdown_text(decision.reason[:_REASON_LIMIT]) + (" …" if is_long else ".")
        lines.append(f"{verdict} on {decision.decided_at:%Y-%m-%d %H:%M} UTC{against}: {reason}")
    if not decisions:
        lines.append("Not judged: its training ended before it was.")
    run = f"{experiment}/runs/{version.run_id}"
    links = [f"[run]({run})"] if experiment else []
    if experiment:
        artifacts = {
            "model card": "model_card.md",
            **({"beside the champion": "comparison.html"} if any(each.before for each in decisions) else {}),
            "bias report, once it is made": "bias.html",
            "data": "data.json",
        }
        links += [f"[{name}]({run}/artifacts/{file})" for name, file in artifacts.items()]
    if tags.get("dagster_run_url"):
        links.append(f"[Dagster run]({tags['dagster_run_url']})")
    if tags.get("snapshot"):
        links.append(f"snapshot of the data `{tags['snapshot']}`")
    return "\n\n".join([*lines, " · ".join(links)] if links else lines)


def _without_alias(standing: Standing, version: VersionReference) -> str:
    if any(decision.promoted and decision.subject == version for decision in standing.decisions):
        return "It was champion, and another is now." if standing.champion else "It was champion; nobody is now."
    return "It has no alias: it never was champion, and a newer version is the challenger, or none."


def beginning_of(text: str, most: int = _LIMIT) -> str:
    """A card as descriptions hold it: MLflow cuts them anywhere and warns, so whole lines are left out here.

    Args:
        text: Markdown.
        most: characters that MLflow keeps.
    """
    if len(text) <= most:
        return text
    end = most - len(_REST)
    cut = text.rfind("\n", 0, end)
    return text[: cut if cut > 0 else end] + _REST
