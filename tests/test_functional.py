"""einkorn.nn.functional: torch's signatures, and torch's results on samples of every option."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from loss_samples import loss_samples

import einkorn
from einkorn import Tensor
from einkorn.errors import EinkornError
from einkorn.nn import functional


def _parameters(function: Any) -> list[tuple[str, Any]]:
    """Names and defaults, from the code, or from the first line of the documentation where that is C."""
    try:
        given = inspect.signature(function).parameters.values()
        return [(p.name, p.default) for p in given]
    except ValueError:
        line = re.search(r"\((.*?)\) ->", function.__doc__.strip(), re.DOTALL).group(1)
        names = [part.partition("=") for part in line.split(",")]
        return [
            (name.strip(), eval(default) if equals else inspect.Parameter.empty)
            for name, equals, default in names
        ]


@pytest.mark.parametrize("name", functional.__all__)
def test_signature(name: str, torch: Any) -> None:
    theirs = getattr(torch.nn.functional, name)
    # chosen by a flag: both forms have the arguments of this one
    theirs = getattr(torch.nn.functional, f"{name}_with_indices", theirs)
    assert _parameters(getattr(functional, name)) == _parameters(theirs)


def _samples() -> dict[str, list[tuple[tuple[Any, ...], dict[str, Any]]]]:
    """For each function, arguments (arrays, to be differentiated where they hold floats) and options."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape)

    def chance(*shape: int) -> np.ndarray:
        return rng.uniform(0.05, 0.95, shape)

    def options(**choices: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
        for values in itertools.product(*choices.values()):
            yield dict(zip(choices, values, strict=True))

    x, image = normal(3, 4, 5), normal(2, 3, 7, 6)
    statistics = {"running_mean": normal(3), "running_var": chance(3)}
    windows = options(
        kernel_size=(2, (3, 2), (2,)),
        stride=(None, 1, (2,), [2, 1]),
        padding=(0, (1, 1)),
        ceil_mode=(False, True),
    )
    windows = list(windows)
    return {
        "relu": ([((x,), {})]),
        "leaky_relu": ([((x,), o) for o in options(negative_slope=(0.01, 0, np.float32(0.5), -0.5))]),
        "prelu": ([((x, normal(4)), {}), ((x, normal(1)), {}), ((normal(3), normal(1)), {})]),
        "elu": ([((x,), o) for o in options(alpha=(1, 0.5, -0.5))]),
        "gelu": ([((x,), o) for o in options(approximate=("none", "tanh"))]),
        "silu": ([((x,), {})]),
        "softplus": ([((x * 30,), o) for o in options(beta=(1, 2, -0.5), threshold=(20, 1))]),
        **{
            name: [((x * 3,), {})]
            for name in (
                "relu6",
                "selu",
                "mish",
                "hardswish",
                "hardsigmoid",
                "tanhshrink",
                "softsign",
                "logsigmoid",
            )
        },
        "celu": ([((x,), o) for o in options(alpha=(1, 0.5))]),
        "hardtanh": ([((x,), {}), ((x,), {"min_val": -0.5, "max_val": 0.2})]),
        "hardshrink": ([((x,), o) for o in options(lambd=(0.5, 1))]),
        "softshrink": ([((x,), o) for o in options(lambd=(0.5, 1, 0))]),
        "threshold": ([((x,), {"threshold": 0.1, "value": 3})]),
        **{name: [((x * 3,), {})] for name in ("relu_", "leaky_relu_", "rrelu_", "elu_", "selu_", "celu_")},
        "hardtanh_": ([((x,), {}), ((x,), {"min_val": -0.5})]),
        "threshold_": ([((x,), {"threshold": 0.1, "value": 3})]),
        "normalize": ([((x,), o) for o in options(p=(2.0, 1, 3), dim=(1, -1))]),
        "glu": ([((normal(3, 4, 6),), o) for o in options(dim=(-1, 1))]),
        "rrelu": ([((x,), {}), ((x,), {"lower": 0.2, "upper": 0.4})]),
        "softmin": ([((normal(*(3, 4, 2)[:n]),), {"dim": d}) for n in range(1, 4) for d in (None, -1)]),
        "dropout1d": ([((x,), {"training": False}), ((x,), {"p": 0})]),
        "dropout2d": ([((image,), {"training": False}), ((image,), {"p": 0})]),
        "dropout3d": ([((normal(2, 3, 2, 2, 2),), {"training": False})]),
        "alpha_dropout": ([((x,), {}), ((x,), {"p": 0.3}), ((x,), {"p": 0, "training": True})]),
        "feature_alpha_dropout": ([((x,), {}), ((x,), {"p": 0, "training": True})]),
        "sigmoid": ([((x,), {})]),
        "tanh": ([((x,), {})]),
        "softmax": (
            [((normal(*(3, 4, 2, 5)[:n]),), {"dim": d}) for n in range(1, 5) for d in (None, -1, 0)]
            + [((normal(),), {"dim": d}) for d in (0, -1)]
        ),
        "log_softmax": ([((normal(*(3, 4, 2, 5)[:n]),), {"dim": d}) for n in range(5) for d in (None, -1)]),
        "linear": ([((normal(3, 5), normal(2, 5), normal(2)), {}), ((normal(5), normal(2, 5)), {})]),
        "conv1d": (
            [((normal(2, 4, 9), normal(4, 2, 3), normal(4)), {"groups": np.int64(2), "stride": (2,)})]
            + [
                ((normal(4, 9), normal(4, 4, 3)), o)
                for o in options(padding=("same", (1,)), dilation=(1, [2]))
            ]
        ),
        "conv2d": (
            [
                ((image, normal(4, 3, 3, 2), normal(4)), o)
                for o in options(stride=((1,), 2), padding=(0, (1,)))
            ]
            + [((normal(3, 7, 6), normal(4, 3, 3, 3)), {"padding": "same", "dilation": (2,)})]
        ),
        "conv3d": (
            [
                ((normal(1, 2, 4, 5, 4), normal(3, 2, 2, 3, 2), normal(3)), o)
                for o in options(stride=(1, (1, 2, 1)))
            ]
            + [((normal(2, 4, 5, 4), normal(3, 2, 2, 3, 2)), {"padding": "same", "dilation": (2,)})]
        ),
        "conv_transpose1d": (
            [
                (
                    (normal(2, 4, 5), normal(4, 3, 3), normal(6)),
                    {"stride": (2,), "groups": 2, "output_padding": 1},
                )
            ]
        ),
        "conv_transpose2d": (
            [
                ((image, normal(3, 2, 3, 4), normal(2)), o)
                for o in options(stride=(2, (3, 2)), padding=(0, (1,)), output_padding=(0, (1, 0)))
            ]
            + [((normal(3, 7, 6), normal(3, 2, 2, 2)), {"dilation": 2, "output_padding": 1})]
        ),
        "conv_transpose3d": ([((normal(1, 2, 2, 3, 2), normal(2, 3, 2, 2, 3)), {"stride": (1, 2, 1)})]),
        "unfold": (
            [((image,), o) for o in options(kernel_size=(2, (3, 2)), padding=(0, (1, 0)), stride=(1, [2, 1]))]
            + [((normal(3, 7, 6),), {"kernel_size": 2, "dilation": 2})]
        ),
        "fold": (
            [
                ((normal(2, 12, 30),), {"output_size": (7, 6), "kernel_size": 2}),
                ((normal(12, 30),), {"output_size": [7, 6], "kernel_size": (2, 1), "dilation": 2}),
            ]
        ),
        "max_pool2d": (
            [((image,), o) for o in windows]
            + [((normal(1, 2, 2),), {"kernel_size": 3, "stride": 2, "ceil_mode": True})]
        ),
        "avg_pool2d": (
            [
                ((image,), o | p)
                for o in windows
                for p in options(count_include_pad=(True, False), divisor_override=(None, 3, -2))
            ]
            + [((normal(1, 2, 2),), {"kernel_size": 3, "stride": 2, "ceil_mode": True})]
        ),
        "adaptive_avg_pool2d": ([((image,), o) for o in options(output_size=(1, (3, None), [2, 4]))]),
        "max_pool1d": ([((normal(2, 3, 9),), o) for o in options(kernel_size=((2,), 3), padding=(0, 1))]),
        "max_pool3d": ([((normal(3, 4, 5, 6),), {"kernel_size": (2, 1, 3), "stride": 2, "ceil_mode": True})]),
        "avg_pool1d": ([((normal(3, 9),), {"kernel_size": (3,), "padding": 1, "count_include_pad": False})]),
        "avg_pool3d": ([((normal(1, 2, 4, 5, 6),), {"kernel_size": 2, "padding": 1, "divisor_override": 5})]),
        "adaptive_avg_pool1d": ([((normal(3, 9),), {"output_size": 4})]),
        "adaptive_avg_pool3d": ([((normal(2, 4, 5, 6),), {"output_size": (None, 2, 4)})]),
        "adaptive_max_pool1d": ([((normal(3, 9),), {"output_size": 4})]),
        "adaptive_max_pool2d": ([((image,), o) for o in options(output_size=(1, (3, None), [2, 4]))]),
        "adaptive_max_pool3d": ([((normal(2, 4, 5, 6),), {"output_size": (None, 2, 4)})]),
        "fractional_max_pool2d": (
            [
                ((image,), {"kernel_size": 2, "_random_samples": chance(2, 3, 2), **o})
                for o in ({"output_size": (4, 3)}, {"output_ratio": (0.5, 0.6)}, {"output_size": 1})
            ]
        ),
        "fractional_max_pool3d": (
            [
                (
                    (normal(2, 6, 5, 6),),
                    {"kernel_size": 2, "output_size": 3, "_random_samples": chance(1, 2, 3)},
                )
            ]
        ),
        "max_unpool1d": ([((normal(2, 3), np.array([[0, 3, 5], [1, 2, 4]])), {"kernel_size": 2})]),
        "max_unpool2d": (
            [((normal(1, 2, 1), np.array([[[5], [1]]])), {"kernel_size": 2, "output_size": (5, 2)})]
        ),
        "max_unpool3d": ([((normal(1, 1, 1, 1), np.array([[[[3]]]])), {"kernel_size": (2, 1, 2)})]),
        "interpolate": (
            [
                ((image,), {"mode": mode, **o, **p})
                for mode in ("nearest", "bilinear", "bicubic", "area", "nearest-exact")
                for o in ({"size": (4, 9)}, {"scale_factor": 1.7}, {"scale_factor": (0.6, 2.0)})
                for p in (
                    options(align_corners=(None, True), antialias=(False, True)) if mode[0] == "b" else ({},)
                )
            ]
            + [((image,), {"scale_factor": 1.7, "recompute_scale_factor": True, "mode": "bilinear"})]
        ),
        "pixel_shuffle": ([((normal(2, 8, 3, 2),), {"upscale_factor": 2})]),
        "pixel_unshuffle": ([((normal(3, 4, 6),), {"downscale_factor": 2})]),
        "grid_sample": (
            [
                ((image, rng.uniform(-1.3, 1.3, (2, 3, 4, 2))), o)
                for o in options(
                    mode=("bilinear", "bicubic"),
                    padding_mode=("zeros", "border", "reflection"),
                    align_corners=(None, True),
                )
            ]
        ),
        "affine_grid": (
            [((normal(2, 2, 3),), {"size": (2, 1, 3, 4), **o}) for o in options(align_corners=(None, True))]
        ),
        "lp_pool1d": ([((chance(2, 5),), {"norm_type": 3, "kernel_size": 2, "ceil_mode": True})]),
        "lp_pool3d": ([((chance(1, 2, 4, 5, 4),), {"norm_type": 2, "kernel_size": (2, 1, 2)})]),
        "lp_pool2d": (
            [
                ((chance(1, 2, 5, 5),), o)
                for o in options(norm_type=(1, 2.0, 3, np.inf), kernel_size=(2,), ceil_mode=(True, False))
            ]
        ),
        "dropout": ([((x,), {"p": 0.3, "training": False}), ((x,), {"p": 0}), ((x,), {"p": np.float64(1)})]),
        "pad": (
            [((x,), o) for o in options(pad=((1, 2), [0, 1, 2, 0], (-1, 1)), value=(None, 2))]
            + [
                ((image,), o)
                for o in options(pad=((2, 1, 0, 3), (-1, 2, 1, 0)), mode=("reflect", "replicate", "circular"))
            ]
            + [((x,), {"pad": (4, 0), "mode": "reflect"}), ((x,), {"pad": (5, 5), "mode": "circular"})]
        ),
        "bilinear": [
            ((normal(2, 3, 4), normal(2, 3, 5), normal(6, 4, 5), normal(6)), {}),
            ((normal(4), normal(5), normal(6, 4, 5)), {}),
        ],
        "channel_shuffle": [((normal(2, 6, 3, 4),), {"groups": 3})],
        "cosine_similarity": (
            [((x, normal(3, 4, 5)), o) for o in options(dim=(1, -1), eps=(1e-8, 2.0))]
            + [((x, normal(4, 1)), {"dim": 2}), ((x * 0, normal(3, 4, 5)), {})]
        ),
        "pdist": [((normal(5, 3),), o) for o in options(p=(1, 2, 3.5, np.inf))],
        # At this temperature the noise, which differs, counts for nothing.
        "gumbel_softmax": [((x,), o) for o in options(tau=(1e13,), dim=(-1, 0))]
        + [((normal(3, 1),), {"hard": True})],
        "upsample": [((image,), o) for o in options(size=((5, 9),), mode=("nearest", "bilinear"))]
        + [((image,), {"scale_factor": 2, "mode": "bilinear", "align_corners": True})],
        "upsample_nearest": [((image,), {"scale_factor": 2}), ((image,), {"size": (4, 9)})],
        "upsample_bilinear": [((image,), {"scale_factor": 2}), ((image,), {"size": (4, 9)})],
        "one_hot": [((np.array([[1, 0], [3, 2]]),), o) for o in options(num_classes=(-1, 6))],
        "pairwise_distance": (
            [((x, normal(3, 4, 5)), o) for o in options(p=(1, 2.0, 3.5, np.inf), keepdim=(False, True))]
            + [((x, normal(5)), {"eps": 0.1})]
        ),
        "batch_norm": [
            ((image,), {**statistics, "eps": 0.1}),
            ((image,), {**statistics, "weight": chance(3), "bias": chance(3), "training": True}),
            ((normal(4, 3),), {"running_mean": None, "running_var": None, "training": True}),
        ],
        "instance_norm": [
            ((image,), {"eps": 0.1, "weight": chance(3), "bias": chance(3)}),
            ((image,), {**statistics, "use_input_stats": False}),
        ],
        "layer_norm": [
            ((x,), {"normalized_shape": (5,)}),
            ((x,), {"normalized_shape": [4, 5], "weight": normal(4, 5), "bias": normal(4, 5), "eps": 0.1}),
        ],
        "rms_norm": [
            ((x,), {"normalized_shape": (5,)}),
            ((x,), {"normalized_shape": [4, 5], "weight": normal(4, 5), "eps": 0.1}),
        ],
        "group_norm": [
            ((image,), {"num_groups": 3}),
            ((normal(2, 6, 5),), {"num_groups": 2, "weight": normal(6), "bias": normal(6), "eps": 0.1}),
        ],
        "local_response_norm": [
            ((image,), {"size": 2}),
            ((image,), {"size": 3, "alpha": 0.1, "beta": 0.5, "k": 2.0}),
        ],
        "scaled_dot_product_attention": [
            ((normal(2, 4, 3, 5), normal(2, 2, 6, 5), normal(2, 2, 6, 7)), {"enable_gqa": True}),
            *(
                ((normal(2, 3, 5), normal(2, 6, 5), normal(2, 6, 7)), o)
                for o in options(is_causal=(False, True), scale=(None, 0.3))
            ),
            ((normal(2, 3, 5), normal(2, 6, 5), normal(2, 6, 7), normal(3, 6)), {}),
        ],
        **loss_samples(),
    }


#: Of several results: in test_transformer.py.
_ELSEWHERE = ("multi_head_attention_forward",)


@pytest.mark.parametrize("name", [name for name in functional.__all__ if name not in _ELSEWHERE])
def test_samples_as_torch(name: str, torch: Any, recwarn: Any) -> None:
    """Values, shapes and gradients, in float64."""
    samples = _samples()[name]
    assert samples
    for arguments, options in samples:
        where = f"{[a.shape for a in arguments]} {options}"
        theirs = [torch.tensor(a, requires_grad=a.dtype == np.float64) for a in arguments]
        ours = [Tensor(a, requires_grad=True) if a.dtype == np.float64 else a for a in arguments]
        as_torch = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        # Leaves cannot be written in place.
        mine, given = (ours, theirs) if name[-1] != "_" else ([ours[0] * 1.0], [theirs[0] * 1.0])
        wanted = getattr(torch.nn.functional, name)(*given, **as_torch)
        got = getattr(functional, name)(*mine, **options)
        assert (got is mine[0]) == (wanted is given[0]), where
        assert got.shape == tuple(wanted.shape), where
        values = wanted.detach().numpy()
        np.testing.assert_allclose(np.asarray(got), values, rtol=1e-9, atol=1e-12, err_msg=where)
        if not wanted.requires_grad:  # integers
            assert got.dtype == values.dtype
            continue
        weights = np.random.default_rng(1).normal(size=got.shape)
        wanted.backward(torch.from_numpy(np.asarray(weights)))
        got.backward(np.asarray(weights))
        for x, y in zip(ours, theirs, strict=True):
            if isinstance(x, Tensor):
                # The slope of torch's hardsigmoid is a sixth in float32, whatever the type.
                rtol = 1e-7 if name == "hardsigmoid" else 1e-9
                np.testing.assert_allclose(
                    x.grad.numpy(), y.grad.numpy(), rtol=rtol, atol=1e-12, err_msg=where
                )


def test_options_keep_their_torch_order() -> None:
    """By position, too: size_average and reduce stand before reduction."""
    x, y = np.array([1.0, 4.0]), np.zeros(2)
    assert functional.mse_loss(x, y, None, None, "sum") == 17
    assert functional.l1_loss(x, y, False) == 5
    np.testing.assert_array_equal(functional.mse_loss(x, y, None, False), [1, 16])
    np.testing.assert_array_equal(functional.pad(x, (1, 0), "constant", 3), [3, 1, 4])
    with pytest.raises(EinkornError, match=r"^mse_loss: size_average is 'sum'"):
        functional.mse_loss(x, y, "sum")
    with pytest.raises(EinkornError, match=r"^binary_cross_entropy: weight"):
        functional.binary_cross_entropy(x / 8, y, "sum")


def test_dropout_draws_like_the_operation() -> None:
    x = np.ones(1000, np.float32)
    einkorn.manual_seed(3)
    wanted = einkorn.ops.dropout(x, 0.25)
    einkorn.manual_seed(3)
    np.testing.assert_array_equal(functional.dropout(x, 0.25), wanted)
