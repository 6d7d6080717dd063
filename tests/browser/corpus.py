"""Texts as models write them, and which of their signs a page shows by its style."""

from dataclasses import dataclass, field

BAR = "|"


@dataclass(frozen=True)
class Sample:
    source: str
    # Names of MARKERS in test_fidelity.py; without any, what is read is the source itself.
    constructs: tuple[str, ...] = field(default=())


def plain(source: str) -> Sample:
    return Sample(source)


def table(columns: int, rows: int) -> str:
    head = "| " + " | ".join(f"Name {n}" for n in range(columns)) + " |"
    dashes = BAR + "---|" * columns
    body = ["| " + " | ".join(f"12345.{r}{n}" for n in range(columns)) + " |" for r in range(rows)]
    return "\n".join([head, dashes, *body])


PLAIN = {
    "poem": plain(
        "Rain on the tin roof\nsoft drums in the night\n  the cat turns   twice\n\n"
        "and sleeps again\n\tuntil the sun"
    ),
    "stanzas far apart": plain("Roses are red,\nViolets are blue,\n\n\n\nSugar is sweet"),
    "address": plain("Ms Ada Lovelace\n12 St James's Square\nLondon SW1Y 4JH\nUnited Kingdom"),
    "letter head": plain("Name:    Ada\nDate:    10 December 1815\nRe:      5 * 3 = 15"),
    "dialogue": plain("A: A. The Guardian\nB: A. The Guardian\nA: Why?\nB: Because you said so"),
    "log": plain(
        "2024-05-01 12:00:01,123 [INFO]: started pid=1 <main>\n"
        "2024-05-01 12:00:02,001 [WARN] a_b_c __x__ took 3*4 ms\n"
        "[1]: https\n\tat java.base/Foo.<init>(Foo.java:12)\n=====\nDone & dusted &amp; gone"
    ),
    "stars": plain(
        "2*3*4 = 24 and 2**3**2; a*b, c*d; SELECT *, count(*) FROM t; f(*args, **kwargs)"
    ),
    "names": plain("__init__ calls __new__; _id2_ and snake_case_name; use `"),
    "C": plain("int *a, *b; /*one*/ x = *p * *q; /*two*/\nif (a<b && c>d) { *p++; }"),
    "unfenced": plain("import os\ndef f(*a, **k):\n    return a[0]*k['b']*2\n\nprint(f(1, b=2))"),
    "regexes": plain(
        "^\\d+\\.\\(foo\\)$ or ^(a|b)*$|^$\n[a-z]+\\[x\\]\\*\\_ (?:\\s*)\\)$\n\\bfoo\\b.*?\\$"
    ),
    "paths": plain("C:\\[temp\\]\\*new\\_dir \\\\server\\share\\(x86\\)\n/usr/*/lib/**/*.ts ~/a~b"),
    "shell": plain(
        "export PATH=$HOME/bin:$PATH\necho $a$b ${x}$ $(pwd)$ $$ $1$abc\nrm *.o* && ls *.py *.js"
    ),
    "PHP": plain("$user->id=$row[0]; $a = $b['k'].$c; echo \"$x-$y\"; $this->f($z);"),
    "prices": plain("It costs $5 and $6, or $7. US$5 to US$6, $5-$10, between $5 and 10$."),
    "markup": plain('<b>bold</b> <img src=x alt="*a*"> <!-- note --> a &lt; b &nbsp; &#39; <br>'),
    "prompts": plain(">>> print(1)\n1\n>>> x = 2\n>seq1\nACGT\n$ ls\n# "),
    "links to nowhere": plain(
        "[click](javascript:alert(1)) [here](/admin/) <https://example.org/a_b_c>"
    ),
    "definitions": plain("[quote]: https://example.org/x\n[quote] and [text][quote]\n[^1]: note"),
    "bad TeX": plain("$\\nosuch{1}$ and \\(\\frac{1\\) and $a % b$\n$$\n\\nosuch{1}+2\n$$\nend"),
    "underlined": plain("Title\n=====\n3~5 days, 4~6 days"),
    "Arabic": plain("مرحبا، كيف حالك اليوم؟ (test)\nالسعر 42 ريال.\n\nأنا بخير، شكرا!"),
    "Hebrew": plain('שלום, מה שלומך? (test)\nהמחיר הוא 42 ש"ח.\n\nתודה רבה!'),
    "Chinese": plain("用户:你好,今天天气怎么样?\n助手:很好!\n\n大约3~5天,4~6天。价格是$5。"),
    "Japanese": plain("古池や\n蛙飛びこむ\n水の音\n\n「はい」と彼は言った。※注"),
    "mixed chat": plain("User: مرحبا\nAssistant: Hello!\nالمستخدم: what is x"),
}

STRUCTURED = {
    "emphasis": Sample("This is **bold**, *thin*, ~~gone~~ and 这是**重要**的。", ("emphasis",)),
    "code": Sample(
        "Use `x*y*z` and `a|b`:\n\n```python\ndef f(*a):\n\n    return a  # 2*3*4\n```\nDone.",
        ("code", "fence"),
    ),
    "lists": Sample(
        "Steps:\n1. one\n1. two\n   - inner\n   - other\n7. seven\n\n* star\n* star\n\n+ plus",
        ("bullet",),
    ),
    "Arabic list": Sample(
        "# عنوان\n\n1. أولا\n2. ثانيا 42.\n\n- نقطة\n\n> اقتباس", ("heading", "bullet", "quote")
    ),
    "headings": Sample(
        "# One\ntext\n\n## Two #\n\n> quoted *words*\n> on\n\n---\n\nend",
        ("heading", "quote", "rule", "emphasis"),
    ),
    "links": Sample(
        "See [the page](https://example.org/?a=1&b=2) or https://example.org/x_y_z.", ("link",)
    ),
    "small table": Sample(
        "| اسم | Value |\n|:--|--:|\n| أ | 1 |\n| ب | `x|y` | more |", ("table", "code")
    ),
    "wide table": Sample(table(20, 3), ("table",)),
    "math": Sample("So $E = mc^2$, \\(a_b\\) and\n\n$$\n\\frac{1}{2} * 3\n$$\n\nend.", ()),
}

SAMPLES = {**PLAIN, **STRUCTURED}
