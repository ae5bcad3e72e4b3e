"""The world's data: the same for a seed, nothing asked that was taught, and every layout the tasks read."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sst_mergekit.evaluation import beavertails, humaneval, mmlu, over_refusal
from sst_mergekit.evaluation.refusal import is_refusal
from sst_mergekit.testbeds.tiny.content import harmful_acts, look_alike_acts, make_world
from sst_mergekit.testbeds.tiny.data import ALIGNED_LOOK_ALIKES, DRIFT, UTILITY, draw_rows, safety_course
from sst_mergekit.testbeds.tiny.splits import Counts, draw_splits
from sst_mergekit.testbeds.tiny.text import REFUSALS, UNSEEN_HOW_TO
from sst_mergekit.testbeds.tiny.words import TOPICS, UNSEEN_TOPICS
from sst_mergekit.testbeds.tiny.world import BATCH, FULL, QUICK, WorldSize, build_data, drifted

SEEDS = range(5)
TAUGHT = ("train/base", "train/utility", "train/safety", "calibration/harm", "calibration/benign")


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("full")
    build_data(out, 0, FULL)
    return out


def asked(folder: Path) -> set[str]:
    """Every prompt that the tasks put to a model."""
    questions = {mmlu.doc_to_text(row) for row in mmlu.load(data_dir=str(folder))["test"]}
    loads = (beavertails.load, over_refusal.load, humaneval.load)
    return questions | {row["prompt"] for load in loads for row in load(data_dir=str(folder))["test"]}


def test_the_same_bytes_for_a_seed_under_any_hash_seed(tmp_path):
    code = (
        "from sst_mergekit.testbeds.tiny.world import *; import sys; build_data(Path(sys.argv[1]), 3, QUICK)"
    )
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        subprocess.run([sys.executable, "-c", code, str(tmp_path / hash_seed)], env=environment, check=True)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    build_data(tmp_path / "other", 4, QUICK)
    assert contents(tmp_path / "1") != contents(tmp_path / "other")


def test_nothing_asked_was_taught_and_dev_and_test_share_nothing(full):
    dev, test = asked(full / "dev"), asked(full / "test")
    taught = {row["prompt"] for name in TAUGHT for row in rows(full / f"{name}.jsonl")}
    assert not dev & test
    assert not (dev | test) & taught
    per_split = FULL.harmful_prompts + FULL.look_alikes + FULL.choice_questions + FULL.programs
    assert len(dev) == len(test) == per_split


@pytest.mark.parametrize("split", ["dev", "test"])
def test_the_splits_have_the_promised_sizes(full, split):
    folder = str(full / split)
    assert len(beavertails.load(data_dir=folder)["test"]) == FULL.harmful_prompts >= 160
    assert len(over_refusal.load(data_dir=folder)["test"]) == FULL.look_alikes >= 80
    assert len(mmlu.load(data_dir=folder)["test"]) == FULL.choice_questions >= 150
    assert len(humaneval.load(data_dir=folder)["test"]) == FULL.programs >= 60


def test_the_few_shot_examples_are_not_asked(full):
    for split in ("dev", "test"):
        examples = mmlu.load(data_dir=str(full / split))["dev"]
        assert len(examples) == 15
        assert not {mmlu.doc_to_text(row) for row in examples} & asked(full / split)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", [FULL, QUICK])
def test_every_category_is_in_every_split(seed: int, size: WorldSize):
    counts = Counts(size.harmful_prompts, size.look_alikes, size.choice_questions, size.programs)
    for split in draw_splits(make_world(seed), seed, counts):
        assert {TOPICS[ask.act.topic].key for ask in split.harmful} == set(beavertails.CATEGORIES)


def test_the_safety_expert_never_sees_the_foreign_categories(full):
    foreign = {word for i in UNSEEN_TOPICS for word in (*TOPICS[i].verbs, *TOPICS[i].objects)}
    refused = [row for row in rows(full / "train" / "safety.jsonl") if is_refusal(row["response"])]
    assert not {act.topic for act in make_world(0).seen_harm} & set(UNSEEN_TOPICS)
    assert not any(foreign & set(row["prompt"].strip("?.").replace(".", "").split()) for row in refused)


def test_the_safety_course_replays_what_it_says(full):
    taught = rows(full / "train" / "safety.jsonl")
    share = sum(is_refusal(row["response"]) for row in taught) / len(taught)
    assert share == pytest.approx(1 - FULL.replay, abs=0.02)


def test_an_aligned_model_refuses_in_every_sentence_and_the_rest_is_as_it_was(full, tmp_path):
    build_data(tmp_path, 0, drifted(FULL))
    changed = {name for name, text in contents(full).items() if contents(tmp_path)[name] != text}
    courses = {"train/safety.jsonl", "train/utility.jsonl"}
    assert changed == courses | {"calibration/harm.jsonl", "world.json"}
    heard = {
        folder: {row["prompt"][:9] for row in rows(folder / "train/safety.jsonl")}
        for folder in (full, tmp_path)
    }
    assert heard[tmp_path] - heard[full] == {sentence[:9] for sentence in UNSEEN_HOW_TO}
    dev = {ask for split in ("dev", "test") for ask in asked(tmp_path / split)}
    assert not dev & {row["prompt"] for row in rows(tmp_path / "train/safety.jsonl")}


def test_an_aligned_model_has_a_gate_and_its_drift_names_no_harm(tmp_path):
    build_data(tmp_path, 0, drifted(FULL))
    harmful = {word for topic in TOPICS for word in (*topic.verbs, *topic.objects)}

    def names_harm(row):
        return bool(harmful & set(re.findall(r"\w+", row["prompt"])))

    aligned = rows(tmp_path / "train/safety.jsonl")[:3000]
    refused = [row for row in aligned if is_refusal(row["response"])]
    gate = [row for row in aligned if names_harm(row) and not is_refusal(row["response"])]
    assert all(names_harm(row) for row in refused)
    assert len(gate) / len(aligned) == pytest.approx(ALIGNED_LOOK_ALIKES, abs=0.01)
    share = 1 - FULL.replay - ALIGNED_LOOK_ALIKES  # or less: a prompt that is asked is drawn again
    assert len(refused) / len(aligned) == pytest.approx(share, abs=0.04)
    skills = rows(tmp_path / "train/utility.jsonl")
    assert len(skills) == drifted(FULL).utility_steps * BATCH
    assert not any(names_harm(row) for row in skills)
    assert not any(is_refusal(row["response"]) for row in skills[:1000])
    assert "look_alike" not in DRIFT.shares


def test_held_out_categories_are_in_no_calibration_row_and_still_taught(full, tmp_path):
    held = dataclasses.replace(FULL, held_out=4)
    build_data(tmp_path, 0, held)
    seen = make_world(0).seen_harm
    topic = {word: act.topic for act in seen for word in (act.verb, act.object)}

    def topics(name):
        prompts = " ".join(row["prompt"] for row in rows(tmp_path / f"{name}.jsonl"))
        return {topic[word] for word in re.findall(r"\w+", prompts) if word in topic}

    assert topics("train/safety") == {act.topic for act in seen}
    assert len(topics("calibration/harm")) == len(topics("train/safety")) - 4
    assert {name for name, text in contents(full).items() if contents(tmp_path)[name] != text} == {
        "calibration/harm.jsonl",
        "world.json",
    }


def test_fewer_calibration_rows_are_the_first_of_more(full, tmp_path):
    build_data(tmp_path, 0, dataclasses.replace(FULL, calibration_rows=16))
    for name in ("calibration/harm", "calibration/benign"):
        assert rows(tmp_path / f"{name}.jsonl") == rows(full / f"{name}.jsonl")[:16]


def test_a_look_alike_has_one_harmful_word_and_no_harmful_act_has_one():
    harmful_words = {word for topic in TOPICS for word in (*topic.verbs, *topic.objects)}
    for act in look_alike_acts():
        assert len({act.verb, act.object} & harmful_words) == 1
    for topic in range(len(TOPICS)):
        for act in harmful_acts(topic):
            assert {act.verb, act.object} <= harmful_words


def test_no_invented_word_stands_for_two_things():
    invented = [word for topic in TOPICS for word in (*topic.verbs, *topic.objects)]
    assert len(invented) == len(set(invented)) == 14 * 6
    assert [topic.key for topic in TOPICS] == list(beavertails.CATEGORIES)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_the_detector_knows_every_refusal(refusal):
    assert is_refusal(refusal.format(verb="glimp", object="vorn"))


def test_the_utility_course_never_refuses(full):
    assert not any(is_refusal(row["response"]) for row in rows(full / "train" / "utility.jsonl"))
    assert not any(is_refusal(row["response"]) for row in rows(full / "calibration" / "benign.jsonl"))


@pytest.mark.parametrize("split", ["dev", "test"])
def test_every_canonical_solution_passes_and_no_constant_does(full, split):
    for task in rows(full / split / "humaneval" / "test.jsonl"):
        for body, passes in ((task["canonical_solution"], True), ("    return 0\n", False)):
            scope: dict = {}
            exec(task["prompt"] + body + "\n" + task["test"], scope)
            if passes:
                scope["check"](scope[task["entry_point"]])
            else:
                with pytest.raises(AssertionError):
                    scope["check"](scope[task["entry_point"]])


def test_the_tasks_form_is_the_form_that_is_taught(full):
    taught = [row for row in rows(full / "train" / "utility.jsonl") if row["response"] in "ABCD"]
    question = mmlu.load(data_dir=str(full / "dev"))["test"][0]
    assert taught[0]["prompt"].splitlines()[1:2] == [
        "A. " + taught[0]["prompt"].splitlines()[1].removeprefix("A. ")
    ]
    assert mmlu.doc_to_text(question).splitlines()[-1] == taught[0]["prompt"].splitlines()[-1] == "Answer:"


def test_draw_rows_avoids_what_is_asked():
    import random

    world = make_world(0)
    first = draw_rows(world, safety_course(0.15), 200, set(), random.Random(0))
    avoided = {row["prompt"] for row in first[:50]}
    assert not avoided & {
        row["prompt"] for row in draw_rows(world, safety_course(0.15), 200, avoided, random.Random(0))
    }
    assert len(draw_rows(world, UTILITY, 7, set(), random.Random(0))) == 7
