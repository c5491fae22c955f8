"""Where labelled images come from, their splits, and a picture file as an array."""
