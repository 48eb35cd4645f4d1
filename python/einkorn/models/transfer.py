"""Transfer learning: features of trained networks, frozen layers, rates that fall with the depth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from einkorn.errors import ArgumentError
from einkorn.nn import Module
from einkorn.ops._options import number

__all__ = ["discriminative_rates", "extract_features", "freeze", "stages", "unfreeze"]


def stages(model: Module) -> list[tuple[str, Module]]:
    """The parts of a model with parameters, from the input on: its own layers, and those within ``features``.

    Parameters
    ----------
    model : Module

    Returns
    -------
    list of (name, Module)
    """
    found: list[tuple[str, Module]] = []
    for name, child in model.named_children():
        inner = list(child.named_children()) if name in ("features", "backbone") else []
        found += [(f"{name}.{each}", part) for each, part in inner] or [(name, child)]
    return [(name, part) for name, part in found if next(part.parameters(), None) is not None]


def _until(model: Module, last: str | None, op: str) -> Iterator[tuple[Module, bool]]:
    """Each stage, and whether it stands before or at ``last``."""
    parts = stages(model)
    names = [name for name, _ in parts]
    if last is None:
        end = len(parts) - 1  # all but the last one
    else:
        matching = [at for at, name in enumerate(names) if name == last or name.startswith(f"{last}.")]
        if not matching:
            raise ArgumentError(f"{op}: until is {last!r}, expected one of {', '.join(names)}")
        end = matching[-1] + 1
    for at, (_, part) in enumerate(parts):
        yield part, at < end


def freeze(model: Module, until: str | None = None) -> Module:
    """Keep the first stages as they are: no gradients, and evaluation mode, so that batch norm keeps its
    statistics.

    ``fit`` leaves them in that mode; ``model.train()`` takes it away, and is to be followed by another
    ``freeze``.

    Parameters
    ----------
    model : Module
    until : str, optional
        The last stage to freeze, one of :func:`stages`; None: all but the last stage, which for networks of
        ``einkorn.models`` is the layer that gives the scores.

    Returns
    -------
    Module
        The model.

    Raises
    ------
    ArgumentError
        There is no such stage.
    """
    for part, frozen in list(_until(model, until, "freeze")):
        if frozen:
            part.requires_grad_(False)
            part.eval()
    return model


def unfreeze(model: Module) -> Module:
    """Let all parameters learn again, in the mode the model is in; returns the model."""
    model.requires_grad_(True)
    return model.train(model.training)


def discriminative_rates(model: Module, lr: float, factor: float = 0.1) -> list[dict[str, Any]]:
    """Parameter groups for an optimizer whose rates fall from the last stage to the first (Howard and Ruder
    2018).

    Parameters
    ----------
    model : Module
        Frozen parameters are left out.
    lr : float
        Of the last stage.
    factor : float, default 0.1
        Between a stage and the next one; at most 1.

    Returns
    -------
    list of dict
        "params" and "lr", as optimizers take them: ``optim.SGD(discriminative_rates(model, 0.01), lr=0.01)``.

    Raises
    ------
    ArgumentError
        The factor is not above 0 and at most 1, or nothing learns.
    """
    lr, factor = (number("discriminative_rates", k, v) for k, v in (("lr", lr), ("factor", factor)))
    if not 0 <= lr < float("inf"):
        raise ArgumentError(f"discriminative_rates: lr is {lr!r}, expected a number from 0")
    if not 0 < factor <= 1:
        raise ArgumentError(f"discriminative_rates: factor is {factor!r}, expected above 0 and at most 1")
    groups = []
    for depth, (_, part) in enumerate(reversed(stages(model))):
        learning = [parameter for parameter in part.parameters() if parameter.requires_grad]
        if learning:
            groups.append({"params": learning, "lr": lr * factor**depth})
    if not groups:
        raise ArgumentError("discriminative_rates: no parameter of the model learns, expected at least one")
    return groups[::-1]


def extract_features(model: Module, x: Any, layer: str | None = None, *, batch_size: int = 256) -> np.ndarray:
    """What a layer is given, for each row of x: the features that another model may learn from.

    Parameters
    ----------
    model : Module
    x : array [n, ...]
        As for ``predict``.
    layer : str, optional
        Its path; None: the layer of a network of ``einkorn.models`` that gives the scores.
    batch_size : int, keyword-only, default 256

    Returns
    -------
    array [n, ...]

    Raises
    ------
    ArgumentError
        There is no such layer, or it was not called.
    """
    name = layer if layer is not None else getattr(model, "head", None)
    found = dict(model.named_modules()).get(name) if name else None
    if found is None:
        raise ArgumentError(
            f"extract_features: layer is {layer!r}, expected the path of a layer of the model"
        )
    seen: list[np.ndarray] = []
    handle = found.register_forward_pre_hook(lambda module, args: seen.append(np.array(args[0].numpy())))
    try:
        model.predict(x, batch_size=batch_size)
    finally:
        handle.remove()
    if not seen:
        raise ArgumentError(f"extract_features: {name} was not called by the model")
    return np.concatenate(seen)
