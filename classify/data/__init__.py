"""Labelled images: where they come from and how they are split; and a person's picture file as an array."""
