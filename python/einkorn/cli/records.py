"""``run.json``: what a run was told, where it ran, how long each part took, and how well it did."""

from __future__ import annotations

import base64
import json
import math
import struct
import time
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from einkorn import ops
from einkorn._files import write_text
from einkorn.errors import EinkornError
from einkorn.metrics import ConfusionMatrix
from einkorn.training import gradient_flow

__all__ = ["measured", "of_results", "of_settings", "png", "write"]

_WRONG = 24  # examples that are kept
_FLOW_ROWS = 64


def measured(scores: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Accuracy and mean cross-entropy of scores."""
    return float(np.mean(scores.argmax(1) == y)), float(ops.cross_entropy(scores, y))


def of_settings(run: Any, status: str) -> dict[str, Any]:
    """What is known of a run at any time."""
    from einkorn.config import config

    told = asdict(run.settings)
    told["epochs"], told["batch_size"] = run.epochs, run.batch_size
    asked = {"epochs": run.settings.epochs, "batch_size": run.settings.batch_size}
    history = run.history.history
    best: dict[str, Any] = {}
    if run.best.epoch is not None:
        best = {"best_epoch": run.best.epoch + 1, "best_val_accuracy": run.best.value}
    final = {name: values[-1] for name, values in history.items() if values}
    return {
        "status": status,
        "settings": {**told, **asked},
        "used": {**told, "lr": run.first_rate},
        "machine": config(),
        "parameters": run.model.count_params(),
        "rows": [len(run.x), len(run.validation[0]), len(run.test[0])],
        "epochs_done": len(run.history.epoch),
        "stopped": run.history.stop_reason,
        "seconds": {
            "loading": run.loading,
            **run.times.seconds,
        },
        "final": final,
        **best,
    }


def of_results(run: Any, scores: np.ndarray) -> dict[str, Any]:
    """How well the model does on the test images, and how gradients flow through it."""
    started = time.perf_counter()
    y = run.test[1]
    accuracy, loss = measured(scores, y)
    classes = run.classifier.classes
    chosen = scores.argmax(1)
    sure = np.asarray(ops.softmax(scores, -1))[np.arange(len(y)), chosen]
    wrong = np.flatnonzero(chosen != y)
    wrong = wrong[np.argsort(-sure[wrong], kind="stable")]
    found = {
        "test": {"accuracy": accuracy, "loss": loss, "rows": len(y), "wrong": len(wrong)},
        "classes": classes,
        "confusion": ConfusionMatrix(len(classes))(y, scores).astype(int).tolist(),
        "wrong": [
            {
                "image": base64.b64encode(png(run.images[i])).decode("ascii"),
                "true": classes[y[i]],
                "taken_for": classes[chosen[i]],
                "probability": float(sure[i]),
            }
            for i in wrong[:_WRONG]
        ],
    }
    try:
        flow = gradient_flow(run.model, run.x[:_FLOW_ROWS], run.y[:_FLOW_ROWS])
        found["flow"] = [layer._asdict() for layer in flow]
    except EinkornError:  # a run that broke down has none
        found["flow"] = []
    found["seconds"] = {**run.record["seconds"], "measuring": time.perf_counter() - started}
    return found


def write(folder: Path, record: Mapping[str, Any]) -> None:
    """Write ``run.json``; what is not finite becomes null, as JSON has no word for it."""
    write_text(folder / "run.json", json.dumps(_plain(record), indent=1, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def png(image: np.ndarray) -> bytes:
    """An image [channels, height, width] from 0 to 1 as a PNG file, gray or in colour."""
    pixels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    height, width, channels = pixels.shape
    lines = np.zeros((height, 1 + width * channels), np.uint8)  # each begins with its filter, 0 for none
    lines[:, 1:] = pixels.reshape(height, -1)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
