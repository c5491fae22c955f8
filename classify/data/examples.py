"""Pictures to try, which come with scikit-learn."""

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image

# In Markdown.
LICENCE = """[temple](https://www.flickr.com/photos/danielbuechele/6061409035/) by danielbuechele and
[flower](https://www.flickr.com/photos/vultilion/6056698931/) by vultilion, both
[CC BY 2.0](https://creativecommons.org/licenses/by/2.0/), and a handwritten digit; all three come with scikit-learn"""


def write(folder):
    """Return the files of two photographs and of a digit, which is written into the folder."""
    bundled = Path(importlib.util.find_spec("sklearn").origin).parent / "datasets"  # importing it takes a second
    digit = np.loadtxt(bundled / "data" / "digits.csv.gz", delimiter=",", max_rows=1)[:64].reshape(8, 8)
    Image.fromarray(np.rint(digit * (255 / 16)).astype("uint8")).save(Path(folder) / "digit.png")
    return [bundled / "images" / "china.jpg", bundled / "images" / "flower.jpg", Path(folder) / "digit.png"]
