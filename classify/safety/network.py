"""What a model's config implies, computed without Keras: its shapes, its weights and the work of one image."""

import math
from dataclasses import dataclass, field

from classify.safety import fields, shapes
from classify.safety.refusal import Refused, refuse, unless

VALUES = 2**26  # of a layer's answer to one image: the first layers of a 1,024-pixel network come near
WORK = 2**38  # multiply-adds for one image: four times InceptionV3's at 1,024 pixels
MODELS = ("Sequential", "Functional", "Model")
# How Keras names, in the weights' paths, what has weights.
PATHS = {
    "Conv2D": "conv2d",
    "BatchNormalization": "batch_normalization",
    "Dense": "dense",
    "Sequential": "sequential",
    "Functional": "functional",
    "Model": "functional",
}


@dataclass
class Network:
    """A network as its config implies it.

    Attributes:
        input_shape, output_shape: without the axis of images.
        weights: the shape of each, by its path in model.weights.h5.
        work: about how many multiply-adds one image takes.
    """

    input_shape: tuple = ()
    output_shape: tuple = ()
    weights: dict = field(default_factory=dict)
    work: int = 0

    def parameters(self):
        """Return the number of values in all weights."""
        return sum(math.prod(shape) for shape in self.weights.values())

    def add(self, path, shapes, positions):
        """Count the weights of a layer, the first of which is used at so many positions of an image."""
        self.weights |= {f"{path}/vars/{number}": shape for number, shape in enumerate(shapes)}
        self.work += positions * math.prod(shapes[0]) if shapes else 0
        if self.work > WORK:
            refuse(f"one image would take it more than {WORK:.0e} multiplications")


def implied(config):
    """Return the ``Network`` that a config, checked by ``config.check``, implies.

    Raises:
        Refused: a layer is set to what no model of this project has, shapes do not fit, or numbers are too large; or
            it is no network from RGB images of one size to one row of numbers each.
    """
    network = Network()
    try:
        network.input_shape, network.output_shape = _model(config, None, "", network)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise Refused("is refused: its config.json describes no network", by_name=True) from error
    check_shapes(network.input_shape, network.output_shape)
    return network


def check_shapes(source, target):
    """Raise ``Refused`` unless shapes, without the axis of images, are those of a classifier of RGB images."""
    if not (len(source) == 3 and None not in source and source[2] == 3):
        raise Refused(f"does not take RGB images of one size: its input is {(None, *source)}")
    if len(target) != 1:
        raise Refused(f"does not return one row of probabilities an image: its output is {(None, *target)}")


def _model(entry, source, path, network):
    """Return the shapes (input, output) of a model; ``source`` is what a model around it feeds it, or None."""
    name = entry["class_name"]
    unless(name in MODELS, "its config.json describes no model")
    unless(len(path) < 200, "its models are nested too deeply")
    answer = _sequential if name == "Sequential" else _functional
    return answer(entry["config"], source, path, network)


def _sequential(config, source, path, network):
    entries, names = config["layers"], {}
    if entries[0]["class_name"] == "InputLayer":
        source, entries = _input(entries[0], source), entries[1:]
    unless(source is not None, "it does not say how large its images are", by_name=True)
    _check_build({"build_config": {"input_shape": config.get("build_input_shape")}}, [source])
    shape = source
    for entry in entries:
        shape = _layer(entry, [shape], path, names, network)
    return source, shape


def _functional(config, source, path, network):
    known, names, first = {}, {}, None
    for entry in config["layers"]:
        name, nodes = entry["name"], entry["inbound_nodes"]
        unless(name not in known and name == entry["config"]["name"], "two layers have one name", by_name=True)
        if entry["class_name"] == "InputLayer":
            unless(first is None and not nodes, "it has several inputs", by_name=True)
            first = known[name] = _input(entry, source)
            unless(_names(config["input_layers"]) == [name], "it has several inputs", by_name=True)
            continue
        unless(len(nodes) == 1, "a layer in it is used several times", by_name=True)
        kwargs = nodes[0]["kwargs"].items()
        unless(
            all(key in ("mask", "training") and value in (None, False) for key, value in kwargs), "it is called oddly"
        )
        sources = [known[tensor["config"]["keras_history"][0]] for tensor in _tensors(nodes[0]["args"])]
        known[name] = _layer(entry, sources, path, names, network)
    if isinstance(config["output_layers"], dict):
        raise Refused("returns a dictionary of outputs, not one row of probabilities an image")
    outputs = _names(config["output_layers"])
    unless(len(outputs) == 1, "it has several outputs", by_name=True)
    return first, known[outputs[0]]


def _tensors(arguments):
    """Return the inputs of a layer: its one argument, a tensor or a list of tensors."""
    [argument] = arguments
    tensors = argument if isinstance(argument, list) else [argument]
    unless(tensors and all(tensor["class_name"] == "__keras_tensor__" for tensor in tensors), "a layer has no input")
    return tensors


def _names(layers):
    """Return the layers' names of Keras's ``["name", 0, 0]``, or of a list of such."""
    return [layers[0]] if layers and isinstance(layers[0], str) else [name for name, _, _ in layers]


def _input(entry, source):
    fields.check("InputLayer", entry["config"])
    shape = tuple(entry["config"]["batch_shape"][1:])
    unless(source in (None, shape), f"a model in it takes {shape}, and gets {source}")
    if None in shape:
        raise Refused(f"does not take RGB images of one size: its input is {(None, *shape)}")
    return _bounded(shape)


def _layer(entry, sources, path, names, network):
    """Return the shape of a layer's answer to inputs of some shapes, and count its weights in ``network``.

    ``names`` holds how many layers of each class there were in this model: Keras numbers weights' paths so.
    """
    name, config = entry["class_name"], entry["config"]
    _check_build(entry, sources)
    unless("shared_object_id" not in entry, "it shares a layer", by_name=True)
    number = names[name] = names.get(name, -1) + 1
    here = f"{path}layers/{PATHS.get(name, name)}" + (f"_{number}" if number else "")
    if name in MODELS:
        [source] = sources
        return _model(entry, source, f"{here}/", network)[1]
    fields.check(name, config)
    if name == "Concatenate":
        return _bounded(shapes.joined(config, sources))
    [source] = sources
    shape, weights = shapes.SHAPES[name](config, source)
    network.add(here, weights, math.prod(shape[:-1]))
    return _bounded(shape)


def _check_build(entry, sources):
    """Raise ``Refused`` where Keras would build a layer for other inputs than it gets."""
    build = entry.get("build_config") or {}
    unless(build.keys() <= {"input_shape", "shapes_dict"}, "a layer in it is built oddly", by_name=True)
    for shape in build.values():
        shape = shape.get("input_shape") if isinstance(shape, dict) else shape
        if shape:
            written = shape if isinstance(shape[0], list) else [shape]
            fits = [tuple(entry[1:]) for entry in written] == list(sources)
            unless(fits, "a layer in it is built for other inputs than it gets")


def _bounded(shape):
    unless(all(fields.is_whole(size) for size in shape), "the shapes in it do not fit")
    if math.prod(shape) > VALUES:
        refuse(f"a layer in it has more than {VALUES:,} values an image")
    return shape
