"""Arrays of .npz and idx files: what they hold, and what they only claim."""

import gzip
import io
import struct
import zipfile

import numpy as np
import pytest
import torch

from steploom.data.labelled import array_header as array_header
from steploom.data.labelled.array_scaling import ScaledSequences, Scaler
from steploom.data.labelled.arrays import joined, sequences_of
from steploom.data.labelled.arrays_idx import is_idx, read_idx
from steploom.data.labelled.arrays_npz import NpzFile
from steploom.errors import DataError


def idx_bytes(array, code=None):
    codes = {"u1": 8, "i1": 9, ">i2": 11, ">i4": 12, ">f4": 13, ">f8": 14}
    code = codes[array.dtype.str.lstrip("|")] if code is None else code
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.mark.parametrize("kind", ["u1", "i1", ">i2", ">i4", ">f4", ">f8"])
@pytest.mark.parametrize("packed", [False, True])
def test_idx_comes_back(tmp_path, kind, packed):
    array = np.arange(24).reshape(2, 3, 4).astype(kind)
    content = idx_bytes(array)
    (tmp_path / "a").write_bytes(gzip.compress(content) if packed else content)
    found = read_idx(tmp_path / "a")
    assert found.dtype == array.dtype.newbyteorder("=") and np.array_equal(found, array)
    assert is_idx(content) and not is_idx(b"a,b\n1,2\n")


HUGE = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**31, 2**31, 28)
IMAGES = idx_bytes(np.zeros((2, 3, 4), "u1"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HUGE + b"123", "2147483648 x 2147483648 x 28 numbers, .* and the file is too small"),
        (gzip.compress(HUGE + b"123"), "the file is too small"),
        (IMAGES[:-1], "2 x 3 x 4 numbers, 24 bytes, and the file is too small"),
        (IMAGES + b"1", "2 x 3 x 4 numbers, 24 bytes, found more"),
        (gzip.compress(IMAGES[:-1]), "24 bytes, found 23"),
        (gzip.compress(IMAGES)[:-12], "the gzip file is damaged or cut off"),
        (IMAGES[:9], "cut off within its header"),
        (b"hello, world", "this is no idx file"),
        (idx_bytes(np.zeros((0, 3, 4), "u1")), "there are none"),
    ],
)
def test_idx_that_is_not_what_it_says(tmp_path, content, message):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx(tmp_path / "a")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_comes_back(tmp_path, save):
    arrays = {
        "x": np.arange(12.0).reshape(3, 4),
        "turned": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "names": np.array(["é", "b"]),
        "big_endian": np.arange(3, dtype=">f4"),
    }
    save(tmp_path / "a.npz", **arrays)
    file = NpzFile(tmp_path / "a.npz")
    assert file.names == list(arrays)
    for name, array in arrays.items():
        found = file.read(name)
        assert np.array_equal(found, array) and found.dtype.isnative


def npz(folder, name, content, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(folder / "a.npz", "w", method) as archive:
        archive.writestr(name, content)
    return folder / "a.npz"


def header(shape, descr="<f8"):
    held = io.BytesIO()
    np.lib.format.write_array_header_1_0(held, {"shape": shape, "fortran_order": False, "descr": descr})
    return held.getvalue()


def test_npz_that_is_not_what_it_says(tmp_path):
    objects = tmp_path / "o.npz"
    np.savez(objects, x=np.array([[1], [1, 2]], dtype=object))
    with pytest.raises(DataError, match=r"'x' holds Python objects, which only pickle could read"):
        NpzFile(objects).read("x")
    for content, message in [
        (header((2**40, 2**20)) + b"12345678", "says 1099511627776 x 1048576 values, .* and the file holds another"),
        (header((3,)) + b"12345678", "3 values, 24 bytes, and the file holds another number"),
        (header((1,), "<c16") + b"1" * 16, "holds the type complex128"),
        (b"hello", "cannot be read"),
        (b"\x93NUMPY\x01\x00\x14\x00{'descr': '|u1', (((\n", "cannot be read"),
        (header((1,))[:40], "cannot be read"),
    ]:
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            with pytest.raises(DataError, match=message):
                NpzFile(npz(tmp_path, "x.npy", content, method)).read("x")
    with pytest.raises(DataError, match="the archive holds no arrays"):
        NpzFile(npz(tmp_path, "x.txt", b"1"))
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(DataError, match="the file cannot be read"):
        NpzFile(tmp_path / "a.npz")
    values = np.random.default_rng(0).normal(size=1000)
    buffer = io.BytesIO()
    np.save(buffer, values)
    packed = bytearray(npz(tmp_path, "x.npy", buffer.getvalue(), zipfile.ZIP_LZMA).read_bytes())
    packed[3000:3040] = b"\xff" * 40
    (tmp_path / "a.npz").write_bytes(packed)
    with pytest.raises(DataError, match=r"damaged|cannot be read"):
        NpzFile(tmp_path / "a.npz").read("x")
    np.savez_compressed(tmp_path / "b.npz", x=np.random.default_rng(0).normal(size=1000))
    content = bytearray((tmp_path / "b.npz").read_bytes())
    content[2000] ^= 255
    (tmp_path / "b.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"damaged|cannot be read"):
        NpzFile(tmp_path / "b.npz").read("x")


def test_what_the_machine_cannot_hold_is_refused_before(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", x=np.zeros(4096))
    monkeypatch.setattr(array_header.os, "sysconf", lambda name: {"SC_PHYS_PAGES": 4, "SC_PAGE_SIZE": 4096}[name])
    with pytest.raises(DataError, match="GiB of memory"):
        NpzFile(tmp_path / "a.npz").read("x")


def batch_of(sequences, rows=None, scaler=None):
    encoded = ScaledSequences(sequences, scaler or Scaler.none())
    rows = torch.arange(len(sequences)) if rows is None else torch.tensor(rows)
    return encoded.collate(rows, int(encoded.lengths[rows].max()))


def test_images_are_read_by_rows_or_pixels(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    rows = batch_of(sequences_of(images, tmp_path, "x", None, by_pixel=False))
    assert list(rows) == ["vectors"] and rows["vectors"].dtype == torch.float32
    assert np.array_equal(rows["vectors"].numpy(), images.transpose(1, 0, 2))
    pixels = batch_of(sequences_of(images, tmp_path, "x", None, by_pixel=True), [3, 1])
    assert np.array_equal(pixels["vectors"].numpy(), images.reshape(5, 12, 1).transpose(1, 0, 2)[:, [3, 1]])
    colour = np.random.default_rng(0).integers(0, 256, (5, 4, 3, 2), dtype=np.uint8)
    found = sequences_of(colour, tmp_path, "x", None, by_pixel=True)
    assert found.shape == (4, 3, 2) and np.array_equal(
        batch_of(found)["vectors"].numpy(), colour.reshape(5, 12, 2).transpose(1, 0, 2)
    )
    assert sequences_of(images.astype(float), tmp_path, "x", None, by_pixel=False).shape is None


def test_ragged_and_padded_are_the_same(tmp_path):
    chance, lengths = np.random.default_rng(0), np.array([3, 1, 5, 2])
    padded = chance.normal(size=(4, 5, 2)).astype(np.float32)
    padded[np.arange(5)[None] >= lengths[:, None]] = np.nan
    flat = np.concatenate([padded[row, :length] for row, length in enumerate(lengths)])
    one = sequences_of(padded, tmp_path, "x", lengths, by_pixel=False)
    other = sequences_of(flat, tmp_path, "x", lengths, by_pixel=False)
    for rows in ([0, 1, 2, 3], [2], [1, 3]):
        a, b = batch_of(one, rows), batch_of(other, rows)
        assert torch.equal(a["vectors"], b["vectors"]) and torch.equal(a["lengths"], b["lengths"])
        assert torch.equal(batch_of(one.take(rows))["vectors"], a["vectors"])
    assert not torch.isnan(batch_of(one)["vectors"]).any()
    for sequences in (one, other):
        scaler = Scaler.fitted(sequences.take([0, 2]), together=False)
        chosen = np.concatenate([padded[0, :3], padded[2, :5]]).astype(np.float64)
        np.testing.assert_allclose(scaler.mean, chosen.mean(0), rtol=1e-6)
        np.testing.assert_allclose(scaler.deviation, chosen.std(0), rtol=1e-6)
        together = Scaler.fitted(sequences.take([0, 2]), together=True)
        np.testing.assert_allclose([*together.mean, *together.deviation], [chosen.mean(), chosen.std()], rtol=1e-6)
    scaled = batch_of(one.take([0, 2]), scaler=Scaler.fitted(one.take([0, 2]), together=False))
    kept = torch.cat([scaled["vectors"][:3, 0], scaled["vectors"][:, 1]])
    torch.testing.assert_close(kept.mean(0), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(kept.std(0, correction=0), torch.ones(2))


def test_what_never_changes_is_only_moved(tmp_path):
    flat = sequences_of(np.full((3, 4, 2), 7.0), tmp_path, "x", None, by_pixel=False)
    scaler = Scaler.fitted(flat, together=False)
    assert scaler.deviation == (1.0, 1.0) and not batch_of(flat, scaler=scaler)["vectors"].any()
    assert Scaler.from_json(scaler.to_json()) == scaler
    for wrong in (
        {"mean": [0.0], "deviation": [0.0]},
        {"mean": [0.0], "deviation": []},
        {"mean": [float("nan")], "deviation": [1]},
    ):
        with pytest.raises(ValueError, match="should"):
            Scaler.from_json(wrong)


@pytest.mark.parametrize("together", [False, True])
def test_a_constant_whose_mean_is_rounded_is_a_constant(tmp_path, together):
    array = np.full((1000, 7, 3), 0.1)
    array[..., 2] += 0.0 if together else np.random.default_rng(0).normal(size=(1000, 7))
    array[0, 0, 1] = np.nextafter(0.1, 1)
    found = sequences_of(array, tmp_path, "x", None, by_pixel=False)
    scaler = Scaler.fitted(found, together)
    vectors = batch_of(found, scaler=scaler)["vectors"]
    assert vectors[..., 0].abs().max() < 1e-9 and vectors[..., 1].abs().max() < 1e-9
    assert together or abs(float(vectors[..., 2].std()) - 1) < 1e-3


@pytest.mark.parametrize("kind", [np.float64, np.int64, np.uint32])
def test_large_numbers_lose_nothing_that_their_scale_shows(tmp_path, kind):
    array = 1_700_000_063 + np.random.default_rng(0).normal(scale=4, size=(500, 4, 1))
    found = sequences_of(array.astype(kind), tmp_path, "x", None, by_pixel=False)
    vectors = batch_of(found, scaler=Scaler.fitted(found, together=False))["vectors"]
    assert vectors.dtype == torch.float32
    assert abs(float(vectors.mean())) < 1e-5 and abs(float(vectors.std()) - 1) < 1e-2


@pytest.mark.parametrize("size", [1e300, 1e-300, 1.0])
@pytest.mark.parametrize("together", [False, True])
def test_numbers_of_any_size_are_scaled(tmp_path, size, together):
    found = sequences_of(np.random.default_rng(0).normal(size=(50, 4, 3)) * size, tmp_path, "x", None, by_pixel=False)
    vectors = batch_of(found, scaler=Scaler.fitted(found, together))["vectors"]
    assert abs(float(vectors.mean())) < 1e-5 and abs(float(vectors.std(correction=0)) - 1) < 1e-5


def test_files_of_one_part_are_joined(tmp_path):
    a, b = np.arange(12, dtype=np.uint8).reshape(2, 3, 2), np.arange(12, 24, dtype=np.uint8).reshape(2, 3, 2)
    parts = [sequences_of(array, tmp_path, "x", None, by_pixel=False) for array in (a, b)]
    whole = joined(parts, [tmp_path, tmp_path])
    assert np.array_equal(batch_of(whole)["vectors"].numpy(), np.concatenate([a, b]).transpose(1, 0, 2))
    other = sequences_of(np.zeros((2, 2, 2), np.uint8), tmp_path, "x", None, by_pixel=False)
    with pytest.raises(DataError, match=r"b: expected images of 3 x 2 as in .*a, found images of 2 x 2"):
        joined([parts[0], other], [tmp_path / "a", tmp_path / "b"])
    wide = sequences_of(np.zeros((2, 2, 4)), tmp_path, "x", None, by_pixel=False)
    narrow = sequences_of(np.zeros((2, 2, 3)), tmp_path, "x", None, by_pixel=False)
    with pytest.raises(DataError, match=r"expected 4 numbers a step as in .*, found 3"):
        joined([wide, narrow], [tmp_path / "a", tmp_path / "b"])


@pytest.mark.parametrize(("one", "other", "large"), [("f2", "i4", 70_001), ("f4", "i8", 2**24 + 1), ("i2", "f2", 7)])
def test_files_of_different_types_lose_nothing(tmp_path, one, other, large):
    arrays = np.array([[1, 2]], one), np.array([[large, 3]], other)
    parts = [sequences_of(array[..., None], tmp_path, "x", None, by_pixel=False) for array in arrays]
    assert joined(parts, [tmp_path, tmp_path]).values[:, 0].tolist() == [1, 2, large, 3]


def nan_at(*place):
    array = np.zeros((4, 5, 2))
    array[place] = np.nan
    return array


@pytest.mark.parametrize(
    ("array", "lengths", "message"),
    [
        (nan_at(2, 3, 1), None, r"row 3: step 4, number 2 of x is nan"),
        (nan_at(2, 3, 1), np.array([5, 5, 4, 5]), r"row 3: step 4, number 2 of x is nan"),
        (np.zeros(5), None, "x is 5; expected examples x steps"),
        (np.zeros((0, 4, 2)), None, r"x is empty \(0 x 4 x 2\)"),
        (np.array([["a"]]), None, "expected numbers, found the type <U1"),
        (np.zeros((4, 5, 2)), np.array([5, 6, 4, 5]), "row 2: the length 6 is more than the 5 steps"),
        (np.zeros((4, 5, 2)), np.array([5, 0, 4, 5]), "row 2: a sequence has no step"),
        (
            np.zeros((4, 2)),
            np.array([2**62] * 4 + [4]),
            "row 1: the length 4611686018427387904 is more than the 4 steps",
        ),
        (np.zeros((4, 2)), np.array([4, 2**63 + 4], np.uint64), "row 2: the length 9223372036854775812 is more than"),
        (np.zeros(()), np.array([1]), "x is one number, and the 1 lengths add up to 1"),
        (np.zeros((9, 2)), np.array([5, 5]), r"x is 9 x 2, and the 2 lengths add up to 10"),
        (
            np.zeros((9, 2)),
            np.array([4.0, 5.0]),
            "the lengths should be one whole number an example, found 2 of float64",
        ),
    ],
)
def test_arrays_that_are_refused(tmp_path, array, lengths, message):
    with pytest.raises(DataError, match=message):
        sequences_of(array, tmp_path, "x", lengths, by_pixel=False)
