"""Damaged image files through predict.py: each must be answered, or named in one line.

  python tests/fuzz.py
  python tests/fuzz.py --files 60 --batches 1 --seed 3

Pillow makes PNG, JPEG, WebP, GIF, BMP and TIFF files of every mode. They are damaged: bytes flipped, the end cut off,
another format's header, or sizes and lengths set to huge numbers (with a right checksum in a PNG, so that it is
believed). Then predict.py gets folders of them, as from a user: no traceback, no hang, below 1 GB of memory.
"""

import io
import json
import resource
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from classify import command, options
from classify.environment import PROJECT
from classify.runs.saved import SHIPPED

FORMATS = {
    "png": ("1", "L", "P", "RGB", "RGBA", "I;16"),
    "jpg": ("L", "RGB", "CMYK"),
    "webp": ("RGB", "RGBA"),
    "gif": ("L", "P"),
    "bmp": ("1", "L", "P", "RGB"),
    "tiff": ("1", "L", "P", "RGB", "RGBA", "CMYK", "I;16", "F"),
}
HUGE = (0x7FFF, 0x3440, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)  # 0x3440 squared is just below Pillow's limit of pixels


def main():
    parser = options.Parser(__doc__)
    parser.add_argument("--files", type=options.whole_number(1), default=1000, metavar="N", help="default: 1000")
    parser.add_argument("--batches", type=options.whole_number(1), default=4, metavar="N", help="folders. Default: 4")
    parser.add_argument("--seed", type=options.whole_number(0), default=0, metavar="N", help="default: 0")
    parser.add_argument("--timeout", type=options.whole_number(1), default=600, metavar="SECONDS", help="a batch")
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    answered, faults = 0, []
    for batch in np.array_split(np.arange(args.files), args.batches):
        with tempfile.TemporaryDirectory() as folder:
            write_damaged(Path(folder), [f"{number:04}" for number in batch], rng)
            count, new_faults = check(folder, args.timeout)
        answered, faults = answered + count, faults + new_faults
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    if peak >= 1e9:
        faults.append("1 GB of memory exceeded")
    print("\n".join(faults + [f"{args.files:,} files: {answered:,} answered, the others named, {len(faults)} faults"]))
    print(f"peak memory {peak / 1e9:.2f} GB")
    return 1 if faults else 0


def check(folder, timeout):
    """Run predict.py on a folder; return (how many files it answered, what it did wrong as a list of lines)."""
    names = {str(path) for path in Path(folder).iterdir()}
    predict = [sys.executable, PROJECT / "predict.py", folder, "--json", "--model", SHIPPED]
    try:
        process = subprocess.run(predict, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return 0, [f"{folder}: not done after {timeout} s"]
    answered = [json.loads(line)["image"] for line in process.stdout.splitlines()]
    named = [line.split(": ")[0] for line in process.stderr.splitlines()]
    faults = [f"unexpected line: {line}" for line in process.stderr.splitlines() if line.split(": ")[0] not in names]
    mentioned = answered + named
    faults += [f"{name}: mentioned {mentioned.count(name)} times" for name in names if mentioned.count(name) != 1]
    expected = 1 if named else 0
    if process.returncode != expected:
        faults.append(f"{folder}: exit status {process.returncode}, not {expected}")
    return len(answered), faults


def write_damaged(folder, names, rng):
    """Write a damaged image file under each name, formats, modes and kinds of damage in turn."""
    kinds = [(extension, mode, damage) for extension in FORMATS for mode in FORMATS[extension] for damage in DAMAGE]
    for name in names:
        extension, mode, damage = kinds[rng.integers(len(kinds))]
        content = damage(bytearray(encoded(extension, mode, rng)), rng)
        (folder / f"{name}-{damage.__name__}.{extension}").write_bytes(content)


def encoded(extension, mode, rng):
    """Return an image file of random size and colours as bytes."""
    height, width = rng.integers(1, 80, 2)
    pixels = rng.integers(0, 256, (height, width, 3), dtype="uint8")
    grey = Image.fromarray(pixels[..., 0].astype("uint16") * 257) if mode == "I;16" else None
    file = io.BytesIO()
    (grey or Image.fromarray(pixels).convert(mode)).save(file, {"jpg": "jpeg"}.get(extension, extension))
    return file.getvalue()


def flipped(content, rng):
    """One to sixteen bytes changed, half of the time among the first hundred."""
    reach = min(len(content), 100) if rng.random() < 0.5 else len(content)
    for place in rng.integers(0, reach, rng.integers(1, 17)):
        content[place] ^= rng.integers(1, 256)
    return content


def cut(content, rng):
    return content[: rng.integers(0, len(content))]


def swapped(content, rng):
    """The first bytes are another format's."""
    extension = list(FORMATS)[rng.integers(len(FORMATS))]
    header = encoded(extension, "RGB" if "RGB" in FORMATS[extension] else "P", rng)
    length = rng.integers(2, 40)
    return header[:length] + content[length:]


def inflated(content, rng):
    """One to three sizes or lengths among the first bytes set to a huge number."""
    for place in rng.integers(4, max(5, min(len(content) - 4, 200)), rng.integers(1, 4)):
        value = HUGE[rng.integers(len(HUGE))]
        order = "<>"[rng.integers(2)]
        field = struct.pack(order + ("H" if value < 0x10000 else "I"), value)
        content[place : place + len(field)] = field
    return content


def enlarged(content, rng):
    """The width and height say much more than there is; formats that keep them elsewhere are ``inflated``."""
    width, height = (int(HUGE[rng.integers(3)]) for _ in range(2))
    if content[:4] == b"\x89PNG":
        content[16:24] = struct.pack(">II", width, height)
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    elif content[:3] == b"GIF":
        content[6:10] = struct.pack("<HH", width, height)
    elif content[:2] == b"BM":
        content[18:26] = struct.pack("<ii", width, height)
    elif content[:2] == b"\xff\xd8" and b"\xff\xc0" in content:
        place = content.index(b"\xff\xc0") + 5
        content[place : place + 4] = struct.pack(">HH", height, width)
    else:
        return inflated(content, rng)
    return content


DAMAGE = (flipped, cut, swapped, inflated, enlarged)


if __name__ == "__main__":
    command.run(main)
