"""Settings of the GitHub source: who asks, how patiently, in what batches, and what discovery looks for."""

from pydantic import AliasChoices, BaseModel, Field, SecretStr

from qc_assets.knob_types import Names, RepositoryNames, Secrets


class GitHubKnobs(BaseModel):
    """The GitHub API."""

    github_tokens: Secrets = Field(
        (),
        description="Tokens, comma-separated; each has a budget of its own. GITHUB_TOKEN is read, too.",
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
    github_deadline_s: float = Field(120.0, gt=0, description="Seconds an answer may take in all, however it drips.")
    github_max_answer_bytes: int = Field(2**26, ge=1024, description="Bytes an answer may have, decompressed.")
    github_tries: int = Field(3, ge=1, description="Tries of a request with transient trouble.")
    github_first_wait_s: float = Field(1.0, ge=0, description="Seconds before the second try, doubled for each more.")
    batch_size: int = Field(40, ge=1, description="Repositories in a batch.")
    batch_retry_s: float = Field(3600.0, ge=0, description="Seconds after which what failed is tried once more.")
    github_accepted_gaps: RepositoryNames = Field(
        (), description="Repositories (owner/name) whose days are done although GitHub hides items of them."
    )
    github_files: bool = Field(
        False,
        description="Read the files that each pull request changed when it was opened: one more request each, once.",
    )
    revisit_open_days: int = Field(7, ge=1, description="Open pull requests are read again after so many days.")
    revisit_closed_days: int = Field(30, ge=0, description="Closed ones are read again weekly for so many days.")
    max_diff_bytes: int = Field(1_000_000, ge=1, description="Longer diffs are not read.")
    discovery_repos: int = Field(2_000, ge=1, description="Repositories that discovery keeps.")
    discovery_languages: Names = Field(
        ("Python", "TypeScript", "JavaScript", "Go", "Rust", "Java", "C++", "C#"),
        description="Languages that discovery looks at, comma-separated.",
    )
    discovery_min_stars: int = Field(500, ge=0, description="Fewest stars of a discovered repository.")
    discovery_pushed_days: int = Field(30, ge=1, description="Days within which it was pushed to.")
    discovery_min_merged: int = Field(20, ge=0, description="Pull requests merged in it in the last 90 days.")
