import keras
import numpy as np
import pytest
from keras import layers

from classify.data.dataset import Data, Split
from classify.data.store import Shards
from classify.training import memory


@pytest.fixture
def model():
    """A convolution that makes 100 x 100 x 50 numbers of an image, within a model, and a pooling that leaves 50."""
    base = keras.Sequential([layers.Input((100, 100, 3)), layers.Conv2D(50, 1, use_bias=False)])
    return keras.Sequential([layers.Input((100, 100, 3)), base, layers.GlobalAveragePooling2D()])


def data(images):
    return Data(None, *(Split(images, np.zeros(len(images), "int64")) for _ in range(3)))


def test_memory_grows_with_the_batch_and_with_arrays_but_not_with_a_store(model, monkeypatch):
    monkeypatch.setattr(memory, "PROGRAM", 0)
    images = np.zeros((10, 100, 100, 3), "uint8")
    stored = data(Shards([images] * 100))
    assert memory.memory(model, stored, 500) == "about 2.0 GB of memory"  # 500 x 500,050 numbers, twice, of 4 bytes
    assert memory.memory(model, stored, 5) == "about 0.1 GB of memory"  # 50 images are measured at a time
    assert memory.memory(model, stored) == "about 0.1 GB of memory"
    assert memory.memory(model, data(Shards([images])), 500) == "about 0.1 GB of memory"  # there are ten images
    many = np.broadcast_to(images, (100, *images.shape)).reshape(1000, 100, 100, 3)
    assert memory.memory(model, data(many), 500) == "about 2.1 GB of memory"  # three splits of 30 MB
    assert memory.memory(model, data(Shards([many])), 500) == "about 2.0 GB of memory"


def test_bfloat16_takes_half_of_it(monkeypatch):
    monkeypatch.setattr(memory, "PROGRAM", 0)
    convolutions = [layers.Conv2D(n, 1, dtype="mixed_bfloat16") for n in (50, 1)]
    model = keras.Sequential([layers.Input((100, 100, 3)), *convolutions])
    stored = data(Shards([np.zeros((10, 100, 100, 3), "uint8")] * 50))
    assert memory.memory(model, stored, 500) == "about 1.0 GB of memory"  # 510,000 numbers of 2 bytes, twice
