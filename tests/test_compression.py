import bz2
import gzip
import io
import lzma

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_wnut.compression import ERRORS, codec_of, compress, decompress

PACK = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda data: pa.compress(data, codec="zstd", asbytes=True),
    "lz4": lambda data: pa.compress(data, codec="lz4", asbytes=True),
}
POSTS = b"".join(b"post %d of many\n" % i for i in range(3000))
CODECS = pytest.mark.parametrize("codec", PACK)


def buffered(content):
    return io.BufferedReader(io.BytesIO(content))


def lines_of(content, name=""):
    return list(decompress(buffered(content), name))


@CODECS
@pytest.mark.parametrize("data", [b"", b"a", POSTS])
def test_compressed_content_is_known_without_a_name(codec, data):
    assert lines_of(PACK[codec](data)) == data.splitlines(keepends=True)
    assert lines_of(compress(data, codec)) == data.splitlines(keepends=True)


@CODECS
def test_several_streams_are_one_file(codec):
    parts = [b"one\n", b"", POSTS, b"two\n"]
    whole = b"".join(compress(part, codec) for part in parts)
    assert b"".join(lines_of(whole)) == b"".join(parts)


@CODECS
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_what_is_cut_off_is_never_taken_for_whole(codec, share):
    suffix = {"gzip": "gz", "bz2": "bz2", "xz": "xz", "zstd": "zst", "lz4": "lz4"}
    whole = PACK[codec](POSTS)
    with pytest.raises(ERRORS):
        lines_of(whole[: int(len(whole) * share)], f"a.jsonl.{suffix[codec]}")


@CODECS
@pytest.mark.parametrize("tail", [b"x", b"junk", b"more than a header holds" * 3])
def test_other_bytes_after_the_content_are_noticed(codec, tail):
    stream = decompress(buffered(PACK[codec](POSTS) + tail))
    read = []
    with pytest.raises(ERRORS):
        read.extend(stream)
    # All that was read is right.
    assert POSTS.startswith(b"".join(read))


@pytest.mark.parametrize("codec", ["gzip", "bz2", "xz"])
def test_padding_with_zeros_is_no_content(codec):
    assert b"".join(lines_of(PACK[codec](POSTS) + b"\0" * 512)) == POSTS
    padded = PACK[codec](b"a") + b"\0" * 8 + PACK[codec](b"b")
    assert lines_of(padded) == [b"ab"]


@pytest.mark.parametrize("codec", ["gzip", "bz2", "xz"])
def test_a_bit_that_flipped_is_noticed(codec):
    whole = bytearray(PACK[codec](POSTS))
    whole[len(whole) // 2] ^= 1
    with pytest.raises(ERRORS):
        lines_of(bytes(whole))


@settings(deadline=None, max_examples=50)
@given(st.text().map(lambda text: text.encode("utf8")))
def test_text_is_left_alone(text):
    for content in (text, b"BZh9 " + text):
        assert decompress(buffered(content)).read() == content


def test_the_file_stays_open():
    for pack in PACK.values():
        file = buffered(pack(b"a"))
        stream = decompress(file)
        assert stream.read() == b"a"
        del stream
        assert not file.closed


def test_suffixes():
    names = {"a.jsonl.gz": "gzip", "A.BZ2": "bz2", "a.zst": "zstd", "gz": "", "-": ""}
    assert {name: codec_of(name) for name in names} == names
