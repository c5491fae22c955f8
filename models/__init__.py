"""Network architectures, one builder a file."""
