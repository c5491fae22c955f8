"""Write a saved model for other programs, which then need neither Keras nor this project.

  python export.py runs/cnn --format onnx          model.onnx, for ONNX Runtime
  python export.py runs/cnn --format saved_model   a folder, for TensorFlow
  python export.py runs/cnn --format litert        model.tflite, for LiteRT

The file appears beside the model, once it was read back and gave the same
probabilities. It takes RGB pixels as they are, 0 to 255, float32, of shape
(N, height, width, 3). ONNX needs requirements-export.txt installed.

Training writes the LiteRT file by itself: predict.py answers with it at once.
"""

from classify import command, options
from classify.runs import folder as runs


def parse(argv=None):
    parser = options.Parser(__doc__)
    parser.add_argument("model", metavar="RUN or MODEL", help="a run's folder, its name, or a .keras file")
    parser.add_argument("--format", choices=("onnx", "litert", "saved_model"), required=True, help="what to write")
    return parser.parse_args(argv)


def main(argv=None):
    args = parse(argv)
    saved = runs.find(args.model)
    command.start_keras()
    from classify.inference import export as exports
    from classify.inference import predictor as inference

    model = inference.load_model(saved.path)
    path, difference = exports.export(model, saved.path, args.format)
    print(f"{path}   probabilities differ from Keras's by at most {difference:.1g}")


if __name__ == "__main__":
    command.run(main)
