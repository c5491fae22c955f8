"""What Keras leaves to JAX: a stream of batches, a gradient, the GPUs; and training on several devices at once."""

import contextlib
import dataclasses
import functools
from concurrent.futures import ThreadPoolExecutor

import jax
import keras
import numpy as np
from keras.src.trainers.data_adapters.data_adapter import DataAdapter  # ``fit`` takes one; no public name leads to it

# XLA makes them fast.
Activation, BatchNormalization, Conv2D = keras.layers.Activation, keras.layers.BatchNormalization, keras.layers.Conv2D
FAST_BFLOAT16 = ()  # on processors it is no faster than float32


def start():
    """Start TensorFlow without a GPU: Keras seeds it and TFDS reads with it, and it would take the GPUs' memory."""
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")


@functools.partial(jax.tree_util.register_dataclass, data_fields=["values"], meta_fields=["count"])
@dataclasses.dataclass
class Part:
    """An array of a batch, cut in equal parts for the devices; rows at its end may only fill the last parts up.

    Attributes:
        values: this process's part before it is handed to JAX, and all of it afterwards.
        count: how many rows the batch has. JAX compiles a step for each count, so the step can cut the others off.
    """

    values: np.ndarray
    count: int

    @property
    def shape(self):
        return (self.count, *self.values.shape[1:])

    @property
    def dtype(self):
        return self.values.dtype


class Stream(DataAdapter):
    """Batches for ``fit`` and ``evaluate``, of which one is made while another is used.

    Args:
        batch: a function of the step and of the part of its rows that is asked for, a slice; returns arrays whose
            first axis is the batch's.
        steps: the number of batches.
        rows: a function of the step that returns how many rows the whole batch has.
    """

    def __init__(self, batch, steps, rows):
        self.batch, self.steps, self.rows = batch, steps, rows
        self.devices = keras.distribution.distribution()

    def __len__(self):
        return self.steps

    num_batches = property(__len__)

    def take(self, steps):
        """Return a stream of the first batches."""
        return Stream(self.batch, min(steps, self.steps), self.rows)

    def get_jax_iterator(self):
        """Yield the batches in order; where several devices share a batch, this process's part of each."""
        make = self._part if self.devices else lambda step: self.batch(step, slice(None))
        with ThreadPoolExecutor(1) as thread:
            ahead = thread.submit(make, 0)
            for step in range(self.steps):
                arrays = ahead.result()
                if step + 1 < self.steps:
                    ahead = thread.submit(make, step + 1)
                yield arrays

    def _part(self, step):
        count = self.rows(step)
        devices = self.devices.device_mesh.backend_mesh.devices.ravel()
        each = -(-count // len(devices))
        here = [n for n, device in enumerate(devices) if device.process_index == jax.process_index()]
        first, last = each * here[0], each * (here[-1] + 1)
        arrays = self.batch(step, slice(min(first, count), min(last, count)))
        return tuple(Part(_filled(array, last - first), count) for array in arrays)


stream = Stream


def _filled(array, rows):
    """Return an array with rows of zeros at its end, so that it has so many."""
    return np.concatenate([array, np.zeros((rows - len(array), *array.shape[1:]), array.dtype)])


def all_devices():
    """Return what ``spread`` takes: all devices of this process and of those that it has joined."""
    return keras.distribution.DataParallel(auto_shard_dataset=False)


@contextlib.contextmanager
def spread(model, devices):
    """Train a compiled model on several devices within a ``with`` block, in which its streams must be made.

    Each device has all variables and a part of each batch. XLA computes the same as on one device: means, variances
    and gradients are those of the whole batch, and of rows that fill up nothing is left.

    Args:
        model: a compiled model that is on one device, as it is again after the block.
        devices: what ``all_devices`` returned, or None to change nothing.
    """
    if devices is None:
        yield
        return
    model.optimizer.build(model.trainable_variables)
    with devices.scope():
        for variable in _variables(model):
            # Keras lays out the variables that it makes in this scope. These were made before.
            _lay_out(variable, devices.get_variable_layout(variable))
        model.train_step = functools.partial(_on_whole_batch, model.train_step)
        model.test_step = functools.partial(_on_whole_batch, model.test_step)
        yield
    for variable in _variables(model):
        _lay_out(variable, None)
    del model.train_step, model.test_step
    model.train_function = model.test_function = None


def _variables(model):
    return [*model.variables, *model.optimizer.variables, *model.metrics_variables]


def _lay_out(variable, layout):
    value, variable._layout = variable.numpy(), layout
    variable.assign(value)


def _on_whole_batch(step, state, data):
    """Take a step of ``fit`` or ``evaluate`` on batches of ``Part``."""
    return step(state, tuple(part.values[: part.count] for part in data))


def gradient(function, at):
    """Return the gradient of ``function`` at an array ``at``; each value of the function belongs to one row of it."""
    return jax.grad(lambda inputs: function(inputs).sum())(at)


def settle(model):
    """Give a model's variables the values of the last step: within an epoch ``fit`` keeps these for itself."""
    model.jax_state_sync()


def gpu_capabilities():
    """Return the compute capability, (major, minor), of each GPU that JAX sees."""
    gpus = [device for device in jax.local_devices() if device.platform == "gpu"]
    return [tuple(map(int, gpu.compute_capability.split("."))) for gpu in gpus]
