"""Averages of weights, with torch's names: stochastic weight averaging, exponential moving averages."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from einkorn import _bfloat16, _versions, engines
from einkorn._tensor import Tensor
from einkorn.autograd import no_grad
from einkorn.errors import ArgumentError, ShapeError
from einkorn.nn.module import Module
from einkorn.nn.norm import _BatchNorm
from einkorn.optim.lr_scheduler import LRScheduler
from einkorn.optim.optimizer import Optimizer

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

Average = Callable[[Any, Any, Any], Any]
AverageAll = Callable[[list[Any], list[Any], Any], None]


class AveragedModel(Module):
    """A copy of a model whose weights are averages of those that the model had at each ``update_parameters``.

    Stochastic weight averaging (Izmailov et al. 2018) unless a function is given that averages otherwise:
    ``get_ema_multi_avg_fn()`` for an exponential moving average. An update is one launch for all weights.

    Parameters
    ----------
    model : Module
    device : str, optional
        Where the copy lives; default where the model is.
    avg_fn : callable, optional
        ``avg_fn(average, weight, num_averaged)`` gives the new average of one tensor.
    multi_avg_fn : callable, optional
        ``multi_avg_fn(averages, weights, num_averaged)`` writes those of all tensors in place.
    use_buffers : bool, default False
        Whether buffers are averaged too; they are copied otherwise.

    Attributes
    ----------
    module : Module
        The copy.
    n_averaged : int64 array of no dimension
        How many updates there were.

    Raises
    ------
    ArgumentError
        Both functions are given, or ``model`` is no Module.
    """

    module: Module
    n_averaged: np.ndarray

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: AverageAll | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(model, Module):
            raise ArgumentError(f"AveragedModel: model is {type(model).__name__}, expected a Module")
        if avg_fn is not None and multi_avg_fn is not None:
            raise ArgumentError("AveragedModel: avg_fn and multi_avg_fn are both given, expected one of them")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module.to(device=device)
        self.register_buffer("n_averaged", np.zeros((), np.int64))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the model's weights into the averages; the first time, as they are.

        Raises
        ------
        ShapeError
            The model has other parameters than the copy.
        """
        averages, weights = list(self.module.parameters()), list(model.parameters())
        own_buffers, buffers = list(self.module.buffers()), list(model.buffers())
        if self.use_buffers:
            averages, weights = [*averages, *own_buffers], [*weights, *buffers]
        shapes, expected = ([tuple(each.shape) for each in arrays] for arrays in (weights, averages))
        if shapes != expected:
            raise ShapeError(
                f"AveragedModel: update_parameters got tensors of shapes {shapes}, expected {expected}"
            )
        count = int(self.n_averaged)
        with no_grad():
            if count == 0:
                for average, weight in zip(averages, weights, strict=True):
                    _write(average, _data(weight))
            elif self.avg_fn is not None:
                for average, weight in zip(averages, weights, strict=True):
                    _write(average, _data(self.avg_fn(_tensor(average), _tensor(weight), count)))
            else:
                average_all = self.multi_avg_fn or get_swa_multi_avg_fn()
                for some, others in _alike(averages, weights):
                    average_all([_tensor(each) for each in some], [_tensor(each) for each in others], count)
            if not self.use_buffers:
                for own, buffer in zip(own_buffers, buffers, strict=True):
                    _write(own, _data(buffer))
        self.n_averaged[...] = count + 1


def get_ema_multi_avg_fn(decay: float = 0.999) -> AverageAll:
    """What makes an :class:`AveragedModel` an exponential moving average: a = decay * a + (1 - decay) * w.

    Parameters
    ----------
    decay : float, default 0.999

    Raises
    ------
    ArgumentError
        ``decay`` is not between 0 and 1.
    """
    _check_decay(decay, "get_ema_multi_avg_fn")

    def average(averages: list[Any], weights: list[Any], num_averaged: Any) -> None:
        _lerp(averages, weights, 1 - decay)

    return average


def get_swa_multi_avg_fn() -> AverageAll:
    """What makes an :class:`AveragedModel` the mean of all weights, which it is by default."""

    def average(averages: list[Any], weights: list[Any], num_averaged: Any) -> None:
        _lerp(averages, weights, 1 / (int(num_averaged) + 1))

    return average


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """The same as :func:`get_ema_multi_avg_fn` for one tensor at a time."""
    _check_decay(decay, "get_ema_avg_fn")

    def average(averaged: Any, weight: Any, num_averaged: Any) -> Any:
        return decay * averaged + (1 - decay) * weight

    return average


def get_swa_avg_fn() -> Average:
    """The same as :func:`get_swa_multi_avg_fn` for one tensor at a time."""

    def average(averaged: Any, weight: Any, num_averaged: Any) -> Any:
        return averaged + (weight - averaged) / (int(num_averaged) + 1)

    return average


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of a model's batch-norm layers anew, as means over all batches.

    Parameters
    ----------
    loader : iterable
        Batches: inputs, or tuples and lists of which the first is the input.
    model : Module
        Called with each input in training mode; the mode and the layers' momenta come back afterwards.
    device : str, optional
        Where Tensors among the inputs are moved to.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, _BatchNorm)]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    modes = [(module, module.training) for module in model.modules()]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
    model.train()
    try:
        with no_grad():
            for batch in loader:
                x = batch[0] if isinstance(batch, (list, tuple)) else batch
                model(x.to(device=device) if device is not None and isinstance(x, Tensor) else x)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for module, mode in modes:
            module.training = mode


class SWALR(LRScheduler):
    """Goes over from the rates at hand to those of weight averaging, and stays there.

    Parameters
    ----------
    optimizer : Optimizer
    swa_lr : float or list of float
        The last rate, of all groups or of each.
    anneal_epochs : int, default 10
        Epochs that it takes.
    anneal_strategy : str, default "cos"
        "cos" or "linear".
    last_epoch : int, default -1
        The epoch to go on from.

    Raises
    ------
    ArgumentError
        Naming the argument that is none of these.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(f"SWALR: anneal_strategy is {anneal_strategy!r}, expected 'cos' or 'linear'")
        if isinstance(anneal_epochs, bool) or not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ArgumentError(f"SWALR: anneal_epochs is {anneal_epochs!r}, expected an integer >= 0")
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(f"SWALR: optimizer is {type(optimizer).__name__}, expected an Optimizer")
        groups = len(optimizer.param_groups)
        self.swa_lrs = list(swa_lr) if isinstance(swa_lr, (list, tuple)) else [swa_lr] * groups
        if len(self.swa_lrs) != groups:
            raise ArgumentError(f"SWALR: swa_lr has {len(self.swa_lrs)} rates, expected {groups}")
        self.anneal_epochs = anneal_epochs
        self.anneal_strategy = anneal_strategy
        self.optimizer = optimizer
        self.base_lrs = [group["lr"] for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.last_epoch = last_epoch
        self.step()

    def step(self) -> None:
        """Go on to the next epoch from the rates as they are, which another schedule may have set."""
        self.last_epoch += 1
        epoch = max(1, self.last_epoch) if self.anneal_epochs == 0 else self.last_epoch
        before, now = self._share(epoch - 1), self._share(epoch)
        for group, last in zip(self.optimizer.param_groups, self.swa_lrs, strict=True):
            first = last if before == 1 else (group["lr"] - before * last) / (1 - before)
            group["lr"] = last * now + first * (1 - now)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave; the rates themselves are the optimizer's state."""
        self.base_lrs = list(state_dict["base_lrs"])
        self.last_epoch = int(state_dict["last_epoch"])

    def _share(self, epoch: int) -> float:
        """How much of the last rate is in that of an epoch."""
        t = min(1.0, max(0.0, epoch / max(1, self.anneal_epochs)))
        return t if self.anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2


def _check_decay(decay: float, op: str) -> None:
    if isinstance(decay, bool) or not isinstance(decay, (int, float)) or not 0 <= decay <= 1:
        raise ArgumentError(f"{op}: decay is {decay!r}, expected a number from 0 to 1")


def _data(value: Any) -> Any:
    return value._data if isinstance(value, Tensor) else value


def _tensor(value: Any) -> Any:
    """A Tensor over the memory of a parameter or a buffer, outside every graph."""
    return Tensor(_data(value))


def _write(target: Any, values: Any) -> None:
    array = _data(target)
    array[...] = values
    _versions.wrote(array)


def _alike(averages: list[Any], weights: list[Any]) -> list[tuple[list[Any], list[Any]]]:
    """Both lists in parts of one type each."""
    parts: dict[Any, tuple[list[Any], list[Any]]] = {}
    for average, weight in zip(averages, weights, strict=True):
        some, others = parts.setdefault(_data(average).dtype, ([], []))
        some.append(average)
        others.append(weight)
    return list(parts.values())


def _lerp(averages: list[Any], weights: list[Any], share: float) -> None:
    """Move the averages that share of the way to the weights, in place."""
    arrays, others = [_data(each) for each in averages], [_data(each) for each in weights]
    if arrays[0].dtype.kind == "V":  # bfloat16
        wide = [_bfloat16.widen(a) for a in arrays]
        engines.of(wide[0]).lerp_step(wide, [_bfloat16.astype(b, wide[0].dtype) for b in others], share)
        for array, average in zip(arrays, wide, strict=True):
            _bfloat16.copy(array, average)
    elif arrays[0].dtype.kind == "f":
        others = [b.astype(a.dtype, order="C", copy=False) for a, b in zip(arrays, others, strict=True)]
        engines.of(arrays[0]).lerp_step(arrays, others, share)
    else:  # counts, rounded towards zero
        for array, other in zip(arrays, others, strict=True):
            array[...] = (array + (other - array) * share).astype(array.dtype)
    _versions.wrote(*arrays)
