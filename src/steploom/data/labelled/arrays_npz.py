"""Arrays in an .npz file, read without pickle, each checked by its header before memory is taken."""

from __future__ import annotations

import lzma
import tokenize
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from steploom.data.labelled.array_header import ArrayHeader, check_memory, largest_unpacked
from steploom.errors import DataError

__all__ = ["NpzFile"]

_EXPECTED = "Expected an .npz file, as numpy.savez and numpy.savez_compressed write it"


class NpzFile:
    """The arrays of a file by their names.

    Args:
        path: the file.

    Raises:
        DataError: it is no .npz file, or its directory is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
        except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
            raise DataError(f"the file cannot be read ({error})", file=path, hint=_EXPECTED) from None
        self._members = {info.filename.removesuffix(".npy"): info for info in members if info.filename.endswith(".npy")}
        if not self._members:
            raise DataError("the archive holds no arrays", file=path, hint=_EXPECTED)
        self.names = list(self._members)

    def headers(self, names: Iterable[str]) -> dict[str, ArrayHeader]:
        """What the file says of some arrays.

        Raises:
            DataError: an array is no array of numbers or texts, its size does not fit, or the machine has too little
                memory for all of them.
        """
        found = {}
        for name in names:
            with self._member(name) as (file, info):
                found[name] = self._header(name, file, info)
        check_memory(self.path, list(found.values()))
        return found

    def read(self, name: str) -> npt.NDArray[np.generic]:
        """The array `name`, in the machine's own byte order.

        Raises:
            DataError: as for `headers`, or the file is damaged.
        """
        self.headers([name])
        with self._member(name) as (file, info):
            header = self._header(name, file, info)
            content = file.read(header.bytes + 1)
        if len(content) != header.bytes:
            raise DataError(f"the array '{name}' is cut off or too long", file=self.path)
        array = np.frombuffer(content, header.dtype).reshape(header.shape, order="F" if header.fortran else "C")
        native: npt.NDArray[np.generic] = np.ascontiguousarray(array, header.dtype.newbyteorder("="))
        return native

    def _member(self, name: str) -> _Member:
        return _Member(self.path, self._members[name])

    def _header(self, name: str, file: IO[bytes], info: zipfile.ZipInfo) -> ArrayHeader:
        try:
            version = np.lib.format.read_magic(file)
            if version == (1, 0):
                shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
            elif version == (2, 0):
                shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
            else:
                raise ValueError(f"version {version[0]}.{version[1]} of the format")
        except (ValueError, tokenize.TokenError) as error:
            raise DataError(
                f"the array '{name}' cannot be read ({' '.join(str(error).split())[:100]})",
                file=self.path,
                hint=_EXPECTED,
            ) from None
        if dtype.kind not in "biufUS":
            what = "Python objects, which only pickle could read" if dtype.hasobject else f"the type {dtype}"
            raise DataError(
                f"the array '{name}' holds {what}",
                file=self.path,
                hint="Expected numbers or texts; sequences of unequal length go one behind the other into one array, "
                "with a second array of their lengths",
            )
        header = ArrayHeader(tuple(int(n) for n in shape), dtype, fortran)
        head = file.tell()
        shown = " x ".join(str(n) for n in header.shape) or "1"
        limit = info.compress_size if info.compress_type == zipfile.ZIP_STORED else largest_unpacked(info.compress_size)
        if min(header.shape, default=1) < 0 or header.bytes + head != info.file_size or info.file_size > limit:
            raise DataError(
                f"the array '{name}' says {shown} values, {header.bytes:,} bytes, and the file holds another number",
                file=self.path,
            )
        return header


class _Member:
    """An array within the archive, open for reading, with what zip and zlib raise as a `DataError`."""

    def __init__(self, path: Path, info: zipfile.ZipInfo) -> None:
        self.path, self.info = path, info

    def __enter__(self) -> tuple[IO[bytes], zipfile.ZipInfo]:
        try:
            self._archive = zipfile.ZipFile(self.path)
            self._file = self._archive.open(self.info)
        except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
            raise DataError(f"the file cannot be read ({error})", file=self.path, hint=_EXPECTED) from None
        return self._file, self.info

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._file.close()
        self._archive.close()
        if isinstance(error, (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError)):
            raise DataError(f"the file is damaged ({error})", file=self.path, hint=_EXPECTED) from None
