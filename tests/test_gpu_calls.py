"""Methods and functions on tensors of a GPU that is not there: the CPU's numbers, and results on the GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gpu_stand_in
import numpy as np
import pytest

import einkorn
from einkorn import linalg, nn

F = nn.functional
X = np.random.default_rng(2).standard_normal((4, 5)).astype(np.float32)
Make = Callable[[Any], Any]


def _written(t: Any) -> Any:
    t[t > 0] = 0.0
    t[0] = np.arange(5.0, dtype=np.float32)
    return t


CALLS: dict[str, Callable[[Any, Make], Any]] = {
    "comparisons": lambda x, _: [x > 0, x == x, x <= 1, (x > 0).any(), (x > 0).all(1), (x >= 0).sum()],
    "integers": lambda _, t: [t([1, 2]) & t([3, 2]), t([1, 2]).dot(t([3, 2])), t([3, 4]).argmax()],
    "containing": lambda _, t: [1.0 in t([1.0, 2.0]), 9 in t([1]), "a" in t([1])],
    "masks": lambda x, _: [x[x > 0], (x > 0).nonzero(), einkorn.where(x > 0, x, 0.0), x.masked_select(x > 0)],
    "writing": lambda x, _: [_written(x.clone()), x.clone().copy_(einkorn.ones(4, 5))],
    "drawing in place": lambda x, _: [
        x.clone().normal_(),
        x.clone().uniform_(),
        x.clone().bernoulli_(0.3),
        nn.init.xavier_uniform_(x.clone()),
    ],
    "drawing": lambda x, _: [
        einkorn.bernoulli(x.abs() / 9),
        einkorn.multinomial(x.abs(), 3),
        F.gumbel_softmax(x, hard=True),
        F.rrelu(x, training=True),
        einkorn.rand_like(x),
    ],
    "windows": lambda x, _: [x.unfold(1, 2, 1), F.unfold(x[None, None], 2)],
    "determinants": lambda x, _: [linalg.det(x[:, :4]), *linalg.slogdet(x[:, :4])],
    "decompositions": lambda x, _: [
        linalg.pinv(x),
        linalg.lstsq(x, x)[0],
        linalg.matrix_rank(x),
        linalg.eigh(x @ x.T)[0],
        linalg.cholesky(x @ x.T + einkorn.eye(4, device=x.device)),
    ],
    "functions": lambda x, _: [
        x.erfinv(),
        x.sinc(),
        x.lgamma(),
        x.digamma(),
        x.i0(),
        x.abs().xlogy(2.0),
        x.heaviside(x),
        x.nextafter(x + 1),
        einkorn.fmax(x, x / x.clamp(min=0)),
        x[:, :4].matrix_exp(),
        x[:, :4].matrix_power(0),
    ],
    "made on the way": lambda x, t: [
        x.scatter(1, t([[0, 1], [2, 3]]), 1.5),
        x.clone().fill_diagonal_(0.5),
        x.new_tensor([1.0]),
        x.put([1, 2], [0.5, 0.25]),
        x.isreal(),
        F.one_hot(t([0, 2]), 3),
        *x.histogram(3),
        x.pinverse(0.1),
        einkorn.bincount(t([1, 3])),
        t([1, 2]) ** t([2, 3]),
        x[1:, 2:].storage_offset(),
    ],
    "covariances": lambda x, _: [einkorn.cov(x), einkorn.corrcoef(x), x.std(1)],
    "places": lambda x, t: [
        x[t([0, 2])],
        x[[0, 2], [1, 1]],
        x.index_select(1, t([0, 2])),
        einkorn.take(x, t([0, 7])),
        x.topk(2)[1],
        x.kthvalue(2)[0],
    ],
}


def _near(value: Any) -> Any:
    return value.cpu().detach().numpy() if isinstance(value, einkorn.Tensor) else gpu_stand_in.near(value)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_calls_on_a_gpu_are_those_of_the_cpu(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu_stand_in.install(monkeypatch)
    found = []
    for device in ("cpu", "cuda:0"):
        einkorn.manual_seed(3)
        out = call(einkorn.tensor(X, device=device), lambda data, d=device: einkorn.tensor(data, device=d))
        assert {str(t.device) for t in out if isinstance(t, einkorn.Tensor)} <= {device}
        found.append([_near(value) for value in out])
    for here, there in zip(*found, strict=True):
        np.testing.assert_array_equal(there, here)
