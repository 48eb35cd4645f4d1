"""``Module``: the base class of layers and models, with torch's semantics.

Nothing is registered. A module's parameters are those of its attributes that are ``Parameter``, its
children those that are ``Module``; the instance dictionary keeps them in the order of assignment,
which is the order of ``state_dict``. So reading ``self.weight`` in ``forward`` is one plain attribute
access, and there is no second table that could disagree with the attributes. The price is that a layer
must not have the name of a method: ``_names`` refuses it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from einkorn import _bfloat16, _versions
from einkorn._device import device_of, gpu_name, move
from einkorn._foreign import numbers
from einkorn._layout import check_layout
from einkorn._masked import refuse_masked
from einkorn._state_array import StateArray
from einkorn._targets import flags_of, targets_of
from einkorn._tensor import Tensor
from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.nn._hooks import Hooked, HookHandle
from einkorn.nn._keys import IncompatibleKeys
from einkorn.nn._names import check_attribute, check_class, check_name
from einkorn.nn.parameter import Parameter
from einkorn.training.state import Kept
from einkorn.training.trainable import Trainable

__all__ = ["HookHandle", "IncompatibleKeys", "Module"]


class Module(Hooked, Trainable):
    """Base class of everything that has parameters or a train and an evaluation mode.

    Subclasses assign parameters, buffers and submodules in ``__init__`` and write ``forward``:

    >>> class Net(einkorn.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = einkorn.nn.Linear(784, 128, activation="relu")
    ...         self.output = einkorn.nn.Linear(128, 10)
    ...     def forward(self, x):
    ...         return self.output(self.hidden(x))

    Training in the style of Keras (``compile``, ``fit``, ``evaluate``, ``predict``, ``summary``) comes from
    ``einkorn.training.Trainable``.

    A submodule, parameter or buffer may have any name but that of a method; ``history``, ``optimizer`` and
    ``stop_training``, under which training keeps its state, may be taken. A subclass may redefine every
    method; those that the library calls, such as ``train(mode)``, must go on taking their arguments.
    """

    training: bool = True
    _keeps_types: ClassVar[bool] = False  # whether buffers are of the types that its kernels take
    _buffers: Mapping[str, bool] = MappingProxyType({})  # name -> kept in the state_dict

    def __init__(self) -> None:
        super().__init__()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        check_class(cls)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The computation. Subclasses write it; callers call the module itself."""
        raise TypeError(f"{type(self).__name__} defines no forward(), so it cannot be called")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._hooked:
            return self._call_hooked(args, kwargs)
        return self.forward(*args, **kwargs)

    # --- attributes -------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        kept = getattr(type(self), name, None)
        if isinstance(kept, Kept) and kept.belongs(value):
            kept.__set__(self, value)
            return
        before = self.__dict__.get(name)
        if isinstance(before, Parameter) and not (value is None or isinstance(value, Parameter)):
            raise ArgumentError(
                f"{type(self).__name__}.{name} is a parameter, got {type(value).__name__}: assign "
                f"a Parameter or None, or write the values under no_grad() with {name}[...] = values"
            )
        layer = isinstance(value, (Module, Parameter))
        if isinstance(before, Module) and not (value is None or isinstance(value, Module)):
            raise ArgumentError(
                f"{type(self).__name__}.{name} is a module, got {type(value).__name__}: assign a Module "
                "or None"
            )
        if layer:
            check_name(type(self), name)
        if name == "training" and not isinstance(value, bool):
            raise ArgumentError(
                f"{type(self).__name__}.training is the mode, True or False, got {type(value).__name__}: "
                "choose another name"
            )
        check_attribute(type(self), name, value, layer)
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        if name in self._buffers:
            self.__dict__["_buffers"] = {k: v for k, v in self._buffers.items() if k != name}

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """The same as assigning the attribute."""
        check_name(type(self), name)
        setattr(self, name, param)

    def add_module(self, name: str, module: Module | None) -> None:
        """The same as assigning the attribute, for names that are no identifiers."""
        check_name(type(self), name)
        setattr(self, name, module)

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """State that is not learned, such as running statistics.

        Parameters
        ----------
        name : str
            The attribute that holds it.
        tensor : array, Tensor or None
        persistent : bool, default True
            Whether ``state_dict`` includes it.
        """
        check_name(type(self), name)
        if not (tensor is None or hasattr(tensor, "dtype")):
            raise ArgumentError(
                f"{type(self).__name__}.register_buffer: {name} is {type(tensor).__name__}, expected an "
                "array, a Tensor or None"
            )
        refuse_masked(tensor, f"{type(self).__name__}.register_buffer: {name}")
        setattr(self, name, tensor)
        self.__dict__["_buffers"] = {**self._buffers, name: persistent}

    # --- walking the tree -------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct submodules with their attribute names; one that has two names is given once."""
        seen: set[int] = set()
        for name, module in children_of(self):
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """The direct submodules, each once."""
        for _, module in self.named_children():
            yield module

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, parents first, with dotted names.

        Parameters
        ----------
        memo : set of Module, optional
            Modules that were given already; they are left out, and those given are added.
        prefix : str, default ""
            Stands before every name, with a dot.
        remove_duplicate : bool, default True
            Whether a module with two names is given once.
        """
        if remove_duplicate:
            memo = set() if memo is None else memo
            if self in memo:
                return
            memo.add(self)
        yield prefix, self
        for name, child in children_of(self):
            yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it, parents first."""
        if type(self).named_modules is not Module.named_modules:
            yield from (module for _, module in self.named_modules())
            return
        seen: set[Module] = set()
        waiting: list[Module] = [self]
        while waiting:  # no generator within a generator: fit asks for the modules a dozen times
            module = waiting.pop()
            if module not in seen:
                seen.add(module)
                yield module
                waiting += [value for value in module.__dict__.values() if isinstance(value, Module)][::-1]

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with dotted names; one that is shared is given once."""
        seen: set[int] = set()
        modules = self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, value in module.__dict__.items():
                if isinstance(value, Parameter):
                    if remove_duplicate:
                        if id(value) in seen:
                            continue
                        seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """The buffers with dotted names, those outside the state_dict included."""
        seen: set[int] = set()
        modules = self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name in module._buffers:
                value = getattr(module, name)
                if value is not None and not (remove_duplicate and id(value) in seen):
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def buffers(self, recurse: bool = True) -> Iterator[Any]:
        """The buffers."""
        for _, value in self.named_buffers(recurse=recurse):
            yield value

    def apply(self, fn: Callable[[Module], Any]) -> Module:
        """Call ``fn`` on every submodule, children first, then on this one; returns self."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def get_submodule(self, target: str) -> Module:
        """The module of a dotted name; this one for "".

        Raises
        ------
        AttributeError
            There is none.
        """
        found: Any = self
        for name in target.split(".") if target else ():
            found = found.__dict__.get(name) if isinstance(found, Module) else None
            if not isinstance(found, Module):
                raise AttributeError(f"{type(self).__name__} has no submodule {target!r}")
        return found

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put a module in the place of a dotted name; with ``strict`` only where there is one."""
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if strict and not isinstance(owner.__dict__.get(name), Module):
            raise AttributeError(f"{type(self).__name__} has no submodule {target!r}")
        owner.add_module(name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of a dotted name; AttributeError where there is none."""
        path, _, name = target.rpartition(".")
        found = self.get_submodule(path).__dict__.get(name)
        if not isinstance(found, Parameter):
            raise AttributeError(f"{type(self).__name__} has no parameter {target!r}")
        return found

    def get_buffer(self, target: str) -> Any:
        """The buffer of a dotted name; AttributeError where there is none."""
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if name not in owner._buffers:
            raise AttributeError(f"{type(self).__name__} has no buffer {target!r}")
        return owner.__dict__[name]

    # --- modes ------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Module:
        """Switch dropout and its like on (or off, with ``mode=False``); returns self.

        Submodules are switched by their own ``train``: one that redefines it, to keep a part in evaluation
        mode, say, has its way.
        """
        if not isinstance(mode, bool):
            raise ArgumentError(f"train: mode is {mode!r}, expected True or False")
        _switch(self, mode, set())
        return self

    def eval(self) -> Module:
        """Evaluation mode, ``train(False)``; returns self."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Freeze (False) or thaw all parameters; returns self."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, or with ``set_to_none=False`` fill them with zeros."""
        for parameter in self.parameters():
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad.zero_()

    def to(
        self, *targets: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False,
        memory_format: Any = None,
    ) -> Module:  # fmt: skip
        """Move parameters and buffers to a device, or cast the floating ones, in place.

        Gradients of what changes are dropped. An optimizer is made after this, not before.

        Parameters
        ----------
        *targets : str, int, torch.device, dtype or Tensor
            ``"cpu"``, ``"cuda"`` (the current GPU), ``"cuda:N"`` or N; ``"float32"``, ``"float64"`` or
            ``"bfloat16"`` or the NumPy dtype; one of each; or a Tensor that has both. float32 is the type
            that is fast, float64 the one gradients are checked in, bfloat16 takes half the memory.
        dtype, device : keyword-only, optional
            The same by name.
        non_blocking, memory_format
            As in torch, without effect on the CPU.

        Raises
        ------
        ArgumentError, DTypeError
            For what is no device, two devices or two types; for any other type. Nothing is changed then.
        DeviceError, EngineError
            When there is no such device, or nothing to reach it with.
        """
        check_layout("to", memory_format)
        targets, _ = flags_of("to", targets, non_blocking=non_blocking)
        place, kind = targets_of("to", targets, device, dtype)
        wanted = None if kind is None else _float_type(kind)
        if place is not None:
            move(np.empty(0), place)  # refused before anything is changed
        if wanted is not None:
            self._change(functools.partial(_cast, wanted=wanted), casts=True)
        if place is not None:
            self._change(functools.partial(move, device=place))
        return self

    def _settle(self, device: Any, dtype: Any) -> None:
        """What a layer's ``device`` and ``dtype`` ask for, at the end of its ``__init__``."""
        self.to(device=device, dtype=dtype)

    def _change(self, change: Callable[[Any], Any], casts: bool = False) -> None:
        """Put what ``change`` makes of them in the place of all parameters' and buffers' arrays."""
        for parameter in self.parameters():
            changed = change(parameter._data)
            if changed is not parameter._data:
                parameter.data = changed
                parameter.grad = None
        for module in self.modules():
            if casts and module._keeps_types:
                continue
            for name in module._buffers:
                value = module.__dict__[name]
                if isinstance(value, Tensor):
                    value.data = change(value._data)
                elif value is not None:
                    module.__dict__[name] = change(value)

    def float(self) -> Module:
        """``to("float32")``."""
        return self.to(np.float32)

    def double(self) -> Module:
        """``to("float64")``."""
        return self.to(np.float64)

    def bfloat16(self) -> Module:
        """``to("bfloat16")``."""
        return self.to("bfloat16")

    def half(self) -> Module:
        """Refused: there are no kernels of float16 here.

        Raises
        ------
        DTypeError
            Always; :meth:`bfloat16` is the type of 16 bits.
        """
        raise DTypeError(f"{type(self).__name__}: half: there are no kernels of float16, expected bfloat16()")

    def cpu(self) -> Module:
        """``to("cpu")``."""
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Module:
        """``to("cuda")``, or to the GPU of a number or name."""
        return self.to(gpu_name("cuda", device))

    def to_empty(self, *, device: Any = None, recurse: bool = True) -> Module:
        """``to(device)``: parameters always have memory here."""
        return self if device is None else self.to(device=device)

    def share_memory(self) -> Module:
        """The module itself: memory is shared with child processes by ``fork`` alone."""
        return self

    # --- state ------------------------------------------------------------------------------

    def state_dict(
        self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """All parameters and persistent buffers by dotted name, in torch's names and layouts.

        The arrays share the module's memory, as torch's do: copy what must outlive a step. Beside NumPy's
        methods they have a Tensor's (``size()``, ``clone()``, ``to()``).

        Parameters
        ----------
        destination : dict, keyword-only, optional
            What they are put into, and what is returned; a new one by default.
        prefix : str, keyword-only, default ""
            Stands before every name.
        keep_vars : bool, keyword-only, default False
            Give the parameters themselves, and buffers as they are kept, in the place of arrays.
        """
        if keep_vars:
            found = self._kept_state()
        else:
            found = {
                name: value.view(StateArray) if isinstance(value, np.ndarray) else value
                for name, value in self._array_state().items()
            }
        if not prefix and destination is None:
            return found
        state: dict[str, Any] = {} if destination is None else destination
        state.update({prefix + name: value for name, value in found.items()})
        return state

    def _kept_state(self) -> dict[str, Any]:
        state: dict[str, Any] = {}
        for path, module in self.named_modules(None, "", False):
            lead = f"{path}." if path else ""
            for name, value in module.__dict__.items():
                if isinstance(value, Parameter):
                    state[lead + name] = value
            for name, persistent in module._buffers.items():
                if persistent and module.__dict__[name] is not None:
                    state[lead + name] = module.__dict__[name]
        return state

    def _array_state(self) -> dict[str, np.ndarray]:
        state: dict[str, np.ndarray] = {}
        for path, module in self.named_modules(None, "", False):
            lead = f"{path}." if path else ""
            for name, value in module.__dict__.items():
                if isinstance(value, Parameter):
                    state[lead + name] = value._data
            for name, persistent in module._buffers.items():
                value = module.__dict__[name]
                if persistent and value is not None:
                    state[lead + name] = value._data if isinstance(value, Tensor) else value
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy values into parameters and buffers. Either all are written or none.

        Parameters
        ----------
        state_dict : mapping of str to array
            Arrays, Tensors or torch tensors; another floating type (bfloat16 among them) is cast.
        strict : bool, default True
            Whether the keys must be exactly the module's. With False, keys on one side only are
            returned instead of raised; shapes must agree all the same.
        assign : bool, default False
            Let parameters and buffers have the types of the given values, instead of casting the values.

        Returns
        -------
        IncompatibleKeys
            ``missing_keys`` and ``unexpected_keys``.

        Raises
        ------
        ArgumentError
            Keys are missing or unexpected, and ``strict`` is true.
        ShapeError
            A value's shape is not the parameter's.
        DTypeError
            A value is not numeric, or a number of it is beyond the parameter's type.
        """
        if not isinstance(state_dict, Mapping):
            raise ArgumentError(
                f"{type(self).__name__}: load_state_dict got a {type(state_dict).__name__}, expected a"
                " mapping of names to arrays"
            )
        own = self._array_state()
        missing = [key for key in own if key not in state_dict]
        unexpected = [key for key in state_dict if key not in own]
        name = type(self).__name__
        if strict and (missing or unexpected):
            parts = []
            if missing:
                parts.append(f"missing keys {', '.join(missing)}")
            if unexpected:
                parts.append(f"unexpected keys {', '.join(map(str, unexpected))}")
            raise ArgumentError(f"load_state_dict: {name} has {'; '.join(parts)}")
        values: dict[str, np.ndarray] = {}
        wrong = []
        for key, target in own.items():
            if key in state_dict:
                value = numbers(state_dict[key], f"load_state_dict: {key}")
                if value.shape != target.shape:
                    wrong.append(f"{key} has shape {value.shape}, expected {target.shape}")
                elif not assign:
                    _check_range(f"load_state_dict: {key}", value, target.dtype)
                values[key] = value
        if wrong:
            raise ShapeError(f"load_state_dict: {name}: {'; '.join(wrong)}")
        if assign:
            self._assign_types({key: state_dict[key] for key in values})
            own = self._array_state()
        for key, value in values.items():
            own[key][...] = move(_bfloat16.astype(value, own[key].dtype), device_of(own[key]))
            _versions.wrote(own[key])
        return IncompatibleKeys(missing, unexpected)

    def _assign_types(self, given: Mapping[str, Any]) -> None:
        """Make the parameters of these names of the types that the values have."""
        for name, parameter in self.named_parameters(remove_duplicate=False):
            kind = str(getattr(given.get(name), "dtype", "")).removeprefix("torch.")
            if kind in ("float32", "float64", "bfloat16") and kind != str(parameter.dtype):
                parameter.data = _bfloat16.astype(parameter._data, _bfloat16.dtype_of(kind))
                parameter.grad = None

    # --- words ------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands between the parentheses of the printed layer."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = []
        for name, child in children_of(self):
            lines.append(f"({name}): " + repr(child).replace("\n", "\n  "))
        head = type(self).__name__
        if not lines:
            return f"{head}({extra})"
        body = "\n  ".join(([extra] if extra else []) + lines)
        return f"{head}(\n  {body}\n)"


def _check_range(what: str, value: np.ndarray, kind: np.dtype) -> None:
    """Refuse finite numbers that would become infinite in a narrower type."""
    if value.dtype.kind != "f" or value.itemsize <= kind.itemsize:
        return
    with np.errstate(over="ignore"):
        lost = np.isinf(_bfloat16.astype(value, kind).astype(np.float64)) & np.isfinite(value)
    if lost.any():
        raise DTypeError(
            f"{what} holds {value[lost][0]}, which is beyond {kind}: give the module .to('float64')"
        )


def _cast(array: Any, wanted: np.dtype) -> Any:
    return _bfloat16.astype(array, wanted) if _bfloat16.is_floating(array.dtype) else array


def _float_type(dtype: Any) -> np.dtype:
    wanted = _bfloat16.dtype_of(dtype)
    known = wanted in (np.dtype(np.float32), np.dtype(np.float64)) or _bfloat16.is_bfloat16(wanted)
    if dtype is None or not known:
        raise DTypeError(
            f"to: dtype is {dtype!r}, expected float32, float64 or bfloat16, or the name of a device"
        )
    return wanted


def children_of(module: Module) -> Iterator[tuple[str, Module]]:
    """Names and submodules, one for every attribute: a module that has two names comes twice."""
    for name, value in module.__dict__.items():
        if isinstance(value, Module):
            yield name, value


def _switch(module: Module, mode: bool, seen: set[int]) -> None:
    """Set the mode of a module and of what is below it."""
    seen.add(id(module))
    module.__dict__["training"] = mode
    for _, child in children_of(module):
        if id(child) in seen:
            continue
        if type(child).train is Module.train:
            _switch(child, mode, seen)
        else:
            child.train(mode)
