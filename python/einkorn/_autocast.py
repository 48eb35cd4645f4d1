"""Mixed precision: operations that gain from bfloat16 take it, the others what they are given.

Inside :class:`autocast` matrix products, convolutions, attention and recurrent layers round their float32
inputs to bfloat16, and losses give float32. Parameters stay float32, and so do their gradients. A rounded
parameter is kept until the outermost block ends or the parameter is written.
"""

from __future__ import annotations

import threading
from typing import Any

from einkorn import _bfloat16, _versions
from einkorn._context import Context
from einkorn._device import is_on_gpu
from einkorn._grad_mode import mode
from einkorn.errors import ArgumentError, DTypeError

__all__ = ["FLOAT32", "PRODUCTS", "autocast", "is_autocast_enabled", "lower", "lowered", "state"]

#: Whether any thread is inside a block: what operations look at first.
active = False

#: Operations that give float32 though their inputs are bfloat16, as under ``torch.autocast("cpu")``.
FLOAT32 = frozenset(
    {
        "avg_pool3d",
        "binary_cross_entropy",
        "binary_cross_entropy_with_logits",
        "cdist",
        "cosine_embedding_loss",
        "cross_entropy",
        "crf_log_partition",
        "crf_loss",
        "ctc_loss",
        "grid_sample",
        "hinge_embedding_loss",
        "huber_loss",
        "kl_div",
        "l1_loss",
        "margin_ranking_loss",
        "mse_loss",
        "multi_margin_loss",
        "multilabel_margin_loss",
        "multilabel_soft_margin_loss",
        "nanquantile",
        "nll_loss",
        "poisson_nll_loss",
        "prod",
        "quantile",
        "smooth_l1_loss",
        "soft_margin_loss",
        "trace",
        "triplet_margin_loss",
        "triplet_margin_with_distance_loss",
    }
)

#: Operations made of matrix products that are computed as a whole.
PRODUCTS = frozenset({"addbmm", "addmv", "baddbmm", "bilinear", "einsum", "prelu"})


class _State(threading.local):
    """What holds in this thread: for arrays of the CPU, and for those of GPUs."""

    cpu = False
    cuda = False
    keeps = True  # rounded parameters
    depth = 0

    def __init__(self) -> None:
        self.kept: dict[int, tuple[Any, Any, int, Any]] = {}

    @property
    def enabled(self) -> bool:
        """Whether it holds for any arrays."""
        return self.cpu or self.cuda

    def holds_for(self, x: Any) -> bool:
        """Whether it holds for an array, a Tensor or a tensor of torch."""
        data = getattr(x, "_data", x)
        there = is_on_gpu(data) or str(getattr(data, "device", "")).startswith("cuda")
        return self.cuda if there else self.cpu


state = _State()
_PLACES = ("cpu", "cuda")
_blocks = 0  # in all threads
_lock = threading.Lock()


def is_autocast_enabled(device_type: str = "cpu") -> bool:
    """Whether this thread is inside an enabled :class:`autocast` of that device."""
    return bool(getattr(state, device_type)) if device_type in _PLACES else False


class autocast(Context[None]):  # noqa: N801 - torch's name
    """Mixed precision inside a ``with`` block or a decorated function, as ``torch.autocast``.

    In it ``matmul`` and its kin, ``linear``, convolutions, attention, ``prelu`` and recurrent layers round
    float32 inputs to bfloat16 and give bfloat16; losses, ``prod``, ``quantile``, ``cdist``, ``trace``,
    ``grid_sample`` and ``avg_pool3d`` give float32; everything else computes in the type of its inputs, the
    wider where they differ. All of it is summed up in float32. The backward pass belongs outside.

    Parameters
    ----------
    device_type : "cpu" or "cuda", optional
        Whose arrays are meant. Default: all.
    dtype : dtype, default bfloat16
        The only one, on a GPU too, where torch's default is float16.
    enabled : bool, default True
        False: as if there were no block, also within one.
    cache_enabled : bool, default True
        Whether a rounded parameter is kept until the outermost block ends, or the parameter is written.

    Raises
    ------
    ArgumentError
        For another device.
    DTypeError
        For another type.

    Examples
    --------
    >>> with einkorn.autocast():
    ...     loss = einkorn.ops.cross_entropy(model(x), y)
    >>> loss.backward()
    """

    def __init__(
        self,
        device_type: str | None = None,
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if device_type is not None and device_type not in _PLACES:
            raise ArgumentError(f"autocast: device_type is {device_type!r}, expected 'cpu' or 'cuda'")
        if dtype is not None and not _bfloat16.is_bfloat16(_bfloat16.dtype_of(dtype)):
            raise DTypeError(f"autocast: dtype is {dtype!r}, expected bfloat16")
        for name, value in (("enabled", enabled), ("cache_enabled", cache_enabled)):
            if not isinstance(value, bool) and not (value is None and name == "cache_enabled"):
                raise ArgumentError(f"autocast: {name} is {value!r}, expected True or False")
        self._places = _PLACES if device_type is None else (device_type,)
        self._enabled = enabled
        self._keeps = cache_enabled is None or cache_enabled

    def _enter(self) -> tuple[None, tuple[bool, bool, bool]]:
        global active, _blocks
        before = state.cpu, state.cuda, state.keeps
        for place in self._places:
            setattr(state, place, self._enabled)
        state.keeps = self._keeps
        state.depth += 1
        with _lock:
            _blocks += 1
            active = True
        return None, before

    def _leave(self, before: tuple[bool, bool, bool]) -> None:
        global active, _blocks
        state.cpu, state.cuda, state.keeps = before
        state.depth -= 1
        if state.depth == 0:
            state.kept.clear()
        with _lock:
            _blocks -= 1
            active = _blocks > 0


def lower(*inputs: Any) -> tuple[Any, ...]:
    """The inputs of an operation that takes bfloat16 here: float32 ones rounded, recorded."""
    if not state.enabled:
        return inputs
    return tuple([lowered(x) for x in inputs])


def lowered(x: Any) -> Any:
    """One input of such an operation."""
    if getattr(getattr(x, "dtype", None), "name", None) != "float32" and not _is_torch_float32(x):
        return x
    if not state.holds_for(x):
        return x
    from einkorn.ops import cast

    parameter = getattr(x, "_requires_grad", False) and x._node is None
    if not (parameter and state.keeps and mode.enabled):
        return cast(x, _bfloat16.bfloat16())
    data = x._data
    written = _versions.last_write(data)
    kept = state.kept.get(id(x))
    if kept is not None and kept[0] is x and kept[1] is data and kept[2] == written:
        rounded = kept[3]
        if rounded._node.backward is not None:  # a backward pass has not used its node up
            return rounded
    rounded = cast(x, _bfloat16.bfloat16())
    state.kept[id(x)] = x, data, written, rounded
    return rounded


def _is_torch_float32(x: Any) -> bool:
    return type(x).__module__.partition(".")[0] == "torch" and str(getattr(x, "dtype", "")) == "torch.float32"
