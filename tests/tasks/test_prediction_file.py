"""How predictions are written."""

import json

from steploom.tasks.prediction_file import write_lines


def unread():
    yield from ()
    raise AssertionError("this is not asked for")


def test_rows_to_a_jsonl_file_and_the_text_to_any_other(tmp_path):
    rows = [{"text": "zwölf\r\n"}, {"text": ""}]
    write_lines(tmp_path / "a.JSONL", unread(), iter(rows))
    written = (tmp_path / "a.JSONL").read_bytes().decode()
    assert "zwölf" in written and written.endswith("\n") and "\r" not in written
    assert [json.loads(line) for line in written.splitlines()] == rows
    write_lines(tmp_path / "a.txt", iter(["zwölf\r\n", "\n"]), unread())
    assert (tmp_path / "a.txt").read_bytes() == "zwölf\r\n\n".encode()
