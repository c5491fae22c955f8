"""Transfer learning: a frozen network's features and weights, and fine-tuning."""
