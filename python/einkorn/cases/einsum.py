"""Cases of einsum and the products that it names."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._case import Case, Op, normal

Array = np.ndarray


def _scale(equation: str, *arrays: Array) -> Array:
    return np.einsum(equation, *map(np.abs, arrays))


einsum = Op(
    "einsum",
    lambda *arrays, equation: np.einsum(equation, *arrays),
    lambda torch, *tensors, equation: torch.einsum(equation, *tensors),
    call=lambda einkorn, arrays, dtype, o: einkorn.ops.einsum(o["equation"], *arrays),
    scale=lambda *arrays, equation: _scale(equation, *arrays),
)
tensordot = Op(
    "tensordot",
    lambda a, b, dims: np.tensordot(a, b, dims),
    "tensordot",
    scale=lambda a, b, dims: np.tensordot(np.abs(a), np.abs(b), dims),
)


def _named(name: str, equation: str, reference: Any = None) -> Op:
    """A product of two arrays: its reference is an einsum."""
    return Op(
        name,
        reference or (lambda a, b: np.einsum(equation, a, b)),
        name,
        scale=lambda a, b: _scale(equation, a, b),
    )


inner = _named("inner", "ik,jk->ij")
outer = _named("outer", "i,j->ij")
dot = _named("dot", "i,i->")
vdot = _named("vdot", "i,i->")
mv = _named("mv", "ij,j->i")
mm = _named("mm", "ij,jk->ik")
kron = Op("kron", np.kron, "kron")
trace = Op("trace", np.trace, "trace", scale=lambda x: np.trace(np.abs(x)))


def _sum_of(name: str, equation: str) -> Op:
    def reference(c: Array, a: Array, b: Array, beta: float = 1, alpha: float = 1) -> Array:
        return (beta * c + alpha * np.einsum(equation, a, b)).astype(c.dtype)

    return Op(
        name,
        reference,
        name,
        scale=lambda c, a, b, beta=1, alpha=1: np.abs(beta * c) + np.abs(alpha) * _scale(equation, a, b),
    )


baddbmm = _sum_of("baddbmm", "sij,sjk->sik")
addbmm = _sum_of("addbmm", "sij,sjk->ik")
addmv = _sum_of("addmv", "ij,j->i")


def _bilinear(x1: Array, x2: Array, weight: Array, bias: Array) -> Array:
    return np.einsum("...i,oij,...j->...o", x1, weight, x2) + bias


bilinear = Op(
    "bilinear",
    _bilinear,
    "nn.functional.bilinear",
    scale=lambda *arrays: _bilinear(*map(np.abs, arrays)),
)


def _cases() -> list[Case]:
    cases = [
        einsum(normal(2, 3, 4, 5), normal(2, 3, 6, 5), equation="bhqd,bhkd->bhqk").grad(),
        einsum(normal(3, 4), normal(4, 5), equation="ij,jk").grad(),
        einsum(normal(2, 3, 3, 4), normal(4, 5), equation="...ij,jk").grad(),
        einsum(normal(2, 3, 4), normal(2, 4, 5), equation="...ij,...jk->k...i").grad(),
        einsum(normal(4, 4, 3), equation="iij->ji").grad(),
        einsum(normal(4, 4), equation="ii").grad(),
        einsum(normal(3), normal(4), equation="i,j->ji").grad(),
        einsum(normal(3, 4), normal(3, 4), equation="ij,ij->j").grad(),
        einsum(normal(3, 4), normal(5, 6), normal(4, 2), normal(2, 5), equation="ij,kl,jm,mk->il").grad(),
        einsum(normal(3, 0), normal(0, 5), equation="ij,jk->ik").grad(),
        tensordot(normal(3, 4, 5), normal(4, 5, 6), dims=2).grad(),
        tensordot(normal(3, 4, 5), normal(4, 5, 3), dims=((1, 0), (0, 2))).grad(),
        inner(normal(3, 4), normal(2, 4)).grad(),
        outer(normal(3), normal(4)).grad(),
        dot(normal(5), normal(5)).grad(),
        vdot(normal(5), normal(5)).grad(),
        mv(normal(3, 4), normal(4)).grad(),
        mm(normal(3, 4), normal(4, 5)).grad(),
        kron(normal(2, 3), normal(4)).grad(),
        trace(normal(4, 5)).grad(),
        baddbmm(normal(2, 3, 5), normal(2, 3, 4), normal(2, 4, 5), beta=0.5, alpha=2.0).grad(),
        addbmm(normal(3, 5), normal(2, 3, 4), normal(2, 4, 5)).grad(),
        addmv(normal(3), normal(3, 4), normal(4), alpha=-0.5).grad(),
        bilinear(normal(2, 3, 4), normal(2, 3, 5), normal(6, 4, 5), normal(6)).grad(),
    ]
    heads = normal(8, 8, 128, 64)
    return [*cases, einsum(heads, heads, equation="bhqd,bhkd->bhqk").grad().bench()]


CASES: list[Case] = _cases()
