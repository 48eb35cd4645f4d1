"""What is looked at before a published folder is believed, and what is said of arrays that nothing uses."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from einkorn.errors import CheckpointError
from einkorn.models.weights import WeightsReport

__all__ = ["budget_of", "check_left_over", "check_numbers", "tell"]

_CHANCES = r"drop(out)?$|dropout_(prob|rate)$|probs_dropout_prob$"
_TINY = r"(_eps|_epsilon)$"
_SIZES = r"^(n|d|num)_|_(size|layers|heads|head_dim|positions|position_embeddings|ffn_dim)$"
#: Computed positions of so many numbers at most.
_POSITIONS = 2**28


def check_numbers(folder: Path, config: Mapping[str, Any]) -> None:
    """Chances, small numbers and sizes that are none."""
    for name, value in _entries(config):
        own = name.rpartition(".")[2]
        if value is None or isinstance(value, (list, dict, tuple)):
            continue
        if re.search(_CHANCES, own):
            wanted, right = "a number from 0 to 1", _is_number(value) and 0 <= value <= 1
        elif re.search(_TINY, own):
            wanted, right = "a number of at least 0", _is_number(value) and value >= 0
        elif re.search(_SIZES, own):
            whole = isinstance(value, int) and not isinstance(value, bool)
            wanted, right = "an int of at least 0", whole and value >= 0
        else:
            continue
        if not right:
            raise CheckpointError(f"{folder / 'config.json'}: {name} is {value!r}, expected {wanted}")
    if config.get("model_type") in ("m2m_100", "marian"):
        count = config.get("max_position_embeddings") or 0
        if count * (config.get("d_model") or 1) > _POSITIONS:
            raise CheckpointError(
                f"{folder / 'config.json'}: max_position_embeddings is {count}, more than can be computed"
            )


def _entries(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if name in ("text_config", "vision_config") and isinstance(value, Mapping):
            yield from ((f"{name}.{own}", entry) for own, entry in value.items())
        else:
            yield name, value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def budget_of(arrays: Mapping[str, np.ndarray]) -> tuple[int, int]:
    """Parameters and numbers of a model that such arrays may fit: a report tells smaller differences."""
    return 4 * len(arrays) + 1000, 4 * sum(array.size for array in arrays.values()) + 2**24


def check_left_over(report: WeightsReport, own: Sequence[str], twice: Sequence[str], what: str) -> None:
    """Refuse a head of its own and whole layers that the model would be read without."""
    beyond = [name for name in report.unexpected if _is_layer_beyond(name, own)]
    for names, why in ((twice, "differs from the embedding"), (beyond, "is a layer beyond the model's")):
        if names:
            raise CheckpointError(
                f"{what}: {names[0]} {why}, and the model has no place for it; strict=False reads the rest"
            )


def _is_layer_beyond(name: str, own: Sequence[str]) -> bool:
    for found in re.finditer(r"\.\d+\.", name):
        stack, layer = name[: found.start() + 1], name[: found.end()]
        others = [n for n in own if n.startswith(stack) and n[len(stack) :].split(".")[0].isdigit()]
        if others and not any(n.startswith(layer) for n in others):
            return True
    return False


def tell(report: WeightsReport, what: str) -> None:
    """Warn of arrays that nothing uses, and of those that keep initial values."""
    for names, which in (
        (report.unexpected, "arrays that the model does not use"),
        (report.missing, "not in the files, newly initialised"),
    ):
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            warnings.warn(f"{what}: {which}: {', '.join(names[:5])}{more}", UserWarning, stacklevel=4)
