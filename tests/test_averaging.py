"""``WeightAveraging``: what the averages are of, and who sees them when."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import einkorn
from einkorn import nn, optim
from einkorn.errors import ArgumentError
from einkorn.training import Callback, LambdaCallback, WeightAveraging

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((64, 5)).astype(np.float32), RNG.integers(0, 3, 64)


def train(average=None, epochs=4, norm=False, **options):
    """The model, and copies of its weights after each batch and each epoch."""
    einkorn.manual_seed(0)
    parts = [nn.Linear(5, 8), *([nn.BatchNorm1d(8)] if norm else []), nn.ReLU(), nn.Linear(8, 3)]
    model = nn.Sequential(*parts)
    model.compile(optim.SGD(model.parameters(), lr=0.5), "cross_entropy")
    batches, ends = [], []

    class Watch(Callback):
        def on_train_batch_end(self, batch, logs=None):
            batches.append({k: v.copy() for k, v in self.model.state_dict().items()})

        def on_epoch_end(self, epoch, logs=None):
            ends.append({k: v.copy() for k, v in self.model.state_dict().items()})

    callbacks = [*([] if average is None else [average]), Watch()]
    history = model.fit(X, Y, batch_size=16, epochs=epochs, verbose=0, callbacks=callbacks, **options)
    return model, history, batches, ends


def test_ema_is_the_moving_average_and_leaves_the_training_alone():
    _, _, plain, _ = train()
    model, _, batches, ends = train(WeightAveraging("ema", decay=0.8))
    for a, b in zip(plain, batches, strict=True):
        for name in a:
            assert_array_equal(a[name], b[name])
    expected = {k: v.astype(np.float64) for k, v in batches[0].items()}
    for n, state in enumerate(batches[1:], 1):
        decay = min(0.8, (1 + n) / (10 + n))
        expected = {k: decay * expected[k] + (1 - decay) * state[k] for k in expected}
        if n % 4 == 3:
            for name, array in ends[n // 4].items():
                assert_allclose(array, expected[name], rtol=1e-5, atol=1e-6)
    for name, array in model.state_dict().items():
        assert_allclose(array, expected[name], rtol=1e-5, atol=1e-6)


def test_swa_is_the_mean_of_the_epochs_ends():
    model, _, batches, _ = train(WeightAveraging("swa", start_from_epoch=1), norm=True)
    ends = batches[3::4][1:]
    for name, array in model.state_dict().items():
        if array.dtype.kind == "f":
            assert_allclose(array, np.mean([end[name] for end in ends], axis=0), rtol=1e-5, atol=1e-6)
        else:
            assert_array_equal(array, ends[-1][name])


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_the_validation_is_of_the_averages(kind):
    model, history, _, ends = train(WeightAveraging(kind), validation_data=(X, Y))
    for epoch, state in enumerate(ends):
        model.load_state_dict(state)
        assert model.evaluate(X, Y) == pytest.approx(history.history["val_loss"][epoch])


def test_an_interrupted_training_ends_with_the_averages_so_far():
    def stop(epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt

    einkorn.manual_seed(0)
    model = nn.Linear(5, 3)
    model.compile("sgd", "cross_entropy")
    average = WeightAveraging("swa")
    ends = []
    keep = LambdaCallback(on_epoch_end=lambda *_: ends.append(model.weight.numpy().copy()))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=5, verbose=0, callbacks=[average, keep, LambdaCallback(on_epoch_begin=stop)])
    assert average.n_averaged == 2
    assert_array_equal(model.weight.numpy(), ends[-1])


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("mean",), {}),
        (("ema",), {"decay": 1.0}),
        (("ema",), {"decay": True}),
        ((), {"start_from_epoch": -1}),
    ],
)
def test_bad_arguments(arguments, options):
    with pytest.raises(ArgumentError, match="WeightAveraging: "):
        WeightAveraging(*arguments, **options)
