"""Files of scikit-learn objects: only types that our own candidates are made of are loaded."""

import importlib
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from qc_assets.errors import QcError

# Not "whatever scikit-learn, numpy or scipy has": numpy.testing.runstring is of numpy, too, and runs what it is given.
_TYPES = {
    "ObjectNode": {
        "sklearn.ensemble._forest.RandomForestClassifier",
        "sklearn.ensemble._forest.RandomForestRegressor",
        "sklearn.feature_extraction.text.TfidfTransformer",
        "sklearn.feature_extraction.text.TfidfVectorizer",
        "sklearn.impute._base.MissingIndicator",
        "sklearn.impute._base.SimpleImputer",
        "sklearn.kernel_approximation.Nystroem",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.linear_model._ridge.Ridge",
        "sklearn.linear_model._stochastic_gradient.SGDRegressor",
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.QuantileTransformer",
        "sklearn.preprocessing._data.StandardScaler",
        "sklearn.tree._classes.DecisionTreeClassifier",
        "sklearn.tree._classes.DecisionTreeRegressor",
    },
    "TreeNode": {"sklearn.tree._tree.Tree"},
    "NdArrayNode": {"numpy.ndarray", "numpy.bool", "numpy.float32", "numpy.float64", "numpy.int32", "numpy.int64"},
    "DTypeNode": {"numpy.dtype"},
    "TypeNode": {
        "builtins.bool", "builtins.float", "builtins.int", "builtins.str",
        "numpy.float32", "numpy.float64", "numpy.int32", "numpy.int64",
    },
    "JsonNode": {"builtins.bool", "builtins.float", "builtins.int", "builtins.str", "builtins.NoneType"},
    "DictNode": {"builtins.dict"},
    "ListNode": {"builtins.list"},
    "TupleNode": {"builtins.tuple"},
}  # fmt: skip


_TRUST_LISTS = "skops.io._trusted_types"


def skops_io() -> ModuleType:
    """`skops.io`, without the lists of types that it would trust by itself.

    To write these, skops imports every module of scikit-learn (and torch with them) and looks for each function of
    scipy in every module that there is, which takes as long as a small training. `load_skops` says what is trusted;
    with empty lists nothing else is. A skops that cannot do without them gets them.
    """
    if "skops.io" not in sys.modules and _TRUST_LISTS not in sys.modules:
        empty: Any = ModuleType(_TRUST_LISTS)
        empty.__getattr__ = lambda name: []
        sys.modules[_TRUST_LISTS] = empty
        try:
            importlib.import_module("skops.io")
        except (ImportError, TypeError):  # what is imported here is not as it was: below it is imported as it wants
            for name in [name for name in sys.modules if name.startswith("skops.io")]:
                del sys.modules[name]
        sys.modules.pop(_TRUST_LISTS, None)
    return importlib.import_module("skops.io")


def load_skops(file: Path) -> Any:
    """The object in a skops file.

    Raises:
        QcError: if the file has anything that no candidate of ours is made of, or is no skops file.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            schema = json.loads(archive.read("schema.json"))
        nodes = set(_nodes(schema))
    except (zipfile.BadZipFile, OSError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise QcError(f"{file} is no skops file ({type(error).__name__}), so it is not loaded") from error
    foreign = sorted({name for kind, name in nodes if name not in _TYPES.get(kind, ())})
    if foreign:
        raise QcError(f"{file} holds {', '.join(foreign)}: no model of ours has such a thing, so it is not loaded")
    return skops_io().load(file, trusted=sorted({name for _, name in nodes}))


def _nodes(schema: Any) -> Iterator[tuple[str, str]]:
    """Loader and type of everything in a schema; what names one without the other is foreign by that."""
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if {"__loader__", "__module__", "__class__"} & node.keys():
                yield str(node.get("__loader__")), f"{node.get('__module__')}.{node.get('__class__')}"
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
