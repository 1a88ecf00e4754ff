"""Tables of measured layers: what is read, what is written, and what is said about broken ones."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpar.errors import InputError
from simpar.scenario import load, load_profile
from simpar.scenario.model import MOST_LAYERS as MOST_IN_A_PROFILE
from simpar.workload import build
from simpar.workload.csv_cells import rows
from simpar.workload.import_csv import MOST_LAYERS, dump, read

EXAMPLE = Path(__file__).parents[1] / "data" / "layers.csv"
HEADER = "name,forward_s,backward_s,param_bytes,activation_bytes"
GOOD = "conv1,0.001,0.002,400,800"


def table(tmp_path, *lines, end="\n"):
    path = tmp_path / "t.csv"
    path.write_bytes(end.join(lines).encode())
    return path


def problems_of(path, **options):
    with pytest.raises(InputError) as caught:
        read(path, 4, **options)
    return [str(problem).removeprefix(f"{path}:").removeprefix(" ") for problem in caught.value.problems]


def test_the_example_becomes_a_workload(tmp_path):
    """6912, 147456, 16384 and 40040 bytes of float32 are 1728, 36864, 4096 and 10010 parameters."""
    (tmp_path / "mine.yaml").write_text(dump(read(EXAMPLE, 32, name="Mine")))
    (tmp_path / "s.yaml").write_text(
        "model: {profile: mine.yaml, batch: 16}\ncluster: {workers: 1}\nstrategies: [single]\n"
    )
    workload = build(load(tmp_path / "s.yaml"))

    assert (workload.name, workload.batch, workload.measured_batch) == ("Mine", 16, 32)
    assert [layer.parameters for layer in workload.layers] == [1728, 36_864, 4096, 0, 10_010]
    assert [layer.forward_s for layer in workload.layers] == [0.0012, 0.0008, 0.0003, 0.0001, 0.0002]
    assert [layer.backward_s for layer in workload.layers] == [0.0025, 0.0017, 0.0006, 0.0001, 0.0004]
    assert [layer.inputs for layer in workload.layers] == [(), (0,), (0,), (1, 2), (3,)]
    assert [layer.kind for layer in workload.layers] == ["conv", "conv", "conv", "add", "linear"]
    assert workload.layers[0].activation_bytes == 102_760_448 / 32


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_marks_make_no_difference(tmp_path, end, mark):
    path = table(tmp_path, mark + HEADER, GOOD, "", ",,,,", "fc,1e-3,2E-3,0,8.0", end=end)

    assert [(layer.name, layer.forward_s, layer.activation_bytes) for layer in read(path, 4).layers] == [
        ("conv1", 0.001, 800),
        ("fc", 0.001, 8),
    ]


def test_quotes_hold_commas_quotes_and_line_ends(tmp_path):
    path = table(tmp_path, HEADER, '"a, ""b""", 0.1 ,"0.2",4,4', '"c",1,"x\ny",0,0')

    assert [cell.text for cell in list(rows(path.read_text()))[1]] == ['a, "b"', "0.1", "0.2", "4", "4"]
    assert problems_of(path) == [
        "3:7: row 2 (c), backward_s: 'x\\ny' is not a number; write seconds like 0.0012"
    ]


def test_columns_stand_in_any_order_and_case(tmp_path):
    path = table(tmp_path, "Activation_Bytes,NAME,param_bytes,backward_s,forward_s", "8,fc,16,2,1")
    [layer] = read(path, 4).layers

    assert (layer.activation_bytes, layer.name, layer.parameters) == (8, "fc", 4)
    assert (layer.backward_s, layer.forward_s) == (2.0, 1.0)


def test_element_type_turns_bytes_into_parameters(tmp_path):
    path = table(tmp_path, HEADER, "fc,1,2,6,0")

    assert read(path, 4, dtype="float16").layers[0].parameters == 3
    assert problems_of(path) == [
        "2:8: row 1 (fc), param_bytes: 6 bytes are no whole number of elements of 4 bytes; check --dtype"
    ]


def test_every_problem_is_said_at_once(tmp_path):
    path = table(
        tmp_path,
        HEADER + ",kind,inputs",
        "conv1,-1,abc,3.5,,conv,",
        "conv1,nan,1e99,4,1_000,add,pool;conv1;conv1",
        ",1,1,0,0,,",
        "short,1",
        'quote,1,1,0,0,"open,',
        "self,0.1,0.2,-4,0,,self",
    )

    assert problems_of(path) == [
        "2:7: row 1 (conv1), forward_s: '-1' is negative; write seconds like 0.0012",
        "2:10: row 1 (conv1), backward_s: 'abc' is not a number; write seconds like 0.0012",
        "2:14: row 1 (conv1), param_bytes: '3.5' is no whole number of bytes; write whole bytes like 37632",
        "2:18: row 1 (conv1), activation_bytes: is empty; write whole bytes like 37632, or 0",
        "3:1: row 2, name: 'conv1' is the name of row 1, too; give each layer a name of its own",
        "3:7: row 2 (conv1), forward_s: 'nan' is not a number; write seconds like 0.0012",
        "3:11: row 2 (conv1), backward_s: '1e99' is not possible; write at most 1e+9",
        "3:18: row 2 (conv1), activation_bytes: '1_000' is not a number; write whole bytes like 37632",
        "3:28: row 2 (conv1), inputs: 'pool' is not an earlier layer; "
        "name layers above this one, with semicolons between them, or data",
        "3:28: row 2 (conv1), inputs: 'conv1' is there twice; remove one of them",
        "4:1: row 3, name: is empty; write 1 to 200 printable characters",
        "5:1: row 4: 2 cells stand under 7 columns; fill every column",
        '6:15: row 5: a quote is not closed; write "" for a quote inside',
        "7:14: row 6 (self), param_bytes: '-4' is negative; write whole bytes like 37632",
        "7:20: row 6 (self), inputs: 'self' is not an earlier layer; "
        "name layers above this one, with semicolons between them, or data",
    ]


def test_a_time_below_a_picosecond_is_refused_and_zero_is_not(tmp_path):
    assert problems_of(table(tmp_path, HEADER, "a,1e-320,0,0,0", "b,1e-12,9e-13,0,0")) == [
        "2:3: row 1 (a), forward_s: '1e-320' is less than a picosecond; write 0, or seconds that matter",
        "3:9: row 2 (b), backward_s: '9e-13' is less than a picosecond; write 0, or seconds that matter",
    ]


def test_a_decimal_comma_is_recognised(tmp_path):
    assert problems_of(table(tmp_path, HEADER, 'fc,"0,5",1,0,0')) == [
        "2:4: row 1 (fc), forward_s: '0,5' is not a number; write seconds like 0.0012, with a point"
    ]


def test_wrong_columns_are_all_named_and_no_factor_is_guessed(tmp_path):
    """forward_ms is not taken for forward_s: they differ by a thousand."""
    path = table(tmp_path, "name,forward_ms,backward_s,backward_s,", GOOD)

    columns = "columns are name, forward_s, backward_s, param_bytes, activation_bytes, kind, inputs"
    assert problems_of(path) == [
        "1:1: header: column 'forward_s' is missing; add it",
        "1:1: header: column 'param_bytes' is missing; add it",
        "1:1: header: column 'activation_bytes' is missing; add it",
        f"1:6: header: unknown column 'forward_ms'; {columns}",
        "1:28: header: column 'backward_s' is there twice; keep one of them",
        f"1:39: header: a column has no name; {columns}",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty; name a CSV file"),
        (b"\xef\xbb\xbf \r\n", "is empty; name a CSV file"),
        (HEADER.encode() + b"\n\n", "has a header and no layers; write one line a layer below it"),
        (b",,\n", f"has no columns; write a header: {HEADER}"),
        (
            HEADER.replace(",", ";").encode(),
            "1:1: semicolons separate the columns; save it with commas, and a point before decimals",
        ),
        (
            HEADER.replace(",", "\t").encode(),
            "1:1: tabs separate the columns; save it with commas, and a point before decimals",
        ),
        (b"PK\x03\x04\x00\x00", "is binary, not text; name a CSV file in UTF-8"),
        (b"name\xff", "is not UTF-8 text: byte 4; save it as UTF-8"),
        (HEADER.encode() + b"\nfc,0,0,4,4", "no layer takes any time; write seconds above 0"),
    ],
)
def test_a_file_that_is_no_table_is_one_line(tmp_path, content, said):
    path = tmp_path / "t.csv"
    path.write_bytes(content)

    assert problems_of(path) == [said]


def test_a_huge_file_is_refused_by_its_size(tmp_path):
    """100 MB, of which a little more than 10 are looked at."""
    path = tmp_path / "huge.csv"
    with path.open("wb") as stream:
        stream.truncate(100_000_000)

    assert problems_of(path) == ["is larger than 10 MB; name a CSV file"]


def test_missing_files_and_folders_are_one_line(tmp_path):
    assert problems_of(tmp_path / "none.csv") == [
        "cannot be read: No such file or directory; name a CSV file"
    ]
    assert problems_of(tmp_path) == ["is not a file; name a CSV file"]


def test_many_problems_are_counted_and_many_layers_refused(tmp_path):
    path = table(tmp_path, HEADER, *["fc,x,1,0,0"] * 150)
    said = problems_of(path)

    assert len(said) == 101
    assert said[-1] == "199 more problems are not listed; mend these first"  # 150 times x, 149 names again
    assert MOST_LAYERS == MOST_IN_A_PROFILE
    path = table(tmp_path, HEADER, *[f"fc{i},1,1,0,0" for i in range(MOST_LAYERS + 1)])
    assert problems_of(path) == [f"{MOST_LAYERS + 2}:1: more than 20000 layers; join some"]


def test_a_line_of_a_million_cells_is_one_problem(tmp_path):
    path = table(tmp_path, HEADER, "a," * 1_000_000, GOOD)

    assert problems_of(path) == [
        "2:1: row 1: more than 1000 cells stand under 5 columns; put commas inside a cell between quotes"
    ]


def test_a_bad_name_of_the_model_is_refused_with_the_rest(tmp_path):
    path = table(tmp_path, HEADER, "fc,x,1,0,0")

    assert problems_of(path, name="a\nb")[0].startswith("--name: ")
    assert len(problems_of(path, name="a\nb")) == 2


@given(st.text(alphabet='a1,.;"\r\n -', max_size=60))
def test_any_text_is_read_or_refused_without_a_traceback(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_bytes(f"{HEADER}\n{GOOD}\n{text}".encode())
    try:
        profile = read(path, 4)
    except InputError:
        return
    out = path.with_suffix(".yaml")
    out.write_text(dump(profile))
    assert [layer.name for layer in load_profile(out).layers] == [layer.name for layer in profile.layers]
