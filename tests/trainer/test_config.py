from pathlib import Path

import pytest

import trainer
from trainer.config import TrainConfig, load_config
from trainer.errors import ConfigError, SourceError

SHIPPED = sorted((Path(trainer.__file__).parent / "configs").glob("*.yaml"))


def written(folder: Path, text: str) -> Path:
    path = folder / "settings.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_nothing_given_is_the_defaults() -> None:
    assert load_config() == TrainConfig()


def test_a_file_and_overrides_in_order(tmp_path: Path) -> None:
    path = written(tmp_path, "learning_rate: 0.01\nmax_steps: 30\nseed: 7\n")
    config = load_config(path, ["max_steps=40", " seed = 8 ", "seed=9"])
    assert (config.learning_rate, config.max_steps, config.seed) == (0.01, 40, 9)


def test_an_unknown_key_is_refused_with_its_place_and_the_nearest(tmp_path: Path) -> None:
    path = written(tmp_path, "seed: 7\nlerning_rate: 0.01\nmax_step: 3\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    first, second = caught.value.faults
    assert (first.path, first.line, first.column) == (path, 2, 1)
    assert "learning_rate" in str(first)
    assert second.line == 3 and "max_steps" in str(second)


def test_a_value_out_of_range_is_refused_with_its_place(tmp_path: Path) -> None:
    path = written(tmp_path, "learning_rate: -1\nquantization_bit: 3\nmax_steps: many\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert [fault.line for fault in caught.value.faults] == [1, 2, 3]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no\.yaml"):
        load_config(tmp_path / "no.yaml")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("learning_rate", "no equals sign"),
        ("=3", "no equals sign"),
        ("lerning_rate=0.01", "learning_rate"),
        ("max_steps=0", "max_steps"),
        ("learning_rate=", "learning_rate"),
        ("max_steps=[1", "--set"),
        ("max_steps=1\nseed: 3", "--set"),
        ("quantization_bit=3", "quantization_bit"),
        ("learning_rate=fast", "learning_rate"),
        ("learning_rate=nan", "learning_rate"),
        ("#seed=3", "--set"),
        ("{seed: 3}=", "--set"),
        ("seed=-1", "seed"),
        ("seed=4294967296", "seed"),
    ],
)
def test_a_wrong_override_says_what_is_wrong(override: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, [override])
    assert says in str(caught.value)


def test_a_quoted_key_is_the_key() -> None:
    assert load_config(None, ['"seed"=3']).seed == 3


@pytest.mark.parametrize("nothing", ["null", "~"])
def test_null_means_none(tmp_path: Path, nothing: str) -> None:
    assert load_config(None, [f"quantization_bit={nothing}"]).quantization_bit is None
    assert load_config(written(tmp_path, f"quantization_bit: {nothing}")).quantization_bit is None


def test_every_setting_says_what_it_does() -> None:
    for name, field in TrainConfig.model_fields.items():
        assert field.description and len(field.description) > 20, name


def test_the_names_of_the_official_train_sh_are_there() -> None:
    official = (
        "learning_rate pre_seq_len max_source_length max_target_length "
        "per_device_train_batch_size gradient_accumulation_steps max_steps logging_steps "
        "save_steps quantization_bit seed"
    )
    assert set(official.split()) <= set(TrainConfig.model_fields)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_configuration_is_read(path: Path) -> None:
    load_config(path)
    first = path.read_text("utf-8").splitlines()[0]
    assert "renshe train" in first and path.name in first, "the command that uses it comes first"


def test_configurations_are_shipped() -> None:
    folder = Path(trainer.__file__).parent / "configs"
    assert SHIPPED or not folder.exists()
