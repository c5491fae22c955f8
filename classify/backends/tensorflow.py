"""What Keras leaves to TensorFlow: a fused batch normalization, a stream of batches, a gradient, the GPUs."""

import contextlib

import keras
import tensorflow as tf

FAST_BFLOAT16 = ("amx_bf16", "avx512_bf16")  # what a processor that multiplies it natively has


def start():
    """Do nothing: TensorFlow has started."""


class BatchNormalization(keras.layers.BatchNormalization):
    """``keras.layers.BatchNormalization`` over the last axis of 4D inputs in one fused operation.

    It has the same weights and gives the same result, faster: Keras 3 composes the layer of a dozen elementwise
    operations, each a pass over memory.
    """

    def call(self, inputs, training=None, mask=None):
        training = bool(training and self.trainable)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma.value if self.scale else tf.ones_like(self.beta.value),
            offset=self.beta.value,
            mean=self.moving_mean.value,
            variance=self.moving_variance.value,
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            # The operation returns the unbiased variance; Keras's moving average is of the biased one.
            n = tf.cast(tf.size(inputs) / tf.shape(inputs)[-1], variance.dtype)
            self._move(self.moving_mean, mean)
            self._move(self.moving_variance, variance * (n - 1) / n)
        # Else TensorFlow would join convolution, normalization and tanh to one operation, which it lacks on a CPU.
        return tf.ensure_shape(outputs, inputs.shape)

    def _move(self, average, value):
        average.assign(average * self.momentum + value * (1 - self.momentum))

    def compute_output_spec(self, inputs, training=None, mask=None):
        # Keras would trace `call` with symbols that TensorFlow's operation does not take.
        return keras.KerasTensor(inputs.shape, self.compute_dtype)


def stream(batch, steps, rows):
    """Return a ``tf.data.Dataset`` of ``batch(0)`` to ``batch(steps - 1)`` that makes one while another is used.

    It works without tf.data's autotuning, which Keras's own reading of arrays leaves on. The thread of that tuning
    sleeps for up to a minute. The end of an epoch may wait for it, as long as the epoch itself took.

    Args:
        batch: a function of the step and of the part of its rows that is asked for, here all of them; returns arrays
            whose first axis is the batch's.
        steps: the number of batches.
        rows: how many rows a batch has, a function of the step; of use where several devices share a batch.
    """
    arrays = batch(0, slice(None))

    def read(step):
        read_arrays = tf.numpy_function(
            lambda step: batch(step, slice(None)), [step], [array.dtype for array in arrays]
        )
        for tensor, array in zip(read_arrays, arrays, strict=True):
            tensor.set_shape((None, *array.shape[1:]))
        return tuple(read_arrays)

    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.range(steps).map(read).prefetch(1).with_options(options)


@contextlib.contextmanager
def spread(model, devices):
    """Train on one device: on several of them Keras trains with JAX."""
    yield


def gradient(function, at):
    """Return the gradient of ``function`` at a tensor ``at``; each value of the function belongs to one row of it."""
    with tf.GradientTape() as tape:
        tape.watch(at)
        values = function(at)
    return tape.gradient(values, at)


def settle(model):
    """Give a model's variables the values of the last step. TensorFlow's have them at once."""


def gpu_capabilities():
    """Return the compute capability, (major, minor), of each GPU that TensorFlow sees."""
    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return [detail.get("compute_capability", (0, 0)) for detail in details]
