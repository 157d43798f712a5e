"""An error that nobody foresaw: a person reads one sentence."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from dal_ui.shared import errors


def test_a_person_reads_a_sentence_and_nothing_of_the_traceback() -> None:
    def page() -> None:
        from dal_ui.shared.errors import say_sorry

        assert say_sorry(KeyError("/home/ann/secret ![x](http://host/x.png)"))

    shown = AppTest.from_function(page, default_timeout=30).run()
    assert not shown.exception
    (sentence,) = [one.value for one in shown.error]
    assert sentence == errors.SORRY.format(kind="`KeyError`") and "secret" not in sentence
