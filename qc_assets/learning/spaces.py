"""Where Optuna looks for the parameters of each kind of estimator."""

from typing import TYPE_CHECKING

from qc_assets.learning.spec import Parameters

if TYPE_CHECKING:
    import optuna

# Errors of more than one log hour count by their size, not by its square.
HUBER: Parameters = {"objective": "huber", "alpha": 1.0}


def blend(trial: "optuna.Trial") -> Parameters:
    """A logistic regression, a random forest of fixed size and boosted trees."""
    return {
        "logistic": {"C": trial.suggest_float("C", 1e-3, 1.0, log=True)},
        "random_forest": {
            "n_estimators": 100,
            "max_depth": 12,
            "min_samples_leaf": trial.suggest_int("min_samples_leaf", 5, 100, log=True),
            "max_features": trial.suggest_float("max_features", 0.15, 0.8),
        },
        "lightgbm": {
            "n_estimators": trial.suggest_int("n_estimators", 50, 400, log=True),
            "learning_rate": 0.04,
            "num_leaves": trial.suggest_int("num_leaves", 4, 31, log=True),
            "min_child_samples": trial.suggest_int("min_child_samples", 10, 200, log=True),
            "reg_lambda": 10.0,
            "colsample_bytree": 0.5,
        },
    }


def forest_of_medians(trial: "optuna.Trial") -> Parameters:
    """A random forest for regression, which costs more a tree."""
    return {
        "n_estimators": 80,
        "max_depth": trial.suggest_int("max_depth", 4, 14),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 10, 100, log=True),
        "max_features": trial.suggest_float("max_features", 0.15, 0.5),
    }


def robust_lightgbm(trial: "optuna.Trial") -> Parameters:
    """LightGBM by Huber's loss: a mean that outliers hardly move, where a median would be the horizon for most rows."""
    return lightgbm(trial) | HUBER


def linear(trial: "optuna.Trial") -> Parameters:
    """Ridge regression."""
    return {"alpha": trial.suggest_float("alpha", 0.1, 1e4, log=True)}


def svm(trial: "optuna.Trial") -> Parameters:
    """Support vector regression on a Nystroem kernel."""
    return {
        "n_components": 100,
        "gamma": trial.suggest_float("gamma", 1e-3, 0.1, log=True),
        "alpha": trial.suggest_float("alpha", 1e-6, 1e-2, log=True),
        "epsilon": trial.suggest_float("epsilon", 0.01, 0.5, log=True),
    }


def lightgbm(trial: "optuna.Trial") -> Parameters:
    """Gradient-boosted trees that grow by leaves."""
    return {
        "n_estimators": trial.suggest_int("n_estimators", 50, 600, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.2, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 4, 63, log=True),
        "min_child_samples": trial.suggest_int("min_child_samples", 10, 200, log=True),
        "reg_lambda": trial.suggest_float("reg_lambda", 1e-2, 100, log=True),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
    }


def xgboost(trial: "optuna.Trial") -> Parameters:
    """Gradient-boosted trees that grow by depth."""
    return {
        "n_estimators": trial.suggest_int("n_estimators", 50, 500, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.2, log=True),
        "max_depth": trial.suggest_int("max_depth", 2, 8),
        "min_child_weight": trial.suggest_float("min_child_weight", 1, 50, log=True),
        "reg_lambda": trial.suggest_float("reg_lambda", 1e-2, 100, log=True),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
    }


def linear_text(trial: "optuna.Trial") -> Parameters:
    """Logistic regression over views of a text."""
    return {"C": trial.suggest_float("C", 0.1, 20, log=True)}
