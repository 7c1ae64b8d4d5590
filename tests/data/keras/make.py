"""Make the small networks of this folder with Keras itself, and what they answer to one input.

Usage: ``python make.py`` where Keras 3 is installed, and ``python make.py --keras2`` where `tf_keras` is. Beside
NAME.keras and NAME.h5 stands NAME.npz with `input` (batch, days, lat, lon, 2) and `output` (batch, lat, lon, 2).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

if KERAS2 := "--keras2" in sys.argv:
    import tf_keras as keras
else:
    import keras

HERE = Path(__file__).parent
DAYS, LAT, LON = 5, 6, 7
RNG = np.random.default_rng(0)


def sequential(**settings: Any) -> Any:  # noqa: ANN401
    """Two recurrent layers, hidden 2, kernel 3, head 4, dilation 2."""
    keras.backend.clear_session()  # so that the names of layers are counted from the first
    return keras.Sequential(
        [
            keras.Input((DAYS, LAT, LON, 2)),
            keras.layers.ConvLSTM2D(2, 3, padding="same", return_sequences=True, **settings),
            keras.layers.ConvLSTM2D(2, 3, padding="same", **settings),
            keras.layers.Conv2D(4, 3, padding="same", activation="relu", dilation_rate=2),
            keras.layers.Conv2D(2, 3, padding="same"),
        ]
    )


def functional() -> Any:  # noqa: ANN401
    """One recurrent layer without a bias, the sequence's length left open, layers by names of their own."""
    start = keras.Input((None, LAT, LON, 2))
    maps = keras.layers.ConvLSTM2D(2, 3, padding="same", use_bias=False, dropout=0.1, name="memory")(start)
    maps = keras.layers.Dropout(0.2)(maps)
    maps = keras.layers.Conv2D(3, 3, padding="same", name="widen")(maps)
    maps = keras.layers.ReLU()(maps)
    return keras.Model(start, keras.layers.Conv2D(2, 3, padding="same", name="conv2d")(maps))


def save(model: Any, *names: str) -> None:  # noqa: ANN401
    """Give a model weights that all matter, and store it with what it answers."""
    model.set_weights([RNG.normal(scale=0.5, size=w.shape).astype("float32") for w in model.get_weights()])
    maps = RNG.normal(size=(2, DAYS, LAT, LON, 2), scale=2).astype("float32")
    output = np.asarray(model(maps, training=False))
    for name in names:
        model.save(HERE / name)
    np.savez(HERE / f"{Path(names[0]).stem}.npz", input=maps, output=output)


def main() -> None:
    """Write the files."""
    if KERAS2:
        save(sequential(), "keras2.h5", "keras2.keras")  # hard_sigmoid is its default
        return
    trained = sequential()
    trained.compile("adam", "mse")
    trained.fit(np.zeros((1, DAYS, LAT, LON, 2)), np.zeros((1, LAT, LON, 2)), verbose=0)
    save(trained, "optimizer.keras")
    save(functional(), "functional.keras", "functional.h5")
    save(sequential(), "sequential.keras", "sequential.h5")
    save(sequential(recurrent_activation="hard_sigmoid"), "hard_sigmoid.keras")


if __name__ == "__main__":
    main()
