"""What the four scripts share, one noun a file."""
