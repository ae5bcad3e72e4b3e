"""Results of experiments by a glob: each method a run, on the prompts of every seed of every file."""

import json

import pytest
from click.testing import CliRunner
from made_runs import results, samples
from scipy import stats

from sst_mergekit.cli import main
from sst_mergekit.comparison.run import Options, compare
from sst_mergekit.errors import EvaluationError
from sst_mergekit.testbeds.prompt_scores import write_prompt_scores

SCORES = {  # by seed: the same prompts for both methods, other answers
    42: {"Task-Arithmetic": [1, 0, 0, 1, 0, 0, 1, 0], "SST-Merge": [1, 1, 1, 1, 1, 0, 0, 1]},
    43: {"Task-Arithmetic": [0, 0, 1, 0, 0, 1, 0, 0], "SST-Merge": [1, 1, 1, 1, 0, 1, 1, 0]},
}


def write(out, seeds, model="tiny-world", settings=64):
    """An experiment's result with the units that it names."""
    units = {}
    for seed in seeds:
        for method, scores in SCORES[seed].items():
            place = f"score/{method}-{seed}"
            folder = out / "units" / place / "result"
            folder.mkdir(parents=True)
            tasks = {"sst_beavertails_refusal": samples(refusal_rate=[float(x) for x in scores])}
            body = {**results(tasks), "samples": tasks}
            body["configs"]["sst_beavertails_refusal"]["generation_kwargs"] = {"max_gen_toks": settings}
            write_prompt_scores(body, folder)
            units.setdefault(str(seed), {})[method] = place
    path = out / "exp3_baseline" / f"exp3_results_{model}_minimal.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"config": {"model": model}, "units": units}))
    return str(path)


def test_methods_are_compared_on_the_prompts_of_all_seeds_and_files(tmp_path):
    one, other = write(tmp_path / "a", [42]), write(tmp_path / "b", [43])
    found = compare([one, other], Options(resamples=200))
    assert found.runs == ["Task-Arithmetic", "SST-Merge"]
    [metric] = found.metrics
    [pair] = metric.pairs
    theirs, ours = ([x for seed in SCORES for x in SCORES[seed][name]] for name in found.runs)
    assert metric.n == 16
    assert pair.difference.value == pytest.approx((sum(ours) - sum(theirs)) / 16)
    assert (pair.won, pair.lost) == (8, 1)
    assert (pair.test, pair.p) == ("McNemar", pytest.approx(stats.binomtest(8, 9).pvalue))
    assert pair.p_welch == pytest.approx(stats.ttest_ind(ours, theirs, equal_var=False).pvalue)
    assert pair.p_holm == pair.p
    assert pair.cohens_d is not None
    assert "tiny-world, seed 42; tiny-world, seed 43" in found.notes[0]


def test_the_command_takes_a_glob(tmp_path):
    path = write(tmp_path / "out", [42, 43])
    done = CliRunner().invoke(main, ["compare", "--resamples", "200", path])
    assert done.exit_code == 0, done.output
    assert "| SST-Merge | 0.750" in done.stdout


def test_no_prompt_or_answer_is_kept(tmp_path):
    write(tmp_path, [42])
    [text, _] = [p.read_text() for p in tmp_path.rglob("samples_*.jsonl")]
    assert "question" not in text


def test_faults_are_one_line(tmp_path):
    path = write(tmp_path / "a", [42])
    (tmp_path / "a/lm").mkdir()
    with pytest.raises(EvaluationError, match="lm: is no result of an experiment as the others are"):
        compare([path, str(tmp_path / "a/lm")], Options())
    with pytest.raises(EvaluationError, match="tiny-world, seed 42 is in another file too"):
        compare([path, path], Options())
    other = write(tmp_path / "b", [43], settings=32)
    with pytest.raises(EvaluationError, match="seeds were scored with different settings"):
        compare([path, other], Options())
    for file in (tmp_path / "b").rglob("results_*.json"):
        file.unlink()
    with pytest.raises(EvaluationError, match="no results_"):
        compare([path, other], Options())
