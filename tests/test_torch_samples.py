"""torch's own sample inputs, of every function that has a name here: values, types, shapes and gradients.

torch keeps, for its own tests, a list of samples of its functions, modules and optimizers, corner cases among
them (scalars, empty tensors, odd strides, every option). They are taken as they are; what is left out is
named below, with the reason.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn import Tensor, nn, optim
from einkorn._torch_names import NAMES
from einkorn.nn import functional

pytest.importorskip("torch")
pytest.importorskip("expecttest")
import torch
from torch.testing._internal import common_utils
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import module_db
from torch.testing._internal.common_optimizers import optim_db
from torch.testing._internal.opinfo import core

_TYPES = {"float64": torch.float64, "int64": torch.int64, "bool": torch.bool}
_REFUSED = (torch.complex64, torch.complex128, torch.complex32, torch.float16, torch.bfloat16)
_DRAWN = "its values are drawn"

#: Functions, by torch's name, and why their samples are not compared.
_LEFT_OUT = {
    **dict.fromkeys(("empty", "empty_like", "new_empty"), "its values are those that were there"),
    **dict.fromkeys(
        ("bernoulli", "multinomial", "randn", "randn_like", "rand_like", "randint", "randint_like", "normal"),
        _DRAWN,
    ),
    **dict.fromkeys(("cauchy", "exponential", "geometric", "log_normal"), _DRAWN),
    **dict.fromkeys((f"nn.functional.fractional_max_pool{n}d" for n in (2, 3)), _DRAWN),
    "cov": "weights of observations have no gradient here",
    "nn.functional.triplet_margin_with_distance_loss": "the samples bring functions of torch",
    "zero_": "the samples write into leaves, which torch lets pass in its own tests",
    "bfloat16": "in test_bfloat16.py",
    "linalg.pinv.singular": "the samples are two factors",
    "linalg.lstsq.grad_oriented": "the samples of linalg.lstsq, and two of its four results",
    "as_strided": "the samples are windows of larger arrays; a gradient is refused here",
    "nextafter": "torch records it and has no gradient of it",
    "half": "refused: float16 is no type of tensors here",
}
#: Functions whose samples come in another order than their arguments.
_TURNED: dict[str, Callable[..., Any]] = {
    "where": lambda x, condition, other: einkorn.where(condition, x, other),
    "einsum": lambda tensors, equation: einkorn.einsum(equation, *tensors),
    "polygamma": lambda x, n: einkorn.polygamma(n, x),
    "nn.functional.embedding": lambda table, rows, **options: functional.embedding(rows, table, **options),
    "nn.functional.embedding_bag": lambda table, rows, **options: functional.embedding_bag(
        rows, table, **options
    ),
}


@pytest.fixture(autouse=True)
def _without_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """For each list of samples torch looks at all frames and modules for a test of its own: there is none."""
    for module in (common_utils, core):
        monkeypatch.setattr(module, "extract_test_fn", lambda: None, raising=False)


class _NotTakenError(Exception):
    """A sample holds what tensors here do not: complex numbers, sparse layouts, layouts by name."""


def _is_drawn(name: str, sample: Any) -> bool:
    options = sample.kwargs
    if "dropout" in name or "rrelu" in name:
        return options.get("training", options.get("train", True)) and options.get("p", 0.5) not in (0, 1)
    if name == "nn.functional.multi_head_attention_forward":
        return options["training"]
    return bool(options.get("dropout_p", 0))


def _convert(x: Any, leaves: list[tuple[Any, Tensor]]) -> Any:
    if isinstance(x, torch.Tensor):
        if x.layout != torch.strided or x.dtype in _REFUSED:
            raise _NotTakenError
        t = Tensor(x.detach().numpy(), requires_grad=x.requires_grad)
        if x.requires_grad:
            leaves.append((x, t))
        return t
    if isinstance(x, torch.Size):
        return tuple(x)
    if isinstance(x, torch.dtype):
        if x in _REFUSED:
            raise _NotTakenError
        return np.dtype(str(x).removeprefix("torch."))
    if isinstance(x, (list, tuple)):
        return type(x)(_convert(v, leaves) for v in x)
    if isinstance(x, dict):
        return {k: _convert(v, leaves) for k, v in x.items()}
    if isinstance(x, (complex, torch.memory_format, torch.layout, torch.device)):
        raise _NotTakenError
    return x


def _ours(name: str) -> list[Callable[..., Any]]:
    """The function of that name in einkorn, and the method of Tensor where the two are not one."""
    if name in _TURNED:
        return [_TURNED[name]]
    if name.startswith(("nn.functional.", "linalg.")):
        home, _, short = name.rpartition(".")
        found = getattr(functional if home == "nn.functional" else einkorn.linalg, short, None)
        return [found] if found else []
    out = [getattr(einkorn, name)] if callable(getattr(einkorn, name, None)) else []
    if hasattr(Tensor, name) and NAMES.get(name, ("", False))[0] != "Tensor":

        def method(x: Any, *args: Any, **options: Any) -> Any:
            found = getattr(x, name)
            return found(*args, **options) if callable(found) else found

        out.append(method)
    return out


#: What is refused by name where torch has an answer, and why.
_REFUSALS = {
    "__rpow__": "expected floats",  # torch gives 0 for 2 ** -1
    **dict.fromkeys(("qr", "linalg.qr"), "its gradient is not computed here"),  # of wide and complete ones
    "gather": "index has shape",  # torch takes an index of another rank, as long as it is empty
    "nn.functional.batch_norm": "at least 2 dimensions",  # an input without an axis of channels
}


#: Decompositions whose vectors have a sign that is free, and what of them is compared.
_SIGNS = {"linalg.eigh": slice(0, 1), "linalg.svd": slice(1, 2)}


def _flat(x: Any) -> list[Any]:
    return [v for part in x for v in _flat(part)] if isinstance(x, (list, tuple)) else [x]


def _array(x: Any) -> np.ndarray:
    return x.detach().numpy() if isinstance(x, (torch.Tensor, Tensor)) else np.asarray(x)


def _close(got: np.ndarray, wanted: np.ndarray, what: str) -> None:
    assert got.shape == wanted.shape, what
    assert got.dtype == wanted.dtype, what
    if wanted.dtype.kind == "f":
        np.testing.assert_allclose(
            got, wanted, rtol=2e-5 if wanted.dtype == np.float32 else 1e-8, atol=1e-9, err_msg=what
        )
    else:
        np.testing.assert_array_equal(got, wanted, err_msg=what)


def _check_gradients(got: list[Any], wanted: list[Any], leaves: list[tuple[Any, Any]], what: str) -> None:
    linked = [isinstance(w, torch.Tensor) and w.requires_grad for w in wanted]
    ours = [g for g, is_linked in zip(got, linked, strict=True) if is_linked]
    theirs = [w for w, is_linked in zip(wanted, linked, strict=True) if is_linked]
    if not ours or not leaves:
        return
    assert all(g.requires_grad for g in ours), what
    rng = np.random.default_rng(0)
    weights = [np.asarray(rng.normal(size=g.shape), _array(g).dtype) for g in ours]
    given = torch.autograd.grad(
        theirs,
        [x for x, _ in leaves],
        [torch.from_numpy(w) for w in weights],
        retain_graph=True,
        allow_unused=True,
    )
    found = einkorn.grad(ours, [x for _, x in leaves], [Tensor(w) for w in weights], allow_unused=True)
    for mine, true, (leaf, _) in zip(found, given, leaves, strict=True):
        zero = np.zeros(tuple(leaf.shape))
        np.testing.assert_allclose(
            zero if mine is None else _array(mine),
            zero if true is None else true.numpy(force=True),
            rtol=1e-6,
            atol=1e-8,
            err_msg=what,
        )


def _name(op: Any) -> str:
    return f"{op.name}.{op.variant_test_name}" if op.variant_test_name else op.name


_OPS = {_name(op): op for op in op_db if not {op.name, _name(op)} & _LEFT_OUT.keys() and _ours(op.name)}


@pytest.mark.parametrize("dtype", _TYPES)
@pytest.mark.parametrize("name", _OPS)
def test_functions(name: str, dtype: str) -> None:
    op, kind = _OPS[name], _TYPES[dtype]
    if kind not in op.supported_dtypes("cpu"):
        return
    if name.startswith("nn.functional.") and dtype != "float64":
        return  # layers and losses take floats
    differentiable = dtype == "float64" and op.supports_autograd
    differentiable = differentiable and kind in op.supported_backward_dtypes("cpu")
    torch.manual_seed(0)
    for i, sample in enumerate(op.sample_inputs("cpu", kind, requires_grad=differentiable)):
        if i == 15:
            break
        if _is_drawn(op.name, sample):
            continue
        what = f"{name} of sample {i}: {' '.join(str(sample).split())[:300]}"
        wanted = _flat(op(sample.input, *sample.args, **sample.kwargs))
        for function in _ours(op.name):
            leaves: list[tuple[Any, Tensor]] = []
            try:
                given = [_convert(x, leaves) for x in (sample.input, sample.args, sample.kwargs)]
            except _NotTakenError:
                continue
            try:
                got = _flat(function(given[0], *given[1], **given[2]))
            except einkorn.errors.EinkornError as error:
                if _REFUSALS.get(name, "nothing") in str(error):
                    continue
                raise AssertionError(what) from error
            assert len(got) == len(wanted), what
            ordered = op.name in ("mode", "sort", "argsort", "topk", "kthvalue", "msort")
            if name in _SIGNS:  # columns up to their sign
                got, wanted = got[_SIGNS[name]], wanted[_SIGNS[name]]
            for g, w in zip(got, wanted, strict=True):
                if ordered and dtype != "float64" and w.dtype == torch.int64 and (w is wanted[-1]):
                    continue  # places of equal elements, in any order
                _close(_array(g), _array(w), what)
            if differentiable:
                _check_gradients(got, wanted, leaves, what)


_MODULES = [m for m in module_db if hasattr(nn, m.name.removeprefix("nn."))]
_NO_SAMPLES = (
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "TransformerEncoder",
)  # drawn; made of a module of torch


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("info", _MODULES, ids=lambda m: m.name.removeprefix("nn."))
def test_modules(info: Any, training: bool) -> None:
    name = info.name.removeprefix("nn.")
    if name in _NO_SAMPLES:
        return
    inputs = info.module_inputs_func(
        info, device="cpu", dtype=torch.float64, requires_grad=True, training=training
    )
    for i, sample in enumerate(inputs):
        made, called = sample.constructor_input, sample.forward_input
        if called is None or i == 20:
            continue
        what = f"{name} of sample {i}: {made.args} {made.kwargs} {sample.desc}"
        if any(x is torch.nn.functional.gelu for x in made.args):
            continue  # a function of torch
        if name == "KLDivLoss" and sample.desc.startswith("scalar_"):
            continue  # numbers below 0 as probabilities; a mean over a batch that is not there
        theirs = info.module_cls(*made.args, **made.kwargs).double().train(training)
        given = {k: str(v) if isinstance(v, torch.device) else v for k, v in made.kwargs.items()}
        ours = getattr(nn, name)(*_convert(made.args, []), **_convert(given, []))
        ours.double().train(training)
        leaves: list[tuple[Any, Tensor]] = []
        args, options = _convert(called.args, leaves), _convert(called.kwargs, leaves)
        wanted = theirs(*called.args, **called.kwargs)
        if "Lazy" in name:
            ours(*args, **options)
            ours.double()
        state = {key: value.numpy() for key, value in theirs.state_dict().items()}
        assert ours.state_dict().keys() == state.keys(), what
        ours.load_state_dict(state)
        got, wanted = _flat(ours(*args, **options)), _flat(wanted)
        assert len(got) == len(wanted), what
        for g, w in zip(got, wanted, strict=True):
            if w is not None:
                _close(_array(g), _array(w), what)
        own = dict(ours.named_parameters())
        leaves += [(value, own[key]) for key, value in theirs.named_parameters()]
        _check_gradients(got, wanted, leaves, what)


_LAYERS = [n for n in dir(nn) if hasattr(getattr(torch.nn, n, None), "forward") and n not in dir(nn.Module)]


@pytest.mark.parametrize("name", _LAYERS)
def test_layers_take_the_options_of_torch(name: str) -> None:
    """All of them, the positional ones in torch's order; lazy and recurrent layers hand them on."""
    theirs = inspect.signature(getattr(torch.nn, name)).parameters
    ours = inspect.signature(getattr(nn, name)).parameters
    if any(p.kind == p.VAR_POSITIONAL for p in (*theirs.values(), *ours.values())):
        return
    assert theirs.keys() <= ours.keys()
    positional = [p.name for p in theirs.values() if p.kind == p.POSITIONAL_OR_KEYWORD]
    assert list(ours)[: len(positional)] == positional


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_layers_are_made_of_a_type(dtype: str) -> None:
    layers = [
        nn.Linear(2, 3, device="cpu", dtype=dtype),
        nn.Conv2d(2, 3, 1, dtype=dtype),
        nn.LSTM(2, 3, dtype=dtype),
        nn.GRUCell(2, 3, dtype=dtype),
        nn.BatchNorm1d(3, dtype=dtype),
        nn.MultiheadAttention(4, 2, dtype=dtype),
    ]
    assert {str(p.dtype) for layer in layers for p in layer.parameters()} == {dtype}
    lazy = nn.LazyLinear(3, dtype=dtype)
    lazy(einkorn.zeros(2, 4, dtype=dtype))
    assert str(lazy.weight.dtype) == dtype


@pytest.mark.parametrize("name", _LAYERS)
def test_forward_takes_the_names_of_torch(name: str) -> None:
    """``layer(input=x)`` is a call, too."""
    theirs = list(inspect.signature(getattr(torch.nn, name).forward).parameters)
    ours = inspect.signature(getattr(nn, name).forward).parameters.values()
    if name in ("Module", "ModuleList", "ModuleDict"):
        return  # without a forward of their own
    plain = [p.name for p in ours if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = any(p.kind == p.VAR_POSITIONAL for p in ours)
    assert plain[: len(theirs)] == (theirs[: len(plain)] if rest else theirs)


_STEPS = 6
_TORCHS_OWN = ("foreach", "fused", "capturable")


def _plain(option: Any) -> Any:
    if isinstance(option, torch.Tensor):
        return option.item()
    return tuple(float(x) for x in option) if isinstance(option, tuple) else option


@pytest.mark.parametrize(
    "info", [o for o in optim_db if hasattr(optim, o.optim_cls.__name__)], ids=lambda o: o.optim_cls.__name__
)
def test_optimizers(info: Any) -> None:
    name = info.optim_cls.__name__
    if name == "Muon":
        return  # in bfloat16 and of matrices: in test_optim.py
    torch.set_default_dtype(torch.float64)  # in which torch keeps numbers of state
    try:
        _check_optimizer(info, name)
    finally:
        torch.set_default_dtype(torch.float32)


def _check_optimizer(info: Any, name: str) -> None:
    rng = np.random.default_rng(0)
    for sample in info.optim_inputs_func(device="cpu"):
        values = [rng.normal(size=(10, 5)), rng.normal(size=10), rng.normal(size=())]
        theirs = [torch.tensor(v, requires_grad=True) for v in values]
        ours = [nn.Parameter(v.copy()) for v in values]
        options = {k: _plain(v) for k, v in sample.kwargs.items() if k not in _TORCHS_OWN}
        step = info.optim_cls(theirs, **sample.kwargs)
        mine = getattr(optim, name)(ours, **options)

        def loss(parameters: list[Any], optimizer: Any) -> Callable[[], Any]:
            def closure() -> Any:
                optimizer.zero_grad()
                total = (
                    ((parameters[0] - 1) ** 4).sum()
                    + ((parameters[1] - 1) ** 4).sum()
                    + (parameters[2] - 1) ** 4
                )
                total.backward()
                return total

            return closure

        for _ in range(_STEPS):
            for p, q in zip(theirs, ours, strict=True):
                g = rng.normal(size=p.shape)
                p.grad, q.grad = torch.tensor(g), Tensor(np.array(g))
            if name == "LBFGS":
                step.step(loss(theirs, step))
                mine.step(loss(ours, mine))
            elif name == "SparseAdam":
                break
            else:
                step.step()
                mine.step()
        for p, q in zip(theirs, ours, strict=True):
            np.testing.assert_allclose(
                q.numpy(), p.detach().numpy(), rtol=1e-9, atol=1e-10, err_msg=f"{sample.desc} {options}"
            )
