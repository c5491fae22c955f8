"""Hostile and damaged .keras files, made from a good one: what each is, and what the refusal says of it."""

import functools
import io
import json
import stat
import struct
import zipfile

import h5py
import numpy as np

CODE = "import pathlib; pathlib.Path({!r}).write_text('sung')"  # what would run: it makes the canary


def members(path):
    """Return the contents of a ``.keras`` file's members by name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, contents, compression=zipfile.ZIP_STORED):
    """Write a ``.keras`` file of (name or ZipInfo, content) pairs."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in contents:
            archive.writestr(name, content)


def with_config(good, path, change):
    """Write a good file whose config was changed: ``change`` gets it, and returns another one or None."""
    contents = members(good)
    config = json.loads(contents["config.json"])
    changed = change(config)
    contents["config.json"] = changed if isinstance(changed, bytes) else json.dumps(changed or config).encode()
    write(path, contents.items())


def with_weights(good, path, change):
    """Write a good file whose HDF5 file was changed: ``change`` gets it, open for writing."""
    contents = members(good)
    file = io.BytesIO(contents["model.weights.h5"])
    with h5py.File(file, "r+") as weights:
        change(weights)
    contents["model.weights.h5"] = file.getvalue()
    write(path, contents.items())


def layer(class_name, module="keras.layers", registered_name=None, **config):
    """Return a layer's entry in a config."""
    entry = {"module": module, "class_name": class_name, "config": config, "registered_name": registered_name}
    return entry | ({"name": config["name"]} if "name" in config else {})


def called(name, code):
    """Return the entry of a function of Keras or of Python, for the place of an activation."""
    return {"module": code, "class_name": "function", "config": name, "registered_name": name}


def bytecode(canary):
    """Return the config of a Lambda layer that makes the canary."""
    import keras

    function = eval(f"lambda x: (exec({CODE.format(str(canary))!r}), x)[1]")
    return keras.saving.serialize_keras_object(keras.layers.Lambda(function))["config"]


def added(entry, config):
    config["config"]["layers"].append(entry)


def set_last(config, **entries):
    """Change the settings of the last layer, a Dense."""
    config["config"]["layers"][-1]["config"] |= entries


def set_layer(class_name, **entries):
    """Return what changes the settings of the first layer of a class."""

    def change(config):
        found = next(entry for entry in config["config"]["layers"] if entry["class_name"] == class_name)
        found["config"] |= entries

    return change


def base(config):
    """Return the config of the functional model in the middle."""
    return next(entry for entry in config["config"]["layers"] if entry["class_name"] == "Functional")


def deep(config):
    return b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def nested(config):
    for _ in range(60):
        config = {"module": "keras", "class_name": "Sequential", "config": {"name": "a", "layers": [config]}}
    return config


def shared(config):
    config["config"]["layers"][-1]["shared_object_id"] = 7


def aliased(config):
    """The dtype of one layer becomes, by its number, an object of another class."""
    for number, name in enumerate(("DTypePolicy", "Zeros")):
        module = ("keras", "keras.initializers")[number]
        entry = {"module": module, "class_name": name, "config": {}, "registered_name": None, "shared_object_id": 7}
        config["config"]["layers"][number + 1]["config"]["dtype"] = entry


def legacy(config):
    del config["config"]["layers"][-1]["module"]


def compiled_inside(config):
    base(config)["compile_config"] = {"loss": called("get_file", "keras.utils")}


BYTECODE = {}  # filled by make, which knows the canary
CONFIGS = {
    "code in a layer": (lambda config: added(layer("Lambda", **BYTECODE), config), "a Lambda layer, which is code"),
    "code in a model within": (
        lambda config: base(config)["config"]["layers"].append(layer("Lambda", **BYTECODE) | {"inbound_nodes": []}),
        "a Lambda layer, which is code",
    ),
    "code for an activation": (lambda config: set_last(config, activation=BYTECODE["function"]), "which is code"),
}


def _config_cases():
    plain = {
        "a class of Python's os": (added, layer("system", "os", command="x"), "not Keras's own, so it is code"),
        "a class of Keras's insides": (
            added,
            layer("Layer", "keras.src.layers.layer"),
            "a Layer layer, which no model",
        ),
        "a registered class": (
            added,
            layer("Dense", registered_name="evil>Dense", units=5),
            "Dense is written strangely",
        ),
        "a class without a module": (added, layer("Evil", None), "not Keras's own, so it is code"),
        "TFSMLayer": (added, layer("TFSMLayer", filepath="/tmp"), "a TFSMLayer layer, which runs a program"),
        "TorchModuleWrapper": (
            added,
            layer("TorchModuleWrapper", module="UEsD"),
            "TorchModuleWrapper layer, which is code",
        ),
        "JaxLayer": (added, layer("JaxLayer"), "a JaxLayer layer, which is code"),
        "FlaxLayer": (added, layer("FlaxLayer"), "a FlaxLayer layer, which is code"),
        "StringLookup's file": (added, layer("StringLookup", vocabulary="/etc/passwd"), "may read a file"),
        "TextVectorization's file": (added, layer("TextVectorization", vocabulary="/etc/passwd"), "may read a file"),
        "a layer of others": (added, layer("LSTM", units=4), "an LSTM layer, which no model of this project has"),
        "an array": (added, {"class_name": "__numpy__", "config": {"value": 0, "dtype": "O"}}, "a __numpy__ layer"),
        "a type": (added, {"class_name": "__typespec__", "config": []}, "a __typespec__ layer"),
    }
    for name, (change, entry, says) in plain.items():
        yield name, functools.partial(change, entry), says
    last = {
        "get_file": ({"activation": called("get_file", "keras.utils")}, "the function get_file"),
        "eval": ({"activation": called("eval", "builtins")}, "the function eval"),
        "get_file by its home": ({"activation": called("get_file", "keras.src.utils.file_utils")}, "function get_file"),
        "an activation that halves": ({"activation": "glu"}, "Dense layer's activation is one that no model"),
        "400 million units": ({"units": 400_000_000}, "the number 400000000"),
        "a million units": ({"units": 1_000_000}, "implies [0-9,]+ parameters, which are not there"),
        "units below none": ({"units": -5}, "Dense layer's units is one that no model"),
        "units in a list": ({"units": [5]}, "Dense layer's units is one that no model"),
        "adapters of high rank": ({"lora_rank": 1_000_000}, "Dense layer's lora_rank is one that no model"),
        "an initializer of another kind": (
            {"kernel_initializer": layer("Dense", units=4)},
            "Dense layer's kernel_initializer is one that no model",
        ),
        "a name that is a path": ({"name": "../../evil"}, "a name in its config.json is '../../evil'"),
        "a name that is long": ({"name": "a" * 100_000}, "a name in its config.json is 'aaa"),
        "a number that is one that no model": ({"units": float("nan")}, "holds the number nan"),
        "a number above all": ({"units": float("inf")}, "holds the number inf"),
    }
    for name, (entries, says) in last.items():
        yield name, functools.partial(set_last, **entries), says
    yield from (
        ("pixels without end", set_layer("UpSampling2D", size=[1024, 1024]), "more than 67,108,864 values"),
        ("an image of a million pixels a side", set_layer("InputLayer", batch_shape=[None, 10**6, 10**6, 3]), "values"),
        (
            "a stride of zero",
            set_layer("MaxPooling2D", strides=[0, 1]),
            "MaxPooling2D layer's strides is one that no model",
        ),
        ("built for others", lambda config: config["config"]["layers"][-1].update(BUILT), "built for other inputs"),
        ("a shared layer", shared, "it shares a layer"),
        ("an object that becomes another", aliased, "it shares a layer"),
        ("a layer of old", legacy, "a Dense layer, which is not Keras's own"),
        ("a compiled model within", compiled_inside, "a model in it is compiled"),
        ("deep JSON", deep, "its config.json is no JSON object"),
        ("models in models", nested, "nested too deeply"),
        ("half a JSON", lambda config: json.dumps(config).encode()[:-9], "its config.json is no JSON object"),
        ("a JSON list", lambda config: b"[]", "its config.json is no JSON object"),
        ("no JSON", lambda config: b"\xff\xfe\x00", "its config.json is no JSON object"),
        ("an empty object", lambda config: b"{}", "its config.json names no class"),
        ("a huge number", lambda config: b'{"a": 1' + b"0" * 10_000 + b"}", "its config.json is no JSON object"),
        ("five megabytes", lambda config: config | {"a": "b" * 5_000_000}, "config.json has 5,0[0-9,]+ bytes"),
    )


BUILT = {"build_config": {"input_shape": [None, 16_000_000]}}
CONFIGS |= {name: (change, says) for name, change, says in _config_cases()}


def first(weights):
    """Return the path of an array that the network needs, which is no longer there."""
    path = "layers/dense/vars/0"
    shape = weights[path].shape
    del weights[path]
    return path, shape


def external(weights):
    path, shape = first(weights)
    weights.create_dataset(path, shape, "float32", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def virtual(weights):
    path, shape = first(weights)
    layout = h5py.VirtualLayout(shape, "float32")
    layout[...] = h5py.VirtualSource("/tmp/other.h5", "a", shape)
    weights.create_virtual_dataset(path, layout)


def soft(weights):
    path, _ = first(weights)
    weights[path] = h5py.SoftLink("/layers/dense/vars/1")


def elsewhere(weights):
    path, _ = first(weights)
    weights[path] = h5py.ExternalLink("/tmp/other.h5", "/a")


def loop(weights):
    weights["layers/again"] = weights["layers"]


def packed(weights):
    path, _ = first(weights)
    weights.create_dataset(path, (30_000, 30_000), "float32", chunks=(1000, 1000), compression="gzip")


def not_there(weights):
    weights.create_dataset("layers/more/vars/0", (30_000, 30_000), "float32")


def texts(weights):
    path, shape = first(weights)
    weights.create_dataset(path, shape, h5py.string_dtype())


def other_shape(weights):
    path, shape = first(weights)
    weights[path] = np.zeros(shape[::-1], "float32")


WEIGHTS = {
    "weights in another file": (external, "vars/0 are packed, or lie in another file"),
    "virtual weights": (virtual, "vars/0 are packed, or lie in another file"),
    "a soft link": (soft, "vars/0 lie elsewhere: they are a link"),
    "a link to another file": (elsewhere, "vars/0 lie elsewhere: they are a link"),
    "a group in itself": (loop, "its weights (are nested too deeply|are too many)"),
    "packed weights of 3.6 GB": (packed, "vars/0 are packed"),
    "declared weights of 3.6 GB": (not_there, "declared, but not there"),
    "texts for weights": (texts, "are no numbers"),
    "weights of another shape": (other_shape, r"are \(5, \d+\), not \(\d+, 5\) as its config.json implies"),
    "missing weights": (first, "its weights lack layers/dense/vars/0"),
}


def info(name, mode=0):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    return entry


def one_more(name, content=b"x"):
    return lambda good, path: write(path, [*members(good).items(), (name, content)])


def without(name):
    return lambda good, path: write(path, [pair for pair in members(good).items() if pair[0] != name])


def changed(name, content, compression=zipfile.ZIP_STORED):
    def make(good, path):
        write(path, (members(good) | {name: content(members(good)[name])}).items(), compression)

    return make


def as_link(good, path):
    contents = members(good)
    contents["target"] = contents.pop("model.weights.h5")
    pairs = [(name, content) for name, content in contents.items() if name != "target"]
    write(path, [*pairs, (info("model.weights.h5", stat.S_IFLNK | 0o777), b"/etc/passwd")])


def patched(good, path, offset, layout, value):
    """Write a good file whose last central entry, that of the weights, says something else."""
    data = bytearray(good.read_bytes())
    struct.pack_into(layout, data, data.rfind(b"PK\x01\x02") + offset, value)
    path.write_bytes(data)


def behind_a_zero(good, path):
    """Write a file with a second config, whose name some programs read only as far as a zero."""
    one_more("config.json#.py")(good, path)
    path.write_bytes(path.read_bytes().replace(b"config.json#", b"config.json\0"))


def cut(good, path):
    path.write_bytes(good.read_bytes()[:-1000])


def many(good, path):
    write(path, [*members(good).items(), *((f"{i}", b"") for i in range(2000))])


def flipped(good, path):
    data = bytearray(good.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def hdf5(good, path):
    path.write_bytes(members(good)["model.weights.h5"])


def tail(good, path):
    path.write_bytes(good.read_bytes() + b"\0" * 100)


def damaged_weights(content):
    return b"\0" * 1000 + content[1000:]


NAME = "which no model of this project has"
ARCHIVES = {
    "a path upwards": (one_more("../../evil.py"), rf"it holds a file \.\./\.\./evil\.py, {NAME}"),
    "a path from the root": (one_more("/tmp/evil.py"), f"it holds a file /tmp/evil.py, {NAME}"),
    "a vocabulary": (one_more("assets/layers/lookup/vocabulary.txt"), f"vocabulary.txt, {NAME}"),
    "a name behind a zero": (behind_a_zero, NAME),
    "weights of another format": (one_more("model.weights.npz"), f"model.weights.npz, {NAME}"),
    "a config twice": (one_more("config.json", b"{}"), "it holds config.json twice"),
    "thousands of files": (many, "it holds too many files"),
    "a bomb of weights": (
        changed("model.weights.h5", lambda content: bytes(2**25), zipfile.ZIP_DEFLATED),
        "model.weights.h5 is far larger than what is stored of it",
    ),
    "a bomb of a config": (
        changed("config.json", lambda content: b" " * 2**22, zipfile.ZIP_DEFLATED),
        "config.json is far larger than what is stored of it",
    ),
    "weights packed by LZMA": (changed("metadata.json", bytes, zipfile.ZIP_LZMA), "is packed strangely"),
    "weights that say 3.9 GB": (
        functools.partial(patched, offset=24, layout="<L", value=3_900_000_000),
        "has 3,900,000,000 bytes",
    ),
    "encrypted weights": (functools.partial(patched, offset=8, layout="<H", value=1), "weights.h5 is encrypted"),
    "weights that are a link": (as_link, "model.weights.h5 is no plain file"),
    "no weights": (without("model.weights.h5"), "it lacks model.weights.h5"),
    "no config": (without("config.json"), "it lacks config.json"),
    "a cut file": (cut, r"is not a Keras model \(a .keras file\)"),
    "an empty file": (lambda good, path: path.write_bytes(b""), r"is not a Keras model \(a .keras file\)"),
    "a text": (lambda good, path: path.write_text("hello"), r"is not a Keras model \(a .keras file\)"),
    "a tail": (tail, r"is not a Keras model \(a .keras file\)"),
    "an HDF5 model": (hdf5, "it is an HDF5 model, which can hold code; save it again as .keras"),
    "a flipped bit": (flipped, "is damaged: Bad CRC-32"),
    "damaged weights": (changed("model.weights.h5", damaged_weights), "model.weights.h5 is no whole HDF5 file"),
    "cut weights": (changed("model.weights.h5", lambda content: content[:-900]), "(no whole HDF5 file|not there)"),
}

FILES = {
    **{name: (functools.partial(with_config, change=change), says) for name, (change, says) in CONFIGS.items()},
    **{name: (functools.partial(with_weights, change=change), says) for name, (change, says) in WEIGHTS.items()},
    **ARCHIVES,
}


def make(name, good, path, canary):
    """Write the hostile file of a name in ``FILES`` to ``path``; what code it holds would make the file ``canary``."""
    BYTECODE.update(bytecode(canary))
    FILES[name][0](good, path)
