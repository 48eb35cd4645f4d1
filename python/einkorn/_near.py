"""What is said where a name is asked for that is not there: the nearest one that is, or why there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["MissingNameError", "finding"]

#: torch's names that have no equal here, and what to do instead.
_INSTEAD = {
    **dict.fromkeys(
        ("half", "float16", "HalfTensor"),
        "there are no kernels of float16: bfloat16 is the type of 16 bits",
    ),
    **dict.fromkeys(
        ("complex", "complex64", "complex128", "cfloat", "cdouble", "imag", "conj", "angle", "polar"),
        "there are no complex numbers here",
    ),
    **dict.fromkeys(
        ("fft", "stft", "istft", "view_as_complex", "view_as_real"),
        "there are no complex numbers here: numpy.fft takes t.numpy()",
    ),
    **dict.fromkeys(("jit", "fx", "export", "onnx"), "models are not compiled or exported here"),
    **dict.fromkeys(("distributed", "multiprocessing", "rpc"), "one process trains here"),
    **dict.fromkeys(
        ("sparse_coo_tensor", "sparse_csr_tensor", "to_sparse", "sparse"),
        "tensors hold all of their elements",
    ),
    "profiler": "einkorn bench and einkorn.runtime.trace_launches() say what takes how long",
    "hub": "no models are fetched here: einkorn.load_weights reads a file",
    "SyncBatchNorm": "one process trains here: use BatchNorm2d",
}


class MissingNameError(AttributeError):
    """An AttributeError whose message is made when it is read: ``hasattr`` pays nothing for it.

    Parameters
    ----------
    owner : str
        What has no such attribute: ``"module 'einkorn'"``.
    name : str
    known : callable
        Gives the names that there are.
    instead : dict, optional
        Names that are missed on purpose, and what to do instead; by default torch's.
    """

    def __init__(
        self,
        owner: str,
        name: str,
        known: Callable[[], Iterable[str]],
        instead: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(owner, name)
        self._owner, self._missing, self._known = owner, name, known
        self._instead = _INSTEAD if instead is None else instead

    def __str__(self) -> str:
        said = f"{self._owner} has no attribute {self._missing!r}"
        if self._missing in self._instead:
            return f"{said}: {self._instead[self._missing]}"
        near = _nearest(self._missing, [name for name in self._known() if not name.startswith("_")])
        return f"{said}; did you mean {near!r}?" if near else said


def finding(
    module: str, known: Callable[[], Iterable[str]], instead: Mapping[str, str]
) -> Callable[[str], Any]:
    """The ``__getattr__`` of a module that says what to use for names that are missed on purpose."""

    def find(name: str) -> Any:
        raise MissingNameError(f"module {module!r}", name, known, instead)

    return find


def _nearest(name: str, known: list[str]) -> str | None:
    import difflib

    plain = {other.lower().replace("_", ""): other for other in reversed(known)}
    wanted = name.lower().replace("_", "")
    if wanted in plain:
        return plain[wanted]
    found = difflib.get_close_matches(wanted, list(plain), 1, 0.75)
    return plain[found[0]] if found else None
