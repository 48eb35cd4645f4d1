"""More functions of ``keras.ops`` beside Keras's: layers, matrices, signals, images, and gradients."""

from __future__ import annotations

import os

import numpy as np
import pytest

import einkorn
from einkorn import Tensor
from einkorn.errors import ArgumentError, ShapeError
from einkorn.keras import ops

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


X, Y, V, W = normal(4, 3), normal(4, 3), normal(7), normal(3)
U = RNG.random((4, 3)).astype(np.float32)
CUBE = normal(2, 3, 4)
HOLES = np.where(U < 0.3, np.nan, X).astype(np.float32)
N, M = RNG.integers(0, 9, (4, 3)), RNG.integers(1, 5, (4, 3))
IMAGES, PICTURE = RNG.random((2, 8, 6, 3)).astype(np.float32), RNG.random((7, 5, 3)).astype(np.float32)
LINES, VOLUMES = normal(2, 9, 4), normal(2, 4, 5, 6, 2)
SQUARE = normal(2, 4, 4)
SYMMETRIC = SQUARE @ SQUARE.transpose(0, 2, 1) + 4 * np.eye(4, dtype=np.float32)
FRAMES = normal(2, 40)
PAIR = (normal(3, 8), normal(3, 8))
FIRST = {"data_format": "channels_first"}

CALLS = [
    # NumPy's names
    ("angle", (X,), {}),
    ("append", (X, Y), {}),
    ("append", (X, Y, 1), {}),
    ("array_split", (V, 3), {}),
    ("array_split", (X, 2, 1), {}),
    ("bartlett", (6,), {}),
    ("blackman", (6,), {}),
    ("hamming", (6,), {}),
    ("hanning", (6,), {}),
    ("kaiser", (6, 5.0), {}),
    ("bincount", (N[0],), {"minlength": 12}),
    ("bincount", (np.array([0, 2, 2]),), {"weights": W}),
    ("bitwise_and", (N, M), {}),
    ("bitwise_or", (N, M), {}),
    ("bitwise_xor", (N, M), {}),
    ("bitwise_not", (N,), {}),
    ("bitwise_invert", (N,), {}),
    ("bitwise_left_shift", (N, M), {}),
    ("left_shift", (N, M), {}),
    ("right_shift", (N, M), {}),
    ("bitwise_right_shift", (N, M), {}),
    ("cbrt", (X,), {}),
    ("conj", (X,), {}),
    ("conjugate", (X,), {}),
    ("copy", (X,), {}),
    ("correlate", (V, W), {}),
    ("correlate", (V, W, "same"), {}),
    ("correlate", (V, W, "full"), {}),
    ("correlate", (W, V, "full"), {}),
    ("diagflat", (W, 1), {}),
    ("digitize", (X, np.float32([-1, 0, 1])), {}),
    ("dsplit", (CUBE, 2), {}),
    ("hsplit", (X, 3), {}),
    ("vsplit", (X, [1, 3]), {}),
    ("gcd", (N, M), {}),
    ("lcm", (N, M), {}),
    ("geomspace", (1.0, 8.0, 4), {}),
    ("get_item", (X, 1), {}),
    ("histogram", (V, 4), {}),
    ("histogram", (V,), {"bins": 3, "range": (-1.0, 1.0)}),
    ("i0", (X,), {}),
    ("real", (X,), {}),
    ("isreal", (X,), {}),
    ("ldexp", (X, M), {}),
    ("logaddexp2", (X, Y), {}),
    ("logspace", (0.0, 2.0, 5), {}),
    ("linspace", (0.0, 1.0, 4, False), {}),
    ("max", (X,), {"initial": 1.5}),
    ("min", (X, 0), {}),
    ("nanargmax", (HOLES, 0), {}),
    ("nanargmin", (HOLES,), {}),
    ("nancumsum", (HOLES, 0), {}),
    ("nancumprod", (HOLES,), {}),
    ("nanmedian", (HOLES,), {}),
    ("nanpercentile", (HOLES, 30.0), {"axis": 0}),
    ("nanprod", (HOLES, 1), {}),
    ("nanquantile", (HOLES, 0.3), {}),
    ("nanstd", (HOLES,), {}),
    ("nanvar", (HOLES, 0, True), {}),
    ("nanvar", (HOLES, 1), {}),
    ("nextafter", (X, Y), {}),
    ("nonzero", (N > 3,), {}),
    ("percentile", (X, 40.0, 0), {}),
    ("ravel", (X,), {}),
    ("repeat", (X, 2, 1), {}),
    ("repeat", (X, np.array([1, 0, 2, 1]), 0), {}),
    ("saturate_cast", (X * 200, "uint8"), {}),
    ("searchsorted", (np.sort(V), X[0], "right"), {}),
    ("sort", (X, 0), {}),
    ("argsort", (X, 0), {}),
    ("trace", (CUBE,), {"offset": 1, "axis1": 1, "axis2": 2}),
    ("tri", (3, 4, 1), {}),
    ("unique", (N,), {}),
    ("unravel_index", (np.array([5, 11]), (4, 3)), {}),
    ("where", (N > 3,), {}),
    ("cumprod", (X, 0), {}),
    ("expand_dims", (X, (0, 2)), {}),
    ("one_hot", (np.array([0, -1, 2]), 3), {}),
    ("view", (X, "int32"), {}),
    ("multi_hot", (np.array([[0, 2], [1, 1]]), 4), {}),
    ("segment_min", (X, np.array([0, 1, 0, 1])), {}),
    ("segment_prod", (X, np.array([0, 2, 0, 2]), 3), {}),
    ("scatter_update", (X, np.array([[0], [0]]), Y[:2], "add"), {}),
    ("scatter_update", (X, np.array([[0, 1], [3, 2]]), np.float32([8, -9])), {"reduction": "max"}),
    ("rearrange", (IMAGES, "b (h p) w c -> b h w (p c)"), {"p": 2}),
    ("rearrange", (X, "a b -> b a"), {}),
    ("all", (N > 0, [0, 1], True), {}),
    ("any", (N > 8, 1), {}),
    ("prod", (X, 0, True), {}),
    ("concatenate", ([X, Y],), {}),
    ("hstack", ([V, V],), {}),
    ("diag", (W,), {"k": 1}),
    ("tril", (X,), {"k": -1}),
    ("triu", (X, 1), {}),
    ("flip", (X,), {}),
    ("flip", (X,), {"axis": 1}),
    ("roll", (X,), {"shift": 2, "axis": 0}),
    ("roll", (X, 1), {}),
    ("swapaxes", (CUBE,), {"axis1": 0, "axis2": 2}),
    ("meshgrid", (V, W), {}),
    ("meshgrid", (V, W), {"indexing": "ij"}),
    ("take_along_axis", (X, np.array([3, 0])), {}),
    ("take_along_axis", (X, np.array([[2], [0], [1], [1]])), {"axis": 1}),
    ("outer", (X, W), {}),
    ("tensordot", (X, X.T.copy()), {"axes": 1}),
    ("einsum", ("ij,kj->ik", X, Y), {}),
    ("gelu", (X,), {}),
    ("binary_crossentropy", (np.float32([0, 1, 1]), np.float32([0.2, 0.7, 0.4])), {}),
    ("maximum", (), {"x1": X, "x2": Y}),
    ("stop_gradient", (), {"variable": X}),
    # layers
    ("conv", (LINES, normal(3, 4, 5)), {"padding": "same", "strides": 2}),
    ("conv", (IMAGES, normal(3, 2, 3, 4)), {"dilation_rate": 2}),
    ("conv", (VOLUMES, normal(2, 2, 2, 1, 4)), {}),
    ("conv", (IMAGES.transpose(0, 3, 1, 2).copy(), normal(3, 3, 3, 2)), FIRST),
    ("conv_transpose", (IMAGES, normal(3, 3, 4, 3), 2), {"padding": "same"}),
    ("conv_transpose", (LINES, normal(4, 2, 4)), {"strides": 2}),
    ("depthwise_conv", (IMAGES, normal(3, 3, 3, 2)), {"padding": "same"}),
    ("separable_conv", (IMAGES, normal(3, 3, 3, 2), normal(1, 1, 6, 5)), {"strides": 2}),
    ("max_pool", (IMAGES, 2), {"padding": "same"}),
    ("average_pool", (LINES, 3, 2), {"padding": "same"}),
    ("adaptive_average_pool", (IMAGES, (4, 3)), {}),
    ("adaptive_max_pool", (LINES, 3), {}),
    ("batch_normalization", (IMAGES, W, W**2 + 1, -1), {"offset": W, "scale": W}),
    ("layer_normalization", (CUBE, normal(4), normal(4)), {"axis": -1, "epsilon": 1e-3}),
    ("layer_normalization", (CUBE,), {"axis": [1, 2], "epsilon": 1e-3}),
    ("rms_normalization", (X, W), {"epsilon": 1e-5}),
    ("psnr", (X, Y, 2.0), {}),
    ("dot_product_attention", (normal(2, 5, 4, 6), normal(2, 7, 2, 6), normal(2, 7, 2, 6)), {}),
    ("dot_product_attention", (normal(2, 5, 2, 6),) * 3, {"is_causal": True}),
    (
        "dot_product_attention",
        (normal(2, 3, 2, 6),) * 3,
        {"mask": np.tri(3, dtype=bool)[None, None], "scale": 0.3},
    ),
    ("dot_product_attention", (normal(2, 3, 2, 6),) * 3, {"bias": normal(1, 2, 3, 3)}),
    ("depth_to_space", (normal(2, 3, 2, 8), 2), {}),
    ("space_to_depth", (IMAGES, 2), {}),
    ("space_to_depth", (normal(2, 3, 4, 6), 2), FIRST),
    ("depth_to_space", (normal(2, 8, 3, 2), 2), FIRST),
    ("unfold", (normal(1, 2, 5, 6), 3), {"padding": 1}),
    ("fold", (normal(1, 8, 20), (5, 6), 2), {}),
    ("ctc_loss", (np.array([[1, 2, 0], [3, 1, 2]]), normal(2, 6, 4), np.array([2, 3]), np.array([6, 5])), {}),
    ("ctc_decode", (normal(2, 6, 4), np.array([6, 4])), {}),
    # matrices
    ("cdist", (X, Y), {}),
    ("cholesky", (SYMMETRIC,), {}),
    ("cholesky", (SYMMETRIC,), {"upper": True}),
    ("cholesky_inverse", (np.linalg.cholesky(SYMMETRIC),), {}),
    ("det", (SQUARE,), {}),
    ("eigh", (SYMMETRIC[:1],), {}),
    ("inv", (SYMMETRIC,), {}),
    ("logdet", (SYMMETRIC,), {}),
    ("lstsq", (X, normal(4)), {}),
    ("lstsq", (X, normal(4, 2)), {}),
    ("lu_factor", (SQUARE[0],), {}),
    ("matrix_rank", (X,), {}),
    ("pinv", (X,), {}),
    ("slogdet", (SQUARE,), {}),
    ("solve", (SQUARE, normal(2, 4, 2)), {}),
    ("solve_triangular", (np.triu(SQUARE) + 2 * np.eye(4, dtype=np.float32), normal(2, 4, 2)), {}),
    ("solve_triangular", (np.tril(SQUARE) + 2 * np.eye(4, dtype=np.float32), normal(2, 4)), {"lower": True}),
    ("svd", (X,), {"compute_uv": False}),
    # signals
    ("fft", (PAIR,), {}),
    ("fft2", (PAIR,), {}),
    ("ifft2", (PAIR,), {}),
    ("rfft", (FRAMES,), {}),
    ("rfft", (FRAMES, 16), {}),
    ("rfft", (FRAMES, 64), {}),
    ("irfft", (PAIR,), {}),
    ("irfft", (PAIR, 12), {}),
    ("irfft", (PAIR, 15), {}),
    ("extract_sequences", (FRAMES, 8, 3), {}),
    ("stft", (FRAMES, 8, 4, 8), {}),
    ("stft", (FRAMES, 6, 4, 16, "hamming"), {}),
    ("stft", (FRAMES[0], 8, 4, 8, None, False), {}),
    ("istft", ((normal(2, 9, 5), normal(2, 9, 5)), 8, 4, 8), {}),
    ("istft", ((normal(9, 9), normal(9, 9)), 8, 4, 16), {"center": False}),
    ("istft", ((normal(2, 9, 5), normal(2, 9, 5)), 8, 4, 8), {"length": 30}),
    # images
    ("image.resize", (IMAGES, (5, 9)), {}),
    ("image.resize", (PICTURE, (3, 3)), {"interpolation": "nearest"}),
    ("image.resize", (IMAGES, (4, 4)), {"antialias": True}),
    ("image.resize", (IMAGES, (4, 4)), {"crop_to_aspect_ratio": True}),
    ("image.resize", (IMAGES, (4, 4)), {"pad_to_aspect_ratio": True, "fill_value": 0.5}),
    ("image.resize", (IMAGES, (12, 7)), {"interpolation": "bicubic"}),
    ("image.rgb_to_grayscale", (IMAGES,), {}),
    ("image.rgb_to_hsv", (IMAGES,), {}),
    ("image.hsv_to_rgb", (IMAGES,), {}),
    ("image.rgb_to_hsv", (PICTURE,), {}),
    ("image.rgb_to_grayscale", (IMAGES.transpose(0, 3, 1, 2).copy(),), FIRST),
    ("image.affine_transform", (IMAGES, np.float32([[1, 0.2, -1, 0.1, 0.9, 0.5, 0, 0]] * 2)), {}),
    (
        "image.affine_transform",
        (PICTURE, np.float32([0.8, 0, 1, 0.1, 1.27, -2.1, 0, 0]), "nearest", "reflect"),
        {},
    ),
    ("image.affine_transform", (IMAGES, np.float32([[1, 0, 3, 0, 1, -2, 0, 0]] * 2)), {"fill_mode": "wrap"}),
    ("image.crop_images", (IMAGES, 1, 2), {"target_height": 5, "target_width": 3}),
    ("image.pad_images", (IMAGES, 1, 2, 3, 0), {}),
    ("image.extract_patches", (IMAGES, (3, 2)), {}),
    ("image.extract_patches", (PICTURE, 3), {"strides": 1, "padding": "same"}),
    ("image.extract_patches_3d", (VOLUMES, 2), {}),
    ("image.gaussian_blur", (IMAGES,), {"data_format": "channels_last"}),
    ("image.gaussian_blur", (IMAGES, (5, 5), (0.7, 2.0)), {"data_format": "channels_last"}),
    ("image.sobel_edges", (IMAGES,), {}),
    (
        "image.ssim",
        (RNG.random((2, 14, 12, 3)).astype(np.float32), RNG.random((2, 14, 12, 3)).astype(np.float32)),
        {},
    ),
    ("image.map_coordinates", (X, np.float32([[0.3, 2.7, -0.6, 5.0], [1.2, 0.0, 0.5, 1.0]]), 1), {}),
    ("image.map_coordinates", (X, np.float32([[0.3, 2.7, -1.6], [1.2, -3.0, 3.5]]), 0, "mirror"), {}),
    (
        "image.perspective_transform",
        (
            IMAGES,
            np.float32([[[0, 0], [5, 0], [0, 7], [5, 7]]] * 2),
            np.float32([[[1, 0], [5, 1], [0, 6], [4, 7]]] * 2),
        ),
        {},
    ),
]


def named_function(library, name):
    for part in name.split("."):
        library = getattr(library, part)
    return library


def leaves(value):
    return [leaf for part in value for leaf in leaves(part)] if isinstance(value, (tuple, list)) else [value]


@pytest.mark.parametrize("as_tensor", [False, True], ids=["arrays", "Tensors"])
@pytest.mark.parametrize(
    ("name", "args", "named"), CALLS, ids=[f"{i}-{call[0]}" for i, call in enumerate(CALLS)]
)
def test_functions_are_keras_own(name, args, named, as_tensor):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")

    def turned(value, make):
        if isinstance(value, tuple) and any(isinstance(part, np.ndarray) for part in value):
            return tuple(turned(part, make) for part in value)
        return make(value) if isinstance(value, np.ndarray) else value

    def theirs(value):
        return keras.ops.convert_to_tensor(value.copy())

    def ours(value):
        return Tensor(value) if as_tensor and value.dtype == np.float32 else value

    wanted = named_function(keras.ops, name)(
        *[turned(a, theirs) for a in args], **{key: turned(value, theirs) for key, value in named.items()}
    )
    found = named_function(ops, name)(
        *[turned(a, ours) for a in args], **{key: turned(value, ours) for key, value in named.items()}
    )
    if name in ("nonzero", "where"):
        wanted = list(keras.ops.convert_to_numpy(wanted))  # Keras stacks them there
    got, expected = leaves(found), leaves(wanted)
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        mine, other = ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other)
        assert mine.shape == other.shape
        assert (mine.dtype.kind in "iub") == (other.dtype.kind in "iub")
        if name == "eigh":
            mine, other = abs(mine), abs(other)
        np.testing.assert_allclose(mine, other, rtol=2e-4, atol=2e-5)


DIFFERENTIABLE = [
    ("cbrt", lambda f, x: f(x)),
    ("logaddexp2", lambda f, x: f(x, 2 * x)),
    ("nanvar", lambda f, x: f(x, 0)),
    ("nancumsum", lambda f, x: f(x, 0)),
    ("correlate", lambda f, x: f(x[:, 0], x[:3, 1], "same")),
    ("segment_sum", lambda f, x: f(x, np.array([0, 1, 0, 5]), 2)),
    ("segment_max", lambda f, x: f(x, np.array([0, 1, 0, 1]))),
    ("segment_min", lambda f, x: f(x, np.array([0, 1, 0, 1]))),
    ("segment_prod", lambda f, x: f(x, np.array([0, 1, 0, 1]))),
    ("scatter", lambda f, x: f(np.array([[0], [2], [0], [1]]), x, (3, 3))),
    ("scatter_update", lambda f, x: f(x, np.array([[0], [2]]), 2 * x[:2])),
    ("slice_update", lambda f, x: f(x, (1, 0), 3 * x[:2, :2])),
    ("rfft", lambda f, x: f(x)),
    ("rfft", lambda f, x: f(x, 5)),
    ("irfft", lambda f, x: f((x, 2 * x), 4)),
    ("irfft", lambda f, x: f((x, 2 * x), 7)),
    ("fft", lambda f, x: f((x, x * x))),
    ("ifft2", lambda f, x: f((x, x * x))),
    ("stft", lambda f, x: f(x.reshape(-1), 4, 2, 4)),
    ("istft", lambda f, x: f((x, 2 * x), 4, 2, 4)),
    ("layer_normalization", lambda f, x: f(x, axis=0)),
    ("rms_normalization", lambda f, x: f(x)),
    ("dot_product_attention", lambda f, x: f(*[x.reshape(1, 4, 1, 3)] * 3, is_causal=True)),
    ("conv", lambda f, x: f(x.reshape(1, 4, 3), x.reshape(2, 3, 2), padding="same")),
    ("conv_transpose", lambda f, x: f(x.reshape(1, 4, 3), x.reshape(2, 2, 3), 2)),
    ("cholesky_inverse", lambda f, x: f(x[:3] * np.tri(3) + 2 * np.eye(3))),
    ("rearrange", lambda f, x: f(x, "(a b) c -> b (c a)", a=2)),
    ("scan", lambda f, x: f(lambda carry, row: (carry + row, carry * row), x[0], x)[1]),
    ("associative_scan", lambda f, x: f(lambda a, b: a * b, x)),
    ("vectorize", lambda f, x: f(lambda a, b: a * b + a)(x, x[0])),
    ("image.map_coordinates", lambda f, x: f(x, (x[0] + 1.1, x[1] * 0.3 + 0.4), 1)),
    ("image.rgb_to_hsv", lambda f, x: f(abs(x).reshape(2, 2, 3))),
    ("image.hsv_to_rgb", lambda f, x: f(abs(x).reshape(2, 2, 3) / 4)),
    (
        "image.affine_transform",
        lambda f, x: f(x.reshape(4, 3, 1), np.array([0.9, 0.2, 0.1, -0.1, 1.1, 0.3, 0, 0])),
    ),
    ("image.gaussian_blur", lambda f, x: f(x.reshape(4, 3, 1))),
    ("image.ssim", lambda f, x: f(x.reshape(4, 3, 1), 2 * x.reshape(4, 3, 1), filter_size=3)),
]


@pytest.mark.parametrize(
    ("name", "call"), DIFFERENTIABLE, ids=[f"{i}-{one[0]}" for i, one in enumerate(DIFFERENTIABLE)]
)
def test_gradients_are_those_of_differences(name, call):
    function = named_function(ops, name)
    x = np.random.default_rng(3).normal(size=(4, 3))

    def total(value):
        found = leaves(call(function, value))
        return sum(
            (
                part
                * np.cos(np.arange(part.size if isinstance(part, np.ndarray) else part.numel())).reshape(
                    part.shape
                )
            ).sum()
            for part in found
        )

    tensor = Tensor(x, requires_grad=True)
    total(tensor).backward()
    wanted = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        ends = []
        for step in (1e-6, -1e-6):
            moved = x.copy()
            moved[place] += step
            ends.append(float(total(Tensor(moved))))
        wanted[place] = (ends[0] - ends[1]) / 2e-6
    np.testing.assert_allclose(tensor.grad.numpy(), wanted, rtol=1e-5, atol=1e-7)


def test_what_goes_there_and_back():
    x = normal(2, 64)
    parts = ops.stft(x, 16, 4, 16)
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.istft(parts, 16, 4, 16))[:, 8:-8], x[:, 8:-8], atol=1e-5
    )
    np.testing.assert_allclose(ops.convert_to_numpy(ops.irfft(ops.rfft(x))), x, atol=1e-6)
    q, r = ops.qr(SQUARE)
    np.testing.assert_allclose(ops.matmul(q, r), SQUARE, atol=1e-5)
    u, s, v = ops.svd(X, full_matrices=False)
    np.testing.assert_allclose((u * s) @ v, X, atol=1e-5)
    places = ops.argpartition(V, 3)
    assert (V[places[:3]] <= V[places[3]]).all()
    labels, scores = ops.ctc_decode(
        normal(2, 6, 4), np.array([6, 4]), "beam_search", beam_width=8, top_paths=3
    )
    assert labels.shape == (3, 2, 6)
    assert (np.diff(scores.numpy()) <= 0).all()
    moved = ops.image.elastic_transform(IMAGES, alpha=0.0)
    np.testing.assert_allclose(moved, IMAGES, atol=1e-6)


def test_walks_and_gradients_of_ones_own():
    carry, sums = ops.scan(lambda c, x: (c + x, c + x), 0.0, V)
    np.testing.assert_allclose(sums, np.cumsum(V), rtol=1e-5)
    assert carry == pytest.approx(V.sum(), rel=1e-5)
    _, back = ops.scan(lambda c, x: (c + x, c + x), 0.0, V, reverse=True)
    np.testing.assert_allclose(back, np.cumsum(V[::-1])[::-1], rtol=1e-4, atol=1e-6)
    both = ops.associative_scan(lambda a, b: (a[0] + b[0], a[1] * b[1]), (X, X), axis=1)
    np.testing.assert_allclose(both[0], np.cumsum(X, 1), rtol=1e-5)
    np.testing.assert_allclose(both[1], np.cumprod(X, 1), rtol=1e-5)

    @ops.custom_gradient
    def log1pexp(x):
        e = ops.exp(x)

        def grad(*args, upstream=None):
            if upstream is None:
                (upstream,) = args
            return ops.multiply(upstream, 1.0 - 1.0 / ops.add(1, e))

        return ops.log(1 + e), grad

    x = einkorn.tensor([100.0], requires_grad=True)
    with np.errstate(over="ignore", invalid="ignore"):
        log1pexp(x).backward()
    assert x.grad.item() == 1.0
    value, slope = ops.jvp(lambda x: x**3, (np.float32([2.0]),), (np.float32([1.0]),))
    assert (value.item(), slope.item()) == (8.0, 12.0)


def test_what_does_not_fit_is_refused_by_name():
    for name, hint in (
        ("eig", "numpy.linalg.eig"),
        ("polar", "pairs of real"),
        ("view_as_complex", "pairs of real"),
    ):
        with pytest.raises(AttributeError, match=hint):
            getattr(ops, name)
    with pytest.raises(AttributeError, match="did you mean 'concatenate'"):
        getattr(ops, "concatenat")  # noqa: B009 - a name that is looked for
    with pytest.raises(ArgumentError, match="expected a pair"):
        ops.fft(X)
    with pytest.raises(ArgumentError, match="the same names"):
        ops.rearrange(X, "a b -> a c")
    with pytest.raises(ShapeError, match="an axis of 4 is not a times b"):
        ops.rearrange(X, "(a b) c -> a b c", a=3)
    with pytest.raises(ShapeError, match="kernel is of 2 channels"):
        ops.conv(IMAGES, normal(3, 3, 2, 4))
    with pytest.raises(ShapeError, match="has 4 channels, expected 3"):
        ops.image.rgb_to_hsv(normal(2, 3, 3, 4))
    with pytest.raises(ArgumentError, match="sparse is True"):
        ops.one_hot(N, 9, sparse=True)
    with pytest.raises(ArgumentError, match="attn_logits_soft_cap"):
        ops.dot_product_attention(*[normal(1, 2, 2, 2)] * 3, attn_logits_soft_cap=1.0)
    with pytest.raises(ArgumentError, match="nothing to walk"):
        ops.scan(lambda c, x: (c, x), 0.0, np.zeros((0, 2)))


@pytest.mark.parametrize("module", ["", "linalg", "nn", "numpy", "image"])
def test_keras_names_are_there_and_take_their_arguments_in_order(module):
    import inspect

    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    wanted, own = (named_function(library, f"ops.{module}".rstrip(".")) for library in (keras, einkorn.keras))
    free = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    refused = {"eig", "polar", "view_as_complex", "view_as_real", "scale_and_translate"}
    for name in dir(wanted):
        if name.startswith("_") or name in refused or not callable(getattr(wanted, name)):
            continue
        assert hasattr(own, name), name
        here, there = (
            [
                p.name
                for p in inspect.signature(getattr(library, name)).parameters.values()
                if p.kind not in free
            ]
            for library in (own, wanted)
        )
        defaults, known = (
            {p.name: p.default for p in inspect.signature(getattr(library, name)).parameters.values()}
            for library in (own, wanted)
        )
        if here:  # functions of einkorn.ops take anything, and refuse what does not fit by name
            assert all(
                defaults.get(key, value) == value
                for key, value in known.items()
                if key not in ("args", "kwargs")
            ), name
            assert here[: len(there)] == there[: len(here)], name
            assert len(here) >= len(there), name
