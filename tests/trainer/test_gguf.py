"""Reading a GGUF file's header; the whole conversion is tested on the real base."""

from pathlib import Path

import gguf
import numpy
import pytest

from trainer.gguf import _PlainReader, _read_once


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_token_list(["<s>", "雪", "a"])
    writer.add_token_scores([0.0, -1.5, -2.0])
    writer.add_tensor("blk.0.weight", numpy.arange(12, dtype=numpy.float32).reshape(3, 4))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_plain_array_reads_what_a_memmap_does(file: Path) -> None:
    ours, theirs = _PlainReader(file), gguf.GGUFReader(file)
    assert list(ours.fields) == list(theirs.fields) and len(ours.fields) > 4
    for name, field in theirs.fields.items():
        assert ours.fields[name].contents() == field.contents()
    assert ours.fields["tokenizer.ggml.tokens"].contents() == ["<s>", "雪", "a"]
    assert [t.name for t in ours.tensors] == ["blk.0.weight"]
    assert (ours.tensors[0].data == theirs.tensors[0].data).all()
    assert type(ours.tensors[0].data) is numpy.ndarray


def test_a_header_is_read_once_and_only_there(file: Path) -> None:
    former = gguf.GGUFReader
    with pytest.raises(KeyError), _read_once():
        assert gguf.GGUFReader(file) is gguf.GGUFReader(file)
        raise KeyError
    assert gguf.GGUFReader is former
