"""The subset of Markdown that the pages render."""

from __future__ import annotations

import pytest
from playwright.async_api import Page

RENDER = "async text => (await import('/ui/static/markdown.js')).markdown(text).innerHTML"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain\ntext", "<p>plain<br>text</p>"),
        ("**bold** and *soft* and _also_", "<p><strong>bold</strong> and <em>soft</em> and <em>also</em></p>"),
        ("snake_case_name 2 * 3 * 4", "<p>snake_case_name 2 * 3 * 4</p>"),
        ("`a < b`", "<p><code>a &lt; b</code></p>"),
        ("## Title", "<h4>Title</h4>"),
        ("- a\n  - b\n- c", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>"),
        ("- a\n- b\n\nafter", "<ul><li>a</li><li>b</li></ul><p>after</p>"),
        ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
        ("> quoted", "<blockquote><p>quoted</p></blockquote>"),
        ("```py\n<b>\n```", '<pre class="code">&lt;b&gt;</pre>'),
        ("---", "<hr>"),
        ("<b onclick=x>&amp;</b>", "<p>&lt;b onclick=x&gt;&amp;amp;&lt;/b&gt;</p>"),
        ("[a](javascript:x)", "<p>[a](javascript:x)</p>"),
        (
            "[a](https://b.org/c)",
            '<p><a href="https://b.org/c" rel="noopener noreferrer" target="_blank">a</a></p>',
        ),
        ("[1][2] and [3]", "<p>[1][2] and [3]</p>"),
    ],
)
async def test_markdown_is_rendered_as_html(page: Page, text: str, html: str) -> None:
    await page.goto("/ui/graphs/echo")
    assert await page.evaluate(RENDER, text) == html


@pytest.mark.parametrize("mark", ["**a ", "*a ", "_a ", "[a](", "`a ", "> ", "- a\n  ", "| a ", "#", "```\n", " - "])
async def test_no_text_is_slow_to_render(page: Page, mark: str) -> None:
    await page.goto("/ui/graphs/echo")
    took_ms = await page.evaluate(
        "async mark => { const { markdown } = await import('/ui/static/markdown.js');"
        " const from = performance.now(); markdown(mark.repeat(100_000 / mark.length));"
        " return performance.now() - from }",
        mark,
    )
    assert took_ms < 10_000
