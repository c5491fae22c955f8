"""The folder that a training fills, and finding it again."""
