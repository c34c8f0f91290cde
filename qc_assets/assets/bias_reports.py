"""Bias reports as assets: after a training, one for each attribute of the newest version that passed its gates."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from qc_assets import pages, progress
from qc_assets.assets import tables
from qc_assets.assets.partitions import NOTHING_MADE
from qc_assets.assets.resources import RegistryResource, WarehouseResource
from qc_assets.errors import FairnessError, TrainingError
from qc_assets.learning.spec import ModelSpec
from qc_assets.models.specs import SPECS
from qc_assets.settings import Settings
from qc_assets.store.forge_records import reads_made_up

if TYPE_CHECKING:
    from qc_assets.fairness.audit import Audit

CHECK = "groups_are_treated_alike"


def bias_reports_of(spec: ModelSpec) -> list[str]:
    """Names of a model's bias reports, as `tables.key` takes them."""
    return [_name(spec, attribute) for attribute in spec.sensitive]


def fairness_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """MODEL_bias_by_ATTRIBUTE for every model and its sensitive attributes."""
    return [_bias_asset(spec, settings) for spec in SPECS]


def _name(spec: ModelSpec, attribute: str) -> str:
    return f"models.{spec.name}.bias_by_{attribute}"


def _key(spec: ModelSpec, attribute: str) -> dg.AssetKey:
    return tables.key(_name(spec, attribute))


def _bias_asset(spec: ModelSpec, settings: Settings) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=f"bias_{spec.name}",
        specs=[
            dg.AssetSpec(
                _key(spec, attribute),
                description=f"Who {spec.name} treats differently, by {attribute.replace('_', ' ')}: by how much, how "
                "sure that is, what would help, and at what cost. Rows are in reports.bias and "
                "reports.bias_mitigation.",
                group_name=tables.group_name("fairness"),
                owners=tables.OWNERS,
                kinds={"duckdb", "mlflow"},
                deps=[tables.key(f"models.{spec.name}")],
            )
            for attribute in spec.sensitive
        ],
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=_key(spec, attribute),
                blocking=settings.bias_blocks,
                description="No group has a large, supported and significant gap. "
                + ("A flag stops what follows." if settings.bias_blocks else "Only warns."),
            )
            for attribute in spec.sensitive
        ],
    )
    def compute(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, registry: RegistryResource
    ) -> Iterator[dg.MaterializeResult]:
        from qc_assets.fairness import report
        from qc_assets.fairness.audit import audit_groups, record_audits
        from qc_assets.fairness.subject import load_subject

        store, models = warehouse.open(), registry.open()
        audits: dict[str, Audit] = {}
        problems: dict[str, str] = {}
        run_id = ""
        tell = progress.logged(context.log.info, every_s=10)
        try:
            subject = load_subject(store, models, spec, is_synthetic=reads_made_up(store, settings))
        except (FairnessError, TrainingError) as error:
            subject, problems = None, dict.fromkeys(spec.sensitive, str(error))
        except Exception as error:  # one model's trouble does not cost the others what follows
            context.log.exception("no bias report of %s can be made", spec.name)
            subject, problems = None, dict.fromkeys(spec.sensitive, f"{type(error).__name__}: {error}")
        for attribute in spec.sensitive if subject is not None else ():
            assert subject is not None
            run_id = subject.mlflow_run_id
            try:
                audits[attribute] = audit_groups(subject, attribute, settings, progress=tell)
            except (FairnessError, TrainingError) as error:  # one report that cannot be made stops no other
                problems[attribute] = str(error)
            except Exception as error:
                context.log.exception("the bias report of %s by %s cannot be made", spec.name, attribute)
                problems[attribute] = f"{type(error).__name__}: {error}"
        link: dict[str, Any] = {}
        if audits:
            record_audits(store, list(audits.values()))
            experiment = models.attach(run_id, {"bias.html": report.bias_page(list(audits.values()))})
            link = {"report": tables.link("bias.html", f"{registry.run_url(experiment, run_id)}/artifacts/bias.html")}
        for attribute in spec.sensitive:
            yield _result(spec, attribute, audits.get(attribute), problems.get(attribute), link, settings)

    return compute


def _result(
    spec: ModelSpec,
    attribute: str,
    audit: "Audit | None",
    problem: str | None,
    link: dict[str, Any],
    settings: Settings,
) -> dg.MaterializeResult:
    key = _key(spec, attribute)
    severity = dg.AssetCheckSeverity.ERROR if settings.bias_blocks else dg.AssetCheckSeverity.WARN
    if audit is None:
        detail = problem or "no version has passed its gates yet, and a rejected one accuses nobody"
        metadata: dict[str, Any] = {NOTHING_MADE: detail}
    else:
        from qc_assets.fairness import report

        detail = report.audit_summary(audit)
        flags = audit.analysis.flags
        metadata = {
            "in short": detail,
            **{name: tables.png_metadata(image) for name, image in audit.pictures.items()},
            "version": audit.version,
            "flagged groups": flags["group"].n_unique() if len(flags) else 0,
            "summary": dg.MetadataValue.md(pages.fenced(report.BiasReport.generate_audit_report(audit))),
            **link,
        }
    passed = problem is None and (audit is None or audit.analysis.flags.is_empty())
    return dg.MaterializeResult(
        asset_key=key,
        metadata=metadata,
        check_results=[
            dg.AssetCheckResult(
                asset_key=key, check_name=CHECK, passed=passed, severity=severity, metadata={"detail": detail}
            )
        ],
    )
