"""What only one Keras backend can do, a module each."""
