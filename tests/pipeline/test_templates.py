"""What all templates rely on: names are checked, texts of strangers escaped, blocks leave no blank lines."""

import jinja2
import pytest

from pipeline import templates


@pytest.mark.parametrize(("autoescape", "expected"), [(True, "&lt;b&gt; 1,234 c"), (False, "<b> 1,234 c")])
def test_environment(autoescape: bool, expected: str) -> None:
    made = templates.environment("pipeline.report", autoescape=autoescape, first=lambda text: text[0])
    source = "{{ text }} {{ 1234 | number }} {{ 'cde' | first }}\n  {% if text %}\nyes\n  {% endif %}\n"
    assert made.from_string(source).render(text="<b>") == f"{expected}\nyes\n"
    with pytest.raises(jinja2.UndefinedError, match="'text' is undefined"):
        made.from_string(source).render()
