"""Week 3, convolutional networks: LeNet-5 on handwritten digits."""

from _digits import digits

from einkorn import keras
from einkorn.keras import layers


def main() -> None:
    keras.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = digits(6000)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(6, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(120, activation="relu"),
            layers.Dense(84, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.summary()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=64, epochs=3, validation_split=0.1, verbose=2)
    loss, accuracy = model.evaluate(x_test, y_test)
    print(f"{accuracy:.1%} of the test digits, loss {loss:.3f}")


if __name__ == "__main__":
    main()
