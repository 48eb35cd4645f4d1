"""The support matrix: both CPU engines have every kernel, under the same names with the same arguments."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

import numpy as np
import pytest
from checking import all_cases, as_arrays, case_id
from conftest import ABSENT, ENGINES

import einkorn
from einkorn import engines, runtime
from einkorn.cases import Case, as_tuple
from einkorn.config import support_matrix

_CONV = "stride_h stride_w pad_h pad_w dilation_h dilation_w groups"
_POOL = "kernel_h kernel_w stride_h stride_w pad_h pad_w dilation_h dilation_w"
_AVERAGE = "kernel_h kernel_w stride_h stride_w pad_h pad_w count_include_pad"
_UNARY = (
    "negative absolute exp log sqrt square reciprocal sin cos sign erf relu sigmoid tanh gelu gelu_tanh"
    " silu softplus step"
)
_BINARY = "add subtract multiply divide maximum minimum power greater greater_equal equal"
_UNARY_GRAD = (
    "absolute_grad relu_grad sigmoid_grad tanh_grad gelu_grad gelu_tanh_grad silu_grad softplus_grad"
)

#: Every kernel and its arguments: the contract between the operations and the engines.
KERNELS: dict[str, str] = {
    "copy": "out x",
    "fill": "out value",
    **dict.fromkeys(_UNARY.split(), "out x"),
    "leaky_relu": "out x alpha",
    "elu": "out x alpha",
    **dict.fromkeys(_BINARY.split(), "out a b"),
    **dict.fromkeys(_UNARY_GRAD.split(), "gx g s"),
    "leaky_relu_grad": "gx g s alpha",
    "elu_grad": "gx g s alpha",
    "where": "out condition a b",
    "clip": "out x low high",
    "reduce_sum": "out x scale",
    "reduce_max": "out x",
    "reduce_min": "out x",
    "argmax": "out x",
    "first_out_of_range": "index low high ignore",
    "matmul": "out a b bias alpha beta activation",
    "conv2d_forward": f"out x w bias {_CONV} activation",
    "conv2d_input_grad": f"gx gy w {_CONV}",
    "conv2d_weight_grad": f"gw gbias x gy {_CONV}",
    "max_pool2d_forward": f"out indices x {_POOL}",
    "max_pool2d_backward": f"gx gy indices {_POOL}",
    "avg_pool2d_forward": f"out x {_AVERAGE}",
    "avg_pool2d_backward": f"gx gy {_AVERAGE}",
    "adaptive_avg_pool2d_forward": "out x",
    "adaptive_avg_pool2d_backward": "gx gy",
    "softmax_forward": "out x",
    "softmax_backward": "gx g y",
    "log_softmax_forward": "out x",
    "log_softmax_backward": "gx g y",
    "cross_entropy_forward": (
        "loss losses row_weight total_weight lse logits target class_weight ignore_index"
        " label_smoothing reduction"
    ),
    "cross_entropy_backward": (
        "glogits gloss logits target lse row_weight total_weight class_weight ignore_index"
        " label_smoothing reduction"
    ),
    **dict.fromkeys(
        [f"{loss}_forward" for loss in ("mse", "l1", "bce", "bce_with_logits")], "loss x target scale"
    ),
    **dict.fromkeys(
        [f"{loss}_backward" for loss in ("mse", "l1", "bce", "bce_with_logits")], "gx gloss x target scale"
    ),
    "bin_edges": "edges counts x rows weight",
    "bin_columns": "codes x edges offsets categorical missing_code",
    "boost_loss": "gradient hessian loss raw target weight kind parameter scale",
    "leaf_quantile": "out target raw leaf weight alpha delta absolute",
    "histogram": "out codes gradients hessians rows",
    "histogram_subtract": "out a b",
    "code_rows": "by_row codes n_bins",
    "tree_grow": (
        "feature code left right missing_left categories value gain cover count leaf codes by_row n_bins"
        " categorical gradients hessians rows features monotone groups by_depth max_depth min_samples"
        " min_weight alpha l2 min_gain step rate by_level by_node seed tree cat_smooth cat_l2"
        " max_categories onehot"
    ),
    "tree_apply_codes": "leaf codes feature code left right missing_left categories categorical",
    "tree_update": "scores leaf value",
    "uniform": "out seed offset low high",
    "normal": "out seed offset mean std",
    "dropout": "out x seed offset p",
    "permutation": "out seed offset",
    "tree_shap": (
        "out x expected offsets outputs_of feature threshold left right missing_left category_offset"
        " category_words categories value share points largest deepest"
    ),
    "tree_predict": (
        "out leaves x base used trees nodes node_leaf leaf_node leaf_value split_place split_threshold"
        " split_mask sets first last accumulate"
    ),
    "presort": "order columns missing x",
    "stump_search": "place sums order missing weights target classes criterion",
    "stump_search_binned": "place sums codes bins missing_code weights target classes criterion",
    "adaboost_update": (
        "stats weights signed_weights target x predicted threshold missing_left left right classes"
        " learning_rate source source_factor error_floor"
    ),
    "integral_image": "sums squares tilted image",
    "resize_exact": "out image",
    "rgb_to_gray": "out image",
    "cascade_scan": (
        "boxes count image levels scales rects weights tilted feature threshold left right left_value"
        " right_value tree_nodes stage_trees stage_threshold window_height window_width"
    ),
    "haar_patch_sums": "sums scale image",
    "haar_features": "out sums scale rects weights height width",
    "group_rectangles": "out neighbors count boxes order min_neighbors eps",
    "sgd_step": "params grads momenta lr momentum dampening weight_decay nesterov first_step",
    "adam_step": (
        "params grads exp_avgs exp_avg_sqs max_exp_avg_sqs lr beta1 beta2 eps weight_decay decoupled step"
    ),
    "bootstrap_counts": "counts seeds draws",
    "grow_forest": (
        "node_count feature threshold left right missing_left value gain cover count codes target weight"
        " counts class_weight offsets low high seeds classes criterion random_thresholds max_features"
        " max_depth max_leaf_nodes min_samples_split min_samples_leaf min_weight_leaf min_impurity_decrease"
    ),
}

#: What only the native engine has: instruction sets, a trace, and the measurements of the machine.
NATIVE = {
    "isas": "",
    "get_isa": "",
    "set_isa": "isa",
    "start_trace": "",
    "stop_trace": "",
    "fma_peak": "out iterations",
    "memory_stream": "out x",
}


def _module(engine: str) -> Any:
    if engine not in engines.available():
        pytest.skip(ABSENT[engine])
    return importlib.import_module(f"einkorn.engines.{engine}")


def _arguments(function: Any) -> list[str]:
    """Argument names, from the signature or from the first line of a compiled function's docstring."""
    try:
        return list(inspect.signature(function).parameters)
    except ValueError:
        signature = re.match(r"\w+\((.*)\) -> ", function.__doc__)
        assert signature is not None, f"no signature in {function.__doc__!r}"
        return re.findall(r"(\w+): ", signature[1])


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("engine_name", ENGINES)
def test_kernel_and_its_arguments(engine_name: str, name: str) -> None:
    function = getattr(_module(engine_name), name, None)
    assert function is not None, f"the {engine_name} engine lacks {name}"
    assert _arguments(function) == KERNELS[name].split()


@pytest.mark.parametrize("name", NATIVE)
def test_native_helpers(name: str) -> None:
    assert _arguments(getattr(_module("native"), name)) == NATIVE[name].split()


def test_support_matrix() -> None:
    """What show_config prints: every kernel on every engine, and no kernel that an engine has in secret."""
    present = set(engines.available())
    native_only = {"cast", "fma_peak", "memory_stream"}  # cast runs under the name of copy
    for name, found in support_matrix().items():
        expected = present & {"native"} if name in native_only else present
        assert set(found) & set(ENGINES) == expected, name
        assert name in KERNELS or name in native_only


class _Spy:
    """An engine that writes down which kernels are called."""

    def __init__(self, module: Any, calls: list[str]) -> None:
        self._module = module
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        if name in KERNELS:
            self._calls.append(name)
        return getattr(self._module, name)


def _is_a_step(case: Case) -> bool:
    """Whether kernels have anything to do: empty arrays, foreign layouts, NumPy's indexing are apart."""
    arrays = [x for x in case.inputs if x is not None]
    is_odd = any(x.size == 0 or x.layout == "misaligned" for x in arrays)
    is_gather = case.op.name == "getitem" and len(arrays) > 1
    return "float32" in case.dtypes and not is_odd and not is_gather


LAUNCHED = [pytest.param(c, id=case_id(f, c)) for f, c in all_cases() if _is_a_step(c)]


@pytest.mark.parametrize("case", LAUNCHED)
def test_nothing_computes_past_the_launch(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorded step replays launches alone, so each kernel that an operation calls must be one.

    And an operation that launches nothing may only give a view of its arguments.
    """
    native = _module("native")
    einkorn.set_engine("native")
    calls: list[str] = []
    arrays = case.make(np.float32)
    if case.wanted:
        arrays[case.wanted[0]] = einkorn.Tensor(arrays[case.wanted[0]], requires_grad=True)
    case.run(einkorn, case.make(np.float32))  # what is made once, at the first use, is not a step's
    monkeypatch.setattr(engines, "_cpu", _Spy(native, calls))
    with runtime.trace_launches() as launches:
        results = as_tuple(case.run(einkorn, arrays))
        if case.wanted:
            results[0].backward(np.ones(results[0].shape, np.float32))
    launched = {"copy" if name == "cast" else name for name in launches}
    assert set(calls) <= launched
    if not launches:
        given = [a.data if isinstance(a, einkorn.Tensor) else a for a in arrays]
        assert all(any(np.shares_memory(r, a) for a in given if a is not None) for r in as_arrays(results))


def test_the_course_of_the_switch() -> None:
    """set_engine decides what runs next, and get_engine tells."""
    if set(engines.available()) != set(ENGINES):
        pytest.skip("; ".join(ABSENT[n] for n in ENGINES if n not in engines.available()))
    x = np.linspace(-3, 3, 101, dtype=np.float32)
    results = {}
    for name in ENGINES:
        einkorn.set_engine(name)
        assert einkorn.get_engine() == name
        assert engines.of(x) is importlib.import_module(f"einkorn.engines.{name}")
        results[name] = einkorn.ops.tanh(x)
    np.testing.assert_allclose(results["native"], results["numba"], rtol=1e-6)


def test_random_stream_is_the_engines_common_one(engine: str) -> None:
    """The same seed gives the same numbers everywhere; states can be taken and set."""
    einkorn.manual_seed(11)
    first = einkorn.ops.uniform((5,))
    state = einkorn.random.get_state()
    second = einkorn.ops.uniform((7,))
    einkorn.random.set_state(state)
    np.testing.assert_array_equal(einkorn.ops.uniform((7,)), second)
    einkorn.manual_seed(11)
    np.testing.assert_array_equal(einkorn.ops.uniform((5,)), first)


@pytest.mark.parametrize("draw", ["uniform", "normal"])
def test_random_moments(draw: str, engine: str) -> None:
    """Mean, deviation and range over a million numbers, within five standard errors."""
    einkorn.manual_seed(5)
    x = getattr(einkorn.ops, draw)((1_000_000,)).astype(np.float64)
    mean, deviation = (0.5, 12**-0.5) if draw == "uniform" else (0.0, 1.0)
    assert abs(x.mean() - mean) < 5 * deviation / 1000
    assert abs(x.std() - deviation) < 5 * deviation / 1000
    if draw == "uniform":
        assert x.min() >= 0
        assert x.max() < 1


def test_machine_kernels() -> None:
    """The benchmark's yardsticks compute what their contract says, on every instruction set."""
    native = _module("native")
    einkorn.set_engine("native")
    x = np.arange(100_003, dtype=np.float32)
    for isa in native.isas():
        einkorn.set_isa(isa)
        out = np.zeros_like(x)
        native.memory_stream(out, x)
        np.testing.assert_array_equal(out, x)
        chains = np.zeros(5, np.float64)
        native.fma_peak(chains, 0)
        np.testing.assert_array_equal(chains, sum(range(12)))
        native.fma_peak(chains, 100)
        np.testing.assert_allclose(chains, 24.0, rtol=1e-12)  # each chain tends to 2
