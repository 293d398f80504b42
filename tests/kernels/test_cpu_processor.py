"""Facts of the processor."""

import pytest

from minigrad.kernels.cpu import processor


@pytest.fixture
def caches(tmp_path, monkeypatch):
    """A folder like Linux's, with a cache per entry: (level, type, size)."""
    def make(*entries):
        for number, texts in enumerate(entries):
            place = tmp_path / f"index{number}"
            place.mkdir()
            for name, text in zip(("level", "type", "size"), texts, strict=True):
                (place / name).write_text(f"{text}\n")
        monkeypatch.setattr(processor, "_CACHES", tmp_path)
        return [processor.cache_bytes.__wrapped__(level) for level in (1, 2, 3)]

    return make


def test_sizes_of_caches_are_those_that_linux_reports(caches):
    assert caches((1, "Instruction", "64K"), (1, "Data", "48K"), (2, "Unified", "2048K"), (3, "Unified", "1G")) \
        == [48 << 10, 2 << 20, 1 << 30]


@pytest.mark.parametrize("entry", [(2, "Unified", "much"), (2, "Unified", ""), ("two", "Unified", "2M"),
                                   (2, "Instruction", "2M")])
def test_usual_sizes_where_linux_says_nothing_of_use(caches, entry):
    assert caches(entry) == [processor._USUAL[level] for level in (1, 2, 3)]


def test_the_name_has_the_width_of_the_vectors():
    assert processor.processor_name().endswith(f", vectors of {processor.vector_bytes()} bytes")
