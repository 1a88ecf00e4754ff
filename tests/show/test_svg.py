"""SVG made smaller: the same elements at the same places in fewer bytes."""

import re
import xml.etree.ElementTree as ET

from simpar.show import sheet
from simpar.show.svg import compact

WRITTEN = """<svg xmlns:xlink="x">
 <title>a  &amp; b</title>
 <defs>
  <style type="text/css">*{stroke-linejoin: round}</style>
 </defs>
 <g id="text_1">
  <!-- 10 -->
  <g style="fill: #595959; stroke: none" transform="translate(131.559063 -0.001) scale(0.085 -0.085)">
   <defs>
    <path id="DejaVuSans-14" d="M 794 531
L 1825 531
z
" transform="scale(0.015625)"/>
   </defs>
   <use xlink:href="#DejaVuSans-14"/>
   <use xlink:href="#DejaVuSans-14" transform="translate(63.625 0)"/>
   <use xlink:href="#DejaVuSans-Bold-14" transform="translate(0 12.5)"/>
  </g>
 </g>
 <g id="line2d_2">
  <g id="line2d_4"/>
 </g>
</svg>"""

SMALL = (
    '<svg xmlns:xlink="x"><title>a  &amp; b</title>'
    '<defs><style type="text/css">*{stroke-linejoin: round}</style></defs>'
    '<g><g style="fill:#595959;stroke:none" transform="translate(131.56 0) scale(0.085 -0.085)">'
    '<defs><path id="c14" d="M794 531L1825 531z" transform="scale(0.015625)"/></defs>'
    '<use xlink:href="#c14"/><use xlink:href="#c14" x="63.62"/><use xlink:href="#b14" y="12.5"/>'
    "</g></g></svg>"
)


def test_what_is_not_seen_goes_and_nothing_else():
    assert compact(WRITTEN) == SMALL


def test_a_small_file_gets_no_smaller():
    assert compact(SMALL) == SMALL


def test_a_figure_keeps_every_shape_letter_and_name_that_is_referred_to(monkeypatch):
    def build():
        one = sheet.Sheet(4.0, 1.0)
        one.box(0.1234567, 0.2, 0.5, 0.5, sheet.COLORS[0])
        one.text(1.0, 0.5, "ring, 8 <workers> & more", sheet.TEXT, sheet.INK, weight="bold")
        one.axes(2.0, 0.1, 1.5, 0.7).bar([1, 2], [3, 4], hatch="//")
        return one.figure

    small = sheet.picture(build, "svg", "mine").decode()
    monkeypatch.setattr(sheet, "compact", lambda svg: svg)
    large = sheet.picture(build, "svg", "mine").decode()

    assert len(small) < 0.8 * len(large)
    counts = [
        [text.count(f"<{tag} ") for tag in ("path", "use", "clipPath", "pattern")] for text in (small, large)
    ]
    assert counts[0] == counts[1]
    ET.fromstring(small)
    names = set(re.findall(r' id="([^"]+)"', small))
    assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', small)) <= {(n, "") for n in names} | {
        ("", n) for n in names
    }
