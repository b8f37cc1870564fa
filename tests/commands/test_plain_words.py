"""What a user reads who types an option that does not exist or cannot be read."""

from __future__ import annotations

import pytest

from vae_hydra import evaluate, generate, report, train
from vae_hydra.base.command.groups import choices_with
from vae_hydra.base.command.plain_words import plain_words


@pytest.mark.parametrize(
    ("command", "words", "expected"),
    [
        (train, ["sampler=norml"], "sampler=norml: there is no such option; did you mean sampler=normal?"),
        (train, ["experiment=heavy_tailed/mnits"], "did you mean experiment=heavy_tailed/mnist?"),
        (train, ["sweep=coffee_brek"], "did you mean sweep=coffee_break?"),
        (train, ["dataset=nothing"], "dataset= has alpha_stable, celeba"),
        (train, ["classifier.labelled=0.01"], "there is no such option; it belongs to classifier=mlp"),
        (train, ["beta.duration=30"], "it belongs to beta=cosine|cyclical|linear|sigmoid"),
        (train, ["likelihood=bernoulli", "likelihood.scale=0.1"], "it belongs to likelihood=gaussian|"),
        (train, ["noise=uniform", "noise.distribution.scale=1"], "it belongs to noise=lognormal|normal"),
        (train, ["logger.wandb.offline=true"], "logger.wandb: there is no such option; it belongs to logger=wandb"),
        (train, ["logger=[csv,wandbb]"], "logger=wandbb: there is no such option; did you mean logger=wandb?"),
        (train, ["logger=null"], "a group of options takes a name, or a list of them"),
        (train, ["sampler", "lognormal"], "sampler: an option is written NAME=VALUE"),
        (evaluate, ["run=there", "sampler=normal"], "sampler: this command has no such option. (A saved run keeps"),
        (evaluate, ["there"], "there: an option has a name; did you mean run=there?"),
        (train, ["-m", "seed=0", "hydra/launcher=jobib"], "did you mean hydra/launcher=joblib?"),
        (generate, [], "run is missing; give run=outputs/RUN"),
        (report, ["run=outputs"], "run=outputs: folders have no name here; type outputs alone"),
    ],
)
def test_a_wrong_option_is_answered_with_a_right_one(command, words, expected, run_command, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "run.json").write_text("{}")
    code, text = run_command(command, *words)
    assert code == 2
    assert expected in text
    assert "Config search path" not in text
    assert len(text.splitlines()) <= 3


def test_options_of_ones_own_folder_are_listed_with_the_place(run_command, tmp_path):
    (tmp_path / "mine" / "sampler").mkdir(parents=True)
    (tmp_path / "mine" / "sampler" / "gumbel.yaml").write_text("name: gumbel\n")
    code, text = run_command(train, "--config-dir", str(tmp_path / "mine"), "sampler=gumble")
    assert code != 0
    assert "did you mean sampler=gumbel?" in text
    assert str(tmp_path / "mine") in text


def test_options_of_shared_files_count_for_each_choice():
    assert choices_with("dataset.batch_size") == choices_with("dataset.seed")
    assert {"digits", "mnist", "table"} <= set(choices_with("dataset.batch_size"))
    assert choices_with("seed") == []
    assert choices_with("sampler.nothing") == []


def test_other_messages_stay():
    assert plain_words("anything else") == "anything else"
