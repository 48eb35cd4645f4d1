"""Cases of what takes and puts elements by index."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._case import Case, Op, indices, integers, normal, sprinkled

Array = np.ndarray
_UFUNCS = {"sum": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}


def _by_dim(name: str) -> Any:
    """A call with the axis in second place, as torch has it."""

    def call(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> Any:
        rest = {key: value for key, value in options.items() if key != "dim"}
        return getattr(einkorn.ops, name)(arrays[0], options["dim"], *arrays[1:], **rest)

    return call


def _torch_by_dim(name: str) -> Any:
    return lambda torch, x, *rest, dim, **options: getattr(torch, name)(x, dim, *rest, **options)


def _reach(shape: tuple[int, ...], narrow: tuple[int, ...], dim: int) -> tuple[slice, ...]:
    return tuple(slice(None) if d == dim % len(shape) else slice(n) for d, n in enumerate(narrow))


def _places(index: Array, dim: int) -> tuple[Array, ...]:
    grid = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    grid[dim] = index
    return tuple(grid)


def _gather(x: Array, index: Array, dim: int) -> Array:
    return np.take_along_axis(x[_reach(x.shape, index.shape, dim)], index, dim)


def _scatter(x: Array, index: Array, src: Array, dim: int) -> Array:
    out = x.copy()
    out[_places(index, dim)] = src[tuple(slice(n) for n in index.shape)]
    return out


def _scatter_reduce(
    x: Array, index: Array, src: Array, dim: int, reduce: str, include_self: bool = True
) -> Array:
    out, at = x.copy(), _places(index, dim)
    if not include_self:
        starts = {"amax": -np.inf, "amin": np.inf, "prod": 1}
        out[at] = starts.get(reduce, 0)
    if reduce != "mean":
        _UFUNCS[reduce].at(out, at, src)
        return out
    counts = np.ones_like(out)
    if not include_self:
        counts[at] = 0
    np.add.at(out, at, src)
    np.add.at(counts, at, 1)
    return (out / np.maximum(counts, 1)).astype(x.dtype)


def _index_put(combine: Any) -> Any:
    def reference(x: Array, index: Array, source: Array, dim: int, alpha: float = 1) -> Array:
        out = x.copy()
        places = (*(slice(None),) * (dim % x.ndim), index)
        if combine is None:
            out[places] = source
        else:
            combine.at(out, places, (alpha * source).astype(x.dtype))
        return out

    return reference


def _masked_scatter(x: Array, mask: Array, source: Array) -> Array:
    out = x.copy()
    held = mask > 0
    out[held] = source.reshape(-1)[: held.sum()]
    return out


def _masked(name: str) -> Any:
    return lambda einkorn, arrays, dtype, o: getattr(einkorn.ops, name)(
        arrays[0], arrays[1] > 0, *arrays[2:], **o
    )


def _torch_masked(name: str) -> Any:
    return lambda torch, x, mask, *rest, **o: getattr(torch, name)(x, mask > 0, *rest, **o)


gather = Op("gather", _gather, _torch_by_dim("gather"), call=_by_dim("gather"))
scatter = Op("scatter", _scatter, _torch_by_dim("scatter"), call=_by_dim("scatter"))
scatter_add = Op(
    "scatter_add",
    lambda x, index, src, dim: _scatter_reduce(x, index, src, dim, "sum"),
    _torch_by_dim("scatter_add"),
    call=_by_dim("scatter_add"),
)
scatter_reduce = Op(
    "scatter_reduce",
    _scatter_reduce,
    lambda torch, x, index, src, dim, reduce, include_self=True: torch.scatter_reduce(
        x, dim, index, src, reduce, include_self=include_self
    ),
    call=_by_dim("scatter_reduce"),
    unit=1.0,
)
index_select = Op(
    "index_select",
    lambda x, index, dim: np.take(x, index, dim),
    _torch_by_dim("index_select"),
    call=_by_dim("index_select"),
)
index_add = Op(
    "index_add", _index_put(np.add), _torch_by_dim("index_add"), call=_by_dim("index_add"), unit=1.0
)
index_copy = Op("index_copy", _index_put(None), _torch_by_dim("index_copy"), call=_by_dim("index_copy"))
index_fill = Op(
    "index_fill",
    lambda x, index, dim, value: _index_put(None)(x, index, np.array(value, x.dtype), dim),
    _torch_by_dim("index_fill"),
    call=_by_dim("index_fill"),
)
take = Op("take", lambda x, index: np.take(x, index), "take")
take_along_axis = Op(
    "take_along_axis",
    lambda x, index, axis: np.take_along_axis(x, index, axis),
    lambda torch, x, index, axis: torch.take_along_dim(x, index, axis),
)
masked_select = Op(
    "masked_select",
    lambda x, mask: x[np.broadcast_to(mask > 0, x.shape)],
    _torch_masked("masked_select"),
    call=_masked("masked_select"),
)
masked_fill = Op(
    "masked_fill",
    lambda x, mask, value: np.where(mask > 0, np.array(value, x.dtype), x),
    _torch_masked("masked_fill"),
    call=_masked("masked_fill"),
)
masked_scatter = Op(
    "masked_scatter", _masked_scatter, _torch_masked("masked_scatter"), call=_masked("masked_scatter")
)
take_along_dim = Op(
    "take_along_dim", lambda x, index: np.take_along_axis(x.reshape(-1), index, 0), "take_along_dim"
)


def _put(einkorn: Any, arrays: list[Any], dtype: Any, options: dict[str, Any]) -> Any:
    out = einkorn.ops.negative(arrays[0])
    einkorn.ops.put_along_axis(out, *arrays[1:], **options)
    return out


def _put_reference(x: Array, index: Array, values: Array, axis: int) -> Array:
    out = -x
    np.put_along_axis(out, index, values, axis)
    return out


put_along_axis = Op("put_along_axis", _put_reference, call=_put)


def _cases() -> list[Case]:
    x = normal(4, 5, 6)
    later = "leaves open which of several elements stays"
    cases = [
        gather(x, indices(4, 7, 6, below=5), dim=1).grad(0),
        gather(x, indices(2, 5, 3, below=4), dim=0).grad(0),
        gather(x.laid_out("F"), indices(4, 5, 2, below=6), dim=-1).grad(0),
        gather(sprinkled(5), indices(9, below=5), dim=0),
        gather(normal(0, 3), indices(0, 2, below=3), dim=1).grad(0),
        scatter(x, indices(4, 3, 6, below=5), normal(4, 3, 6), dim=1).grad(0, 2).unlike_torch(later),
        scatter(x.laid_out("reversed"), indices(2, 5, 6, below=4), normal(3, 5, 6), dim=0).unlike_torch(
            later
        ),
        index_select(x, indices(7, below=5), dim=1).grad(0),
        index_select(x.laid_out("gaps"), indices(3, below=6), dim=2).grad(0),
        index_select(normal(6, 33), indices(50, below=6), dim=0).grad(0),
        index_copy(x, indices(1, below=5), normal(4, 1, 6), dim=1).grad(0, 2),
        index_fill(x, indices(3, below=6), dim=2, value=-1.5).grad(0),
        take(x, indices(3, 4, below=120, low=-120)).grad(0),
        take_along_axis(x, indices(4, 5, 1, below=6), axis=2).grad(0),
        take_along_axis(x, indices(1, 2, 6, below=5), axis=1).grad(0),
        masked_select(x, indices(4, 5, 6, below=2)).grad(0),
        masked_select(x, indices(5, 1, below=2)).grad(0),
        masked_fill(x, indices(4, 1, 6, below=2), value=2.5).grad(0),
        masked_scatter(x, indices(4, 5, 6, below=2), normal(120)).grad(0, 2),
        take_along_dim(x, indices(7, below=120)).grad(0),
        put_along_axis(x, indices(4, 1, 6, below=5), normal(4, 1, 6), axis=1).grad(0, 2),
        index_add(integers(4, 5, 6), indices(11, below=5), integers(4, 11, 6), dim=1),
        index_add(integers(7, 40), indices(300, below=7), integers(300, 40), dim=0),
        scatter_add(integers(9), indices(200, below=9), integers(200), dim=0),
    ]
    cases = [case.exact() for case in cases]
    cases += [
        index_add(x, indices(3, below=5), normal(4, 3, 6), dim=1, alpha=0.5).grad(0, 2),
        scatter_add(x, indices(4, 3, 6, below=5), normal(4, 3, 6), dim=1).grad(0, 2),
    ]
    for reduce in ("sum", "prod", "mean", "amax", "amin"):
        for own in (True, False):
            case = scatter_reduce(
                normal(3, 4), indices(3, 6, below=4), normal(3, 6), dim=1, reduce=reduce, include_self=own
            )
            cases.append(case.grad(0, 2))
    table, names = normal(50000, 64), indices(8192, below=50000)
    cases += [
        index_select(table, names, dim=0).grad(0).bench(),
        index_add(table, names, normal(8192, 64), dim=0).bench(),
        gather(normal(4096, 1024), indices(4096, 256, below=1024), dim=1).bench(),
    ]
    return cases


CASES: list[Case] = _cases()
