"""Week 11, also named: a network that knows what it does not know, by dropout that stays on (MC dropout)."""

import numpy as np
from _digits import digits

from einkorn import keras
from einkorn.keras import layers


def entropy(shares: np.ndarray) -> float:
    """How undecided predictions are, on average."""
    return float(-(shares * np.log(shares + 1e-9)).sum(-1).mean())


def main() -> None:
    keras.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = digits(2400)
    model = keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten()])
    for _ in range(2):
        model.add(layers.Dense(128, activation="relu"))
        model.add(layers.Dropout(0.4))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=8, verbose=0)
    noise = np.random.default_rng(0).random(x_test.shape, dtype=np.float32)
    for name, rows in (("digits", x_test), ("noise", noise)):
        once = model.predict(rows)
        often = np.mean([np.asarray(model(rows, training=True).detach()) for _ in range(20)], 0)
        print(f"{name}: entropy {entropy(once):.2f} of one network, {entropy(often):.2f} of twenty drawn")
    print(f"{model.evaluate(x_test, y_test)[1]:.1%} of the test digits")


if __name__ == "__main__":
    main()
