"""What ``fit``, ``evaluate`` and ``predict`` accept as data, brought into batches of arrays."""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from einkorn._autocast import autocast, is_autocast_enabled
from einkorn._device import move
from einkorn._tensor import Tensor
from einkorn.data import ArrayDataset, DataLoader
from einkorn.data.arrays import as_array, as_rows, columns_without_numbers, is_map_dataset
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops._rounding import in_float32
from einkorn.training.devices import on_device
from einkorn.training.several import Several
from einkorn.training.state import state_of

__all__ = [
    "Batch",
    "Gathered",
    "Loaded",
    "Named",
    "Types",
    "call_model",
    "class_weights",
    "example_of",
    "float_type",
    "in_order",
    "integer",
    "is_batches",
    "length",
    "no_rows",
    "split",
]

Arrays = tuple[np.ndarray, ...]
Batch = tuple[Arrays, Any, "np.ndarray | None"]  # inputs, target or targets, weights of the rows


def integer(value: Any, op: str, name: str, low: int) -> int:
    """``value`` as an int of at least ``low``."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, (bool, np.bool_)) or number < low:
        raise ArgumentError(f"{op}: {name} is {value!r}, expected an integer of at least {low}")
    return number


class Named(tuple[np.ndarray, ...]):
    """Inputs that the model takes as one dict, as in Keras."""

    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, names: tuple[str, ...], arrays: Iterable[np.ndarray]) -> Named:
        """The arrays under these names."""
        made = cls(arrays)
        made.names = names
        return made


def call_model(model: Any, inputs: Any) -> Any:
    """A model's output for inputs that ``Types`` made; float32 where it computes in mixed precision."""
    state = state_of(model)
    if state.device != "cpu":
        inputs = on_device(inputs, state.device)
    compiled = state.compiled
    if compiled is not None and compiled.autocast and not is_autocast_enabled(state.device.partition(":")[0]):
        with autocast():
            return in_float32(call_model(model, inputs))
    if type(inputs) is Named:
        return model(dict(zip(inputs.names, inputs, strict=True)))
    return model(*inputs)


def in_order(x: Mapping[str, Any], model: Any) -> tuple[tuple[Any, ...], tuple[str, ...] | None]:
    """A dict's values as the model takes them, and their names if it takes them as a dict.

    A model whose ``forward`` has parameters of all these names is given them one by one.
    """
    try:
        known = inspect.signature(model.forward).parameters
    except (TypeError, ValueError):
        known = MappingProxyType({})
    parameters = [name for name in known if name in x]
    needed = [
        name
        for name, one in known.items()
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    apart = len(parameters) == len(x)
    if len(needed) > 1 and not (apart and set(needed) <= set(parameters)):
        raise ArgumentError(
            f"x is a dict of {', '.join(map(str, x))}, expected {', '.join(needed)}, as the model's forward "
            "takes them"
        )
    if apart:
        return tuple(x[name] for name in parameters), None
    return tuple(x.values()), tuple(x)


def float_type(model: Any) -> Any:
    """The floating type of the model's parameters."""
    for parameter in model.parameters():
        return parameter._data.dtype
    return np.dtype(np.float32)


def is_batches(x: Any) -> bool:
    """Whether x is a loader or another iterable of batches, as opposed to arrays or a dataset of rows."""
    if isinstance(x, DataLoader):
        return True
    if isinstance(x, (np.ndarray, Tensor, tuple, str, Mapping)) or hasattr(x, "__array__"):
        return False
    if isinstance(x, list):
        if not x or not isinstance(x[0], tuple) or not x[0]:
            return False
        return hasattr(x[0][0], "shape") or isinstance(x[0][0], (tuple, Mapping))
    return isinstance(x, Iterable) and not hasattr(x, "toarray")


def no_rows(op: str, batches: Any, what: str = "rows") -> ArgumentError:
    """The error for data without any; what can be read once may have been read before."""
    once = isinstance(getattr(batches, "loader", batches), Iterator)
    hint = ": what gives the batches is read to its end already, and can be read once" if once else ""
    return ArgumentError(f"{op}: the loader gave no {what}, expected at least one{hint}")


def length(batches: Any) -> int | None:
    """The number of batches where the loader knows it."""
    try:
        return len(batches)
    except TypeError:
        return None


class Types(NamedTuple):
    """The types a model trains in, and the ways to bring data into them."""

    dtype: Any  # of the model's parameters
    loss: Any = None  # of whom the targets are: Loss, Several, or None
    device: str = "cpu"  # where the model is

    def input(self, value: Any, name: str) -> np.ndarray:
        """Floating input in the model's type. Integers stay: they may be tokens.

        An array of a GPU stays there where the model is on one; targets come to the CPU, as the figures do.
        """
        if self.device == "cpu":
            array = as_array(value, name)
        else:
            array = as_rows(value, name)
            array = array if isinstance(array, np.ndarray) else move(array, self.device)
        array = _numbers(array, name, value)
        if array.dtype.kind == "f" and array.dtype != self.dtype:
            return array.astype(self.dtype)
        return array

    def targets(self, value: Any, name: str) -> tuple[np.ndarray, ...]:
        """The target, or those of several outputs, of equal length."""
        if not isinstance(self.loss, Several):
            _refuse_several(value, name)
            return (self.target(value, name, self.loss is not None and self.loss.real_target),)
        parts = self.loss.parts(value, name)
        found = tuple(
            self.target(part, f"{name}[{key!r}]", loss.real_target)
            for part, key, loss in zip(parts, self.loss.names, self.loss.losses, strict=True)
        )
        if any(part.ndim == 0 or len(part) != len(found[0]) for part in found):
            raise ShapeError(
                f"{name} has shapes {[part.shape for part in found]}, expected equally many rows"
            )
        return found

    def given(self, targets: tuple[np.ndarray, ...]) -> Any:
        """Targets as the loss takes them."""
        return targets if isinstance(self.loss, Several) else targets[0]

    def target(self, value: Any, name: str, real: bool = False) -> np.ndarray:
        """Targets in the model's type if they are numbers, int64 if they are classes."""
        array = as_array(value, name)
        if array.dtype.kind in "USO":
            shown = str(array.flat[0]) if array.size else ""
            raise ArgumentError(
                f"{name} holds strings or objects such as {shown!r}, expected numbers; "
                "numpy.unique(y, return_inverse=True) gives the names and the class numbers"
            )
        kind = _numbers(array, name).dtype.kind
        if kind == "f" or (real and kind in "iub"):
            return array if array.dtype == self.dtype else array.astype(self.dtype)
        return array if array.dtype == np.int64 else array.astype(np.int64)

    def weight(self, value: Any, name: str, rows: int) -> np.ndarray:
        """Weights of the rows [rows], or, of several outputs each of which has its own, [rows, outputs]."""
        if isinstance(self.loss, Several):
            each = _by_output(value, self.loss.names, name)
            if each is not None:
                none = np.ones(rows, self.dtype)
                columns = [none if one is None else self._weight(one, name, rows) for one in each]
                return np.stack(columns, 1)
        return self._weight(value, name, rows)

    def _weight(self, value: Any, name: str, rows: int) -> np.ndarray:
        if isinstance(value, (list, tuple)) and len(value) == 1 and np.ndim(value[0]):
            value = value[0]  # of each output, of which there is one
        array = _numbers(as_array(value, name), name)
        if array.shape == (rows, 1):
            array = array.reshape(rows)
        if array.shape != (rows,):
            raise ShapeError(f"{name} has shape {array.shape}, expected ({rows},), a weight for each row")
        if not (array >= 0).all() or not np.isfinite(array).all():
            raise ArgumentError(f"{name} holds {array.min()}, expected finite numbers >= 0")
        return array.astype(self.dtype)

    def inputs(self, x: Any, op: str, rows: int | None = None) -> Arrays:
        """The model's inputs, one or several, of equal length.

        Several are a tuple, or as in Keras a list of arrays, unless that has as many as there are rows.
        """
        several = isinstance(x, tuple) or (
            isinstance(x, list)
            and bool(x)
            and all(getattr(part, "ndim", 0) for part in x)
            and (rows is None or all(len(part) == rows for part in x))
        )
        given = tuple(x) if several else (x,)
        parts = tuple(self.input(part, f"{op}: x") for part in given)
        if not parts or any(part.ndim == 0 for part in parts):
            raise ShapeError(f"{op}: x has no axis of rows, expected an array of rows")
        if any(len(part) != len(parts[0]) for part in parts):
            raise ShapeError(f"{op}: inputs have {[len(p) for p in parts]} rows, expected equal")
        return parts

    def arrays(self, x: Any, y: Any, sample_weight: Any, op: str) -> Arrays:
        """Inputs, target and weights if there are any, checked against each other."""
        if x is None:
            raise ArgumentError(f"{op}: x is missing, expected an array of rows or a DataLoader")
        if y is None:
            called = callable(x) and not hasattr(x, "shape")
            hint = (
                "x is a function: give what it gives, x()" if called else "give targets, or a DataLoader as x"
            )
            raise ArgumentError(f"{op}: y is missing: {hint}")
        targets = self.targets(y, f"{op}: y")
        target = targets[0]
        inputs = self.inputs(x, op, len(target) if target.ndim else None)
        if target.ndim == 0 or len(target) != len(inputs[0]):
            raise ShapeError(
                f"{op}: x has {len(inputs[0])} rows and y has shape {target.shape}, "
                "expected as many targets as rows"
            )
        if len(target) == 0:
            raise ArgumentError(f"{op}: x has no rows, expected at least one")
        if sample_weight is None:
            return (*inputs, *targets)
        return (*inputs, *targets, self.weight(sample_weight, f"{op}: sample_weight", len(target)))

    def batches(
        self,
        x: Any,
        y: Any,
        batch_size: int,
        op: str,
        model: Any,
        *,
        shuffle: bool = False,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
    ) -> Any:
        """Batches of arrays, of the rows of a dataset, or of a loader."""
        rows = is_map_dataset(x) and not is_batches(x)
        if rows or is_batches(x):
            what = "dataset" if rows else "loader"
            if y is not None:
                raise ArgumentError(f"{op}: x is a {what}, so y must not be given")
            if sample_weight is not None:
                raise ArgumentError(
                    f"{op}: x is a {what}, so sample_weight must not be given: let it yield (x, y, weight)"
                )
            loader = DataLoader(x, batch_size, shuffle) if rows else x
            return Loaded(loader, self, op, model, class_weight)
        names = None
        if isinstance(x, Mapping):
            x, names = in_order(x, model)
        arrays = self.arrays(x, y, sample_weight, op)
        return self.gathered(arrays, sample_weight is not None, class_weight, batch_size, shuffle, names)

    def gathered(
        self,
        arrays: Arrays,
        weighted: bool,
        class_weight: dict[int, float] | None,
        batch_size: int,
        shuffle: bool = False,
        names: tuple[str, ...] | None = None,
        transform: Any = None,
    ) -> Any:
        """Batches of arrays that ``arrays`` made, the last of which are weights or not."""
        if class_weight is not None:
            arrays = (*arrays, self.weights_of_classes(self.given(arrays[-1:]), class_weight))
            weighted = True
        loader = DataLoader(ArrayDataset(*arrays), batch_size, shuffle, transform=transform)
        outputs = len(self.loss.names) if isinstance(self.loss, Several) else None
        return Gathered(loader, weighted, outputs, names)

    def weights_of_classes(self, target: Any, class_weight: dict[int, float]) -> np.ndarray:
        """A weight for each row: that of its class, 1 for classes that are not named."""
        if isinstance(self.loss, Several):
            raise ArgumentError("fit: class_weight is given and there are several outputs, expected one")
        if target.ndim > 1 and target.shape[1] > 1:
            target = target.argmax(1)
        if target.size != len(target):
            raise ArgumentError(
                f"fit: class_weight needs one class for each row, but y has shape {target.shape}"
            )
        classes, inverse = np.unique(target.reshape(-1), return_inverse=True)
        weights = np.array([class_weight.get(int(label), 1.0) for label in classes], self.dtype)
        return weights[inverse.reshape(-1)]


def _by_output(value: Any, names: tuple[str, ...], name: str) -> list[Any] | None:
    """The weights for each output, None where it has none; None if there is one for all."""
    if isinstance(value, Mapping):
        unknown = [str(key) for key in value if key not in names]
        if unknown:
            raise ArgumentError(f"{name} has {', '.join(unknown)}, expected some of {', '.join(names)}")
        return [value.get(key) for key in names]
    if not isinstance(value, (tuple, list)) or not any(np.ndim(part) for part in value if part is not None):
        return None
    if len(value) != len(names):
        raise ArgumentError(f"{name} has {len(value)} parts, expected {len(names)}, one for each output")
    return list(value)


def _refuse_several(value: Any, name: str) -> None:
    """Say what targets of several outputs need, which one loss cannot take."""
    kind = f"a dict of {', '.join(map(str, value))}" if isinstance(value, Mapping) else ""
    if isinstance(value, (tuple, list)) and len({getattr(part, "shape", None) for part in value}) > 1:
        kind = f"a {type(value).__name__} of arrays of several shapes"
    if kind:
        raise ArgumentError(
            f"{name} is {kind}, and compile got one loss: for several outputs give it a list of losses, or a "
            "dict by their names"
        )


def _numbers(array: np.ndarray, name: str, given: Any = None) -> np.ndarray:
    if array.dtype.kind not in "fiub":
        wrong = columns_without_numbers(given)
        if wrong:
            raise ArgumentError(f"{name} has columns that hold no numbers: {', '.join(wrong)}")
        raise ArgumentError(f"{name} has the type {array.dtype}, expected real numbers")
    return array


def class_weights(class_weight: Any) -> dict[int, float] | None:
    """``fit``'s class_weight, checked."""
    if class_weight is None:
        return None
    try:
        weights = {operator.index(label): float(weight) for label, weight in class_weight.items()}
    except (AttributeError, TypeError, ValueError):
        weights = {-1: -1.0}
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights.values()):
        raise ArgumentError(
            f"fit: class_weight is {class_weight!r}, expected a dict of class numbers and weights >= 0"
        )
    return weights


class Gathered:
    """Batches of arrays."""

    def __init__(
        self, loader: DataLoader, weighted: bool, outputs: int | None, names: tuple[str, ...] | None
    ) -> None:
        self.loader = loader
        self.weighted = weighted
        self.outputs = outputs  # None for one that is no tuple
        self.names = names

    @property
    def targets(self) -> Any:
        """The target of all rows, or the targets of several outputs."""
        arrays = self.loader.dataset.arrays
        arrays = arrays[: len(arrays) - self.weighted]
        return arrays[-1] if self.outputs is None else arrays[-self.outputs :]

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        batch: tuple[Any, ...]
        target: Any
        if not self.weighted and self.outputs is None and self.names is None:
            for batch in self.loader.lend():
                yield batch[:-1], batch[-1], None
            return
        for batch in self.loader.lend():
            weight: Any = None
            if self.weighted:
                batch, weight = batch[:-1], batch[-1]
            if self.outputs is None:
                inputs, target = batch[:-1], batch[-1]
            else:
                inputs, target = batch[: -self.outputs], batch[-self.outputs :]
            yield inputs if self.names is None else Named.of(self.names, inputs), target, weight


class Loaded:
    """A loader whose batches are brought into the model's types one by one."""

    def __init__(
        self, loader: Any, types: Types, op: str, model: Any, class_weight: dict[int, float] | None = None
    ) -> None:
        self.loader = loader
        self.types = types
        self.op = op
        self.class_weight = class_weight
        self._model = model
        self._single = not _takes(model, 2)
        self._unpacked = getattr(model, "_unpacked", None)  # how a model of Keras' kind takes batches apart

    @property
    def targets(self) -> np.ndarray | None:
        """The targets of all rows, where the loader takes them from an array as it is."""
        loader = self.loader
        if type(loader) is not DataLoader or loader.transform is not None or not loader._plain():
            return None
        if isinstance(self.types.loss, Several):
            return None
        arrays = loader.dataset.arrays
        return arrays[1] if len(arrays) == 2 and type(arrays[1]) is np.ndarray else None

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        usual: Any = None  # the types of (x, y), once such a batch has passed with nothing to be done
        for batch in self._lent():
            if usual is not None and type(batch) is tuple and len(batch) == 2:
                x, y = batch
                if (
                    type(x) is np.ndarray
                    and type(y) is np.ndarray
                    and (x.dtype, y.dtype) == usual
                    and x.ndim
                    and y.ndim
                    and len(x) == len(y)
                ):
                    yield (x,), y, None
                    continue
            inputs, target, weight = self._parts(batch)
            if (
                self.class_weight is None
                and type(batch) is tuple
                and len(batch) == 2
                and type(inputs) is tuple
                and len(inputs) == 1
                and inputs[0] is batch[0]
                and target is batch[1]
            ):
                usual = inputs[0].dtype, target.dtype
            if self.class_weight is not None:
                if weight is not None:
                    raise ArgumentError(
                        f"{self.op}: the loader yields weights, so class_weight must not be given"
                    )
                weight = self.types.weights_of_classes(target, self.class_weight)
            yield inputs, target, weight

    def _lent(self) -> Iterable[Any]:
        return self.loader.lend() if isinstance(self.loader, DataLoader) else self.loader

    def each_input(self) -> Iterator[Arrays]:
        """The batches without their targets."""
        for batch in self._lent():
            yield self._inputs(batch)

    def _parts(self, batch: Any) -> Batch:
        """Inputs, target and weights.

        Of (x, y), (x1, x2, y), (x, y, weight), ((x1, x2), y) or ((x1, x2), y, weight).
        """
        types, op = self.types, self.op
        if not isinstance(batch, (tuple, list)) or len(batch) < 2:
            raise ArgumentError(f"{op}: a loader must yield tuples of inputs and a target")
        weight = None
        inputs: Any
        rest: Any
        apart = None if self._unpacked is None else self._unpacked(batch)
        if apart is not None:
            inputs, rest = apart[0], apart[1:]
        elif isinstance(batch[0], (tuple, Mapping)):
            inputs, rest = batch[0], batch[1:]
            if len(rest) > 2:
                raise ArgumentError(
                    f"{op}: the loader yields {len(rest)} parts after the inputs, expected y or y, weight"
                )
        elif len(batch) == 3 and self._single:
            inputs, rest = batch[:1], batch[1:]
        else:
            inputs, rest = batch[:-1], batch[-1:]
        arrays = self._arrays(inputs)
        targets = types.targets(rest[0], f"{op}: y")
        target = targets[0]
        if target.ndim == 0 or any(part.ndim == 0 or len(part) != len(target) for part in arrays):
            raise ShapeError(
                f"{op}: a batch has inputs of shapes {[part.shape for part in arrays]} and a target of shape "
                f"{target.shape}, expected as many targets as rows"
            )
        if len(rest) == 2 and rest[1] is not None:
            weight = types.weight(rest[1], f"{op}: weight", len(target))
        return arrays, types.given(targets), weight

    def _arrays(self, inputs: Any) -> Arrays:
        """A batch's inputs in the model's types."""
        names = None
        if isinstance(inputs, Mapping):
            inputs, names = in_order(inputs, self._model)
        arrays = tuple(self.types.input(part, f"{self.op}: x") for part in inputs)
        return arrays if names is None else Named.of(names, arrays)

    def _inputs(self, batch: Any) -> Arrays:
        """The inputs alone; a target, if there is one, is left out."""
        apart = None if self._unpacked is None else self._unpacked(batch)
        if isinstance(batch, Mapping):
            parts: Any = batch
        elif apart is not None:
            parts = apart[0]
        elif not isinstance(batch, (tuple, list)):
            parts = (batch,)
        elif isinstance(batch[0], (tuple, Mapping)):
            parts = batch[0]
        elif len(batch) == 3 and self._single:
            parts = batch[:1]
        else:
            parts = batch if len(batch) == 1 else batch[:-1]
        return self._arrays(parts)


def _takes(model: Any, inputs: int) -> bool:
    """Whether a model can be called with so many inputs."""
    try:
        inspect.signature(model.forward).bind(*[None] * inputs)
    except TypeError:
        return False
    return True


def split(arrays: Arrays, share: Any) -> tuple[Arrays, Arrays]:
    """The first rows for training and the last, this share of all, for validation."""
    if (
        isinstance(share, (bool, np.bool_))
        or not isinstance(share, (float, int, np.floating))
        or not 0 <= share < 1
    ):
        raise ArgumentError(f"fit: validation_split is {share!r}, expected a number from 0 to 1")
    rows = len(arrays[0])
    # rounded first: .07 of 100 rows is 7.000000000000001 in floating point, and means 7; by way of the
    # decimal digits, for float32 has another .07
    border = rows - math.ceil(round(rows * float(str(share)), 6))
    if border == 0 or border == rows:
        raise ArgumentError(
            f"fit: validation_split {share} of {rows} rows leaves {border} for training and "
            f"{rows - border} for validation, expected at least one each"
        )
    return tuple(a[:border] for a in arrays), tuple(a[border:] for a in arrays)


def example_of(model: Any, input_shape: tuple[int, ...] | None) -> np.ndarray | None:
    """One row of zeros to send through a model, or None if its shape is unknown."""
    shape = input_shape
    if shape is None:
        shape = getattr(model, "input_shape", None) or state_of(model).input_shape
    if shape is None:
        return None
    if not isinstance(shape, Iterable):
        raise ArgumentError(f"summary: input_shape is {shape!r}, expected a tuple of integers")
    sizes = tuple(integer(size, "summary", "input_shape", 0) for size in shape)
    return np.zeros((1, *sizes), float_type(model))
