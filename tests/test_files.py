"""Text files are written whole, also where another process clears up at the worst moment."""

import fcntl

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
