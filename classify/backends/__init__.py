"""What only one Keras backend can do, a module each with the same names; ``backend`` is the one in use."""

import importlib

import keras

backend = importlib.import_module(f"classify.backends.{keras.backend.backend()}")
