"""The members of a zip archive: their names, kinds and sizes are checked before any of them is read."""

import contextlib
import os
import stat
import struct
import zipfile
import zlib

from classify.command import printable
from classify.safety.refusal import Refused, unless

END = struct.Struct("<4s4H2LH")  # the record at the end of an archive: APPNOTE.TXT of PKWARE, section 4.3.16
LOCATOR = 20  # bytes before it in an archive of the form Zip64, which only files above 4 GB need
NO_MODEL = "is not a Keras model (a .keras file)"
SMALL = 2**20  # bytes; so many do no harm, however well they are packed
DIRECTORY = 4096  # bytes of the list of members: the library reads it whole


@contextlib.contextmanager
def opened(path, limits):
    """Yield a ``zipfile.ZipFile``, each of whose members may be read.

    Args:
        path: the file.
        limits: (most bytes, most times that these may be larger than what is stored) of each member that may be
            there, by its name.

    Raises:
        Refused: the file is no such archive, or a member is not among ``limits``, larger, twice there, no plain file,
            or encrypted.
        OSError: the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            _check_end(file)
            with zipfile.ZipFile(file) as archive:
                _check(archive.infolist(), limits, file.seek(0, os.SEEK_END))
                yield archive
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise Refused(f"is damaged: {printable(str(error)[:100])}") from error


def _check_end(file):
    """Raise ``Refused`` unless the file ends as a plain archive of few members does."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - END.size - LOCATOR))
    tail = file.read()
    if len(tail) < END.size:
        raise Refused(NO_MODEL)
    signature, *_, directory, _, comment = END.unpack(tail[-END.size :])
    if signature != b"PK\x05\x06" or comment:
        raise Refused(NO_MODEL)
    unless(directory <= DIRECTORY and b"PK\x06\x07" not in tail, "it holds too many files")


def _check(members, limits, size):
    names = [member.orig_filename for member in members]
    for member, name in zip(members, names, strict=True):
        shown = printable(name[:100])
        unless(name in limits, f"it holds a file {shown}, which no model of this project has")
        unless(names.count(name) == 1, f"it holds {shown} twice")
        unless(not member.flag_bits & 0x41, f"its {shown} is encrypted")
        kind = stat.S_IFMT(member.external_attr >> 16)
        unless(kind in (0, stat.S_IFREG), f"its {shown} is no plain file")
        unless(member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED), f"its {shown} is packed strangely")
        most, ratio = limits[name]
        unless(member.file_size <= most, f"its {shown} has {member.file_size:,} bytes, more than {most:,}")
        unless(
            member.file_size <= max(SMALL, ratio * member.compress_size),
            f"its {shown} is far larger than what is stored of it",
        )
    unless(sum(member.compress_size for member in members) <= size, "its files lie upon each other")
