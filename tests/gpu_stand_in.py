"""A GPU that is not there: arrays that NumPy cannot read, as CuPy's, and an engine that runs them."""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

import numpy as np

import einkorn


def near(value: Any) -> Any:
    """The NumPy arrays of stand-ins, however deep."""
    if isinstance(value, GpuArray):
        return value.near
    if isinstance(value, (tuple, list)):
        return type(value)(near(v) for v in value)
    return {k: near(v) for k, v in value.items()} if isinstance(value, dict) else value


def far(value: Any) -> Any:
    """Stand-ins of NumPy's arrays; as in CuPy, numbers of a device stay there too."""
    return GpuArray(np.asarray(value)) if isinstance(value, (np.ndarray, np.generic)) else value


class GpuArray:
    """Does what an array does, and gives its numbers away by ``get`` alone."""

    def __init__(self, array: Any, number: Any = 0, data: Any = None, strides: Any = None) -> None:
        if data is not None:  # CuPy's way to show memory again: shape, type, place, strides
            array, number = data.array.view(), 0
        self.near = array
        self.device = types.SimpleNamespace(id=number)
        self.data = types.SimpleNamespace(ptr=array.ctypes.data, array=array)

    def get(self) -> np.ndarray:
        return self.near.copy()

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        for value in inputs:
            if isinstance(value, np.ndarray) and value.ndim:
                return NotImplemented
        return far(getattr(ufunc, method)(*near(inputs), **near(kwargs)))

    def __array_function__(self, function: Any, _types: Any, args: Any, kwargs: Any) -> Any:
        return far(function(*near(args), **near(kwargs)))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = getattr(self.near, name)
        if not callable(value):
            return far(value) if isinstance(value, np.ndarray) else value
        return lambda *args, **kwargs: far(value(*near(args), **near(kwargs)))

    def diagonal(self, *args: Any) -> Any:
        view = self.near.diagonal(*args)
        view.flags.writeable = True  # as CuPy's is
        return GpuArray(view)

    def __getitem__(self, key: Any) -> Any:
        return far(self.near[near(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, np.ndarray) and value.ndim:
            raise TypeError("Unsupported type numpy.ndarray")
        self.near[near(key)] = near(value)

    def __len__(self) -> int:
        return len(self.near)

    def __float__(self) -> float:
        return float(self.near)

    def __int__(self) -> int:
        return int(self.near)

    def __bool__(self) -> bool:
        return bool(self.near)


for _name in (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "neg",
    "abs",
    "pow",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "invert",
    "and",
    "or",
):
    _method = f"__{_name}__"
    setattr(GpuArray, _method, lambda self, *a, m=_method: far(getattr(self.near, m)(*near(a))))
    if _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
        _right = f"__r{_name}__"
        setattr(GpuArray, _right, lambda self, *a, m=_right: far(getattr(self.near, m)(*near(a))))
GpuArray.__hash__ = object.__hash__  # type: ignore[method-assign]
GpuArray.__module__ = "cupy"


class Device:
    def __init__(self, number: int) -> None:
        self.number = number

    def __enter__(self) -> None: ...
    def __exit__(self, *args: object) -> None: ...


class Engine(types.ModuleType):
    """Kernels of the CPU's engine, on stand-ins alone; counts their launches."""

    def __init__(self) -> None:
        super().__init__("einkorn.engines.cuda")
        self.launches = 0
        self.takes_bfloat16: frozenset[str] = frozenset()
        self.quick = lambda kernel, *operands: None

    @staticmethod
    def empty(shape: Any, dtype: Any) -> GpuArray:
        return GpuArray(np.empty(shape, dtype))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        kernel = getattr(einkorn.engines.cpu(), name)

        def launch(*args: Any) -> Any:
            for value in args:
                for a in value if isinstance(value, (tuple, list)) else [value]:
                    assert not isinstance(a, np.ndarray), f"{name}: an array of the CPU"
            self.launches += 1
            return kernel(*near(args))

        return launch


def install(monkeypatch: Any, *, engine: bool = True) -> Engine:
    """One card, CuPy's stand-in, and (if wanted) the engine."""
    module: Any = types.ModuleType("cupy")
    module.ndarray = GpuArray
    module.asarray = lambda a, order="K": a if isinstance(a, GpuArray) else GpuArray(np.array(a, order=order))
    module.zeros_like = lambda a: GpuArray(np.zeros_like(a.near))
    module.array = lambda a, dtype=None, order="K": GpuArray(np.array(near(a), dtype, order=order))
    module.add = types.SimpleNamespace(at=lambda *args: np.add.at(*near(args)))
    module.broadcast_to = lambda a, shape: GpuArray(np.broadcast_to(a.near, shape))
    runtime = types.SimpleNamespace(CUDARuntimeError=RuntimeError)
    runtime.getDevice, runtime.getDeviceCount = lambda: 0, lambda: 1
    module.cuda = types.SimpleNamespace(runtime=runtime, Device=Device)
    monkeypatch.setitem(sys.modules, "cupy", module)
    made = Engine()
    if engine:
        engines = importlib.import_module("einkorn.engines")
        monkeypatch.setitem(sys.modules, "einkorn.engines.cuda", made)
        monkeypatch.setattr(engines, "cuda", made, raising=False)
    return made
