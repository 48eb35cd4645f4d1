"""How long encodings are: what truncation and padding are told."""

from __future__ import annotations

from typing import Any

from einkorn.errors import ArgumentError, DataError
from einkorn.text._arguments import whole_number
from einkorn.text._limits import check_limits
from einkorn.text._templates import Templates

__all__ = ["Lengths"]

_LONGEST = 2**31 - 1


class Lengths:
    """The part of :class:`einkorn.text.Tokenizer` that keeps lengths, in its description."""

    _description: dict[str, Any]
    _templates: Templates

    def enable_truncation(
        self,
        max_length: int,
        *,
        stride: int = 0,
        strategy: str = "longest_first",
        direction: str = "right",
    ) -> None:
        """Cut encodings off behind ``max_length`` tokens, those put around them included. What is cut off is
        in ``Encoding.overflowing``.

        Parameters
        ----------
        max_length
            At least as many as are put around a text; no more: nothing of it is kept.
        stride
            How many tokens each of the encodings that overflow has of the one before it.
        strategy
            Of a pair what is cut: "longest_first", "only_first" or "only_second".
        direction
            "right": the end is cut off; "left": the beginning.
        """
        truncation = self._truncation_of("enable_truncation", max_length, stride, strategy, direction)
        self._description = {**self._description, "truncation": truncation}

    def _truncation_of(
        self, name: str, max_length: int, stride: int, strategy: str, direction: str
    ) -> dict[str, Any]:
        """What a description says of truncation."""
        names = {"longest_first": "LongestFirst", "only_first": "OnlyFirst", "only_second": "OnlySecond"}
        if not isinstance(strategy, str) or strategy not in names or direction not in ("left", "right"):
            raise ArgumentError(f"{name}: no strategy {strategy!r} to the {direction!r}")
        around = self._templates.added(False)
        max_length = whole_number(name, "max_length", max_length, around, _LONGEST)
        room = max_length - around
        try:
            stride = whole_number(name, "stride", stride, 0, max(room - 1, 0))
        except ArgumentError as error:
            raise ArgumentError(
                f"{error}: it must be less than there is room for in {max_length} tokens"
            ) from None
        return {
            "direction": direction.capitalize(),
            "max_length": max_length,
            "strategy": names[strategy],
            "stride": stride,
        }

    @property
    def truncation(self) -> dict[str, Any] | None:
        """What :meth:`enable_truncation` was told; None: nothing is cut off."""
        if not (kept := self._description.get("truncation")):
            return None
        names = {"LongestFirst": "longest_first", "OnlyFirst": "only_first", "OnlySecond": "only_second"}
        return {
            "max_length": kept["max_length"],
            "stride": kept.get("stride", 0),
            "strategy": names[kept.get("strategy", "LongestFirst")],
            "direction": kept.get("direction", "Right").lower(),
        }

    def no_truncation(self) -> None:
        """Undo :meth:`enable_truncation`."""
        self._description = {**self._description, "truncation": None}

    def enable_padding(
        self,
        *,
        direction: str = "right",
        pad_id: int = 0,
        pad_type_id: int = 0,
        pad_token: str = "[PAD]",
        length: int | None = None,
        pad_to_multiple_of: int | None = None,
    ) -> None:
        """Fill encodings up to ``length``, or to the longest of a batch."""
        padding = self._padding_of(
            "enable_padding", direction, pad_id, pad_type_id, pad_token, length, pad_to_multiple_of
        )
        self._description = {**self._description, "padding": padding}

    def _padding_of(
        self,
        name: str,
        direction: str,
        pad_id: int,
        pad_type_id: int,
        pad_token: str,
        length: int | None,
        pad_to_multiple_of: int | None,
    ) -> dict[str, Any]:
        """What a description says of padding."""
        least: dict[str, Any] = {"length": length, "pad_to_multiple_of": pad_to_multiple_of}
        length, pad_to_multiple_of = (
            None if number is None else whole_number(name, what, number, 0, _LONGEST)
            for what, number in least.items()
        )
        pad_id = whole_number(name, "pad_id", pad_id, 0, _LONGEST)
        pad_type_id = whole_number(name, "pad_type_id", pad_type_id, 0, _LONGEST)
        if direction not in ("left", "right"):
            raise ArgumentError(f"{name}: direction must be 'left' or 'right', got {direction!r}")
        padding = {
            "strategy": "BatchLongest" if length is None else {"Fixed": length},
            "direction": direction.capitalize(),
            "pad_to_multiple_of": pad_to_multiple_of,
            "pad_id": pad_id,
            "pad_type_id": pad_type_id,
            "pad_token": pad_token,
        }
        try:
            check_limits({**self._description, "padding": padding})
        except DataError as error:
            raise ArgumentError(f"{name}: {error}") from None
        return padding

    def no_padding(self) -> None:
        """Undo :meth:`enable_padding`."""
        self._description = {**self._description, "padding": None}

    @property
    def padding(self) -> dict[str, Any] | None:
        """What :meth:`enable_padding` was told; None: nothing is filled."""
        if not (kept := self._description.get("padding")):
            return None
        strategy = kept.get("strategy", "BatchLongest")
        return {
            "length": strategy["Fixed"] if isinstance(strategy, dict) else None,
            "pad_to_multiple_of": kept.get("pad_to_multiple_of"),
            "pad_id": kept["pad_id"],
            "pad_token": kept.get("pad_token", "[PAD]"),
            "pad_type_id": kept["pad_type_id"],
            "direction": kept.get("direction", "Right").lower(),
        }
