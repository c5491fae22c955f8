"""Name what is in a picture: the class and how probable each class is.

  python predict.py image.png
  python predict.py holiday.jpg pictures/ "more/*.webp" --top 5
  python predict.py image.png --model runs/cnn-tutorial --json
  python predict.py image.png --explain

Any common image file of any size will do. The model is the newest finished
CIFAR-10 run, or else the one that comes with this project. Where it is less
sure than of 95 % of the validation images it says so: the picture may show
another thing than its classes. It does not notice that of every such picture.
"""

import json

import numpy as np

from classify import command, images, options, outsiders, report, runs
from classify.command import Problem, note


def parse(argv=None):
    parser = options.Parser(__doc__)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files, folders of them, or patterns")
    parser.add_argument(
        "--model", metavar="RUN or MODEL", help="default: the newest CIFAR-10 run, else the shipped one"
    )
    parser.add_argument(
        "--top", type=options.whole_number(1), default=3, metavar="K", help="classes to show of each image. Default: 3"
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="write IMAGE.explained.png beside each image: what in it speaks for its class (Grad-CAM)",
    )
    parser.add_argument("--explain-to", metavar="FOLDER", help="write the explanations there instead")
    parser.add_argument("--explain-class", metavar="CLASS", help="explain this class, not the most probable one")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line, with all classes")
    return parser.parse_args(argv)


def main(argv=None):
    args = parse(argv)
    saved = runs.find(args.model) if args.model else runs.newest_cifar10()
    paths, failed = command.each(images.find_images(args.images), readable)
    if not paths:
        return 1
    if not args.model:
        note(f"model: {saved.name} ({saved.path})")
    command.start_keras()
    from classify import inference

    model = inference.load_model(saved.path)
    class_names = saved.class_names(model.output_shape[-1])
    if not saved.info:
        note(f"{saved.path} has no run.json beside it, so its classes have no names")
    explanations = None
    if args.explain or args.explain_to or args.explain_class:
        from classify.explain import Explanations

        explanations = Explanations(model, class_names, args.explain_class, args.explain_to)
    height, width = model.input_shape[1:3]
    name_width = max(len(str(path)) for path in paths)
    for first in range(0, len(paths), inference.BATCH_SIZE):

        def load(path):
            return path, images.load_image(path, height, width)

        loaded, any_failed = command.each(paths[first : first + inference.BATCH_SIZE], load)
        failed |= any_failed
        if not loaded:
            continue
        pixels = np.stack([image for _, image in loaded])
        rows = inference.predict(model, pixels)
        unsure = outsiders.unsure(rows, saved.info.get("unsure"))
        for (path, _), probabilities, doubt in zip(loaded, rows, unsure, strict=True):
            if args.json:
                print(as_json(path, probabilities, class_names, doubt))
            elif doubt:
                print(report.unsure(str(path), probabilities, class_names, name_width))
            else:
                print(report.prediction(str(path), probabilities, class_names, args.top, name_width))
        if explanations:
            _, any_failed = command.each(zip(loaded, rows, strict=True), explanations.write)
            failed |= any_failed
    return 1 if failed else 0


def readable(found):
    """Return an image path; raise what ``find_images`` found wrong."""
    if isinstance(found, Problem):
        raise found
    return found


def as_json(path, probabilities, class_names, unsure):
    best = int(np.argmax(probabilities))
    result = {
        "image": str(path),
        "class": class_names[best],
        "probability": float(probabilities[best]),
        "unsure": unsure,
        "probabilities": {name: float(p) for name, p in zip(class_names, probabilities, strict=True)},
    }
    return json.dumps(result, ensure_ascii=False)


if __name__ == "__main__":
    command.run(main)
