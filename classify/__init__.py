"""What the scripts share, one noun a file."""
