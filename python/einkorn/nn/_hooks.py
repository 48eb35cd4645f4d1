"""Functions that a module calls around its forward and backward pass, with torch's names and rules."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from einkorn._tensor import Tensor
from einkorn.autograd import is_grad_enabled
from einkorn.errors import GradientError
from einkorn.function import Function

__all__ = ["HookHandle", "Hooked"]

_numbers = itertools.count()


class _Entry(NamedTuple):
    function: Callable[..., Any]
    with_kwargs: bool = False
    always_call: bool = False


class HookHandle:
    """Takes a hook off again with ``remove()``, also at the end of a ``with`` block."""

    def __init__(self, module: Hooked, kind: str, number: int) -> None:
        self._module, self._kind, self.id = module, kind, number

    def remove(self) -> None:
        """Take the hook off; twice does no harm."""
        table = dict(getattr(self._module, self._kind))
        table.pop(self.id, None)
        self._module.__dict__[self._kind] = table
        self._module._update_hooked()

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Hooked:
    """The part of a module that knows its hooks; a module without any pays one attribute for it."""

    _hooked: bool = False
    _forward_pre_hooks: Mapping[int, _Entry] = MappingProxyType({})
    _forward_hooks: Mapping[int, _Entry] = MappingProxyType({})
    _backward_pre_hooks: Mapping[int, _Entry] = MappingProxyType({})
    _backward_hooks: Mapping[int, _Entry] = MappingProxyType({})

    forward: Callable[..., Any]

    def _update_hooked(self) -> None:
        kinds = self._forward_pre_hooks, self._forward_hooks, self._backward_pre_hooks, self._backward_hooks
        self.__dict__["_hooked"] = any(kinds)

    def _add_hook(self, kind: str, entry: _Entry, prepend: bool) -> HookHandle:
        number = next(_numbers)
        table = getattr(self, kind)
        self.__dict__[kind] = {number: entry, **table} if prepend else {**table, number: entry}
        self.__dict__["_hooked"] = True
        return HookHandle(self, kind, number)

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> HookHandle:
        """Call ``hook(module, args)`` before each forward pass.

        Parameters
        ----------
        hook : callable
            A result other than None, a tuple or a single value, takes the place of ``args``.
        prepend : bool, keyword-only, default False
            Before the hooks that are there already.
        with_kwargs : bool, keyword-only, default False
            Call ``hook(module, args, kwargs)``, whose result is a pair of both.

        Returns
        -------
        HookHandle
            With ``remove()``.
        """
        return self._add_hook("_forward_pre_hooks", _Entry(hook, with_kwargs), prepend)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> HookHandle:
        """Call ``hook(module, args, output)`` after each forward pass.

        Parameters
        ----------
        hook : callable
            A result other than None takes the place of the output.
        prepend : bool, keyword-only, default False
            Before the hooks that are there already.
        with_kwargs : bool, keyword-only, default False
            Call ``hook(module, args, kwargs, output)``.
        always_call : bool, keyword-only, default False
            Also when the forward pass raised; output is None then.

        Returns
        -------
        HookHandle
            With ``remove()``.
        """
        return self._add_hook("_forward_hooks", _Entry(hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> HookHandle:
        """Call ``hook(module, grad_output)`` in backward passes, before the module's own gradients.

        ``grad_output`` is a tuple with a gradient, or None, for each Tensor of the output; a tuple that the
        hook returns takes its place.
        """
        return self._add_hook("_backward_pre_hooks", _Entry(hook), prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> HookHandle:
        """Call ``hook(module, grad_input, grad_output)`` in backward passes, after the module's gradients.

        Both are tuples, as :meth:`register_full_backward_pre_hook` has them, ``grad_input`` for the Tensors
        among the positional arguments; a tuple that the hook returns takes the place of ``grad_input``. Where
        no argument needs a gradient, the hook is called with Nones when ``grad_output`` is there.
        """
        return self._add_hook("_backward_hooks", _Entry(hook), prepend)

    def _call_hooked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The forward pass with everything around it."""
        called: set[int] = set()
        try:
            args, kwargs = self._before(args, kwargs)
            watch = None
            if (self._backward_hooks or self._backward_pre_hooks) and is_grad_enabled():
                watch = _Watch(self)
                args = watch.watched(args, _Inputs)
            output = self.forward(*args, **kwargs)
            for number, entry in list(self._forward_hooks.items()):
                called.add(number)
                output = _after(self, entry, args, kwargs, output)
            return output if watch is None else watch.watched_output(output)
        except BaseException:
            for number, entry in list(self._forward_hooks.items()):
                if entry.always_call and number not in called:
                    _after(self, entry, args, kwargs, None)
            raise

    def _before(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        for entry in list(self._forward_pre_hooks.values()):
            new = entry.function(self, args, kwargs) if entry.with_kwargs else entry.function(self, args)
            if new is None:
                continue
            if entry.with_kwargs:
                args, kwargs = new
            else:
                args = new if isinstance(new, tuple) else (new,)
        return args, kwargs


def _after(module: Any, entry: _Entry, args: Any, kwargs: Any, output: Any) -> Any:
    given = (args, kwargs, output) if entry.with_kwargs else (args, output)
    new = entry.function(module, *given)
    return output if new is None else new


class _Watch:
    """What one forward pass remembers for the hooks of its backward pass."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.grad_output: tuple[Any, ...] = ()
        self.inputs = 0
        self.has_inputs = False

    def watched(self, values: tuple[Any, ...], through: type[Function]) -> tuple[Any, ...]:
        places = [i for i, x in enumerate(values) if isinstance(x, Tensor)]
        needed = any(values[i].requires_grad for i in places)
        if through is _Inputs:
            self.inputs, self.has_inputs = len(places), needed
        if not needed:
            return values
        passed = through.apply(self, *[values[i] for i in places])
        changed = list(values)
        for place, x in zip(places, passed, strict=True):
            changed[place] = x
        return tuple(changed)

    def watched_output(self, output: Any) -> Any:
        if isinstance(output, Tensor):
            return self.watched((output,), _Outputs)[0]
        if isinstance(output, (tuple, list)):
            kind = type(output)
            changed = self.watched(tuple(output), _Outputs)
            return kind(*changed) if hasattr(output, "_fields") else kind(changed)
        if isinstance(output, dict):
            return dict(zip(output, self.watched(tuple(output.values()), _Outputs), strict=True))
        return output

    def output_arrived(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        for entry in list(self.module._backward_pre_hooks.values()):
            gradients = _replaced(gradients, entry.function(self.module, gradients))
        self.grad_output = gradients
        if not self.has_inputs:
            self.input_arrived((None,) * self.inputs)
        return gradients

    def input_arrived(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        for entry in list(self.module._backward_hooks.values()):
            gradients = _replaced(gradients, entry.function(self.module, gradients, self.grad_output))
        return gradients


def _replaced(gradients: tuple[Any, ...], new: Any) -> tuple[Any, ...]:
    if new is None:
        return gradients
    values = new if isinstance(new, tuple) else (new,)
    if len(values) != len(gradients):
        raise GradientError(f"a backward hook returned {len(values)} gradients, expected {len(gradients)}")
    return values


class _Inputs(Function):
    @staticmethod
    def forward(ctx: Any, watch: Any, *tensors: Any) -> Any:
        ctx.watch = watch
        ctx.set_materialize_grads(False)
        return tensors

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return (None, *ctx.watch.input_arrived(gradients))


class _Outputs(_Inputs):
    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return (None, *ctx.watch.output_arrived(gradients))
