"""What a training loses when it is killed, its disk is full, its folder read-only, or its data fail: nothing.

Run as: python tests/check_failures.py [KILLS]. Who may mount gets small file systems; otherwise the size of
files is limited and the folder's mode is changed. tests/test_failures.py runs a sample of it.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import einkorn
from einkorn import data, memory, models, optim, training
from einkorn.errors import EinkornError

WIDE = 20_000  # inputs of the network: a file of 640 KB
EPOCHS = 4


def network(width: int = WIDE) -> Any:
    model = models.MLP([width, 8])
    model.compile(optim.SGD(model.parameters(), lr=1e-3), "mse")
    return model


def numbers(rows: int = 8, width: int = WIDE) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.random((rows, width), np.float32), generator.random((rows, 8), np.float32)


# --- killed -------------------------------------------------------------------------------------------------

KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import check_failures as here
folder = Path(sys.argv[1])
here.keep_training(folder)
"""


def writers(folder: Path) -> list[training.Callback]:
    """Callbacks that write files."""
    return [
        training.ModelCheckpoint(folder / "model.safetensors"),
        training.BackupAndRestore(folder / "backup", 1, delete_checkpoint=False),
        training.CSVLogger(folder / "log.csv"),
    ]


def keep_training(folder: Path) -> None:
    """Train and save all the time."""
    x, y = numbers()
    print("begun", flush=True)
    network().fit(x, y, 4, 100_000, callbacks=writers(folder), verbose=0)


def kill_while_saving(folder: Path, kills: int, seed: int = 0) -> None:
    """Processes that save are killed at random moments; the files they leave load, and training goes on."""
    chance = random.Random(seed)
    script = [sys.executable, "-c", KILLED, str(folder), str(Path(__file__).parent)]
    for _ in range(kills):
        with subprocess.Popen(script, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            time.sleep(chance.random() * 0.3)
            process.send_signal(signal.SIGKILL)
        if (folder / "model.safetensors").exists():
            assert einkorn.load(folder / "model.safetensors").config["sizes"] == [WIDE, 8]
        if (folder / "backup" / "training.safetensors").exists():
            backup = training.BackupAndRestore(folder / "backup", delete_checkpoint=False)
            model, (x, y) = network(), numbers()
            kept = training.snapshot.read_snapshot(backup.path)
            model.fit(x, y, 4, kept["epoch"] + 1, callbacks=[backup], verbose=0)
            assert len(model.history.epoch) == kept["epoch"] + 1
    left = [path.name for path in folder.rglob("*") if path.name.startswith(".")]
    assert len(left) <= 2, left  # each save clears what a killed one left


# --- full and read-only -------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk() -> Iterator[tuple[Path, Callable[[int], None]]]:
    """A folder, and what leaves so many bytes of it: a file system, or a limit of a file's size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if _mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", name):

            def fill(left: int) -> None:
                with contextlib.suppress(OSError), open(folder / "fill", "wb", buffering=0) as file:
                    while True:
                        file.write(bytes(4096))
                size = (folder / "fill").stat().st_size
                os.truncate(folder / "fill", max(0, size - left))

            try:
                yield folder, fill
            finally:
                subprocess.run(["umount", "-l", name], check=True)
            return
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            yield folder, lambda left: resource.setrlimit(resource.RLIMIT_FSIZE, (left + 48, before[1]))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)


@contextlib.contextmanager
def sealed(folder: Path) -> Iterator[bool]:
    """A folder that cannot be written: mounted so over itself, or by its mode. Not where neither does it."""
    bound = _mount("--bind", str(folder), str(folder))
    if bound:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
    else:
        folder.chmod(0o555)
    try:
        yield not os.access(folder, os.W_OK)
    finally:
        if bound:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        else:
            folder.chmod(0o755)


def _mount(*options: str) -> bool:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    return subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0


def told(kinds: type[Exception] | tuple[type[Exception], ...], function: Callable[[], Any]) -> str:
    """The message of the error that a function raises."""
    try:
        function()
    except kinds as error:
        return str(error)
    raise AssertionError("nothing was said")


def _holds(text: str, folder: Path, *words: str) -> None:
    assert str(folder) in text, text
    assert any(word in text for word in words), text


def write_to_a_full_disk(kind: str) -> None:
    """The error names the file and the reason; the file before stays; the model can be used and trained."""
    model, (x, y) = network(), numbers()
    with small_disk() as (folder, fill):
        kept = folder / "kept.safetensors"
        einkorn.save(model, kept)
        before = kept.read_bytes()
        fill(200_000 if kind in ("model", "save") else 0)
        callbacks = {
            "save": lambda: [],
            "model": lambda: [training.ModelCheckpoint(kept)],
            "backup": lambda: [training.BackupAndRestore(folder / "backup", 1)],
            "csv": lambda: [training.CSVLogger(folder / "log.csv")],
            "tensorboard": lambda: [training.TensorBoard(folder / "logs")],
        }[kind]()
        if callbacks:
            text = told(EinkornError, lambda: model.fit(x, y, 4, EPOCHS, callbacks=callbacks, verbose=0))
        else:
            text = told(EinkornError, lambda: einkorn.save(model, kept))
        _holds(text, folder, "No space left", "File too large")
        assert kept.read_bytes() == before
        einkorn.load(kept)
        assert not list(folder.rglob(".*.tmp")), list(folder.rglob("*"))
        assert np.isfinite(model.fit(x, y, 4, 1, verbose=0).history["loss"]).all()


def write_to_a_sealed_folder() -> bool:
    """Said before the second epoch, or by the call itself, and nothing of the folder changes."""
    model, (x, y) = network(20), numbers(8, 20)
    epochs: list[int] = []
    count = training.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))

    def fit_with(callback: training.Callback) -> None:
        del epochs[:]
        text = told(EinkornError, lambda: model.fit(x, y, 4, 2, callbacks=[count, callback], verbose=0))
        _holds(text, folder, *words)
        assert epochs in ([], [0]), (type(callback).__name__, epochs)

    words = "Read-only", "cannot be written", "Permission denied"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kept = folder / "kept.safetensors"
        einkorn.save(model, kept)
        before = kept.read_bytes()
        with sealed(folder) as is_sealed:
            if not is_sealed:
                return False
            fit_with(training.ModelCheckpoint(kept))
            fit_with(training.BackupAndRestore(folder / "backup"))
            fit_with(training.BackupAndRestore(folder))
            fit_with(training.CSVLogger(folder / "log.csv"))
            fit_with(training.TensorBoard(folder / "logs"))
            _holds(told(EinkornError, lambda: einkorn.save(model, kept)), folder, *words)
            _holds(told(EinkornError, lambda: training.save_training(kept, model=model)), folder, *words)
            assert kept.read_bytes() == before
            einkorn.load(kept)
    return True


# --- data that fail -----------------------------------------------------------------------------------------


class Rows:
    """Rows of which one does something else."""

    def __init__(self, act: Callable[[], Any] | None, row: int = 22) -> None:
        self.act, self.row = act, row

    def __len__(self) -> int:
        return 32

    def __getitem__(self, row: int) -> Any:
        if self.act is not None and row == self.row:
            self.act()
        return np.full(4, row, np.float32) / 32, np.ones(8, np.float32)


def raise_error() -> None:
    raise KeyError("the row is gone")


def die() -> None:
    os._exit(3)


def end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(30)


def train_with_failing_workers() -> None:
    """The error comes through, the epochs before it are in the history, and no worker or memory stays."""
    before = shared_memory()
    others = set(children(0))
    acts = ((raise_error, "the row is gone"), (die, "died"), (end, "died"))
    for (act, words), stays in itertools.product(acts, (False, True)):
        source = Rows(None)
        loader = data.DataLoader(source, 4, num_workers=2, persistent_workers=stays)
        model = network(4)

        def fail(epoch: int, logs: Any = None, loader: Any = loader, act: Any = act) -> None:
            loader.dataset.act = act if epoch == 1 else None
            loader._kept = None  # new workers, which see the change

        later = training.LambdaCallback(on_epoch_begin=fail)
        fit = functools.partial(model.fit, loader, epochs=3, callbacks=[later], verbose=0)
        assert words in told((EinkornError, KeyError), fit)
        assert model.history.epoch == [0]
        fail(0)
        assert np.isfinite(model.fit(loader, epochs=1, verbose=0).history["loss"]).all()
        loader._kept = None
        gc.collect()  # an error's frames keep the pass that it ended
        assert set(children()) <= others, children()
    assert shared_memory() == before


def shared_memory() -> list[str]:
    """Named memory of this machine, which would outlive its processes."""
    return sorted(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else []


INTERRUPTED_OR_KILLED = """
import os, signal, sys, time
sys.path.insert(0, sys.argv[1])
import check_failures as here
signal.signal(signal.SIGINT, signal.default_int_handler)
loader = here.data.DataLoader(here.Rows(lambda: None), 4, num_workers=2, persistent_workers=True)
print("begun", flush=True)
try:
    while True:
        for batch in loader:
            pass
except KeyboardInterrupt:
    print("interrupted", *here.children(), flush=True)
"""


def end_callers_of_workers(times: int, seed: int = 0) -> None:
    """Callers that are interrupted or killed at random moments leave neither workers nor memory."""
    chance = random.Random(seed)
    before = shared_memory()
    for turn in range(times):
        how = signal.SIGINT if turn % 2 else signal.SIGKILL
        script = [sys.executable, "-c", INTERRUPTED_OR_KILLED, str(Path(__file__).parent)]
        with subprocess.Popen(
            script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            time.sleep(chance.random() * 0.3)
            os.killpg(process.pid, how) if how == signal.SIGINT else process.kill()
            out, errors = process.communicate(timeout=60)
        assert how == signal.SIGKILL or (out, errors) == ("interrupted\n", ""), (out, errors)
        deadline = time.monotonic() + 20
        while _is_a_group(process.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not _is_a_group(process.pid)
    assert shared_memory() == before


def _is_a_group(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def children(seconds: float = 5) -> list[int]:
    """Processes that this one began and that are still there after so many seconds."""
    path = Path(f"/proc/self/task/{os.getpid()}/children")
    deadline = time.monotonic() + seconds
    while path.exists() and path.read_text().split() and time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.05)
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


# --- leaks --------------------------------------------------------------------------------------------------


def count_what_an_epoch_leaves(epochs: int = 50) -> dict[str, tuple[int, int]]:
    """Objects, descriptors, threads, processes and memory after some epochs and after all, of one ``fit``."""
    x, y = numbers(64, 50)
    others = set(children(0))
    model = network(50)
    seen: list[dict[str, int]] = []
    begin = min(10, epochs // 3)

    def look(epoch: int, logs: Any = None) -> None:
        if epoch not in (begin, epochs - 1):
            return
        gc.collect()
        seen.append(
            {
                "objects": len(gc.get_objects()),
                "descriptors": len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0,
                "threads": threading.active_count(),
                "bytes": memory.stats()["allocated"],
                "resident": _resident(),
            }
        )

    with tempfile.TemporaryDirectory() as name:
        rows = [(x[i], y[i]) for i in range(len(x))]
        callbacks = [
            *writers(Path(name)),
            training.EarlyStopping("loss", patience=epochs),
            training.LambdaCallback(on_epoch_end=look),
        ]
        model.fit(
            data.DataLoader(rows, 16, True, num_workers=1), epochs=epochs, validation_data=(x, y),
            callbacks=callbacks, verbose=0,
        )  # fmt: skip
    assert set(children()) <= others, children()
    early, late = seen
    between = epochs - 1 - begin
    assert late["descriptors"] <= early["descriptors"], (early, late)
    assert late["threads"] <= early["threads"], (early, late)
    assert late["bytes"] <= early["bytes"] + 4096, (early, late)
    assert late["objects"] - early["objects"] <= 12 * between, (early, late)  # the history's own lines
    assert late["resident"] - early["resident"] <= 4_000_000, (early, late)
    return {name: (early[name], late[name]) for name in early}


def _resident() -> int:
    path = Path("/proc/self/statm")
    return int(path.read_text().split()[1]) * resource.getpagesize() if path.exists() else 0


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as name:
        kill_while_saving(Path(name), kills)
    print(f"{kills} kills: every file loads, and training goes on")
    for kind in ("save", "model", "backup", "csv", "tensorboard"):
        write_to_a_full_disk(kind)
    print("a full disk: said, and nothing lost")
    done = write_to_a_sealed_folder()
    print("a read-only folder:", "said, and nothing lost" if done else "none can be made here")
    train_with_failing_workers()
    print("workers that raise, die and are ended: said, and nothing lost")
    end_callers_of_workers(kills)
    print(f"{kills} callers of workers interrupted or killed: no process and no memory stays")
    for name, (early, late) in count_what_an_epoch_leaves().items():
        print(f"50 epochs, {name}: {early} after 11, {late} at the end")


if __name__ == "__main__":
    main()
