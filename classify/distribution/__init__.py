"""Training by several processes together: joining them, what one says to the others, and what ends them."""
