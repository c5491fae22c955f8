"""Files from anywhere: what a model's file holds is known, and bounded, before anything opens it."""
