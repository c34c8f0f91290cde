"""The MLflow model, logged as code: MLflow runs this file when it loads a version, so nothing is pickled."""

from pathlib import Path
from typing import Any

import mlflow
import polars as pl

from qc_assets.models.bundle import Bundle


class BundleModel(mlflow.pyfunc.PythonModel):
    """Answers a frame of feature columns with calibrated probabilities."""

    def load_context(self, context: Any) -> None:
        self.bundle = Bundle.load(Path(context.artifacts["bundle"]))

    # MLflow would take hints here for a schema of its own.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        return self.bundle.predict(pl.from_pandas(model_input))


mlflow.models.set_model(BundleModel())
