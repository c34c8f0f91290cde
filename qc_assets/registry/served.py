"""The MLflow model, logged as code: MLflow runs this file when it loads a version, so nothing is pickled."""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import polars as pl

from qc_assets.learning.bundle import Bundle, answers_for_mlflow


class BundleModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # mlflow has no types
    """Answers a frame of feature columns with calibrated probabilities, or a frame of other answers."""

    def load_context(self, context: Any) -> None:
        self.bundle = Bundle.load(Path(context.artifacts["bundle"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> Any:
        return answers_for_mlflow(self.bundle, self.bundle.predict(pl.from_pandas(model_input)))


mlflow.models.set_model(BundleModel())
