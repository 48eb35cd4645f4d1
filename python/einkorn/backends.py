"""torch's switches of its backends, for programs that set them: ``backends.cudnn``, ``backends.mps``.

Nothing here has an effect: results are the same from run to run, and no algorithm is chosen by trying.
"""

from __future__ import annotations

__all__ = ["cudnn", "mps"]


class _Cudnn:
    """What programs set for reproducible runs."""

    enabled = False
    benchmark = False
    deterministic = True
    allow_tf32 = False

    @staticmethod
    def is_available() -> bool:
        """False: cuDNN is not used."""
        return False

    @staticmethod
    def version() -> None:
        """None: cuDNN is not used."""


class _Mps:
    """Apple's GPUs, which are not used."""

    @staticmethod
    def is_available() -> bool:
        """False."""
        return False

    @staticmethod
    def is_built() -> bool:
        """False."""
        return False


cudnn, mps = _Cudnn(), _Mps()
