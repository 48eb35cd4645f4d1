"""LoRA: learn a product of two thin matrices beside each frozen one (Hu et al. 2022)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError, CheckpointError
from einkorn.nn import Dropout, Linear, Module, init

__all__ = ["LoRALinear", "add_lora", "load_lora", "lora_state", "merge_lora"]


class LoRALinear(Module):
    """A frozen linear layer and ``alpha / rank * B A`` beside it, which begins as 0.

    Parameters
    ----------
    base : Linear
        Its parameters no longer learn.
    rank : int, default 8
    alpha : float, default 16.0
    dropout : float, default 0.0
        Of what A sees.
    """

    def __init__(self, base: Linear, rank: int = 8, alpha: float = 16.0, dropout: float = 0.0) -> None:
        super().__init__()
        if isinstance(rank, bool) or not isinstance(rank, (int, np.integer)) or rank < 1:
            raise ArgumentError(f"LoRALinear: rank is {rank!r}, expected a positive int")
        if not math.isfinite(alpha):
            raise ArgumentError(f"LoRALinear: alpha is {alpha!r}, expected a finite number")
        self.base, self.scale = base, float(alpha) / rank
        for parameter in base.parameters():
            parameter.requires_grad = False
        self.lora_A = Linear(base.in_features, int(rank), bias=False)
        self.lora_B = Linear(int(rank), base.out_features, bias=False)
        self.dropout = Dropout(dropout)
        init.kaiming_uniform_(self.lora_A.weight, a=math.sqrt(5))
        init.zeros_(self.lora_B.weight)

    def forward(self, x: Any) -> Any:
        return self.base(x) + self.lora_B(self.lora_A(self.dropout(x))) * self.scale

    def merged(self) -> Linear:
        """The plain layer with the product added to its matrix."""
        product = np.asarray(ops.matmul(self.lora_B.weight.data, self.lora_A.weight.data))
        self.base.weight.data[...] += self.scale * product
        for parameter in self.base.parameters():
            parameter.requires_grad = True
        return self.base


def add_lora(
    model: Module,
    rank: int = 8,
    alpha: float = 16.0,
    *,
    targets: str | Sequence[str] = r"(c_attn|q_proj|v_proj|linear_q|linear_v|query|value|\bq|\bv)$",
    dropout: float = 0.0,
) -> list[str]:
    """Freeze a model and put adapters beside some of its linear layers.

    Parameters
    ----------
    model : Module
        Changed in place; of its parameters the adapters' alone learn from now on.
    rank : int, default 8
    alpha : float, default 16.0
    targets : str or list of str, keyword-only
        A regular expression of layers' names, or the last parts of some; default: queries and values.
    dropout : float, keyword-only, default 0.0

    Returns
    -------
    list of str
        The layers that have adapters now.

    Raises
    ------
    ArgumentError
        No linear layer's name fits, or the model has adapters already.
    """
    layers = dict(model.named_modules())
    if any(isinstance(layer, LoRALinear) for layer in layers.values()):
        raise ArgumentError("add_lora: the model has adapters already")
    several = "" if isinstance(targets, str) else "|".join(map(re.escape, targets))
    pattern = targets if isinstance(targets, str) else rf"(?:^|\.)(?:{several})$"
    try:
        fits = re.compile(pattern).search
    except re.error as error:
        raise ArgumentError(f"add_lora: targets is {targets!r}, no regular expression: {error}") from None
    chosen = [n for n, layer in layers.items() if type(layer) is Linear and fits(n)]
    if not chosen:
        raise ArgumentError(f"add_lora: targets is {targets!r}, which fits no linear layer's name")
    for parameter in model.parameters():
        parameter.requires_grad = False
    for name in chosen:
        base: Any = layers[name]
        _put(layers, name, LoRALinear(base, rank, alpha, dropout))
    return chosen


def merge_lora(model: Module) -> Module:
    """Add all adapters to their layers' matrices and take them away; all parameters learn again.

    The model can be saved as any other then, and costs no more than before.
    """
    layers = dict(model.named_modules())
    for name, layer in layers.items():
        if isinstance(layer, LoRALinear):
            _put(layers, name, layer.merged())
    for parameter in model.parameters():
        parameter.requires_grad = True
    return model


def lora_state(model: Module) -> dict[str, Any]:
    """The adapters' arrays by their names: a small file for ``einkorn.save``."""
    return {name: array for name, array in model.state_dict().items() if ".lora_" in name}


def load_lora(model: Module, state: Mapping[str, Any]) -> None:
    """Put arrays of :func:`lora_state` into a model whose adapters are of the same places and ranks.

    Raises
    ------
    CheckpointError
        A name or a shape does not fit.
    """
    own = lora_state(model)
    if set(own) != set(state):
        odd = sorted(set(own) ^ set(state))[0]
        where = "the state" if odd in own else "the model"
        raise CheckpointError(f"load_lora: {where} lacks {odd}")
    for name, array in state.items():
        if tuple(array.shape) != tuple(own[name].shape):
            raise CheckpointError(f"load_lora: {name} has shape {array.shape}, expected {own[name].shape}")
    model.load_state_dict(dict(state), strict=False)


def _put(layers: Mapping[str, Module], name: str, layer: Module) -> None:
    home, _, own = name.rpartition(".")
    setattr(layers[home], own, layer)
