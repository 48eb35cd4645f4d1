"""Tables of real data for comparing estimators: (X, y, numbers of the categorical columns).

They are looked for under EINKORN_DATA and beside the repository; a test that asks for one that is not there
is skipped by name. Words become codes, missing values NaN.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from einkorn.data import read_csv

_SHARED = Path(__file__).parent.parent.parent / "shared" / "data"


class Data(NamedTuple):
    X: np.ndarray
    y: np.ndarray
    categorical: list[int]


def find(name: str) -> Path:
    """The file of that name, or a skip."""
    for root in (os.environ.get("EINKORN_DATA"), _SHARED):
        if root and (Path(root) / name).exists():
            return Path(root) / name
    pytest.skip(f"{name} is neither under EINKORN_DATA nor in {_SHARED}")


def _columns(name: str, header: bool, target: str | int) -> Data:
    """All columns but the target, which is a name or counts from the first column."""
    table = read_csv(find(name), header=header)
    if isinstance(target, int):
        target = table.names[target]
    columns, categorical = [], []
    for column_name, column in zip(table.names, table.columns, strict=True):
        if column_name == target:
            continue
        if column.dtype.kind == "U":
            categorical.append(len(columns))
            codes = np.unique(column, return_inverse=True)[1].astype(np.float64)
            column = np.where(column == "", np.nan, codes)
        columns.append(column)
    y = table.column(target)
    if y.dtype.kind == "U":
        y = np.unique(y, return_inverse=True)[1]
    return Data(np.stack(columns, axis=1), y, categorical)


def adult() -> Data:
    """Income above 50,000 dollars or not: 32,561 rows, 14 columns, 8 of them words."""
    return _columns("adult/adult.data.gz", False, -1)


def covertype() -> Data:
    """Seven kinds of forest: 15,120 rows, 54 columns."""
    data = _columns("covertype/kaggle_train_15120.csv.gz", True, "Cover_Type")
    return Data(data.X[:, 1:], data.y.astype(np.int64), [])


def california() -> Data:
    """The logarithm of house values: 20,640 rows, 9 columns, one of words."""
    data = _columns("california_housing/housing.csv", True, "median_house_value")
    return data._replace(y=np.log(data.y))


def spambase() -> Data:
    """Mail that is spam or not: 4,601 rows, 57 columns."""
    data = _columns("spambase/spambase.data", False, -1)
    return data._replace(y=data.y.astype(np.int64))


def mushroom() -> Data:
    """Poisonous or not: 8,124 rows, 22 columns of letters."""
    return _columns("mushroom/agaricus-lepiota.data", False, 0)


def lightgbm_example(name: str) -> Data:
    """``binary``, ``regression`` or ``multiclass``: 7,500 rows, 28 columns, the last 500 rows a test set."""
    parts = [_columns(f"lightgbm_examples/{name}.{part}", False, 0) for part in ("train", "test")]
    y = np.concatenate([part.y for part in parts])
    y = y if name == "regression" else y.astype(np.int64)
    return Data(np.concatenate([part.X for part in parts]), y, [])
