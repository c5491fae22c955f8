"""Write a saved model for other programs, which then need neither Keras nor this project.

  python export.py runs/cnn --format onnx          model.onnx, for ONNX Runtime
  python export.py runs/cnn --format saved_model   a folder, for TensorFlow
  python export.py runs/cnn --format litert        model.tflite, for LiteRT

The file appears beside the model, once it was read back and gave the same
probabilities. It takes RGB pixels as they are, 0 to 255, float32, of shape
(N, height, width, 3). ONNX needs requirements-export.txt installed.

Training writes the LiteRT file by itself: predict.py starts fast with it.
"""

from dataclasses import dataclass

from classify import command, options
from classify.command import printable
from classify.runs import saved


@dataclass(frozen=True)
class Settings:
    """What the command line asks for."""

    model: str
    format: str
    trust: bool


def parse(argv=None):
    """Return the ``Settings`` of a command line."""
    parser = options.Parser(__doc__)
    parser.add_argument("model", metavar="RUN or MODEL", help="a run's folder, its name, or a .keras file")
    parser.add_argument("--format", choices=("onnx", "litert", "saved_model"), required=True, help="what to write")
    options.add_trust(parser)
    return Settings(**vars(parser.parse_args(argv)))


def main(argv=None):
    settings = parse(argv)
    path = saved.find(settings.model).path
    command.start_keras()
    from classify.inference import litert
    from classify.inference.export import export
    from classify.inference.loading import load_keras

    made_from = litert.fingerprint(path)  # before the file is loaded, since it may be replaced meanwhile
    target, difference = export(load_keras(path, settings.trust), path, made_from, settings.format)
    print(f"{printable(target)}   probabilities differ from Keras's by at most {difference:.1g}")


if __name__ == "__main__":
    command.run(main)
