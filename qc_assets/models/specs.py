"""All models, in the order in which they are shown: each file beside this one that has a `SPEC` is a model."""

import importlib
import pkgutil
from types import ModuleType

from qc_assets import models
from qc_assets.learning.spec import ModelSpec


def specs_of(package: ModuleType) -> tuple[ModelSpec, ...]:
    """The `SPEC` of every module of a package that has one, by `order`, then name.

    Raises:
        ValueError: if a model's name is not that of its file, by which people look for it.
    """
    specs = []
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if module.name == __name__:
            continue
        spec = getattr(importlib.import_module(module.name), "SPEC", None)
        if spec is None:
            continue
        if spec.name != module.name.rpartition(".")[2]:
            raise ValueError(f"{module.name} has the model {spec.name}: file and model must have the same name")
        specs.append(spec)
    return tuple(sorted(specs, key=lambda spec: (spec.order, spec.name)))


SPECS: tuple[ModelSpec, ...] = specs_of(models)
