"""Linear algebra as ``torch.linalg`` has it: inverses, systems, determinants, decompositions and norms.

NumPy (LAPACK) computes; the gradients are here, in operations, so that they have gradients in turn. A matrix
is the last two dimensions, those before are a batch. Float32 and float64; arrays give arrays, Tensors give
Tensors.

References
----------
M. Giles: *An extended collection of matrix derivative results for forward and reverse mode automatic
differentiation*, 2008. I. Murray: *Differentiation of the Cholesky decomposition*, 2016.
"""

from einkorn.errors import ArgumentError
from einkorn.linalg.decompositions import (
    QR,
    SVD,
    Eigh,
    cholesky,
    eigh,
    eigvalsh,
    matrix_rank,
    qr,
    svd,
    svdvals,
)
from einkorn.linalg.norms import (
    cond,
    cross,
    diagonal,
    matmul,
    matrix_norm,
    multi_dot,
    norm,
    vander,
    vecdot,
    vector_norm,
)
from einkorn.linalg.systems import (
    Lstsq,
    SLogDet,
    det,
    inv,
    lstsq,
    matrix_exp,
    matrix_power,
    pinv,
    slogdet,
    solve,
    solve_triangular,
)

__all__ = [
    "QR",
    "SVD",
    "Eigh",
    "LinAlgError",
    "Lstsq",
    "SLogDet",
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "lstsq",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "vander",
    "vecdot",
    "vector_norm",
]

#: What a singular matrix raises.
LinAlgError = ArgumentError
