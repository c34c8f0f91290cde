"""Settings of critiques: what is mined and kept, the language model that may summarize it, and the one to tune."""

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator


class CritiqueKnobs(BaseModel):
    """Critiques."""

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

    @field_validator("llm_model", "llm_price_in", "llm_price_out")
    @classmethod
    def _whole_endpoint(cls, value: object, info: ValidationInfo) -> object:
        if value is None and info.data.get("llm_api_key") is not None:
            raise ValueError("QC_LLM_API_KEY needs it: without model and prices (0 if it is free) no ceiling holds")
        return value
