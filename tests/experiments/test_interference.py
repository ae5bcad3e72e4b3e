"""Experiment 2: tasks that share no question, strengths chosen on development, shares of the experts' own."""

import json

import pytest
from tiny_world import WORLD

from sst_mergekit.evaluation import mmlu
from sst_mergekit.experiments import interference
from sst_mergekit.experiments.interference import METHODS, Alone, Merged, strengths
from sst_mergekit.experiments.tasks import Tasks
from sst_mergekit.jobs.unit import with_parents
from sst_mergekit.reporting.lines_picture import draw
from sst_mergekit.reporting.retained import panel, retained
from sst_mergekit.testbeds.shares import SHARES
from sst_mergekit.testbeds.tiny import facts
from sst_mergekit.testbeds.tiny.content import make_world
from sst_mergekit.testbeds.tiny.data import KNOWN_ENTITIES
from sst_mergekit.testbeds.tiny.facts import TaskSize
from sst_mergekit.testbeds.tiny.words import ENTITIES

TASKS = Tasks(WORLD, TaskSize(tasks=4))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("tasks") / "data"
    facts.make_tasks({"seed": 42, "tasks": 4, "rows": 40, "prompts": 5}, {}, out)
    return out


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_no_question_is_in_two_splits(data):
    taught = [row["prompt"] for path in sorted((data / "train").iterdir()) for row in lines(path)]
    dev, test = (
        [mmlu.doc_to_text(r) for r in lines(data / s / "4/mmlu/test.jsonl")] for s in ("dev", "test")
    )
    assert (len(taught), len(dev), len(test)) == (4 * 40, 4 * 5, 4 * 5)
    assert len({*taught, *dev, *test}) == len(taught) + len(dev) + len(test)


def test_the_base_has_not_been_taught_the_facts_and_answers_are_right(data):
    world = make_world(42)
    for row in lines(data / "test/4/mmlu/test.jsonl"):
        [entity] = [name for name in ENTITIES if name in row["question"]]
        assert entity not in KNOWN_ENTITIES
        assert row["choices"][row["answer"]] == world.facts[row["subject"], entity]


def test_the_first_tasks_and_each_alone_are_the_same_questions(data):
    every = lines(data / "test/4/mmlu/test.jsonl")
    names = json.loads((data / "test/4" / facts.NAMES).read_text())
    assert len(names) == len(every)
    for number in range(4):
        alone = lines(data / f"test/task0{number}/mmlu/test.jsonl")
        assert alone == [row for row, name in zip(every, names, strict=True) if name == f"task0{number}"]
    assert lines(data / "test/2/mmlu/test.jsonl") == every[:10]


def test_a_merge_needs_the_experts_it_names_and_their_statistics():
    unit = interference.merge_unit(TASKS, 2, "sst", 0.5, "dev")
    assert set(unit.parents) == {
        *("data", "base", "task00", "task01", "task00-kronecker", "task01-kronecker"),
        *("folded task00", "folded task01"),
    }
    assert unit.inputs["split"] == "dev/2"
    kinds = [unit.kind for layer in with_parents([unit]) for unit in layer]
    assert kinds.count("statistics") == 2


@pytest.mark.parametrize("name", METHODS)
def test_every_recipe_is_one_that_mergekit_reads(name):
    from mergekit.config import MergeConfiguration

    recipe = METHODS[name](["task00", "task01", "task02"], 0.5)
    assert len(MergeConfiguration.model_validate(recipe).models) == 3


def test_every_method_has_the_same_settings_from_the_mean_to_the_sum():
    assert strengths(2)[0] == 0.5
    assert strengths(24)[0] == pytest.approx(1 / 24, abs=1e-4)
    assert strengths(24)[-1] == 1.0
    assert len(strengths(24)) == interference.SETTINGS


class Fake:
    """A runner whose models keep a share that depends on strength: best at 1.0 on dev, bad on test."""

    def __init__(self, root):
        self.root, self.asked = root, []

    def make(self, label, units):
        paths = []
        for unit in units:
            self.asked.append(unit)
            split, tasks = unit.inputs["split"].split("/")
            names = [tasks] if tasks.startswith("task") else [f"task{i:02d}" for i in range(int(tasks))]
            path = self.root / unit.key
            path.mkdir(exist_ok=True)
            share = self.share(unit, split)
            (path / SHARES).write_text(json.dumps({name: {"share": share, "n": 5} for name in names}))
            paths.append(path)
        return paths

    @staticmethod
    def share(unit, split):
        recipe = unit.inputs.get("recipe")
        if recipe is None:
            return 0.8 if unit.inputs["adapter"] else 0.1
        text = json.dumps(recipe)
        strong = '"weight": 1.0' in text or '"strength": 1.0' in text
        if split == "dev":
            return 0.7 if strong else 0.2
        return 0.4 if strong else 0.9


def test_strengths_are_chosen_on_development_and_figures_are_of_the_test_split(tmp_path):
    runner = Fake(tmp_path)
    alone, merged = interference.measured([TASKS], [2, 3], runner)
    assert {m.strength for m in merged} == {1.0}
    assert {share for m in merged for share in m.shares.values()} == {0.4}
    tested = [
        unit
        for unit in runner.asked
        if unit.inputs["split"].startswith("test/") and unit.inputs.get("recipe")
    ]
    assert len(tested) == 2 * len(METHODS)
    assert alone[42].experts == {"task00": 0.8, "task01": 0.8, "task02": 0.8}
    body = json.loads(json.dumps(interference.report(alone, merged, [2, 3], {"experiment": "exp2"})))
    assert body["3"]["performance"] == pytest.approx(0.4 / 0.8)
    assert body["3"]["num_experts"] == 3
    assert body["targets"][0]["verdict"] == "undefined"
    found = panel(retained(body))
    assert [one for one, *_ in found.lines["SST-Merge"]] == [2, 3]
    assert found.lines["SST-Merge"][1][1] == pytest.approx(0.4 / 0.8)
    assert found.lines["base"][0][1] == pytest.approx(0.1 / 0.8)
    draw([found], tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_an_expert_that_solves_nothing_has_no_share():
    alone = {1: Alone({"task00": 0.0, "task01": 0.0}, {"task00": 0.0, "task01": 0.5})}
    merged = [Merged(1, 2, name, 1.0, {"task00": 0.3, "task01": 0.25}) for name in METHODS]
    found = interference.report(alone, merged, [2], {})["2"]["methods"]["SST-Merge"]
    assert found["performance"] == 0.5
    task = found["seeds"][0]["tasks"]["task00"]
    assert task["retained"] is None
    assert "answers none" in task["reason"]


def test_the_target_is_of_20_experts():
    alone = {1: Alone({"t": 0.0}, {"t": 1.0})}
    merged = [Merged(1, 20, name, 1.0, {"t": 0.9}) for name in METHODS]
    assert interference.report(alone, merged, [20], {})["targets"][0]["verdict"] == "met"
