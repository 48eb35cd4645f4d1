"""Week 4, training in practice: what schedules, penalties and normalization do to few digits."""

from _digits import digits

from einkorn import keras
from einkorn.keras import layers


def network(kind: str) -> keras.Sequential:
    """A network of 784, 128, 64 and 10, with one of the means against over-fitting."""
    penalty = keras.regularizers.L2(1e-3) if kind == "L2" else None
    model = keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten()])
    for units in (128, 64):
        model.add(layers.Dense(units, kernel_initializer="he_normal", kernel_regularizer=penalty))
        if kind == "batch normalization":
            model.add(layers.BatchNormalization())
        model.add(layers.Activation("relu"))
        if kind == "dropout":
            model.add(layers.Dropout(0.4))
    model.add(layers.Dense(10, activation="softmax"))
    return model


def main() -> None:
    (x, y), (x_test, y_test) = digits(1200)
    for kind in ("nothing", "L2", "dropout", "batch normalization"):
        keras.utils.set_random_seed(0)
        model = network(kind)
        rate = keras.optimizers.schedules.ExponentialDecay(0.003, decay_steps=30, decay_rate=0.9)
        model.compile(
            keras.optimizers.Adam(rate, clipnorm=1.0), "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        stop = keras.callbacks.EarlyStopping(
            monitor="val_loss", min_delta=0.001, patience=5, restore_best_weights=True
        )
        history = model.fit(x, y, epochs=25, validation_split=0.2, callbacks=[stop], verbose=0)
        accuracy = model.evaluate(x_test, y_test)[1]
        print(f"with {kind}: {len(history.epoch)} epochs, {accuracy:.1%} of the test digits")


if __name__ == "__main__":
    main()
