"""A sample of check_failures.py: kills, full disks, folders that cannot be written, failing data, leaks."""

import sys

import check_failures
import pytest
from small_problems import blobs, classifier

from einkorn import training
from einkorn.errors import ArgumentError, CheckpointError, NonFiniteError

linux = pytest.mark.skipif(sys.platform != "linux", reason="mounts and /proc are Linux'")


def test_killed_saves_leave_what_was_before(tmp_path):
    check_failures.kill_while_saving(tmp_path, 2)


@linux
@pytest.mark.parametrize("kind", ["model", "backup", "csv", "tensorboard", "save"])
def test_a_full_disk_is_told_of_and_nothing_is_lost(kind):
    if kind == "tensorboard":
        pytest.importorskip("tensorboardX")
    check_failures.write_to_a_full_disk(kind)


@linux
def test_a_sealed_folder_is_told_of_and_nothing_is_lost():
    pytest.importorskip("tensorboardX")
    if not check_failures.write_to_a_sealed_folder():
        pytest.skip("a folder cannot be sealed here")


@linux
def test_workers_that_fail_leave_the_history_and_the_model():
    check_failures.train_with_failing_workers()


@linux
def test_callers_of_workers_that_are_ended_leave_nothing_behind():
    check_failures.end_callers_of_workers(2)


@linux
def test_epochs_leave_nothing_behind():
    check_failures.count_what_an_epoch_leaves(9)


def test_the_state_before_the_last_is_gone_back_to(tmp_path, capsys):
    """With double_checkpoint, where the last file is damaged; without, that is an error."""
    x, y = blobs(40)

    def go_on(epochs, **options):
        model = classifier()
        backup = training.BackupAndRestore(tmp_path, "epoch", delete_checkpoint=False, **options)
        model.fit(x, y, 8, epochs, callbacks=[backup], verbose=0)
        return model.history.history, backup

    whole, backup = go_on(3, double_checkpoint=True)
    backup.path.write_bytes(backup.path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"training\.safetensors"):
        go_on(3)
    again, backup = go_on(3, double_checkpoint=True)
    assert "going back to" in "".join(capsys.readouterr())
    assert again == whole
    with pytest.raises(ArgumentError, match="double_checkpoint is 1"):
        training.BackupAndRestore(tmp_path, "epoch", 1)
    backup = training.BackupAndRestore(tmp_path, double_checkpoint=True)
    classifier().fit(x, y, 8, 4, callbacks=[backup], verbose=0)
    assert not list(tmp_path.iterdir())


def test_a_callback_that_asks_for_the_error_gets_it():
    x, y = blobs(10)
    x[3] = float("nan")
    for callback in ([], [training.TerminateOnNaN(raise_error=True)]):
        with pytest.raises(NonFiniteError):
            classifier().fit(x, y, 5, callbacks=callback, verbose=0)
    assert "NaN" in classifier().fit(x, y, 5, callbacks=[training.TerminateOnNaN()], verbose=0).stop_reason
