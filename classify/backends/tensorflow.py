"""What Keras leaves to TensorFlow: three faster layers, a stream of batches, a gradient, the GPUs."""

import contextlib
import functools
import math

import keras
import tensorflow as tf

from classify import environment

FAST_BFLOAT16 = ("amx_bf16", "avx512_bf16")  # what a processor that multiplies it natively has


def start():
    """Do nothing: TensorFlow has started."""


class Conv2D(keras.layers.Conv2D):
    """``keras.layers.Conv2D`` in which a 3x3 kernel's gradient is nine matrix products, where these are faster.

    On a processor that multiplies bfloat16 natively but has no AMX, oneDNN, the library below TensorFlow, has only an
    old routine for this gradient. For images of few pixels and many channels it is 1.2 to 3 times as slow.
    """

    def convolution_op(self, inputs, kernel):
        plain = {*self.strides, *self.dilation_rate, self.groups} == {1} and self.padding == "same"
        if plain and self.kernel_size == (3, 3) and _products_are_faster(inputs, kernel):
            return _convolution(inputs, tf.cast(tf.convert_to_tensor(kernel), inputs.dtype))
        return super().convolution_op(inputs, kernel)


def _products_are_faster(inputs, kernel):
    """Return whether they were, by 1.2 times or more: up to 7x7 pixels from 64 channels on, not with 15x15 pixels."""
    small = None not in inputs.shape[1:3] and math.prod(inputs.shape[1:3]) <= 64 <= min(kernel.shape[2:])
    flags = environment.cpu_flags()
    native = inputs.dtype == tf.bfloat16 and "avx512_bf16" in flags and "amx_bf16" not in flags
    return small and native and not tf.config.list_physical_devices("GPU")


@tf.custom_gradient
def _convolution(inputs, kernel):
    def gradients(upstream):
        to_inputs = tf.raw_ops.Conv2DBackpropInput(
            input_sizes=tf.shape(inputs), filter=kernel, out_backprop=upstream, strides=(1, 1, 1, 1), padding="SAME"
        )
        with tf.name_scope("kernel_gradient"):
            return to_inputs, _kernel_gradient(inputs, upstream)

    return tf.nn.conv2d(inputs, kernel, 1, "SAME"), gradients


def _kernel_gradient(inputs, upstream):
    """Return the gradient of a 3x3 kernel: at each of its places a product of the pixels that meet there, as matrices.

    Both sides have their rows and columns first, so that some rows of an image are one piece of memory.
    """
    (height, width, channels), filters = inputs.shape[1:], upstream.shape[3]
    inputs, upstream = (tf.transpose(images, (1, 2, 0, 3)) for images in (inputs, upstream))
    places = {}
    for column in (-1, 0, 1):
        seen, made = _shifted(width, column)
        columns, changes = inputs[:, seen], upstream[:, made]
        for row in (-1, 0, 1):
            seen, made = _shifted(height, row)
            pixels = tf.reshape(columns[seen], (-1, channels))
            places[row, column] = tf.matmul(pixels, tf.reshape(changes[made], (-1, filters)), transpose_a=True)
    return tf.reshape(tf.stack([places[place] for place in sorted(places)]), (3, 3, channels, filters))


def _shifted(side, shift):
    """Return which rows of a side a place of the kernel sees, and for which rows of the outputs, as slices."""
    return slice(max(0, shift), side + min(0, shift)), slice(max(0, -shift), side + min(0, -shift))


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


class Activation(keras.layers.Activation):
    """``keras.layers.Activation`` whose SiLU has a gradient that passes over memory once.

    TensorFlow composes this gradient of several operations, each a pass over memory and rounded to bfloat16. Its
    sigmoid alone costs four times as much as ReLU with its gradient. XLA compiles one loop, which computes in float32.
    """

    def call(self, inputs):
        fast = self.activation is keras.activations.silu and tf.test.is_built_with_xla()
        return _silu(inputs) if fast else super().call(inputs)


@tf.custom_gradient
def _silu(inputs):
    return tf.nn.silu(inputs), functools.partial(_silu_gradient, inputs)


@tf.function(jit_compile=True)
def _silu_gradient(inputs, upstream):
    x = tf.cast(inputs, tf.float32)
    sigmoid = tf.sigmoid(x)
    return tf.cast(tf.cast(upstream, tf.float32) * sigmoid * (1 + x * (1 - sigmoid)), inputs.dtype)


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
