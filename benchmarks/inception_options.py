"""Validation accuracy of train_inception.py under each choice, one seed.

  TFDS_DATA_DIR=… python benchmarks/inception_options.py --weights path/to/weights.h5

Interpolation and mirrored images with all training images, arithmetic with
10,000. An interrupted benchmark goes on where it stopped; finished runs lie in
runs/benchmark, the features they share in features/.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.training import data_arguments, trained
from classify import command, options

CHOICES = {
    "nearest": ("--interpolation", "nearest"),
    "bilinear": ("--interpolation", "bilinear"),
    "bilinear, mirrored too": ("--interpolation", "bilinear", "--augment"),
    "bilinear, 10,000 images, bfloat16": ("--limit", "10000", "--precision", "bfloat16"),
    "bilinear, 10,000 images, float32": ("--limit", "10000", "--precision", "float32"),
}


def main():
    parser = options.Parser(__doc__)
    options.add_data(parser)
    parser.add_argument("--weights", default="imagenet", help="as in train_inception.py. Default: imagenet")
    args = parser.parse_args()
    common = [*data_arguments(args), "--weights", args.weights]
    print("choice                             validation  test    time")
    for choice, arguments in CHOICES.items():
        name = "inception-" + choice.replace(",", "").replace(" ", "-")
        run = trained(name, "train_inception.py", *common, *arguments)
        if run is None:
            print(f"{choice:33}  diverged", flush=True)
            continue
        print(f"{choice:33}  {run['validation']:.2%}      {run['accuracy']:.1%}  {run['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    command.run(main)
