"""Text files are written whole, also where another process clears up at the worst moment."""

import fcntl
import os

import pytest

from sst_mergekit import files


def test_a_file_that_is_taken_for_remains_before_it_is_locked_is_begun_again(tmp_path, monkeypatch):
    lock, taken = fcntl.flock, []

    def slow_lock(file, how):
        if not taken:  # the other process: it finds a file without a lock
            [remains] = tmp_path.glob(".result.json.partial-*")
            remains.unlink()
            taken.append(remains)
        lock(file, how)

    monkeypatch.setattr(files.fcntl, "flock", slow_lock)
    files.write_text(tmp_path / "result.json", "whole")
    assert taken
    assert (tmp_path / "result.json").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_an_interrupt_during_the_removal_of_a_temporary_folder_leaves_none_of_it(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        monkeypatch.undo()
        raise KeyboardInterrupt

    def write():
        with files.temporary_directory(tmp_path / "out") as folder:
            (folder / "model").write_text("x")
            monkeypatch.setattr(os, "unlink", interrupted)

    with pytest.raises(KeyboardInterrupt):
        write()
    assert list(tmp_path.iterdir()) == []
