"""What a file of a whole model holds beside its weights: how it is made, and how far its training got."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from einkorn._objects import described, made
from einkorn.errors import ArgumentError, CheckpointError, EinkornError

__all__ = ["PREFIX", "compile_as", "description_of", "model_from", "training_of", "wake"]

PREFIX = "__optimizer__"  # of the names of the optimizer's arrays


def description_of(model: Any) -> tuple[str, Any]:
    """The name of a kind of models, and what makes this one.

    Raises
    ------
    CheckpointError
        It is of no registered class, or has a part that no file could hold.
    """
    from einkorn import models, nn

    name = models.name_of(model)
    try:
        if name is not None:
            return name, models.config_of(model)
        if hasattr(model, "get_build_config"):
            return "keras", {**described(model), "build_config": model.get_build_config()}
        if type(model).__name__ in nn.__all__:
            return "nn", described(model)
    except ArgumentError as error:
        raise CheckpointError(
            f"save: {type(model).__name__} cannot be written whole: {error}; save_weights keeps the weights"
        ) from error
    raise CheckpointError(
        f"save: {type(model).__name__} is no registered model ({', '.join(models.names())}), so load could "
        "not rebuild it: decorate its class with einkorn.models.register, or use save_weights"
    )


def model_from(name: str, config: Any) -> Any:
    """And back; the weights are not those of the file yet."""
    from einkorn import models

    if name not in ("keras", "nn"):
        return models.build(name, **config)
    build = config.pop("build_config", None)
    model = made(config)
    if name == "keras" and hasattr(model, "modules"):
        wake(model, build)
    return model


def wake(model: Any, build: Any) -> None:
    """Make the weights of a model that gets them from its first rows."""
    from einkorn.keras._base import built
    from einkorn.training.modes import evaluating

    if built(model) or not build:
        return

    def zeros(part: Any) -> Any:
        if isinstance(part, list):
            return [zeros(one) for one in part]
        if isinstance(part, Mapping) and "shape" in part and "dtype" in part:
            sizes = [1, *part["shape"][1:]] if part["shape"] else []
            return np.zeros([int(size) for size in sizes], str(part["dtype"]))
        if isinstance(part, Mapping):
            return {key: zeros(one) for key, one in part.items()}
        return part

    with evaluating(model), np.errstate(all="ignore"):
        model(*[zeros(part) for part in build])


# --- the training ---------------------------------------------------------------------------------


def training_of(model: Any, arrays: dict[str, np.ndarray]) -> str | None:
    """What ``compile`` was given and the optimizer's state as JSON; its arrays are added to ``arrays``.

    None for a model that was not compiled, or, with a warning, with functions that have no names.
    """
    from einkorn.training.snapshot import packed
    from einkorn.training.state import state_of

    state = state_of(model)
    given = model.__dict__.get("_compiled_with") or state.recipe
    if not given:
        return None
    try:
        recipe = {
            key: _optimizer(value, model) if key == "optimizer" else described(value)
            for key, value in given.items()
        }
    except ArgumentError as error:
        warnings.warn(
            f"save: the model is written without what compile was given, because {error}: compile it again "
            "after loading",
            UserWarning,
            stacklevel=4,
        )
        return None
    own: dict[str, np.ndarray] = {}
    kept = None if state.optimizer is None else packed(state.optimizer.state_dict(), own, PREFIX)
    arrays.update(own)
    return json.dumps({"compile": recipe, "state": kept})


def _optimizer(value: Any, model: Any) -> Any:
    from einkorn import optim

    kind = value if isinstance(value, type) else type(value)
    if not issubclass(kind, optim.Optimizer):
        return described(value)
    if kind.__name__ not in optim.__all__ or getattr(optim, kind.__name__) is not kind:
        raise ArgumentError(f"{kind.__name__} is no optimizer of einkorn.optim")
    if isinstance(value, optim.Optimizer):
        mine = [id(parameter) for parameter in model.parameters()]
        if len(value.param_groups) != 1 or [id(one) for one in value.param_groups[0]["params"]] != mine:
            raise ArgumentError("the optimizer has parameters in another order than the model, or in groups")
    return {"module": "einkorn.optim", "class_name": kind.__name__, "config": {}}


def compile_as(model: Any, text: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Compile a model as it was compiled when it was saved, and give the optimizer its state.

    Raises
    ------
    ArgumentError
        A name is unknown, or the state does not fit.
    """
    from einkorn.training.snapshot import unpacked
    from einkorn.training.state import state_of

    kept = json.loads(text)
    recipe = dict(kept["compile"])
    optimizer = recipe.pop("optimizer")
    given = {key: made(value) for key, value in recipe.items()}
    if isinstance(optimizer, Mapping) and optimizer.get("module") == "einkorn.optim":
        given["optimizer"] = _made_optimizer(str(optimizer["class_name"]), model, kept["state"])
    else:
        given["optimizer"] = made(optimizer)
    model.compile(**given)
    state = state_of(model)
    if kept["state"] is not None and state.optimizer is not None:
        state.optimizer.load_state_dict(unpacked(kept["state"], arrays))


def _made_optimizer(name: str, model: Any, state: Any) -> Any:
    from einkorn import optim

    kind = getattr(optim, name) if name in optim.__all__ else None
    if not isinstance(kind, type) or not issubclass(kind, optim.Optimizer):
        raise ArgumentError(f"einkorn.optim has no optimizer {name!r}")
    return kind(model.parameters(), lr=float(state["param_groups"][0]["lr"]))  # type: ignore[call-arg]


# What a file of somebody else's may bring about while a model is made of it.
REFUSALS = (
    EinkornError,
    TypeError,
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
)
