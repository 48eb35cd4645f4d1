"""A training that was interrupted goes on, bit for bit, as if it had not been."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from small_problems import blobs

import einkorn
from einkorn import data, nn, optim, training
from einkorn.data import augment
from einkorn.errors import ArgumentError, CheckpointError
from einkorn.optim import lr_scheduler
from einkorn.training.snapshot import read_snapshot, write_snapshot


class KilledError(RuntimeError):
    """Stands for the end of the process."""


class KillAfter(training.Callback):
    """Ends the training after so many batches, without a word to other callbacks."""

    def __init__(self, batches):
        self.left = batches

    def on_train_batch_begin(self, batch, logs=None):
        self.left -= 1
        if self.left < 0:
            raise KilledError


def start(folder, kill_after=None, save_freq=1, source="arrays", fit_options=None, **options):
    """A training with dropout, shuffling, a schedule and a monitor."""
    x, y = blobs(45)
    model = nn.Sequential(nn.Linear(2, 16, activation="tanh"), nn.Dropout(0.3), nn.Linear(16, 3))
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    model.compile(optimizer, metrics=["accuracy", lambda_metric], **options)
    callbacks = [
        training.LearningRateScheduler(lr_scheduler.ExponentialLR(optimizer, 0.9)),
        training.EarlyStopping("loss", patience=50, restore_best_weights=True),
        training.CSVLogger(folder / "log.csv"),
        training.BackupAndRestore(folder / "backup", save_freq),
    ]
    if kill_after is not None:
        callbacks.insert(0, KillAfter(kill_after))
    if source == "arrays":
        arguments = (x, y, 8)
    elif source == "workers":
        arguments = (data.DataLoader(Jittered(x, y), 8, True, num_workers=2),)
    elif source == "seeded":
        arguments = (data.DataLoader((x, y), 8, True, seed=4),)
    else:
        arguments = (data.DataLoader(Jittered(x, y), 8, True),)
    history = model.fit(*arguments, epochs=4, callbacks=callbacks, verbose=0, **(fit_options or {}))
    return model, history.history, (folder / "log.csv").read_text()


def lambda_metric(output, target):
    """The root of a mean: no mean of its batches."""
    return float(np.sqrt((output.argmax(1) != target).mean()))


class Jittered:
    """Rows with noise from NumPy's generator."""

    def __init__(self, x, y):
        self.parts = x, y

    def __len__(self):
        return len(self.parts[0])

    def __getitem__(self, row):
        return self.parts[0][row] + np.random.normal(0, 0.1, 2).astype(np.float32), self.parts[1][row]


def seed(value=7):
    einkorn.manual_seed(value)
    np.random.seed(value)


@pytest.mark.parametrize(
    ("kill_after", "save_freq", "source", "fit_options", "options"),
    [
        (1, 1, "arrays", {}, {}),
        (9, 1, "arrays", {}, {}),
        (6, "epoch", "arrays", {}, {}),
        (8, 3, "arrays", {}, {}),  # kept after an epoch's last batch, before its end
        (13, 5, "arrays", {}, {}),
        (20, 7, "seeded", {}, {}),
        (14, 2, "seeded", {}, {}),
        (15, 1, "jittered", {}, {}),
        (9, 2, "workers", {}, {}),
        (8, 1, "arrays", {"steps_per_epoch": 4}, {}),
        (9, "epoch", "arrays", {"steps_per_epoch": 4}, {}),
        (8, 1, "arrays", {}, {"gradient_accumulation_steps": 3}),
    ],
)
def test_a_resumed_training_is_the_uninterrupted_one(
    tmp_path, kill_after, save_freq, source, fit_options, options
):
    (tmp_path / "whole").mkdir()
    seed()
    whole = start(tmp_path / "whole", None, save_freq, source, fit_options, **options)
    assert not (tmp_path / "whole" / "backup" / "training.safetensors").exists()
    seed()
    with pytest.raises(KilledError):
        start(tmp_path, kill_after, save_freq, source, fit_options, **options)
    seed(99)  # another process begins with other numbers
    model, history, log = start(tmp_path, None, save_freq, source, fit_options, **options)
    assert history == whole[1]
    assert log == whole[2]
    for name, array in model.state_dict().items():
        assert_array_equal(array, whole[0].state_dict()[name], err_msg=name)


@pytest.mark.parametrize(
    ("save_freq", "kept"),
    [("epoch", [(1, 0), (2, 0)]), (4, [(0, 4), (1, 2), (1, 6)]), (7, [(1, 1)]), (100, [])],
)
def test_a_training_is_kept_by_epochs_or_by_batches(tmp_path, monkeypatch, save_freq, kept):
    """As in Keras, whose numbers of batches go on over epochs and whose epochs then keep nothing."""
    places = []
    monkeypatch.setattr(
        "einkorn.training.backup.write_snapshot",
        lambda path, state: places.append((state["epoch"], state["done"])),
    )
    x, y = blobs(45)
    model = nn.Sequential(nn.Linear(2, 3))
    model.compile("sgd")
    model.fit(x, y, 8, 2, verbose=0, callbacks=[training.BackupAndRestore(tmp_path / "backup", save_freq)])
    assert places == kept


def test_a_backup_that_does_not_fit_is_refused(tmp_path):
    seed()
    with pytest.raises(KilledError):
        start(tmp_path, 3)
    path = tmp_path / "backup" / "training.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=r"training\.safetensors"):
        start(tmp_path)
    einkorn.save_weights(nn.Linear(2, 3), path)
    with pytest.raises(CheckpointError, match="holds no state of a training"):
        start(tmp_path)


def test_a_loop_of_ones_own_is_kept_and_gone_on_with(tmp_path):
    def parts():
        einkorn.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 3))
        optimizer = optim.Adam(model.parameters(), lr=0.1)
        return model, optimizer, lr_scheduler.StepLR(optimizer, 2)

    def step(model, optimizer, scheduler):
        x = np.random.normal(size=(8, 2)).astype(np.float32)
        loss = (model(x) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        return loss.item()

    path = tmp_path / "state.safetensors"
    model, optimizer, scheduler = parts()
    for _ in range(3):
        step(model, optimizer, scheduler)
    training.save_training(path, model=model, optimizer=optimizer, scheduler=scheduler, epoch=3)
    wanted = [step(model, optimizer, scheduler) for _ in range(3)]
    again = parts()
    rest = training.load_training(path, **dict(zip(("model", "optimizer", "scheduler"), again, strict=True)))
    assert rest == {"epoch": 3}
    assert [step(*again) for _ in range(3)] == wanted
    with pytest.raises(CheckpointError, match="has no ema; there are model, optimizer, scheduler, epoch"):
        training.load_training(path, ema=model)
    with pytest.raises(CheckpointError, match=r"holds object at parts\.what"):
        training.save_training(path, what=object())


def test_trees_come_back_as_they_were(tmp_path):
    tree = {
        "numbers": [1, 2.5, float("inf"), None, True, 2**63],
        "pair": (1, "größe"),
        "by number": {0: np.arange(3), 1: {"step": np.float32(0.1)}},
        "empty": np.zeros((0, 3), np.float32),
        "scalar": np.array(2.0),
    }
    path = tmp_path / "tree.safetensors"
    write_snapshot(path, tree)
    back = read_snapshot(path)
    assert back["numbers"] == tree["numbers"]
    assert back["pair"] == (1, "größe")
    assert_array_equal(back["by number"][0], np.arange(3))
    assert back["by number"][1]["step"] == float(np.float32(0.1))
    assert back["empty"].shape == (0, 3)
    assert back["scalar"].shape == ()


# Saves one state after the other, says when the first is there, and is killed some time.
SAVING = """
import sys
import numpy as np
from einkorn import nn, optim, training

model = nn.Linear(50, 40)
optimizer = optim.Adam(model.parameters())
number = 0
while True:
    model.set_weights([np.full(w.shape, number, np.float32) for w in model.get_weights()])
    training.save_training(sys.argv[1], model=model, optimizer=optimizer, number=number)
    number += 1
    if number == 1:
        import os
        for child in range(25):  # each goes on saving until it is killed
            pid = os.fork()
            if pid == 0:
                break
            print(pid, flush=True)
            os.waitpid(pid, 0)
        else:
            break
"""


def test_the_previous_state_loads_whenever_a_save_is_killed(tmp_path):
    """A hundred processes are killed at random moments while they save."""
    path = tmp_path / "state.safetensors"
    rng = random.Random(0)
    killed = 0
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", SAVING, str(path)], stdout=subprocess.PIPE, text=True
        ) as p:
            for line in p.stdout:
                time.sleep(rng.random() * 0.02)
                os.kill(int(line), signal.SIGKILL)
                killed += 1
                model = nn.Linear(50, 40)
                number = training.load_training(path, model=model)["number"]
                assert (model.weight.numpy() == number).all()
                assert (model.bias.numpy() == number).all()
    assert killed == 100
    # Who was killed left what it had begun, for whoever writes there next.
    training.save_training(path, model=nn.Linear(50, 40), number=0)
    assert list(tmp_path.iterdir()) == [path]


def augmented(folder, source, seed, kill_after=None, rows=30, batch_size=8):
    """A training on pictures that are turned and cut at random."""
    numbers = np.random.default_rng(0)
    x, y = numbers.random((rows, 1, 8, 8), np.float32), numbers.integers(0, 3, rows)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    model.compile(optim.SGD(model.parameters(), lr=0.05), "cross_entropy")
    turned = augment.RandomAffine(20, translate=(0.1, 0.1), seed=seed)
    callbacks = [training.BackupAndRestore(folder / "backup", 1)]
    if kill_after is not None:
        callbacks.insert(0, KillAfter(kill_after))
    options = {"epochs": 3, "verbose": 0, "callbacks": callbacks}
    if source == "fit":
        history = model.fit(x, y, batch_size, transform=turned, **options)
    elif source == "loader":
        history = model.fit(data.DataLoader((x, y), batch_size, True, transform=turned), **options)
    elif source == "workers":
        loader = data.DataLoader((x, y), batch_size, True, num_workers=1, transform=turned)
        history = model.fit(loader, **options)
    else:
        generator = augment.ImageDataGenerator(rotation_range=30, data_format="channels_first")
        history = model.fit(generator.flow(x, y, batch_size, seed=seed), **options)
    return model, history.history


@pytest.mark.parametrize("seed", [3, None], ids=["seed", "no seed"])
@pytest.mark.parametrize("source", ["fit", "loader", "workers", "generator"])
@pytest.mark.parametrize(
    "kill_after", [2, 4, 9], ids=["in the first epoch", "between epochs", "in the third"]
)
def test_a_resumed_training_draws_the_same_pictures(tmp_path, source, seed, kill_after):
    einkorn.manual_seed(7)
    np.random.seed(7)
    whole, history = augmented(tmp_path / "whole", source, seed)
    einkorn.manual_seed(7)
    np.random.seed(7)
    with pytest.raises(KilledError):
        augmented(tmp_path / "killed", source, seed, kill_after)
    einkorn.manual_seed(99)
    np.random.seed(99)
    resumed, its_history = augmented(tmp_path / "killed", source, seed)
    assert its_history == history
    for name, array in whole.state_dict().items():
        assert_array_equal(resumed.state_dict()[name], array, err_msg=name)


def test_transforms_change_what_is_trained_with_alone():
    x, y = np.zeros((12, 1, 4, 4), np.float32), np.arange(12) % 3
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    model.compile("sgd", "cross_entropy")
    seen = []

    def transform(pictures):
        seen.append(len(pictures))
        return pictures + 1

    with_it = model.fit(x, y, 5, validation_data=(x, y), verbose=0, transform=transform)
    assert seen == [5, 5, 2]
    assert with_it.history["val_loss"] == [pytest.approx(model.evaluate(x, y), rel=1e-6)]
    with pytest.raises(ArgumentError, match="transform is 3"):
        model.fit(x, y, transform=3)
    with pytest.raises(ArgumentError, match="transform needs arrays"):
        model.fit(data.DataLoader((x, y), 5), transform=transform)


@pytest.mark.parametrize(
    ("change", "what"),
    [({"rows": 31}, "30 rows, and this one has 31"), ({"batch_size": 15}, "4 batches an epoch.* has 2")],
)
def test_going_on_with_other_data_is_refused_by_name(tmp_path, change, what):
    with pytest.raises(KilledError):
        augmented(tmp_path, "fit", 3, 2)
    with pytest.raises(CheckpointError, match=what):
        augmented(tmp_path, "fit", 3, **change)


@pytest.mark.parametrize("part", ["x", "y"])
def test_going_on_with_other_data_of_the_same_size_is_refused(tmp_path, part):
    """Of arrays and of a loader of arrays; with the same numbers in other arrays it goes on."""

    def fit(x, y, epochs, folder, loader):
        model = nn.Linear(3, 2)
        model.compile("sgd", "mse")
        backup = training.BackupAndRestore(tmp_path / folder, delete_checkpoint=False)
        source = (data.DataLoader((x, y), 4),) if loader else (x, y, 4)
        return model.fit(*source, epochs=epochs, callbacks=[backup], verbose=0).epoch

    numbers = np.random.default_rng(0)
    x, y = numbers.random((4000, 3), np.float32), numbers.random((4000, 2), np.float32)
    for loader in (False, True):
        folder = f"loader {loader}"
        fit(x, y, 1, folder, loader)
        other = {"x": (x[::-1], y), "y": (x, 1 - y)}[part]
        with pytest.raises(CheckpointError, match="hold other numbers"):
            fit(*other, 2, folder, loader)
        assert fit(np.asfortranarray(x).copy("C"), y.copy(), 2, folder, loader) == [0, 1]
