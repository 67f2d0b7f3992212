"""What is the transformers engine's own: sampling by the book, folders that it must not trust, devices."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from penstock.core.errors import ConfigError, ModelFileError
from penstock.core.generation import Sampling
from penstock.core.language import LanguageModel
from penstock.core.model import ModelSpec
from tests.runtimes.generation.engines.loaded import KINDS, load

torch = pytest.importorskip("torch")
TRANSFORMERS = next(kind for kind in KINDS if kind.name == "transformers")
pytestmark = pytest.mark.skipif(bool(TRANSFORMERS.absent), reason=TRANSFORMERS.absent)
LOGITS = [0.0, 1.0, 2.0, 3.0, -1.0]


def shares(draws: int = 4000, **asked: Any) -> dict[int, float]:
    """How often each token is drawn from the logits."""
    from penstock.runtimes.generation.engines.torch_sampling import Sampler

    plain = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "seed": 1}
    sampler = Sampler(Sampling(**{**plain, **asked}), [0], frozenset({4}), torch.device("cpu"))
    counts = Counter(sampler.choose(torch.tensor(LOGITS))[0] for _ in range(draws))
    return {token: count / draws for token, count in counts.items()}


def softmax(logits: list[float], temperature: float = 1.0) -> list[float]:
    weights = [math.exp(logit / temperature) for logit in logits]
    return [weight / sum(weights) for weight in weights]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_come_as_often_as_their_odds(temperature: float) -> None:
    found = shares(temperature=temperature)
    for token, odds in enumerate(softmax(LOGITS, temperature)):
        assert found.get(token, 0.0) == pytest.approx(odds, abs=0.04)


def test_filters_keep_what_they_say() -> None:
    odds = softmax(LOGITS)
    assert set(shares(top_k=2)) == {3, 2}
    assert set(shares(top_p=odds[3] + 0.01)) == {3, 2}, "the one that reaches the share is kept"
    assert set(shares(top_p=odds[3] - 0.01)) == {3}
    assert set(shares(min_p=math.exp(-2) * 0.99)) == {3, 2, 1}
    assert shares(top_k=2)[3] == pytest.approx(odds[3] / (odds[3] + odds[2]), abs=0.04)


def test_bias_penalties_and_early_ends_change_the_odds() -> None:
    assert shares(logit_bias={0: 100.0}) == {0: 1.0}
    assert shares(logit_bias={3: -100.0, 2: -100.0}).keys() == {0, 1, 4}
    assert 4 in shares()
    assert 4 not in shares(min_tokens=1)


def test_penalties_look_at_what_was_said() -> None:
    from penstock.runtimes.generation.engines.torch_sampling import Sampler

    asked = Sampling(temperature=0.0, presence_penalty=0.5, frequency_penalty=0.3)
    sampler = Sampler(asked, [3], frozenset(), torch.device("cpu"))
    answer = []
    for _ in range(4):
        answer.append(sampler.choose(torch.tensor(LOGITS))[0])
        sampler.took(answer[-1])
    assert answer == [3, 3, 2, 3], "3.0, 2.2, 2.0 against 1.9, 1.9 against 1.2"
    repeated = Sampler(Sampling(temperature=0.0, repetition_penalty=4.0), [3, 2], frozenset(), torch.device("cpu"))
    assert repeated.choose(torch.tensor(LOGITS))[0] == 1


def test_logprobs_are_of_the_model_itself() -> None:
    from penstock.runtimes.generation.engines.torch_sampling import Sampler

    asked = Sampling(temperature=0.0, logit_bias={0: 50.0}, logprobs=2)
    token, chosen = Sampler(asked, [0], frozenset(), torch.device("cpu")).choose(torch.tensor(LOGITS))
    assert chosen is not None
    odds = softmax(LOGITS)
    assert (token, chosen.logprob) == (0, pytest.approx(math.log(odds[0]), abs=1e-5))
    assert chosen.top == (
        (3, pytest.approx(math.log(odds[3]), abs=1e-5)),
        (2, pytest.approx(math.log(odds[2]), abs=1e-5)),
    )


def test_where_no_token_may_come_the_answer_ends_with_an_error_and_no_other_does(tied: Path) -> None:
    """A grammar at its end beside ends that are not due yet: raised out of a step, it ended the worker."""
    pytest.importorskip("llguidance")
    for drawn in ({}, {"temperature": 1.0, "seed": 3}):
        loaded = load(TRANSFORMERS, tied)
        company = loaded.submit([5, 6, 7])
        stuck = loaded.submit([5, 6, 7], 'root ::= "yes"', ignore_eos=False, min_tokens=10, **drawn)
        loaded.finish()
        assert loaded.ended[stuck] == "error"
        assert len(loaded.tokens[company]) == 12


def test_logits_that_are_no_numbers_choose_nothing() -> None:
    from penstock.runtimes.generation.engines.torch_sampling import NoToken, Sampler

    for temperature in (0.0, 1.0):
        sampler = Sampler(Sampling(temperature=temperature), [0], frozenset(), torch.device("cpu"))
        for value in (math.nan, math.inf, -math.inf):
            with pytest.raises(NoToken):
                sampler.choose(torch.full((5,), value))


def test_without_a_prefix_cache_nothing_is_looked_for(tied: Path) -> None:
    loaded = load(TRANSFORMERS, tied)
    loaded.one([5, 6, 7])
    stats = loaded.engine.stats()
    assert (stats.prefix_queries, stats.prefix_hits) == (0, 0)


def folder(tied: Path, to: Path) -> Path:
    shutil.copytree(tied / "hf", to / "hf")
    return to / "hf"


def test_code_in_a_folder_never_runs(tied: Path, tmp_path: Path) -> None:
    hf = folder(tied, tmp_path)
    config = json.loads((hf / "config.json").read_text())
    config |= {"model_type": "strange", "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}}
    (hf / "config.json").write_text(json.dumps(config))
    (hf / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    with pytest.raises(ModelFileError):
        load(TRANSFORMERS, tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("damage", ["cut", "empty", "none", "pickle"])
def test_damaged_weights_are_refused_in_words(tied: Path, tmp_path: Path, damage: str) -> None:
    weights = folder(tied, tmp_path) / "model.safetensors"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif damage == "empty":
        weights.write_bytes(b"")
    else:
        weights.unlink()
    if damage == "pickle":
        torch.save({"a": torch.zeros(1)}, weights.with_name("pytorch_model.bin"))
    with pytest.raises(ModelFileError) as refused:
        load(TRANSFORMERS, tmp_path)
    assert str(tmp_path) not in refused.value.message


def test_layers_that_keep_a_state_are_refused(tied: Path, tmp_path: Path) -> None:
    hf = folder(tied, tmp_path)
    config = json.loads((hf / "config.json").read_text())
    (hf / "config.json").write_text(json.dumps({**config, "layer_types": ["linear_attention", "full_attention"]}))
    with pytest.raises(ModelFileError, match="state"):
        load(TRANSFORMERS, tmp_path)


def test_settings_and_devices_that_there_are_not_are_refused(tied: Path) -> None:
    with pytest.raises(ConfigError):
        load(TRANSFORMERS, tied, engine_options={"dtype": "int4"})
    if not torch.cuda.is_available():
        from penstock.runtimes.generation.engines.transformers import TransformersEngine

        spec = ModelSpec(name="m", runtime="llm", path=str(tied / "hf"), format="causal-lm", device="cuda:1")
        with pytest.raises(ConfigError, match="GPU"):
            TransformersEngine().load(spec, LanguageModel(context=64))


def test_arithmetic_can_be_chosen(tied: Path) -> None:
    loaded = load(TRANSFORMERS, tied, engine_options={"dtype": "bfloat16", "attention": "eager"})
    assert len(loaded.one([5, 6, 7], max_tokens=5)) == 5
