"""YAML reading: what is refused, where it stands, and the 1.2 core scalars."""

import math
import time

import pytest

from simpar.errors import InputError
from simpar.scenario.reader import read_file, read_text, scalar


def lines(call, *args):
    with pytest.raises(InputError) as caught:
        call(*args)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("012", 12),
        ("-7", -7),
        ("0x1f", 31),
        ("0o17", 15),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("\u0665", "\u0665"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_scalars_follow_yaml_1_2(text, value):
    read = scalar(text)
    assert read == value
    assert type(read) is type(value)


def test_nan_is_a_number():
    assert math.isnan(scalar(".nan"))


def test_quoted_scalars_are_text():
    assert read_text("a: '5'\nb: \"true\"\nc: |\n  7\n", "f").data == {"a": "5", "b": "true", "c": "7\n"}


def test_every_key_and_value_has_its_place():
    document = read_text("a:\n  b: [1, {c: 2}]\n", "f")
    assert document.data == {"a": {"b": [1, {"c": 2}]}}
    assert document.keys == {("a",): (1, 1), ("a", "b"): (2, 3), ("a", "b", 1, "c"): (2, 11)}
    assert document.values[("a", "b")] == (2, 6)
    assert document.values[("a", "b", 0)] == (2, 7)
    assert document.values[("a", "b", 1, "c")] == (2, 14)


def test_a_byte_order_mark_is_no_column(tmp_path):
    file = tmp_path / "bom.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_file(file).keys == {("a",): (1, 1)}


def test_unused_yaml_is_refused_all_at_once():
    assert lines(read_text, "a: &x 1\nb: *x\nc: !!int 5\n<<: {}\n", "f") == [
        "f:1:4: anchors are not used here: '&x'; remove it",
        "f:2:4: aliases are not used here: '*x'; write the value out",
        "f:3:4: tags are not used here: '!!int'; remove it",
        "f:4:1: merge keys are not used here: '<<'; write the keys out",
    ]


def test_directives_and_second_documents_are_refused():
    assert lines(read_text, "%YAML 1.1\n---\na: 1\n---\nb: 1", "f") == [
        "f:1:1: directives are not used here; remove the line that starts with '%'",
        "f:4:1: a second document starts here; keep one document in a file",
    ]
    assert lines(read_text, "a: 1\n...\nb: 2", "f") == [
        "f:3:1: a second document starts here; keep one document in a file"
    ]
    assert read_text("--- \na: 1\n...\n", "f").data == {"a": 1}


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 100_000, "? " * 100_000, "{a: " * 100_000])
def test_deep_nesting_is_refused_quickly(text):
    start = time.perf_counter()
    (line,) = lines(read_text, text, "f")
    assert "is nested deeper than 40 levels" in line
    assert time.perf_counter() - start < 5


def test_forty_levels_are_fine():
    assert read_text("[" * 40 + "]" * 40, "f").data is not None


def test_a_billion_laughs_are_refused():
    text = "a: &a [x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}]\n" for i in range(9))
    assert len(lines(read_text, text, "f")) == 19  # ten anchors, nine aliases


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("a: b: c", "f:1:5: not YAML"),
        ("a:\n\t- c", "f:2:1: not YAML"),
        ("a: 'b\nc: d\n", "f:1:4: not YAML"),
        ("{a: [1, 2}", "f:1:10: not YAML"),
        ("a: @b", "f:1:4: not YAML"),
        ("a: \x07", "f:1:4: '\\x07' is not a printable character; remove it"),
        ("a: 1\nb: \udc80", "f:2:4: '\\udc80' is not a printable character; remove it"),
    ],
)
def test_broken_yaml_is_one_line_with_its_place(text, start):
    (line,) = lines(read_text, text, "f")
    assert line.startswith(start)
    assert line.isprintable()


def test_keys_given_twice_or_missing_are_noted():
    document = read_text("a: 1\nb: 2\na: 3\n? [x]\n: 4\n'': 5\n", "f")
    assert document.data == {"a": 1, "b": 2}
    assert [(place, message) for _, place, message, _ in document.flaws] == [
        ((3, 1), "'a' is given twice, first on line 1"),
        ((4, 3), "a key must be a word, not a mapping or a list"),
        ((6, 1), "a key is missing before ':'"),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty; write 'key: value' lines"),
        (b"# only this\n", "is empty; write 'key: value' lines"),
        (b"a: \xff", "is not UTF-8 text; save it as UTF-8"),
        ("a: 1".encode("utf-16"), "is binary, not text; write YAML in UTF-8"),
        (b"\x7fELF\0", "is binary, not text; write YAML in UTF-8"),
        (b"#" * 10_000_001, "is larger than 10 MB; split it, or keep measurements elsewhere"),
    ],
)
def test_a_file_that_is_no_yaml_text_is_one_problem(tmp_path, content, said):
    file = tmp_path / "x.yaml"
    file.write_bytes(content)
    assert lines(read_file, file) == [f"{file}:1:1: {said}"]


def test_a_missing_file_offers_its_neighbour(tmp_path):
    (tmp_path / "quickstart.yaml").write_text("a: 1")
    missing = tmp_path / "quikstart.yaml"
    (line,) = lines(read_file, missing)
    assert line.startswith(f"{missing}:1:1: no such file; did you mean ")
    assert "quickstart.yaml'?" in line


def test_a_folder_and_an_impossible_name_are_refused(tmp_path):
    assert lines(read_file, tmp_path) == [f"{tmp_path}:1:1: is a folder, not a file; name a YAML file in it"]
    (line,) = lines(read_file, "a\0b")
    assert line.startswith("a?b:1:1: cannot be read")
