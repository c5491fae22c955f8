import io

import numpy as np
import pytest
from PIL import Image

from classify.command import Problem
from classify.data import decoding, pictures

RED, WHITE = (255, 0, 0), (255, 255, 255)


def saved(image, path, **options):
    image.save(path, **options)
    return path


def loaded(image, tmp_path, extension="png", size=(32, 32), **options):
    return pictures.load(saved(image, tmp_path / f"image.{extension}", **options), *size)


def test_an_image_of_the_models_size_comes_back_to_the_byte(tmp_path, rng):
    pixels = rng.integers(0, 256, (32, 32, 3), dtype="uint8")
    result = loaded(Image.fromarray(pixels), tmp_path)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, pixels)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "F", "I;16", "LA"])
def test_every_mode_becomes_rgb(mode, tmp_path):
    value = {"1": 1, "I": 65535, "I;16": 65535, "F": 255.0}.get(mode)
    if value is None:
        image = Image.new("RGB", (40, 40), WHITE).convert("L" if mode == "LAB" else mode)
    else:
        image = Image.new(mode, (40, 40), value)
    result = loaded(image, tmp_path, "tiff")
    assert result.shape == (32, 32, 3) and result.min() >= 250


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "gif", "bmp", "tiff", "avif", "jp2", "ppm"])
def test_common_formats(extension, tmp_path):
    result = loaded(Image.new("RGB", (50, 50), RED), tmp_path, extension)
    assert np.abs(result.astype(int) - RED).max() < 12
    assert pictures.find([str(tmp_path)]) == [tmp_path / f"image.{extension}"]


def test_the_first_frame_of_an_animation_counts(tmp_path):
    frames = [Image.new("RGB", (32, 32), colour) for colour in (RED, WHITE)]
    for extension in ("gif", "webp", "png"):
        result = loaded(frames[0], tmp_path, extension, save_all=True, append_images=frames[1:])
        assert np.abs(result.astype(int) - RED).max() < 12


def test_16_bits_are_scaled_and_not_clipped(tmp_path):
    ramp = np.linspace(0, 65535, 32 * 32).astype("uint16").reshape(32, 32)
    result = loaded(Image.fromarray(ramp), tmp_path)
    np.testing.assert_array_equal(result[..., 0], np.rint(ramp / 257))


def test_values_that_are_no_numbers_are_black_and_silent(tmp_path, recwarn):
    values = np.full((32, 32), np.nan, "float32")
    values[0, 0] = np.inf
    result = loaded(Image.fromarray(values), tmp_path, "tiff")
    assert not recwarn.list and result[0, 0, 0] == 255 and not result[1:].any()


def test_transparent_becomes_white(tmp_path):
    image = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    image.paste((*RED, 255), (0, 0, 16, 32))
    result = loaded(image, tmp_path)
    assert tuple(result[5, 5]) == RED and tuple(result[5, 25]) == WHITE


def test_a_palette_with_a_transparent_colour_becomes_white(tmp_path):
    image = Image.new("P", (32, 32), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    assert (loaded(image, tmp_path, "gif", transparency=0) == 255).all()


def test_the_cameras_orientation_is_applied(tmp_path):
    image = Image.new("RGB", (32, 32), WHITE)
    image.paste(RED, (0, 0, 32, 8))  # red on top as stored; orientation 6 turns it clockwise: red at the right
    exif = Image.Exif()
    exif[0x0112] = 6
    result = loaded(image, tmp_path, exif=exif)
    assert tuple(result[16, 30]) == RED and tuple(result[2, 2]) == WHITE


def test_the_centre_square_is_cut_out(tmp_path):
    image = Image.new("RGB", (300, 100), WHITE)
    image.paste(RED, (100, 0, 200, 100))
    assert (loaded(image, tmp_path) == RED).all()


def test_reduction_averages_instead_of_picking_pixels(tmp_path):
    stripes = np.zeros((320, 320, 3), "uint8")
    stripes[:, ::2] = 255
    result = loaded(Image.fromarray(stripes), tmp_path)
    assert np.abs(result[8:24, 8:24].astype(int) - 127).max() <= 3


MODES = {
    "RGB": "png",
    "RGBA": "png",
    "P": "png",
    "L": "png",
    "LA": "png",
    "1": "png",
    "I;16": "png",
    "F": "tiff",
    "CMYK": "tiff",
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_image_read_in_strips_gives_the_same(mode, orientation, tmp_path, rng, monkeypatch):
    noise = Image.fromarray(rng.integers(0, 256, (8, 12, 3), dtype="uint8"))
    image = noise.resize((1013, 600), Image.Resampling.BILINEAR)
    values = np.asarray(image)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(values[..., 1]))
    elif mode == "I;16":
        image = Image.fromarray(values[..., 0].astype("uint16") * 257)
    elif mode == "F":
        image = Image.fromarray(values[..., 0].astype("float32") / 255)
    else:
        image = image.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(image, tmp_path / f"x.{MODES[mode]}", exif=exif)
    expected = pictures.load(path, 10, 16)
    monkeypatch.setattr(decoding, "LARGE", 0)
    monkeypatch.setattr(decoding, "STRIP", 4096)
    difference = np.abs(pictures.load(path, 10, 16).astype(int) - expected)
    assert difference.max() <= 3


def test_a_long_thin_image_keeps_its_centre(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "LARGE", 0)
    image = Image.new("RGB", (3000, 2), WHITE)
    image.paste(RED, (1490, 0, 1510, 2))
    assert (loaded(image, tmp_path) == RED).all()


def test_what_would_take_too_much_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "MEMORY", 500_000)
    grey, colour = Image.new("I;16", (300, 300)), Image.new("RGB", (300, 300))
    for image, extension, options in (
        (colour, "webp", {}),
        (grey, "tiff", {"compression": "tiff_lzw"}),
        (colour, "jpg", {"progressive": True, "subsampling": "4:4:4"}),
    ):
        with pytest.raises(Problem, match="would take more than 1 GB"):
            loaded(image, tmp_path, extension, **options)
    # uncompressed, with fewer colours, or reduced while it is decoded, it fits
    for extension, options in (("tiff", {}), ("jpg", {"progressive": True}), ("jpg", {})):
        assert loaded(colour, tmp_path, extension, **options).shape == (32, 32, 3)


def test_a_format_whose_reader_starts_programs_is_refused(tmp_path):
    with pytest.raises(Problem, match="cannot be read as an image"):
        loaded(Image.new("RGB", (32, 32)), tmp_path, "eps")


def test_standard_input_is_read_once_and_used_again(tmp_path, monkeypatch):
    content = saved(Image.new("RGB", (32, 32), RED), tmp_path / "x.png").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    pictures.standard_input.cache_clear()
    [path] = pictures.find(["-"])
    for _ in range(2):
        assert (pictures.load(path, 16, 16) == RED).all()
    pictures.standard_input.cache_clear()


def test_endless_standard_input_is_refused(monkeypatch):
    monkeypatch.setattr(pictures, "LONGEST_INPUT", 1000)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"x" * 2000)))
    pictures.standard_input.cache_clear()
    [problem] = pictures.find(["-"])
    assert str(problem).startswith("-: ") and "1,000 bytes" in str(problem)


def test_closed_standard_input_is_named(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    pictures.standard_input.cache_clear()
    assert [str(problem) for problem in pictures.find(["-"])] == ["-: standard input is closed"]


def test_a_single_pixel_and_a_size_that_is_not_square(tmp_path):
    assert (loaded(Image.new("RGB", (1, 1), RED), tmp_path, size=(20, 12)) == RED).all()


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "cannot be read as an image"), (b"hello", "cannot be read as an image"), (None, "no such file")],
)
def test_what_is_no_image_is_named(content, words, tmp_path):
    path = tmp_path / "picture.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Problem, match=words) as problem:
        pictures.load(path, 32, 32)
    assert "picture.png" in str(problem.value) and "\n" not in str(problem.value)


@pytest.mark.parametrize("extension", ["png", "jpg", "gif", "tiff", "bmp", "webp"])
def test_a_truncated_file_is_named(extension, tmp_path, rng):
    pixels = rng.integers(0, 256, (200, 200, 3), dtype="uint8")
    path = saved(Image.fromarray(pixels), tmp_path / f"cut.{extension}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(Problem, match=f"cut.{extension}"):
        pictures.load(path, 32, 32)


@pytest.mark.parametrize("extension", ["png", "jpg", "gif", "tiff", "bmp", "webp", "avif", "jp2", "ppm"])
def test_flipped_bytes_give_an_image_or_a_problem_and_nothing_else(extension, tmp_path, rng, capfd):
    original = saved(Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype="uint8")), tmp_path / f"x.{extension}")
    content = np.frombuffer(original.read_bytes(), "uint8")
    for _ in range(150):
        damaged = content.copy()
        places = rng.integers(0, min(len(content), 400), 4)
        damaged[places] = rng.integers(0, 256, 4)
        original.write_bytes(damaged[: rng.integers(1, len(content) + 1)].tobytes() if rng.random() < 0.3 else damaged)
        try:
            assert pictures.load(original, 32, 32).shape == (32, 32, 3)
        except Problem as problem:
            assert f"x.{extension}" in str(problem) and "\n" not in str(problem)


def test_a_picture_beyond_pillows_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    assert loaded(Image.new("RGB", (25, 25)), tmp_path).shape == (32, 32, 3)
    with pytest.raises(Problem, match="more pixels than the 800"):
        loaded(Image.new("RGB", (30, 30)), tmp_path)


def test_files_folders_and_patterns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some").mkdir()
    (tmp_path / "empty").mkdir()
    for name in ("b.png", "a b.JPG", "notes.txt", "b.png.explained.png"):
        (tmp_path / "some" / name).touch()
    paths = pictures.find(["some", "some/*.png", "missing.png", "empty", "*.none", "x" * 300])
    assert [str(path) for path in paths[:3]] == ["some/a b.JPG", "some/b.png", "some/b.png"]
    problems = ["missing.png: no such file", "empty: has no images in it", "*.none: matches no file"]
    assert [str(problem) for problem in paths[3:6]] == problems
    assert isinstance(paths[6], Problem) and "x" * 300 in str(paths[6])


def test_a_file_name_cannot_forge_lines_on_the_terminal(tmp_path):
    """Not in any of the messages: of what is missing, empty, no picture, or damaged."""
    name = "a.png: cat 99.9 %\n\x1b[2Jb"
    (tmp_path / name).mkdir()
    for file, content in (("text", b"hello"), ("cut", saved(Image.new("L", (9, 9)), tmp_path / "x.png").read_bytes())):
        (tmp_path / f"{name}.{file}.png").write_bytes(content[:45])
    problems = pictures.find([f"{tmp_path}/{name}", f"{tmp_path}/{name}x", f"{tmp_path}/{name}*x", "\x1b" * 300])
    for file in (f"{name}.text.png", f"{name}.cut.png", f"{name}.none"):
        with pytest.raises(Problem) as problem:
            pictures.load(tmp_path / file, 32, 32)
        problems.append(problem.value)
    assert len(problems) == 7 and all(str(problem).isprintable() for problem in problems), problems


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x[1].png").touch()
    assert [str(path) for path in pictures.find(["x[1].png"])] == ["x[1].png"]
