"""``TensorBoard``: figures, weights, images and settings of a training, in files that TensorBoard shows."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from einkorn._extras import need
from einkorn._tensor import as_numpy
from einkorn.checkpoint import check_path
from einkorn.errors import ArgumentError, CheckpointError
from einkorn.training.callbacks import Callback, Logs
from einkorn.training.figures import single
from einkorn.training.own_steps import numbers_of
from einkorn.training.state import state_of
from einkorn.training.summary import describe

__all__ = ["TensorBoard"]


class TensorBoard(Callback):
    """Write event files for TensorBoard: ``tensorboard --logdir logs`` shows them.

    Needs ``pip install "einkorn[tensorboard]"``.

    Training and validation are runs of their own, in the folders "train" and "validation", with figures named
    "epoch_loss" as in Keras.

    Parameters
    ----------
    log_dir : str or path, default "logs"
    histogram_freq : int, default 0
        After how many epochs histograms of all parameters are written; 0 never.
    write_graph : bool, default True
        Whether the modules of the model are written as a graph, each after the one that is declared before
        it, and the layers, with shapes and counts, as a text.
    write_images : bool, default False
        Whether matrices of weights are written as pictures, together with the histograms.
    write_steps_per_second : bool, default False
        Whether the batches per second of each epoch are written.
    update_freq : "epoch", "batch" or int, default "epoch"
        Whether the figures are written after every so many batches too.
    profile_batch, embeddings_freq : int, default 0
    embeddings_metadata : optional
        Keras' names for what is not written here: anything but the default is refused.
    hparams : dict, keyword-only, optional
        Settings of the run, written with its last figures.

    Raises
    ------
    MissingPackageError
        From ``fit``: tensorboardX is not installed.
    CheckpointError
        From ``fit``: the folder cannot be written any more.
    """

    def __init__(
        self,
        log_dir: str | PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: int = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Mapping[str, Any] | None = None,
        *,
        hparams: Mapping[str, Any] | None = None,
    ) -> None:
        if profile_batch or embeddings_freq or embeddings_metadata is not None:
            raise ArgumentError(
                "TensorBoard: profile_batch, embeddings_freq and embeddings_metadata are not supported, "
                "expected 0, 0 and None: einkorn.runtime.trace_launches() says what takes how long"
            )
        good = update_freq in ("epoch", "batch") or (
            isinstance(update_freq, int) and not isinstance(update_freq, bool) and update_freq > 0
        )
        if not good:
            raise ArgumentError(
                f"TensorBoard: update_freq is {update_freq!r}, expected 'epoch', 'batch' or an integer >= 1"
            )
        if isinstance(histogram_freq, bool) or not isinstance(histogram_freq, int) or histogram_freq < 0:
            raise ArgumentError(
                f"TensorBoard: histogram_freq is {histogram_freq!r}, expected an integer >= 0"
            )
        check_path("TensorBoard", log_dir, "log_dir")
        self.log_dir = Path(log_dir)
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.write_images = write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = 1 if update_freq == "batch" else update_freq
        self.hparams = None if hparams is None else dict(hparams)
        self._writers: dict[str, Any] = {}
        self._batches = 0
        self._begun = (0.0, 0)

    def state_dict(self) -> dict[str, Any]:
        return {"batches": self._batches}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._batches = int(state["batches"])

    def _writer(self, run: str) -> Any:
        if run not in self._writers:
            library = need("tensorboardX", "TensorBoard", "tensorboard")
            try:
                # tensorboardX names a file by the second, and replaces one of the same name
                suffix = f".{os.getpid()}.{time.time_ns()}"
                self._writers[run] = writer = library.SummaryWriter(
                    str(self.log_dir / run), filename_suffix=suffix
                )
            except OSError as error:
                raise ArgumentError(
                    f"TensorBoard: log_dir {self.log_dir} cannot be written: {error.strerror}"
                ) from error
            # Events are written as they come: an error would end the writer's own thread without a word, and
            # the training would wait for it for ever.
            events = writer.file_writer.event_writer
            events._worker.stop()
            events.add_event = events._ev_writer.write_event
        return self._writers[run]

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """What the system refuses is an error of the library's that names the folder."""
        try:
            yield
        except OSError as error:
            for writer in self._writers.values():
                writer.file_writer.event_writer._closed = True  # or it is tried again when Python ends
            self._writers.clear()
            raise CheckpointError(
                f"TensorBoard: {self.log_dir}: cannot be written: {error.strerror}"
            ) from error

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._batches = 0
        writer = self._writer("train")
        if self.write_graph:
            text = describe(self.model, None)
            with self._writing():
                writer.add_text("model", "\n".join(f"    {line}" for line in text.splitlines()), 0)
                events = need("tensorboardX.proto.event_pb2", "TensorBoard", "tensorboard")
                graph = _graph(self.model).SerializeToString()
                writer.file_writer.add_event(events.Event(graph_def=graph), 0)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._begun = time.perf_counter(), self._batches

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._batches += 1
        if self.update_freq != "epoch" and self._batches % int(self.update_freq) == 0:
            writer = self._writer("train")
            with self._writing():
                for name, value in single(logs or {}).items():
                    writer.add_scalar(f"batch_{name}", value, self._batches)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        with self._writing():
            self._write_epoch(epoch, logs)

    def _write_epoch(self, epoch: int, logs: Any) -> None:
        for name, value in single(numbers_of(logs or {}, "TensorBoard: the logs", self.model)).items():
            run = "validation" if name.startswith("val_") else "train"
            self._writer(run).add_scalar(f"epoch_{name.removeprefix('val_')}", value, epoch)
        writer = self._writer("train")
        optimizer = state_of(self.model).optimizer
        if optimizer is not None and "learning_rate" not in (logs or {}):
            writer.add_scalar("epoch_learning_rate", optimizer.param_groups[0]["lr"], epoch)
        if self.write_steps_per_second:
            begun, before = self._begun
            rate = (self._batches - before) / max(1e-9, time.perf_counter() - begun)
            writer.add_scalar("epoch_steps_per_second", rate, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            for name, array in self.model.state_dict().items():
                self._show(writer, name, as_numpy(array), epoch)
        for each in self._writers.values():
            each.flush()

    def _show(self, writer: Any, name: str, array: np.ndarray, epoch: int) -> None:
        if array.size and array.dtype.kind == "f" and np.isfinite(array).all():
            writer.add_histogram(name, array, epoch)
            if self.write_images and array.ndim >= 2:
                picture = array.reshape(len(array), -1)
                low, high = picture.min(), picture.max()
                writer.add_image(name, ((picture - low) / (high - low or 1))[None], epoch)

    def on_train_end(self, logs: Logs | None = None) -> None:
        with self._writing():
            self._write_end(logs)

    def _write_end(self, logs: Logs | None) -> None:
        if self.hparams is not None and "train" in self._writers:
            figures = {f"hparam/{name}": value for name, value in single(logs or {}).items()}
            plain = {
                k: v if isinstance(v, (bool, int, float, str)) else str(v) for k, v in self.hparams.items()
            }
            writer = self._writers["train"]
            # not add_hparams, which opens a second file, perhaps of the same name
            for summary in need("tensorboardX.summary", "TensorBoard", "tensorboard").hparams(plain, figures):
                writer.file_writer.add_summary(summary)
            for name, value in figures.items():
                writer.add_scalar(name, value)
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()


def _graph(model: Any) -> Any:
    """The modules as nodes within those that hold them, with the sizes of their parameters.

    What calls what is known while a model runs only: a node's input is the module that is declared before it.
    """
    kinds = need("tensorboardX.proto.graph_pb2", "TensorBoard", "tensorboard")
    graph = kinds.GraphDef()
    before = "input"
    graph.node.add(name=before, op="Placeholder")
    for name, module in model.named_modules():
        own = list(module.named_parameters(recurse=False))
        if next(module.children(), None) is not None and not own:
            continue  # it shows as the box around its modules
        place, kind = name.replace(".", "/") or "model", type(module).__name__
        node = graph.node.add(name=place, op=kind, input=[before])
        before = node.name
        for key, parameter in own:
            node.attr[key].s = f"{tuple(parameter.shape)} {parameter.dtype}".encode()
    return graph
