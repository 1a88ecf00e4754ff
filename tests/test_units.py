import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simpar import units
from simpar.units import UnitError, parse, shown, spell


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("5 us", "duration", 5e-6),
        ("5 \u00b5s", "duration", 5e-6),
        ("5 \u03bcs", "duration", 5e-6),
        ("60 ms", "duration", 0.06),
        ("3ns", "duration", 3e-9),
        ("1.5 min", "duration", 90.0),
        ("2 h", "duration", 7200.0),
        ("25 Gbit/s", "rate", 3.125e9),
        ("25Gbit/s", "rate", 3.125e9),
        ("8 bit/s", "rate", 1.0),
        ("3.1 GB/s", "rate", 3.1e9),
        ("1 Kibit/s", "rate", 128.0),
        ("1 MiB/s", "rate", 1048576.0),
        ("80 GiB", "size", 80 * 2.0**30),
        ("102.2 MB", "size", 102.2e6),
        ("1 kB", "size", 1000.0),
        ("1 PiB", "size", 2.0**50),
        ("312 TFLOP/s", "flop_rate", 3.12e14),
        ("4.1 GFLOP", "flops", 4.1e9),
        ("+1e3 s", "duration", 1000.0),
        (".5 s", "duration", 0.5),
        ("-5 us", "duration", -5e-6),
    ],
)
def test_a_quantity_is_read_into_si(text, kind, value):
    assert parse(text, kind) == value


@pytest.mark.parametrize("kind", units.UNITS)
@pytest.mark.parametrize("zero", [0, 0.0, "0", "0.0", "-0", "0e99999999999"])
def test_a_bare_zero_is_zero_of_every_kind(kind, zero):
    assert parse(zero, kind) == 0.0


def test_bits_or_bytes_is_never_guessed():
    with pytest.raises(UnitError) as caught:
        parse("25 Gb", "rate")
    assert caught.value.message == "'25 Gb' is not a rate"
    assert caught.value.fix == "write '25 Gbit/s' (bits) or '25 GB/s' (bytes)"


@pytest.mark.parametrize("text", ["25 Gb/s", "25 Gbps", "25 gb/s", "25 gbps", "25 gb"])
def test_every_lone_b_offers_both_forms_of_a_rate(text):
    with pytest.raises(UnitError) as caught:
        parse(text, "rate")
    assert caught.value.fix == "write '25 Gbit/s' (bits) or '25 GB/s' (bytes)"


def test_a_lone_b_offers_both_forms_of_a_size():
    with pytest.raises(UnitError) as caught:
        parse("100 Mb", "size")
    assert caught.value.fix == "write '12.5 MB' (that many bits) or '100 MB' (bytes)"


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("5", "duration", "'5' has no unit; write '5 us'"),
        (5, "duration", "'5' has no unit; write '5 us'"),
        ("25", "rate", "'25' has no unit; write '25 Gbit/s'"),
        (80, "size", "'80' has no unit; write '80 GiB'"),
        ("312", "flop_rate", "'312' has no unit; write '312 TFLOP/s'"),
        ("60", "duration", "'60' has no unit; write it like '5 us'"),
        ("5 us", "rate", "'5 us' is a duration, not a rate; write it like '25 Gbit/s'"),
        ("5 GB", "rate", "'5 GB' is a size, not a rate; write it like '25 Gbit/s'"),
        (
            "1 TFLOP",
            "flop_rate",
            "'1 TFLOP' is a number of FLOPs, not a FLOP rate; write it like '312 TFLOP/s'",
        ),
        ("25 gbit/s", "rate", "'25 gbit/s' has an unknown unit 'gbit/s'; did you mean '25 Gbit/s'?"),
        ("25 GBps", "rate", "'25 GBps' has an unknown unit 'GBps'; did you mean '25 GB/s'?"),
        ("5 MS", "duration", "'5 MS' has an unknown unit 'MS'; did you mean '5 ms'?"),
        ("5 sec", "duration", "'5 sec' has an unknown unit 'sec'; did you mean '5 s'?"),
        ("5 m", "duration", "'5 m' has an unknown unit 'm'; write '5 ms' or '5 min'"),
        ("5 KB", "size", "'5 KB' has an unknown unit 'KB'; write '5 kB' or '5 KiB'"),
        ("5 GIB", "size", "'5 GIB' has an unknown unit 'GIB'; did you mean '5 GiB'?"),
        ("1 TFLOPS", "flop_rate", "'1 TFLOPS' has an unknown unit 'TFLOPS'; did you mean '1 TFLOP/s'?"),
        ("5 parsecs", "duration", "'5 parsecs' has an unknown unit 'parsecs'; write it like '5 us'"),
        ("1,000 MB", "size", "'1,000 MB' is not a size; write digits without separators, like '80 GiB'"),
        ("nan s", "duration", "'nan s' is not a duration; write it like '5 us'"),
        ("", "size", "'' is empty; write it like '80 GiB'"),
        ("\u0665 us", "duration", "'\u0665 us' is not a duration; write it like '5 us'"),
        (float("inf"), "rate", "inf is not a finite number; write it like '25 Gbit/s'"),
        (True, "rate", "true is not a rate; write it like '25 Gbit/s'"),
        ("1e999 s", "duration", "'1e999 s' is too large a number; write it like '5 us'"),
        ("1e300 PB", "size", "'1e300 PB' is too large a number; write it like '80 GiB'"),
        ("1e-999 s", "duration", "'1e-999 s' is too small a number; write 0 where you mean zero"),
    ],
)
def test_what_cannot_be_read_says_what_to_write(text, kind, said):
    with pytest.raises(UnitError) as caught:
        parse(text, kind)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    "text", ["inf", "nan", "-inf s", "1_000 B", "0x10 s", "5 us us", "9" * 5000 + " s", " ", "s"]
)
def test_nonsense_is_refused(text):
    with pytest.raises(UnitError):
        parse(text, "duration")


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        (0.0654, "duration", "65.4 ms"),
        (5e-6, "duration", "5 us"),
        (1.0, "duration", "1 s"),
        (0.99999, "duration", "1 s"),
        (180.0, "duration", "3 min"),
        (7200.0, "duration", "2 h"),
        (3.125e9, "rate", "25 Gbit/s"),
        (102228128, "size", "102.2 MB"),
        (999960, "size", "1 MB"),
        (999, "size", "999 B"),
        (3.12e14, "flop_rate", "312 TFLOP/s"),
        (4.1e9, "flops", "4.1 GFLOP"),
        (0, "rate", "0 bit/s"),
        (0, "duration", "0 s"),
        (-0.0654, "duration", "-65.4 ms"),
    ],
)
def test_a_value_is_spelt_with_the_prefix_that_reads_best(value, kind, said):
    assert spell(value, kind) == said


def test_digits_are_significant_digits():
    assert spell(102228128, "size", digits=2) == "100 MB"
    assert spell(102228128, "size", digits=9) == "102.228128 MB"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_has_no_spelling(value):
    with pytest.raises(ValueError, match="no spelling"):
        spell(value, "size")


@given(st.floats(1e-15, 1e24), st.sampled_from(list(units.UNITS)), st.integers(1, 15))
@settings(max_examples=200)
def test_parse_undoes_spell(value, kind, digits):
    again = parse(spell(value, kind, digits=digits), kind)
    assert again == pytest.approx(value, rel=0.51 * 10 ** (1 - digits))


@given(st.text(max_size=30), st.sampled_from(list(units.UNITS)))
@settings(max_examples=200)
def test_any_text_is_a_finite_number_or_a_one_line_error(text, kind):
    try:
        value, said = parse(text, kind), ""
    except UnitError as error:
        value, said = 0.0, str(error)
    assert math.isfinite(value)
    assert said == "" or said.isprintable()


def test_echoed_values_are_cut_and_escaped():
    assert shown("\x1b[31m") == "'\\x1b[31m'"
    assert len(shown("x" * 1000)) <= 62
    assert len(shown(10**100)) <= 62
    assert shown(10**10000) == "a huge number"


def test_units_need_no_heavy_import():
    code = "import sys, simpar.units; sys.exit('numpy' in sys.modules or 'pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
