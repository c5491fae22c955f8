"""Numbers as sentences, in the terminal, as pictures and as a page."""
