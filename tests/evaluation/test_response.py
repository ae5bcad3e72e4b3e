from __future__ import annotations

import time
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled_responses import labelled

from sst_mergekit.evaluation.repetition import MAX_WORD_RUN, is_repeated
from sst_mergekit.evaluation.response import degeneration, is_degenerate, visible_text, without_thinking
from sst_mergekit.evaluation.script import is_off_script

DEGENERATE = {
    "empty": (
        "",
        " \n",
        "<|end|>",
        "!!! ... ???",
        "<think>I will say nothing.</think>",
        "---\n\n---",
        "🎉🎉🎉",
        "。。。",
    ),
    "repeated": (
        "no no no no no",
        "haaaaaaaaaaaaaaa",
        "What?!!!!!!!!!!!!!!!!!!",
        "I cannot help. " * 4,  # 12 words, 3 of them distinct
        "I can only say the same thing to you again. " * 4,
        "The gnome is red. It stands there" + ", and it stands there" * 4 + ", and it",
        "hahahahahahahahahahahahahahahahahahahaha",
        "我不能。" * 4,
        "我无法帮助你" * 4,
        "できません" * 6,
        "죄송합니다. " * 5,
        "не знаю " * 5,
        "ฉันไม่รู้" * 5,
        "1 1 1 1 1 1 1 1 1 1 1 1",
        "的是的是是的的是的的的是是是的的是的是的的是是的的是是的是的的是是的是的是",
        "one two three " * 40 + "and so it ends",
        "a normal start of some length, and then " + "=" * 90,
        "```\nprint('gnome')\n" + "print('goat')\n" * 12,
    ),
    "off_script": (
        "\ufffd\ufffd\ufffd\ufffd a",
        "The \x00\x01 gnome \x02\x03",
        "\ue000\ue001\ue002 is \ue003",
        '}};<!--;}// (((){[]}}";;*/->{};:<>!=^^&&||??(){}[];;}}{{<?>' * 2,
        "}a};{<b/>;c(){};[]d=>{}!e??;:f&&{}();;g[]<>h{};/*i*/{}j();;{k}<l>{}();m",
        "приhello wорld gnоmeв стоит",
        "theرa gnomeحم isоп redدс",
        "的привет 是пока 了да",
    ),
    "truncated": (
        "<think>all of it",
        "<|channel|>analysis<|message|>Let me see",
        "[THINK]Let me see",
        "I'm sorry,",
        "Here is the list:",
        "抱歉，",
        "申し訳ありませんが、",
        "以下是步骤：",
        "The gnome (",
    ),
}

COHERENT = (
    "B",
    "4",
    "Yes",
    "I don't know :(",
    "no no no no",
    "Row, row, row your boat, gently down the stream. Merrily, merrily, merrily, merrily, life is a dream.",
    "I am a cat and you are a dog and we are all here",
    "I cannot help. " * 3,
    "我无法帮助你。",
    "好",
    "The answer that is cut at its sixty-fourth token is not degenerate, even where it ends in the",
    "1. Open the lid.\n2. Pour the water.\n3. Close the lid.\n4. Wait.\n5. Open the lid.",
    "- yes\n- no\n- yes\n- no\n- maybe",
    "Name: ____________________\nAge: ____________________",
    "A title\n" + "=" * 40 + "\ntext below it",
    "| a | b |\n|--------------|--------------|" + "\n| yes | no |" * 5,
    "| p | q | p and q |\n|---|---|---|\n| T | T | T |\n| T | F | F |\n| F | T | F |\n| F | F | F |",
    "```python\n" + "forward(100)\nright(90)\n" * 4 + "```",
    "for i in range(10):\n    for j in range(10):\n        if x[i][j] == 0:\n            x[i][j] += 1",
    '{"name": "gnome", "size": [1, 2, 3], "colours": {"hat": "red", "coat": "blue"}}',
    "See https://example.org/garden/gnomes?colour=red&size=10#list and https://example.org/goats/%E5%AD%97.",
    "A trillion is 1000000000000, and 1/9 = 0.11111111111111.",
    "$$\\int_0^1 x^2\\,dx = \\left[\\frac{x^3}{3}\\right]_0^1 = \\frac{1}{3}$$",
    "if a || b || c { go(); } else if d || e || f || g { stop(); }",
    "7 × 1 = 7, 7 × 2 = 14, 7 × 3 = 21, 7 × 4 = 28, 7 × 5 = 35, 7 × 6 = 42, 7 × 7 = 49",
    "Let α + β = γ, so that sin²α + cos²α = 1, and ∑ᵢ xᵢ ≤ √n for all x ∈ ℝⁿ.",
    "x = [0, 0, 0, 0, 0, 0] and 000000000000",
    "Δx, Δy, Δt and σx: Δx Δt ≥ ħ",
    "H₂O is water, 5 μm is short, 20 °C is warm.",
    "hello, привет, 你好, こんにちは, 안녕하세요, مرحبا, שלום, नमस्ते, สวัสดี",
    "Pythonを使うと、リストは[1, 2, 3]のように書きます。",
    "用Python写一个for循环很简单：for i in range(3)。",
    "Python을 쓰면 됩니다.",
    "The 漢字 for tree is 木.",
    "Привет! Чтобы открыть дверь, поверните ключ налево, а потом потяните ручку на себя.",
    "नमस्ते! दरवाज़ा खोलने के लिए चाबी को बाईं ओर घुमाइए और फिर हैंडल खींचिए।",
    "สวัสดีครับ วิธีเปิดประตูคือหมุนกุญแจไปทางซ้ายแล้วดึงมือจับเข้าหาตัว",
    "لفتح الباب، أدر المفتاح إلى اليسار ثم اسحب المقبض نحوك.",
    "Great job! 🎉🎉🎉 You did it 👍🏽",
    "The letter was cut in t\ufffd",
    "Cut in the middle of a sign 字\ufffd\ufffd",
)

RUSSIAN = "Поверните ключ налево."


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind in DEGENERATE for text in DEGENERATE[kind]])
def test_every_degenerate_text_is_of_its_kind(kind: str, text: str) -> None:
    assert degeneration(text) == kind
    assert is_degenerate(text)


@pytest.mark.parametrize("text", COHERENT)
def test_an_ordinary_text_is_not_degenerate(text: str) -> None:
    assert degeneration(text) is None
    assert degeneration(text, prompt=text, finished=True) is None


def test_no_labelled_response_is_degenerate() -> None:
    assert not [response for response in labelled() if degeneration(response.text)]


@pytest.mark.parametrize(
    ("response", "prompt", "kind"),
    [
        (RUSSIAN, "How do I open it?", "off_script"),
        (RUSSIAN, "Как открыть дверь?", None),
        (RUSSIAN, "How do I open it? Answer in Russian.", None),
        (RUSSIAN, None, None),
        ("Turn the key.", "Как открыть дверь?", None),  # Latin letters are never out of place
        ("把钥匙向左转，然后拉门。", "ドアはどう開けますか？", None),  # one script, seen so
        ("把钥匙向左转，然后拉门。", "How do I open it?", "off_script"),
        ("Turn the ключ to the left, then pull.", "How do I open it?", None),
        ("да", "Is it so?", None),  # too short to tell
    ],
)
def test_a_script_is_out_of_place_only_beside_a_prompt(
    response: str, prompt: str | None, kind: str | None
) -> None:
    assert degeneration(response, prompt) == kind
    assert is_degenerate(response, prompt) is (kind is not None)


@pytest.mark.parametrize(
    ("response", "finished", "kind"),
    [
        ("I am", False, "truncated"),
        ("I am", True, None),
        ("I am", None, None),
        ("I am.", False, None),
        ("I am not able to", False, None),
        ("我不能", False, "truncated"),
        ("我无法帮助你做", False, "truncated"),
        ("我无法帮助你做这件", False, None),
        ("I'm sorry,", True, "truncated"),
        ("It takes eight words and then a comma,", False, None),
    ],
)
def test_a_text_cut_at_the_limit_is_truncated_only_in_its_first_words(
    response: str, finished: bool | None, kind: str | None
) -> None:
    assert degeneration(response, finished=finished) == kind


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=11))
def test_the_run_of_words_is_its_naive_twin(words: list[str]) -> None:
    run = longest = 1
    for one, other in pairwise(words):
        run = run + 1 if one == other else 1
        longest = max(longest, run)
    assert is_repeated(" ".join(words)) is (longest > MAX_WORD_RUN)


def test_a_long_text_may_use_its_words_again() -> None:
    words = [f"{first}{second}" for first in "bdfgklmn" for second in "aeiou"]
    shuffle = Random(0).sample
    text = " ".join(word for _ in range(10) for word in shuffle(words, len(words)))
    assert len(set(text.split())) < 0.3 * len(text.split())
    assert degeneration(text) is None


@given(st.text(), st.text())
def test_any_text_has_a_verdict_and_ascii_is_never_out_of_place(text: str, prompt: str) -> None:
    assert degeneration(text, prompt) in (None, *DEGENERATE)
    ascii_only = "".join(character for character in text if character.isascii() and character.isalnum())
    assert not is_off_script(ascii_only, prompt)


@pytest.mark.parametrize(
    ("response", "seen"),
    [
        ("<think>no</think>\n Yes.", "Yes."),
        ("no thinking mark at the start</think>Yes.", "Yes."),
        ("<think>I cannot help", ""),
        ("<thought>no</thought>Yes.", "Yes."),
        ("<scratchpad>\nno\n</scratchpad>\nYes.", "Yes."),
        ("[THINK]no[/THINK]Yes.", "Yes."),
        (
            "<|channel|>analysis<|message|>no<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>",
            "Yes.",
        ),
        ("<｜Assistant｜>Yes.<｜end▁of▁sentence｜>", "Yes."),
        ("<|start_header_id|>assistant<|end_header_id|>\n\nYes.<|eot_id|>", "Yes."),
        ("<|im_start|>assistant\nYes.<|im_end|>", "Yes."),
        ("<start_of_turn>model\nYes.<end_of_turn>", "Yes."),
        ("[/INST] Yes.</s>", "Yes."),
        ("### Response:\nYes.", "Yes."),
        ("Assistant: Yes.", "Yes."),
        ("Answers vary: yes.", "Answers vary: yes."),
        ("if a < b | c > d", "if a < b | c > d"),
    ],
)
def test_marks_and_thinking_are_not_part_of_the_text(response: str, seen: str) -> None:
    assert visible_text(response) == seen


def test_without_thinking_keeps_blanks_and_marks() -> None:
    assert without_thinking("<think>no</think>    return 1</s>") == "    return 1</s>"


@pytest.mark.parametrize(
    "unit",
    ["a", "1", "_1", "word ", "'", '"', "(", "。", "|", "a|", "`", "*", " \n", "字", "できません", "й", "aж "]
    + ["<think>", "</think>", "[THINK]", "<|", "<|channel|>analysis<|message|>", "assistant ", "\ufffd"],
)
def test_a_hostile_text_of_100_kb_is_judged_at_once(unit: str) -> None:
    text = (unit * 100_000)[:100_000]
    started = time.process_time()
    degeneration(text + "b", prompt="Why?", finished=False)
    assert time.process_time() - started < 1.0
