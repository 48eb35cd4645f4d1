"""Weights that are computed whenever they are read: ``torch.nn.utils.parametrize``.

A parametrised module gets a class of its own, below its former one, on which the weight is a property. What
the weight is computed from are parameters of ``module.parametrizations.<name>``, ``original`` or, where there
are several, ``original0``, ``original1``, ...; what computes it is ``module.parametrizations.<name>.0``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from einkorn._tensor import Tensor
from einkorn.autograd import no_grad
from einkorn.errors import ArgumentError, ShapeError
from einkorn.nn.module import Module
from einkorn.nn.parameter import Parameter

__all__ = [
    "ParametrizationList",
    "computed_attribute",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "restore_class",
]


def _values(x: Any) -> Any:
    return x._data if isinstance(x, Tensor) else x


def computed_attribute(module: Module, name: str, prefix: str, read: Any, write: Any) -> None:
    """Give the module a class on which ``name`` is computed by ``read(module)`` and set by ``write``.

    Both can be pickled, and so can the module: what is made of them is made again.
    """
    kind = type(module)

    def assign(self: Module, attribute: str, value: Any) -> None:
        if attribute == name:
            write(self, value)
        else:
            super(made, self).__setattr__(attribute, value)

    names = {
        name: property(lambda self: read(self)),  # partial functions are no methods
        "__setattr__": assign,
        "__reduce_ex__": _reduced,
        "_computed": name,
        "_recipe": (name, prefix, read, write),
    }
    made: Any = type(prefix + kind.__name__.removeprefix(prefix), (kind,), names)
    module.__class__ = made


def _reduced(module: Module, protocol: Any) -> Any:
    """``__reduce_ex__``: the class that can be imported, and how those above it are made."""
    recipes = []
    kind: Any = type(module)
    while "_computed" in kind.__dict__:
        recipes.append(kind.__dict__["_recipe"])
        kind = kind.__bases__[0]
    _, _, *state = kind.__reduce_ex__(module, protocol)
    return (_made_again, (kind, recipes[::-1]), *state)


def _made_again(kind: Any, recipes: list[Any]) -> Module:
    module = kind.__new__(kind)
    for recipe in recipes:
        computed_attribute(module, *recipe)
    return module


def restore_class(module: Module, name: str) -> None:
    """Take the class of :func:`computed_attribute` off again, wherever in the line it is."""
    above = []
    kind: Any = type(module)
    while kind.__dict__.get("_computed") != name:
        above.append(kind)
        kind = kind.__bases__[0]
    (bottom,) = kind.__bases__
    for outer in reversed(above):
        outer.__bases__ = (bottom,)
        bottom = outer
    module.__class__ = bottom


class ParametrizationList(Module):
    """What one weight is computed from, and the module ``0`` that does it.

    Parameters
    ----------
    parametrization : Module
        Its ``forward`` takes the originals; its ``right_inverse`` (default: the identity) gives them, one
        or a tuple of several, for a value.
    original : Parameter
        The weight to begin with.
    """

    def __init__(self, parametrization: Module, original: Parameter) -> None:
        super().__init__()
        self.is_tensor = True
        setattr(self, "0", parametrization)
        for name, value in self._inverse(original).items():
            setattr(self, name, Parameter(_values(value), original.requires_grad))

    def _inverse(self, value: Any) -> dict[str, Any]:
        inverse = getattr(getattr(self, "0"), "right_inverse", None)
        with no_grad():
            originals = value if inverse is None else inverse(value)
        if not isinstance(originals, (tuple, list)):
            return {"original": originals}
        self.is_tensor = False
        return {f"original{i}": x for i, x in enumerate(originals)}

    def _originals(self) -> list[Parameter]:
        return [value for value in self.__dict__.values() if isinstance(value, Parameter)]

    def forward(self) -> Any:
        return getattr(self, "0")(*self._originals())

    def right_inverse(self, value: Any) -> None:
        """Set the originals so that the weight becomes ``value``."""
        for name, new in self._inverse(value).items():
            with no_grad():
                getattr(self, name).copy_(new if isinstance(new, Tensor) else Tensor(new))


def _all(module: Module) -> Module:
    """``module.parametrizations``, made when it is not there."""
    found = module.__dict__.get("parametrizations")
    if not isinstance(found, Module):
        found = module.__dict__["parametrizations"] = Module()
    return found


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a weight of the module is computed; with a name, whether that one is."""
    found = module.__dict__.get("parametrizations")
    if not isinstance(found, Module):
        return False
    return tensor_name is None or tensor_name in dict(found.named_children())


def register_parametrization(module: Module, tensor_name: str, parametrization: Module) -> Module:
    """Let ``parametrization`` compute the parameter ``tensor_name`` whenever it is read; returns the module.

    Raises
    ------
    ArgumentError
        If the module has no such parameter, or it is computed already.
    ShapeError
        If what is computed has another shape.
    """
    op = "register_parametrization"
    if is_parametrized(module, tensor_name):
        raise ArgumentError(f"{op}: {tensor_name} of {type(module).__name__} is parametrized already")
    original = module.__dict__.get(tensor_name)
    if not isinstance(original, Parameter):
        raise ArgumentError(f"{op}: {type(module).__name__} has no parameter {tensor_name!r}")
    computed = ParametrizationList(parametrization, original)
    with no_grad():
        shape = computed().shape
    if shape != original.shape:
        raise ShapeError(f"{op}: {tensor_name} has shape {original.shape}, computed it has shape {shape}")
    del module.__dict__[tensor_name]
    setattr(_all(module), tensor_name, computed)
    read, write = partial(_read, tensor_name), partial(_write, tensor_name)
    computed_attribute(module, tensor_name, "Parametrized", read, write)
    return module


def _read(tensor_name: str, module: Module) -> Any:
    return getattr(_all(module), tensor_name)()


def _write(tensor_name: str, module: Module, value: Any) -> None:
    getattr(_all(module), tensor_name).right_inverse(value)


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make the weight a parameter again; returns the module.

    Parameters
    ----------
    module : Module
    tensor_name : str
    leave_parametrized : bool, default True
        Keep the computed value; False: the original, where there is a single one.

    Raises
    ------
    ArgumentError
        If the weight is not computed, or there is no single original to go back to.
    """
    op = "remove_parametrizations"
    if not is_parametrized(module, tensor_name):
        raise ArgumentError(f"{op}: {tensor_name} of {type(module).__name__} is not parametrized")
    computed: Any = getattr(_all(module), tensor_name)
    if not leave_parametrized and not computed.is_tensor:
        raise ArgumentError(f"{op}: {tensor_name} has several originals, expected leave_parametrized=True")
    originals = computed._originals()
    with no_grad():
        value = computed() if leave_parametrized else originals[0]
    restore_class(module, tensor_name)
    delattr(_all(module), tensor_name)
    if not list(_all(module).children()):
        delattr(module, "parametrizations")
    setattr(module, tensor_name, Parameter(_values(value), originals[0].requires_grad))
    return module
