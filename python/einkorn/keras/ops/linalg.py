"""``keras.ops.linalg``: the functions of ``keras.ops`` that Keras lists under this name, too."""

from __future__ import annotations

from einkorn.keras import ops as _ops

_NAMES = """
cholesky cholesky_inverse det eigh inv jvp lstsq lu_factor matrix_rank norm pinv qr solve
solve_triangular svd
"""
__all__ = _NAMES.split()

globals().update({name: getattr(_ops, name) for name in __all__})
