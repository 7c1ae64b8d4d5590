"""Time single steps of the reference network in Keras, on request, for another benchmark to alternate with its own.

Usage: ``python benchmarks/keras_step.py [--jit] [--keras-loop]`` under a Python that has Keras. Reads one JSON object
a line from standard input and answers each with one on standard output::

    {"do": "train", "batch": 4, "shape": [15, 48, 64, 2], "steps": 3}
    {"do": "predict", "batch": 4, "shape": [15, 48, 64, 2], "steps": 3}

The answer is ``{"seconds": [...], "peak_rss_mb": ...}``, a time for each step, or ``{"error": ...}``. The first
request of a kind builds, traces and runs one step beforehand, which `seconds` leaves out. Peak memory is the
process's since its start, so each shape, and each of the two kinds of request, deserves a process of its own.
Training is a masked mean squared error on channel 0 and Adam, in a compiled `tf.function`; ``--keras-loop`` goes by
`train_on_batch` instead. ``--jit`` compiles by XLA.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf

THREADS = 2
Step = Callable[[], object]


def reference_network(shape: tuple[int, ...]) -> Any:  # noqa: ANN401
    """Return the reference's deep network for inputs of shape (days, lat, lon, 2)."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.ConvLSTM2D(32, 5, padding="same", return_sequences=True),
            layers.ConvLSTM2D(32, 5, padding="same"),
            layers.Conv2D(64, 3, padding="same", activation="relu", dilation_rate=2),
            layers.Conv2D(2, 3, padding="same"),
        ]
    )


def masked_mse(target: tf.Tensor, prediction: tf.Tensor) -> tf.Tensor:
    """Return the mean squared error of channel 0 where channel 1 of the target, the mask, is 1."""
    mask = target[..., 1]
    error = tf.square(prediction[..., 0] - target[..., 0]) * mask
    return tf.reduce_sum(error) / tf.maximum(tf.reduce_sum(mask), 1.0)


def training_step(batch: int, shape: tuple[int, ...], *, jit: bool, keras_loop: bool) -> Step:
    """Return a function that trains for one step on random maps of which half is observed."""
    model, optimizer = reference_network(shape), keras.optimizers.Adam()
    rng = np.random.default_rng(0)
    maps = tf.constant(rng.normal(size=(batch, *shape)), tf.float32)
    mask = rng.random((batch, *shape[1:3])) < 0.5
    target = tf.constant(np.stack([rng.normal(size=mask.shape), mask], axis=-1), tf.float32)
    if keras_loop:
        model.compile(optimizer, masked_mse, jit_compile=jit)
        return lambda: model.train_on_batch(maps, target)
    optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=jit)
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = masked_mse(target, model(maps, training=True))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    return lambda: step().numpy()


def prediction_step(batch: int, shape: tuple[int, ...], *, jit: bool) -> Step:
    """Return a function that predicts one batch of random maps."""
    model = reference_network(shape)
    maps = tf.random.normal((batch, *shape))
    predict = tf.function(lambda: model(maps, training=False), jit_compile=jit)
    return lambda: predict().numpy()


def main() -> None:
    """Answer requests until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jit", action="store_true", help="compile by XLA")
    parser.add_argument("--keras-loop", action="store_true", help="train by train_on_batch")
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)

    @cache
    def ready(kind: str, batch: int, shape: tuple[int, ...]) -> Step:
        if kind == "train":
            step = training_step(batch, shape, jit=options.jit, keras_loop=options.keras_loop)
        elif kind == "predict":
            step = prediction_step(batch, shape, jit=options.jit)
        else:
            raise ValueError(f"do must be train or predict (got {kind!r})")
        step()
        return step

    for line in sys.stdin:
        try:
            request = json.loads(line)
            step = ready(request["do"], request["batch"], tuple(request["shape"]))
            seconds = []
            for _ in range(request["steps"]):
                start = time.perf_counter()
                step()
                seconds.append(time.perf_counter() - start)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            answer: dict[str, object] = {"seconds": seconds, "peak_rss_mb": round(peak)}
        except (ValueError, KeyError, TypeError, tf.errors.OpError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
