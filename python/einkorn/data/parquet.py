"""Tables from Parquet files."""

from __future__ import annotations

from os import PathLike, fspath

import numpy as np

from einkorn._extras import need
from einkorn.data.tables import Table
from einkorn.errors import DataError, MissingFileError

__all__ = ["read_parquet"]


def read_parquet(path: str | PathLike[str]) -> Table:
    """Read a table from a Parquet file, as ``read_csv`` gives it.

    Numbers, and true and false, become columns of float64 with NaN where they are missing; all else text,
    with "" where it is missing.

    Raises
    ------
    DataError
        The file is missing, truncated or no Parquet file, or a column holds lists or the like.
    MissingPackageError
        pyarrow is not installed.
    """
    parquet = need("pyarrow.parquet", "read_parquet", "parquet")
    arrow = need("pyarrow", "read_parquet", "parquet")
    name = fspath(path)
    try:
        table = parquet.read_table(name)
    except FileNotFoundError as error:
        raise MissingFileError(f"{name}: there is no such file") from error
    except (OSError, arrow.ArrowException) as error:
        raise DataError(f"{name}: is no whole Parquet file: {error}") from error
    columns = []
    for title, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        if arrow.types.is_nested(kind):
            raise DataError(f"{name}: column {title} holds {kind}, expected numbers or texts")
        values = column.to_pylist()
        if (arrow.types.is_integer(kind) or arrow.types.is_floating(kind) or arrow.types.is_boolean(kind)
                or arrow.types.is_decimal(kind)):  # fmt: skip
            columns.append(np.array([np.nan if v is None else float(v) for v in values], np.float64))
        else:
            columns.append(np.array(["" if v is None else str(v) for v in values], np.str_))
    lines = np.arange(1, table.num_rows + 1)
    return Table(name, list(table.column_names), columns, lines)
