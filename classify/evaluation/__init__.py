"""How good a model is: numbers from labels and probabilities."""
