"""A saved model: opened, and asked about pictures."""
