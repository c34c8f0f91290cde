"""The MLflow model, logged as code: MLflow runs this file when it loads a version, so nothing is pickled."""

import os
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import polars as pl

from qc_assets.learning.bundle import Bundle, answers_for_mlflow
from qc_assets.learning.manifest import Expected


class BundleModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # mlflow has no types
    """Answers a frame of feature columns with calibrated probabilities, or a frame of other answers."""

    def load_context(self, context: Any) -> None:
        key = os.environ.get("QC_SIGNING_KEY")
        self.bundle = Bundle.load(Path(context.artifacts["bundle"]), Expected(key=key.encode() if key else None))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> Any:
        return answers_for_mlflow(self.bundle, self.bundle.predict(pl.from_pandas(model_input)))


mlflow.models.set_model(BundleModel())
