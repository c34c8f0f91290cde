"""The settings of one process, typed, read from `QC_*` variables and `.env`: the knobs of the parts put together."""

from collections.abc import Iterator
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as SourcesError

from qc_assets.assets.knobs import AutomationKnobs
from qc_assets.cli.knobs import ServiceKnobs
from qc_assets.clock import now_utc
from qc_assets.critique.knobs import CritiqueKnobs
from qc_assets.errors import SettingsError, masked_urls
from qc_assets.fairness.knobs import FairnessKnobs
from qc_assets.features.knobs import FeatureKnobs
from qc_assets.lake_place import LakePlace
from qc_assets.learning.knobs import LearningKnobs
from qc_assets.origin_rules import origin_rules
from qc_assets.places import settings_files
from qc_assets.registry.knobs import RegistryKnobs
from qc_assets.serving.knobs import ServingKnobs
from qc_assets.shared_database import SharedDatabase, shared_database
from qc_assets.source_traits import SourceTraits, all_traits, traits_of
from qc_assets.sources.demo.knobs import DemoKnobs
from qc_assets.sources.files.knobs import FilesKnobs
from qc_assets.sources.gharchive.knobs import ArchiveKnobs
from qc_assets.sources.github.knobs import GitHubKnobs
from qc_assets.sources.knobs import SourceKnobs
from qc_assets.store.knobs import StoreKnobs

__all__ = ["PARTS", "Settings", "load_settings"]


class Settings(
    SourceKnobs, DemoKnobs, ArchiveKnobs, GitHubKnobs, FilesKnobs, StoreKnobs, FeatureKnobs, LearningKnobs,
    RegistryKnobs, FairnessKnobs, CritiqueKnobs, ServingKnobs, AutomationKnobs, ServiceKnobs, BaseSettings,
):  # fmt: skip
    """The settings of one process. Unknown `QC_*` names in `.env` are ignored; bad values are refused."""

    model_config = SettingsConfigDict(
        env_prefix="QC_",
        env_file=settings_files(),
        extra="ignore",
        validate_default=True,
        populate_by_name=True,
    )

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, masked_urls(value) if isinstance(value, str) else value

    @property
    def traits(self) -> SourceTraits:
        """What the source says of itself."""
        return traits_of(self.source)

    @property
    def forge(self) -> str:
        """Whose activity the source reads."""
        return self.forges[self.source]

    @property
    def forges(self) -> dict[str, str]:
        """Whose activity each source reads by these settings."""
        traits = all_traits()
        return {name: of.forge_from(self) if of.forge_from else of.forge or name for name, of in traits.items()}

    @property
    def first_date(self) -> date:
        """First day that has a partition: QC_START_DATE, else the source's first."""
        first = self.traits.first_day_from
        return first(self) if first else self.start_date or self.traits.first_day

    @property
    def earliest_date(self) -> date:
        """First day that can be loaded, whatever QC_START_DATE says; a made-up world begins with its first day."""
        begins_there = self.is_synthetic or self.traits.first_day_from is not None
        return self.first_date if begins_there else min(self.first_date, self.traits.first_day)

    @cached_property
    def last_date(self) -> date:
        """Last day that has a partition: QC_END_DATE, else the source's last, else yesterday (UTC)."""
        return self.fixed_last_date or now_utc().date() - timedelta(days=1)

    @property
    def fixed_last_date(self) -> date | None:
        """Last day that has a partition; None if every day brings another."""
        return self.end_date or (self.traits.last_day(self) if self.traits.last_day else None)

    def beyond_the_gate(self, url: str) -> str:
        """A URL for whoever does not come through the gate of `qc up`, of one that may be a path behind it."""
        return f"http://{self.host}:{self.api_port}{url}" if url.startswith("/") else url

    @property
    def unusual(self) -> dict[str, str]:
        """What shapes rows and models and is not as it is by default, by variable; no secrets, and no files."""
        parts = (SourceKnobs, DemoKnobs, ArchiveKnobs, GitHubKnobs, FilesKnobs, FeatureKnobs, LearningKnobs)
        changed = {}
        for name, field in {name: field for part in parts for name, field in part.model_fields.items()}.items():
            value = getattr(self, name)
            parts_of_it = value if isinstance(value, tuple) else (value,)
            hidden = any(isinstance(part, SecretStr | Path) for part in parts_of_it)
            if not hidden and value != field.get_default(call_default_factory=False):
                changed[f"QC_{name.upper()}"] = masked_urls(", ".join(map(str, parts_of_it)))
        return changed

    def feature_parameters(self, table: str) -> dict[str, object]:
        """Parameters of the SQL of a feature table, such as ``pull_requests``."""
        seniority = {"seniority_merged": list(self.seniority_merged), "seniority_days": list(self.seniority_days)}
        if table == "pull_requests":
            return {"min_pr_lines": self.min_pr_lines, **seniority, **self.origin_parameters}
        return {**seniority} if table == "issues" else {}

    @property
    def origin_parameters(self) -> dict[str, object]:
        """Parameters of SQL that asks who made a change.

        Raises:
            SettingsError: if QC_ORIGIN_RULES is no such file.
        """
        return origin_rules(self.origin_rules).parameters

    @property
    def machine_parameters(self) -> dict[str, object]:
        """Parameters of the SQL of ops.machine_accounts, logins in lower case."""
        names = [name.lower() for name in self.machine_accounts]
        return {
            "machines": [name for name in names if not name.startswith("-")],
            "people": [name[1:] for name in names if name.startswith("-")],
            "agents": origin_rules(self.origin_rules).machines,
        }

    @property
    def staging(self) -> Path:
        return self.home / "staging"

    @property
    def logs(self) -> Path:
        """Folder of what servers and libraries say."""
        return self.home / "logs"

    @property
    def mlflow_database(self) -> Path:
        """MLflow's store, unless QC_MLFLOW_TRACKING_URI names another."""
        return self.home / "mlflow" / "mlflow.db"

    @property
    def tracking_uri(self) -> str:
        return self.mlflow_tracking_uri or f"sqlite:///{self.mlflow_database}"

    @property
    def signing_secret(self) -> bytes | None:
        """The bytes of QC_SIGNING_KEY."""
        return self.signing_key.get_secret_value().encode() if self.signing_key else None

    @property
    def has_lake(self) -> bool:
        """Whether the warehouse is a lake, which enforces no keys and wants upkeep."""
        return isinstance(self.warehouse, LakePlace)

    @property
    def journal_file(self) -> Path:
        """What `qc serve` writes down, unless QC_JOURNAL names a database; keys and links lie beside it."""
        return self.home / "serving" / "journal.db"

    @property
    def payment_note(self) -> Path:
        """Where the last payment is noted: not beside the journal, or a copy of that folder would put both back."""
        return self.home / "last_payment.json"

    @property
    def journal_place(self) -> Path | SharedDatabase:
        """Where the journal is."""
        return self.shared or self.journal_file

    @property
    def journals(self) -> "tuple[Path | SharedDatabase, ...]":
        """Where the journal is, and the file of before QC_JOURNAL, if there is one."""
        file = self.journal_file
        return (self.shared, *([file] if file.exists() else [])) if self.shared else (file,)

    @property
    def shared(self) -> SharedDatabase | None:
        """The database that all machines share; None if this one is alone."""
        return shared_database(self.journal) if self.journal else None

    @property
    def artifact_root(self) -> Path:
        return self.home / "mlflow" / "artifacts"

    @property
    def embeddings_cache(self) -> Path:
        """Embeddings of every text that was ever embedded."""
        return self.home / "embeddings.db"

    @property
    def critiques_folder(self) -> Path:
        """The exported data set of critiques."""
        return self.home / "export" / "critiques"

    @property
    def is_synthetic(self) -> bool:
        """Whether the source makes its activity up; `forge_records.reads_made_up` asks the forge's record, too."""
        return self.traits.synthetic


PARTS = cast(tuple[type[BaseModel], ...], Settings.__bases__[:-1])
"""The knobs of each part, in the order in which `.env.example` and docs/settings.md are printed."""


def load_settings(**overrides: object) -> Settings:
    """Read the settings, turning pydantic's report into one readable line per bad variable.

    Raises:
        SettingsError: naming each variable, its value and what is allowed.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = [
            f"{_variable(item['loc'])}={_shown(item)!r}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        ]
        raise SettingsError("; ".join(lines) + ". Mend the variable or the line in .env.") from error
    except (OSError, UnicodeError, SourcesError) as error:
        files = ", ".join(str(path) for path in settings_files() if path.exists())
        raise SettingsError(f"{files or 'the settings'}: {error}. Make the file readable, as UTF-8.") from error


def _variable(location: tuple[int | str, ...]) -> str:
    name = "_".join(map(str, location)).upper()
    return name if name.startswith(("QC_", "GITHUB_TOKEN")) else f"QC_{name}"


def _shown(item: Any) -> Any:
    secret = any(
        word in str(part).lower()
        for part in item["loc"]
        for word in ("token", "private_key", "api_key", "secret", "signing_key", "journal", "broker")
    )
    shown = item["input"]
    return "***" if secret else masked_urls(shown) if isinstance(shown, str) else shown
