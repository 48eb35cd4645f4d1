"""Cases of what puts elements into another order or number."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._case import Case, Op, indices, normal

Array = np.ndarray


def _by_position(name: str) -> Any:
    return lambda einkorn, arrays, dtype, o: getattr(einkorn.ops, name)(*arrays, *o.values())


def _simple(name: str, reference: Any, torch: Any = None) -> Op:
    """An operation whose options are given by position, in torch's order."""
    theirs = torch or (lambda torch, x, **o: getattr(torch, name)(x, *o.values()))
    return Op(name, lambda x, **o: reference(x, *o.values()), theirs, call=_by_position(name))


def _joined(name: str) -> Op:
    return Op(
        name,
        lambda *arrays: getattr(np, name)(arrays),
        lambda torch, *tensors: getattr(torch, name)(tensors),
        call=lambda einkorn, arrays, dtype, o: getattr(einkorn.ops, name)(arrays),
    )


def _diag_embed(x: Array, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Array:
    n = x.shape[-1] + abs(offset)
    out = np.zeros((*x.shape[:-1], n, n), x.dtype)
    at = np.arange(x.shape[-1])
    out[..., at + max(-offset, 0), at + max(offset, 0)] = x
    return np.moveaxis(out, (-2, -1), (dim1, dim2))


def _grid(*arrays: Array, indexing: Any) -> list[Array]:
    return list(np.meshgrid(*arrays, indexing=indexing))


def _one_hot(x: Array, num_classes: int) -> Array:
    return np.eye(num_classes, dtype=np.int64)[x]


def _split(x: Array, size: int, dim: int) -> list[Array]:
    return np.split(x, range(size, x.shape[dim], size), dim)


flip = _simple("flip", np.flip)
roll = _simple("roll", np.roll)
channel_shuffle = _simple(
    "channel_shuffle",
    lambda x, groups: x.reshape(len(x), groups, -1, x.shape[2]).swapaxes(1, 2).reshape(x.shape),
    lambda torch, x, groups: torch.nn.functional.channel_shuffle(x, groups),
)
rot90 = _simple("rot90", np.rot90)
tile = _simple("tile", np.tile)
tril = _simple("tril", np.tril)
triu = _simple("triu", np.triu)
diag = _simple("diag", np.diag)
diagonal = _simple("diagonal", np.diagonal)
diag_embed = _simple("diag_embed", _diag_embed)
repeat_interleave = _simple("repeat_interleave", np.repeat)
swapaxes = _simple("swapaxes", np.swapaxes)
movedim = _simple("movedim", np.moveaxis)
moveaxis = _simple("moveaxis", np.moveaxis)
unsqueeze = _simple("unsqueeze", np.expand_dims)
expand_dims = _simple("expand_dims", np.expand_dims, lambda torch, x, axis: torch.unsqueeze(x, axis))
squeeze = _simple("squeeze", np.squeeze)
narrow = _simple("narrow", lambda x, dim, start, n: np.take(x, range(start, start + n), dim))
unflatten = _simple("unflatten", lambda x, dim, sizes: x.reshape(*x.shape[:dim], *sizes, *x.shape[dim + 1 :]))
split = _simple("split", _split)
chunk = _simple("chunk", lambda x, n, dim: _split(x, -(-x.shape[dim] // n), dim))
tensor_split = _simple("tensor_split", np.array_split)
unbind = _simple("unbind", lambda x, dim: list(np.moveaxis(x, dim, 0)))
hstack, vstack, dstack = (_joined(name) for name in ("hstack", "vstack", "dstack"))
cat = Op(
    "cat",
    lambda *arrays, dim: np.concatenate(arrays, dim),
    lambda torch, *tensors, dim: torch.cat(tensors, dim),
    call=lambda einkorn, arrays, dtype, o: einkorn.ops.cat(arrays, **o),
)
meshgrid = Op("meshgrid", _grid, "meshgrid")
one_hot = Op("one_hot", _one_hot, "nn.functional.one_hot")


def _cases() -> list[Case]:
    x = normal(3, 4, 5)
    cases = [
        flip(x, dims=(0, 2)).grad(),
        flip(x.laid_out("F"), dims=(1,)).grad(),
        roll(x, shifts=(1, -2), dims=(0, 2)).grad(),
        roll(x, shifts=7).grad(),
        channel_shuffle(normal(2, 6, 3), groups=2).grad(),
        rot90(x, k=1, dims=(0, 2)).grad(),
        rot90(x, k=-1, dims=(1, 0)).grad(),
        tile(x, dims=(2, 1, 3)).grad(),
        tile(normal(3), dims=(2, 2)).grad(),
        tril(x, diagonal=-1).grad(),
        triu(x, diagonal=1).grad(),
        diag(normal(4), diagonal=-1).grad(),
        diag(normal(3, 5), diagonal=1).grad(),
        diagonal(x, offset=-1, dim1=2, dim2=1).grad(),
        diag_embed(x, offset=1, dim1=0, dim2=2).grad(),
        repeat_interleave(x, repeats=2, dim=1).grad(),
        repeat_interleave(x, repeats=3).grad(),
        Op(
            "repeat_interleave",
            lambda x, counts: np.repeat(x, counts, 1),
            lambda torch, x, counts: torch.repeat_interleave(x, counts, 1),
            call=lambda einkorn, arrays, dtype, o: einkorn.ops.repeat_interleave(*arrays, 1),
        )(x, indices(4, below=3)).grad(0),
        swapaxes(x, axis0=0, axis1=2).grad(),
        movedim(x, source=(0, 1), destination=(2, 0)).grad(),
        moveaxis(x, source=0, destination=-1).grad(),
        unsqueeze(x, dim=1).grad(),
        expand_dims(x, axis=-1).grad(),
        squeeze(normal(3, 1, 2, 1)).grad(),
        squeeze(normal(3, 1, 2, 1), dim=1).grad(),
        narrow(x, dim=1, start=1, length=2).grad(),
        unflatten(x, dim=1, sizes=(2, -1)).grad(),
        split(x, size=2, dim=2).grad(),
        chunk(x, chunks=2, dim=1).grad(),
        tensor_split(x, sections=3, dim=2).grad(),
        unbind(x, dim=1).grad(),
        hstack(normal(2, 3), normal(2, 1)).grad(),
        vstack(normal(3), normal(2, 3)).grad(),
        dstack(normal(3), normal(3)).grad(),
        cat(normal(2, 3), normal(2, 1), dim=-1).grad(),
        meshgrid(normal(3), normal(2), normal(4), indexing="xy").grad(0),
        one_hot(indices(2, 3, below=4), num_classes=5),
    ]
    return [case.exact() for case in cases]


CASES: list[Case] = _cases()
