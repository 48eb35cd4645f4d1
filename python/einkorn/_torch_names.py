"""torch's functions of tensors under ``einkorn`` itself: ``einkorn.exp``, ``einkorn.sum``, ``einkorn.topk``.

They are listed here and made when they are first asked for, from the methods of Tensor and the functions of
``einkorn.ops`` and ``einkorn.nn.functional`` of their names, with torch's names and order of arguments.
Where :mod:`einkorn.ops` has NumPy's meaning of a name (``max`` over an axis), torch's holds here: values and
indices.

Tensors give Tensors. A NumPy array in the place of the first tensor is taken, too, and arrays alone give
arrays. Where torch knows ``out=`` it is written, and given back. ``.ci/make_stubs`` writes the types of them
all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["NAMES", "make", "written"]

#: Methods of Tensor whose functions write into ``out``.
_INTO = """
abs absolute acos acosh add addbmm addcdiv addcmul addmm addmv addr all amax amin aminmax any arccos arccosh
arcsin arcsinh arctan arctan2 arctanh argmax argmin asin asinh atan atan2 atanh baddbmm bernoulli
bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor bmm ceil cholesky
clamp clamp_max clamp_min clip copysign cos cosh cross cummax cummin cumprod cumsum deg2rad diag diff div
divide dot eq erf erfc erfinv exp exp2 expm1 fix float_power floor floor_divide fmax fmin fmod frac gather
gcd ge ger greater greater_equal gt heaviside histc hypot index_add index_copy index_select inner inverse
isneginf isposinf kron kthvalue lcm ldexp le lerp less less_equal log log10 log1p log2 log_softmax logaddexp
logaddexp2 logcumsumexp logical_and logical_not logical_or logical_xor logit logsumexp lt masked_select
matmul max maximum mean median min minimum mm mode msort mul multinomial multiply mv nan_to_num nanmean
nanmedian nanquantile nansum ne neg negative norm not_equal outer pow prod quantile rad2deg reciprocal
remainder renorm round rsqrt scatter scatter_add scatter_reduce sgn sigmoid sign signbit sin sinc sinh
softmax sort sqrt square std sub subtract sum take take_along_dim tan tanh topk tril triu true_divide trunc
var vdot xlogy
"""
#: Methods of Tensor whose functions only give their result.
_PLAIN = """
adjoint allclose argsort argwhere bincount broadcast_to chunk clone corrcoef count_nonzero cov det detach
diag_embed diagflat diagonal diagonal_scatter dist dsplit equal flatten flip fliplr flipud hsplit index_fill
index_put is_complex is_floating_point is_nonzero is_same_size is_signed isclose isfinite isinf isnan isreal
logdet masked_fill masked_scatter matrix_exp matrix_power moveaxis movedim narrow numel permute pinverse
positive prelu put qr ravel relu reshape roll rot90 select select_scatter slice_scatter slogdet split
split_with_sizes squeeze swapaxes swapdims t tensor_split tile trace transpose unbind unflatten unique
unique_consecutive unsqueeze vsplit
"""
#: Methods of Tensor that write into it.
_IN_PLACE = """
abs_ acos_ acosh_ addmv_ arccos_ arccosh_ arcsin_ arcsinh_ arctan_ arctanh_ asin_ asinh_ atan_ atanh_ ceil_
clamp_ clamp_max_ clamp_min_ clip_ cos_ cosh_ deg2rad_ detach_ erf_ erfc_ exp2_ exp_ expm1_ fill_ fix_
floor_ frac_ gcd_ index_put_ lcm_ ldexp_ log10_ log1p_ log2_ log_ logit_ nan_to_num_ neg_ negative_ rad2deg_
reciprocal_ relu_ round_ rsqrt_ sigmoid_ sin_ sinc_ sinh_ sqrt_ square_ tan_ tanh_ trunc_ xlogy_ zero_
"""
_FUNCTIONAL = """
adaptive_avg_pool1d adaptive_max_pool1d alpha_dropout avg_pool1d bilinear celu celu_ channel_shuffle conv1d
conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d cosine_similarity dropout
feature_alpha_dropout group_norm hardshrink layer_norm max_pool1d max_pool2d max_pool3d pairwise_distance
pdist pixel_shuffle pixel_unshuffle rms_norm rrelu rrelu_ selu selu_ threshold threshold_
"""
_OPS = """
atleast_1d atleast_2d atleast_3d block_diag broadcast_tensors cartesian_prod cdist combinations
meshgrid trapezoid vander
"""
_OPS_INTO = "column_stack concatenate dstack hstack isin searchsorted tensordot vstack"
#: Another name of a function: what it is called in einkorn.
_ALIASES = {"concat": "concatenate", "row_stack": "vstack", "trapz": "trapezoid"}

#: name: home of the function, and whether it takes ``out``.
NAMES: dict[str, tuple[str, bool]] = {
    **dict.fromkeys(_INTO.split(), ("Tensor", True)),
    **dict.fromkeys(_PLAIN.split(), ("Tensor", False)),
    **dict.fromkeys(_IN_PLACE.split(), ("Tensor", False)),
    **dict.fromkeys(_FUNCTIONAL.split(), ("functional", False)),
    **dict.fromkeys(_OPS.split(), ("ops", False)),
    **dict.fromkeys(_OPS_INTO.split(), ("ops", True)),
    "concat": ("ops", True),
    "row_stack": ("ops", True),
    "trapz": ("ops", False),
}

#: What torch's function calls arguments that go by another name in the method.
_RENAMED = {
    "broadcast_to": {"shape": "size"},
    "split": {"tensor": "input", "split_size_or_sections": "split_size"},
    "true_divide": {"dividend": "input", "divisor": "other"},
    "swapaxes": {"axis0": "dim0", "axis1": "dim1"},
    "vdot": {"other": "tensor"},
    "matrix_exp": {"A": "input"},
    "searchsorted": {"values": "input"},
    "concat": {"tensors": "arrays"},
    "concatenate": {"tensors": "arrays"},
    "dstack": {"tensors": "arrays"},
    "hstack": {"tensors": "arrays"},
    "row_stack": {"tensors": "arrays"},
    "vstack": {"tensors": "arrays"},
    "dropout": {"train": "training"},
    "alpha_dropout": {"train": "training"},
    "feature_alpha_dropout": {"train": "training"},
}
#: The one argument of methods that take sizes or dimensions side by side.
_TOGETHER = {"flip": "dims", "permute": "dims", "reshape": "shape", "tile": "dims"}


def make(name: str) -> Callable[..., Any]:
    """The function of that name."""
    from einkorn import ops
    from einkorn._tensor import Tensor
    from einkorn.nn import functional

    home, takes_out = NAMES[name]
    known = _ALIASES.get(name, name)
    target = getattr({"Tensor": Tensor, "functional": functional, "ops": ops}[home], known)
    renamed = _RENAMED.get(name, {})
    is_method = home == "Tensor"

    def call(*args: Any, **options: Any) -> Any:
        for theirs, ours in renamed.items():
            if theirs in options:
                options[ours] = options.pop(theirs)
        out = options.pop("out", None) if takes_out else None
        if is_method:
            args = _first(name, args, options)
            if not isinstance(args[0], Tensor):
                result = _of_array(name, target, args, options)
                return result if out is None else written(name, out, result)
        result = target(*args, **options)
        return result if out is None else written(name, out, result)

    call.__name__ = call.__qualname__ = name
    call.__module__ = "einkorn"
    call.__doc__ = (target.__doc__ or "").replace("self", "input")
    call.__signature__ = _signature(target, name, is_method, takes_out)  # type: ignore[attr-defined]
    return call


def _first(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, ...]:
    """The arguments with the tensor, which may have been given by its name, at their head."""
    if args:
        return args
    if "input" not in options:
        raise TypeError(f"{name}() missing 1 required positional argument: 'input'")
    return (options.pop("input"),)


def _of_array(name: str, method: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """The method of an array, or of a number beside a Tensor, whose type decides as in torch."""
    import numpy as np

    from einkorn._tensor import Tensor
    from einkorn.errors import DTypeError

    first, *rest = args
    others = [x for x in (*rest, *options.values()) if isinstance(x, Tensor)]
    if isinstance(first, (bool, int, float)) and others:
        from einkorn._torch_functions import result_type

        first = Tensor(np.asarray(first)).to(result_type(first, others[0])).to(others[0].device)
    elif not hasattr(first, "__array__") and not hasattr(first, "__dlpack__"):
        raise DTypeError(f"{name}: input is a {type(first).__name__}, expected a Tensor or an array")
    result = method(first if isinstance(first, Tensor) else Tensor(first), *rest, **options)
    return result if others or isinstance(first, Tensor) else _plain(result)


def _plain(result: Any) -> Any:
    """Arrays in the place of Tensors."""
    from einkorn._tensor import Tensor

    if isinstance(result, Tensor):
        return result._data
    if isinstance(result, tuple):
        parts = [_plain(x) for x in result]
        return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
    return result


def written(name: str, out: Any, result: Any) -> Any:
    """``out``, with the result in it; its values must fit there, and nothing of it is recorded."""
    import numpy as np

    from einkorn._device import is_on_gpu
    from einkorn._tensor import Tensor
    from einkorn._torch_functions import can_cast
    from einkorn.errors import ArgumentError, DTypeError, GradientError, ShapeError

    if isinstance(result, tuple):
        if not isinstance(out, (tuple, list)) or len(out) != len(result):
            raise ArgumentError(
                f"{name}: out is {type(out).__name__}, expected a tuple of {len(result)} tensors"
            )
        for place, part in zip(out, result, strict=True):
            written(name, place, part)
        return type(result)(*out) if hasattr(result, "_fields") else tuple(out)
    is_array = isinstance(out, np.ndarray) or is_on_gpu(out)
    into = out if isinstance(out, Tensor) else Tensor(out) if is_array else None
    if into is None:
        raise ArgumentError(f"{name}: out is a {type(out).__name__}, expected a Tensor")
    values = result if isinstance(result, Tensor) else Tensor(result)
    if values.requires_grad or into.requires_grad:
        raise GradientError(f"{name}: out is given, and what is written there has no gradient: use detach()")
    if not can_cast(values.dtype, into.dtype):
        raise DTypeError(f"{name}: out has dtype {into.dtype}, which {values.dtype} does not fit into")
    if into.shape != values.shape:
        if into.numel() or into is not out:
            raise ShapeError(f"{name}: out has shape {into.shape}, expected {values.shape}")
        into.data = values.to(into.dtype)._data  # one without elements takes any shape
        return out
    into.copy_(values)
    return out


def _signature(target: Any, name: str, is_method: bool, takes_out: bool) -> Any:
    import inspect

    kinds = inspect.Parameter
    names = {ours: theirs for theirs, ours in _RENAMED.get(name, {}).items()}
    parameters = list(inspect.signature(target).parameters.values())
    if is_method:
        parameters[0] = parameters[0].replace(name="input", annotation="Any")
    if name in _TOGETHER:
        parameters[1:] = [kinds(_TOGETHER[name], kinds.POSITIONAL_OR_KEYWORD, annotation="Any")]
    parameters = [p.replace(name=names.get(p.name, p.name)) for p in parameters]
    if takes_out:
        at = next((i for i, p in enumerate(parameters) if p.kind == kinds.VAR_KEYWORD), len(parameters))
        parameters.insert(at, kinds("out", kinds.KEYWORD_ONLY, default=None, annotation="Any"))
    return inspect.Signature(parameters, return_annotation=inspect.signature(target).return_annotation)
