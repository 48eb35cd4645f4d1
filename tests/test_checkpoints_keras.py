"""Callbacks that write files, beside Keras's own: which files, after which batches and epochs."""

import os
from pathlib import Path

import pytest
from small_problems import classifier

from einkorn import training
from einkorn.errors import ArgumentError

os.environ.setdefault("KERAS_BACKEND", "torch")
theirs = pytest.importorskip("keras", reason="Keras is not installed")


class Stub:
    """As much of a Keras model as the callback asks for."""

    metrics = ()

    def save_weights(self, path, overwrite=True):
        Path(path).write_text("weights")


def written(callback, folder, fits):
    """The files that are new after each batch and epoch; ``fits`` are lists of epochs' figures.

    An epoch has five batches; its figures are those of its end, and of its batches a tenth more.
    """
    seen, found = set(), []

    def look(when):
        now = {path.name.partition(".weights")[0] for path in folder.iterdir()}
        found.extend((when, name) for name in sorted(now - seen))
        seen.update(now)

    for fit, epochs in enumerate(fits):
        callback.on_train_begin({})
        for epoch, logs in enumerate(epochs):
            callback.on_epoch_begin(epoch, {})
            for batch in range(5):
                callback.on_train_batch_end(batch, {"loss": logs["loss"] * 1.1})
                look((fit, epoch, batch))
            callback.on_epoch_end(epoch, logs)
            look((fit, epoch))
        callback.on_train_end({})
    return found


def figures(*losses):
    return [{"loss": loss, "val_loss": 2 * loss, "accuracy": 1 - loss / 10} for loss in losses]


NAME = "{epoch:02d}-{val_loss:.2f}"
BATCH = "{epoch:02d}-{batch:03d}-{loss:.3f}"
CASES = {
    "every epoch": (NAME, {}, [figures(3, 4, 2)]),
    "the best": (NAME, {"save_best_only": True}, [figures(3, 4, 2, 2, 1)]),
    "the best of two fits": (NAME, {"save_best_only": True}, [figures(3, 2), figures(2.5, 1, 0.5)]),
    "the best by name": (
        "{epoch}-{accuracy:.3f}",
        {"save_best_only": True, "monitor": "accuracy", "mode": "max"},
        [figures(3, 4, 2, 1)],
    ),
    "the worst": (NAME, {"save_best_only": True, "mode": "max"}, [figures(3, 4, 2, 5)]),
    "below a threshold": (
        NAME,
        {"save_best_only": True, "initial_value_threshold": 4.0},
        [figures(3, 2, 1.9, 1.95, 1)],
    ),
    "a threshold for nothing": (NAME, {"initial_value_threshold": 0.0}, [figures(3, 4)]),
    "not a number": (NAME, {"save_best_only": True}, [figures(3, float("nan"), 2)]),
    "every batch": (BATCH, {"save_freq": 1}, [figures(3, 2)]),
    "every third": (BATCH, {"save_freq": 3}, [figures(3, 2, 1, 0.5)]),
    "every seventh": (BATCH, {"save_freq": 7}, [figures(3, 2, 1, 0.5, 0.25)]),
    "every seventh of two fits": (BATCH, {"save_freq": 7}, [figures(3, 2), figures(1, 0.5, 0.1)]),
    "never": (BATCH, {"save_freq": 100}, [figures(3, 2)]),
}


@pytest.mark.parametrize("case", CASES)
def test_checkpoints_are_written_when_keras_writes_them(case, tmp_path):
    name, options, fits = CASES[case]
    found = []
    for library, model in ((theirs.callbacks, Stub()), (training, classifier())):
        folder = tmp_path / library.__name__
        folder.mkdir()
        path = str(folder / f"{name}.weights.h5")
        options = {"mode": "min", **options}
        callback = library.ModelCheckpoint(path, save_weights_only=True, **options)
        callback.set_params({"epochs": 9})
        callback.set_model(model)
        if library is training:
            callback.prepare(["loss", "val_loss", "accuracy"], False)
        found.append(written(callback, folder, fits))
    assert found[1] == found[0]
    assert bool(found[0]) == (case != "never")


@pytest.mark.parametrize("value", [0, -1, 2.5, True, False, "batch", None])
@pytest.mark.parametrize("kind", [training.ModelCheckpoint, training.BackupAndRestore])
def test_how_often_is_a_whole_number(kind, value, tmp_path):
    with pytest.raises(ArgumentError, match=f"{kind.__name__}: save_freq is {value!r}, expected 'epoch' or"):
        kind(tmp_path / "x", save_freq=value)


@pytest.mark.parametrize("name", ["double_checkpoint", "delete_checkpoint"])
def test_flags_of_a_backup_are_flags(name, tmp_path):
    with pytest.raises(ArgumentError, match=f"BackupAndRestore: {name} is 'no', expected True or False"):
        training.BackupAndRestore(tmp_path, **{name: "no"})
