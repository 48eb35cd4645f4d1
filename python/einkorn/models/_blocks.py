"""What the image networks are made of: layers that run fused, and what every network says of itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from os import PathLike
from typing import Any, ClassVar, TypeVar

from einkorn import ops
from einkorn.errors import ArgumentError
from einkorn.models.preprocessing import TORCHVISION, Preprocessing
from einkorn.nn import BatchNorm2d, Conv2d, Linear, Module, ReLU, Sequential, init
from einkorn.nn._folding import PaddedConv2d, convolve
from einkorn.ops.matmul import linear

__all__ = [
    "Chain",
    "ConvNorm",
    "Network",
    "Weights",
    "divisible",
    "he_fan_out",
    "initialize",
    "network",
    "pooled",
]

#: What ``weights`` of a network may be: a file, or None for random initial values.
Weights = str | PathLike[str] | None

_N = TypeVar("_N", bound="Network")

# What other libraries call what networks have by another name, or not at all.
_INSTEAD = {
    "classes": ": num_classes is the number of classes",
    "include_top": ": extract_features gives what the layers before the last one find",
    "input_shape": ": networks take images of any size, [n, channels, height, width]",
    "pretrained": ": weights is a file, nothing is downloaded",
    "progress": ": nothing is downloaded",
}


class Chain(Sequential):
    """A ``Sequential`` that runs convolution, batch norm and ReLU, or linear and ReLU, as one kernel each.

    Its layers, their names and their order are those of the same ``Sequential``; a layer that has hooks runs
    by itself.
    """

    def forward(self, input: Any) -> Any:
        layers = self._layers
        at = 0
        while at < len(layers):
            layer = layers[at]
            at += 1
            after = layers[at] if at < len(layers) else None
            if isinstance(layer, Conv2d):
                norm = after if type(after) is BatchNorm2d else None
                at += norm is not None
                act = layers[at] if at < len(layers) and type(layers[at]) is ReLU else None
                at += act is not None
                input = convolve(input, layer, norm, act)
            elif type(layer) is Linear and type(after) is ReLU and not (layer._hooked or after._hooked):
                at += 1
                input = linear(input, layer.weight, layer.bias, activation="relu")
            elif type(layer) is BatchNorm2d and type(after) is ReLU and not (layer._hooked or after._hooked):
                at += 1
                input = layer.forward(input, activation="relu")
            else:
                input = layer(input)
        return input

    @classmethod
    def _from(cls, named: list[tuple[str, Module]]) -> Chain:
        return Chain(dict(named))


class ConvNorm(Chain):
    """Convolution without bias, batch norm, and an activation layer if one is given: "0", "1" and "2"."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any = 3,
        stride: int = 1,
        *,
        padding: Any = None,
        groups: int = 1,
        act: Callable[[], Module] | None = ReLU,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        sizes = kernel_size if isinstance(kernel_size, tuple) else (kernel_size,) * 2
        if padding == "same":
            conv: Conv2d = PaddedConv2d(in_channels, out_channels, sizes, stride, groups=groups, bias=False)
        else:
            margin = tuple((k - 1) // 2 for k in sizes) if padding is None else padding
            conv = Conv2d(in_channels, out_channels, sizes, stride, margin, groups=groups, bias=False)
        super().__init__(conv, BatchNorm2d(out_channels, eps, momentum), *([] if act is None else [act()]))


class Network(Module):
    """A network of the registry.

    Attributes
    ----------
    name : str
        Under which the registry knows it.
    config : dict
        The arguments that build it again.
    input_shape : (channels, height, width)
        Of the images it was published for; most networks take others too.
    preprocessing : Preprocessing
        What makes such images of pictures.
    weights_report : WeightsReport or None
        What of a file it was built from was used.
    """

    #: The layer that gives the scores, which other classes replace.
    head: ClassVar[str] = "fc"
    #: What becomes of pictures in Keras' variant.
    keras_preprocessing: ClassVar[Preprocessing]

    def __init__(self) -> None:
        super().__init__()
        self.name = ""
        self.config: dict[str, Any] = {}
        self.preprocessing: Preprocessing = TORCHVISION
        self.input_shape: tuple[int, ...] = (3, 224, 224)
        self.weights_report: Any = None

    def keras_name(self, path: str) -> str | None:
        """Keras' name of the layer at a dotted path; None for one that Keras numbers."""
        return path.replace(".", "_")


def network(
    shape: tuple[int, int, int] = (3, 224, 224), preprocessing: Preprocessing = TORCHVISION
) -> Callable[[Callable[..., _N]], Callable[..., _N]]:
    """Make a function that builds a network one of the registry's: it gets a name, and may read weights.

    Parameters
    ----------
    shape
        Of the images the network was published for.
    preprocessing
        What becomes of pictures; that of Keras' variant, if the function has one, stands with the class.
    """

    def decorate(function: Callable[..., _N]) -> Callable[..., _N]:
        _, default = function.__defaults__ or (None, 1000)  # of weights and num_classes

        @functools.wraps(function)
        def build(weights: Weights = None, num_classes: int = default, **options: Any) -> _N:
            if isinstance(num_classes, bool) or not hasattr(num_classes, "__index__") or num_classes < 1:
                raise ArgumentError(
                    f"{function.__name__}: num_classes is {num_classes!r}, expected at least 1"
                )
            try:
                model = function(None, int(num_classes), **options)
            except TypeError as error:
                if "unexpected keyword" not in str(error):
                    raise
                name = str(error).rpartition(" ")[2].strip("'")
                instead = _INSTEAD.get(name, "")
                raise ArgumentError(f"{function.__name__}: there is no argument {name}{instead}") from None
            model.name = function.__name__
            model.config = {"num_classes": int(num_classes), **options}
            model.input_shape = shape
            model.preprocessing = preprocessing.sized(shape[1])
            if options.get("keras"):
                model.preprocessing = model.keras_preprocessing.sized(shape[1])
            if weights is not None:
                from einkorn.models.weights import load_pretrained

                model.weights_report = load_pretrained(model, weights, new_head=True)
            return model

        return build

    return decorate


def pooled(x: Any) -> Any:
    """The mean of each channel, [N, C]."""
    return ops.flatten(ops.global_avg_pool2d(x), 1)


def divisible(value: float, divisor: int = 8) -> int:
    """The nearest multiple of ``divisor``, at least one, and not more than 10% below the value."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def initialize(model: Module, conv: Callable[[Any], Any], linear_std: float | None = None) -> None:
    """Initial values: ``conv`` for the weights of convolutions, zero for biases; batch norm has its own.

    Parameters
    ----------
    linear_std
        Of normal weights of linear layers, whose biases are zero then; None leaves them as they are.
    """
    for module in model.modules():
        if isinstance(module, Conv2d):
            conv(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, Linear) and linear_std is not None:
            init.normal_(module.weight, 0.0, linear_std)
            if module.bias is not None:
                init.zeros_(module.bias)


def he_fan_out(weight: Any) -> Any:
    """He's normal values by the number of outputs (He et al. 2015)."""
    return init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")
