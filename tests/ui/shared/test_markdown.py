"""Text from people, files and errors stays text in Markdown, and ordinary text stays as it is."""

from __future__ import annotations

import pandas as pd
import pytest

from dal_ui.shared.markdown import JOINER, plain, plain_table


@pytest.mark.parametrize(
    "text",
    [
        "Ann",
        "n_epochs is 0; allowed: 1 or larger, such as [0.25, 0.5]",
        "quick with n_acquisition_steps=2, val_size=50 (seed 1)",
        "133.3 ± 4.7, -3.1 to +2.0 points; a & b, 5 < 6 > 4, what! 100%",
        "It's 'x'; \"y\"; C:\\data; a/b; at 12: 30",
    ],
)
def test_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("![x](http://h/f.png)", rf"\!\[x\](http:{JOINER}//h/f.png)"),
        ("[x](y) [x][y]", r"\[x\](y) \[x\][y]"),
        ("**b** _i_ __b__ ~~s~~ `c` $m$", r"\*\*b\*\* \_i\_ \_\_b\_\_ \~\~s\~\~ \`c\` \$m\$"),
        ("<img src=x> </b> <!-- x --> <http://h>", None),
        ("&amp; &#33;", r"\&amp; \&#33;"),
        ("# head", r"\# head"),
        ("1. one", r"1\. one"),
        ("- one", r"\- one"),
        (r"\*", r"\\\*"),
        (":material/face: :smile: :red[x]", None),
        ("a\n\n# b\n    c", "a # b c"),
    ],
)
def test_markup_is_escaped(text: str, shown: str | None) -> None:
    found = plain(text)
    assert shown is None or found == shown
    assert "\n" not in found
    assert not any(part in found for part in (" <", ":m", ":s", ":r", "://"))
    assert found.count("\\<") == found.count("<")


def test_a_table_is_plain_in_its_cells_its_columns_and_its_rows() -> None:
    mark = "![x](y)"
    table = pd.DataFrame({"n": [1.5], mark: [mark]}, index=pd.Index([mark], name="Function"))
    shown = plain_table(table)
    assert shown.iloc[0, 0] == 1.5 and list(table.columns) == ["n", mark]
    assert shown.iloc[0, 1] == shown.columns[1] == shown.index[0] == plain(mark)
    nested = table.set_index(pd.MultiIndex.from_tuples([(mark, "b")], names=["Record", "Function"]))
    assert plain_table(nested).index[0] == (plain(mark), "b")
    assert list(plain_table(nested).index.names) == ["Record", "Function"]
