"""What Keras leaves to JAX: a stream of batches, a gradient, the GPUs."""

from concurrent.futures import ThreadPoolExecutor

import jax
import keras
from keras.src.trainers.data_adapters.data_adapter import DataAdapter  # ``fit`` takes one; no public name leads to it

BatchNormalization = keras.layers.BatchNormalization  # XLA fuses it
FAST_BFLOAT16 = ()  # on processors it is no faster than float32


def start():
    """Start TensorFlow without a GPU: Keras seeds it and TFDS reads with it, and it would take the GPUs' memory."""
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")


class Stream(DataAdapter):
    """Batches for ``fit`` and ``evaluate``, of which one is made while another is used.

    Args:
        batch: a function of the step; returns arrays whose first axis is the batch's.
        steps: the number of batches.
    """

    def __init__(self, batch, steps):
        self.batch, self.steps = batch, steps

    def __len__(self):
        return self.steps

    num_batches = property(__len__)

    def take(self, steps):
        """Return a stream of the first batches."""
        return Stream(self.batch, min(steps, self.steps))

    def get_jax_iterator(self):
        """Yield the batches in order."""
        with ThreadPoolExecutor(1) as thread:
            ahead = thread.submit(self.batch, 0)
            for step in range(self.steps):
                arrays = ahead.result()
                if step + 1 < self.steps:
                    ahead = thread.submit(self.batch, step + 1)
                yield arrays


stream = Stream


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
