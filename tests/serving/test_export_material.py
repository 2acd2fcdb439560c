"""What lies in export/: files that the model server can read and that fit together, and examples that run as they stand."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from fake_model import FakeServer, png
from fake_rest import serving

from pir_tf.serving import canary
from pir_tf.serving.protocol import MAX_BATCH

EXPORT = Path(__file__).resolve().parents[2] / "export"
README = (EXPORT / "README.md").read_text(encoding="utf-8")
FLAGS = {
    *("port", "rest_api_port", "rest_api_timeout_in_ms", "model_config_file", "model_config_file_poll_wait_seconds"),
    *("allow_version_labels_for_unavailable_models", "enable_batching", "batching_parameters_file"),
    "monitoring_config_file",
}
"""Spelled as in the flag list of the server's main.cc (the guide has a typing mistake in one of them)."""


def text(name):
    return (EXPORT / name).read_text(encoding="utf-8")


def yaml_of(name):
    return pytest.importorskip("yaml", reason="needs PyYAML: pip install '.[test]'").safe_load(text(name))


def flags():
    """The server's flags, as names and values."""
    words = yaml_of("compose.yaml")["services"]["serving"]["command"]
    assert all(re.fullmatch(r"--\w+=\S+", word) for word in words)
    return dict(word[2:].split("=", 1) for word in words)


# Files


def test_flags_files_and_ports_of_the_services_fit_together():
    assert flags().keys() == FLAGS
    services = yaml_of("compose.yaml")["services"]
    mounts = dict(volume.rsplit(":", 2)[:2][::-1] for volume in services["serving"]["volumes"])
    assert mounts["/config"] == "./config" and mounts["/models"].startswith("${MODELS:?")
    named = [value for value in flags().values() if value.startswith("/config/")]
    assert len(named) == 3 and all((EXPORT / value.lstrip("/")).is_file() for value in named)
    assert (EXPORT / services["prometheus"]["volumes"][0].split(":")[0]).is_file()
    # Closed to other machines, and those of the examples.
    assert services["serving"]["ports"] == [f"127.0.0.1:{flags()[p]}:{flags()[p]}" for p in ("port", "rest_api_port")]
    assert set(re.findall(r"localhost:(\d+)", README)) == {"8500", "8501", "9090"}


def test_the_gpu_file_changes_the_same_service():
    plain, gpu = (yaml_of(name)["services"] for name in ("compose.yaml", "compose.gpu.yaml"))
    assert gpu.keys() == {"serving"} and gpu["serving"]["image"] == plain["serving"]["image"] + "-gpu"
    (device,) = gpu["serving"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]


def test_the_models_file_gives_both_labels_to_loaded_versions():
    pytest.importorskip("tensorflow_serving.config", reason="needs the extra [serving]: pip install '.[serving]'")
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    config = text_format.Parse(text("config/models.config"), model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("landscapes", "/models/landscapes", "tensorflow")
    assert list(model.model_version_policy.specific.versions) == [1, 2]
    assert dict(model.version_labels) == {canary.STABLE: 1, canary.CANARY: 2}


def test_the_batching_file_takes_a_whole_request():
    """Fields of `BatchingParameters` in the server's session_bundle_config.proto."""
    plain = re.sub(r"#.*", "", text("config/batching.config"))
    numbers = {field: int(number) for field, number in re.findall(r"(\w+) \{ value: (\d+) \}", plain)}
    assert re.sub(r"\w+ \{ value: \d+ \}\s*", "", plain).strip() == ""
    assert set(numbers) == {"max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads"}
    assert numbers["max_batch_size"] == MAX_BATCH and all(number > 0 for number in numbers.values())


def test_the_monitoring_file_and_prometheus_agree_on_the_path():
    """Fields of `MonitoringConfig` in the server's monitoring_config.proto."""
    said = r'prometheus_config \{\s*enable: true\s*path: "(\S+)"\s*\}\s*'
    (path,) = re.fullmatch(said, text("config/monitoring.config")).groups()
    (job,) = yaml_of("config/prometheus.yml")["scrape_configs"]
    assert job["metrics_path"] == path
    assert job["static_configs"] == [{"targets": [f"serving:{flags()['rest_api_port']}"]}]
    assert f"http://localhost:8501{path}" in README


# Examples


def blocks(language):
    """The README's code blocks of a language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def rest():
    fake = FakeServer()
    with serving("rest", fake) as address:
        yield fake, address


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_the_curl_examples_run_as_they_stand(rest, tmp_path):
    fake, address = rest
    status, columns, rows, score, refused = blocks("sh")

    def run(block):
        words = ["bash", "-euo", "pipefail", "-c", block.replace("http://localhost:8501", address)]
        return subprocess.run(words, cwd=tmp_path, capture_output=True, check=True).stdout

    assert json.loads(run(status))["model_version_status"][0]["state"] == "AVAILABLE"
    run(columns)
    stable, newer = fake.versions["stable"], fake.versions["canary"]
    for name, seed, class_id in (("coast", 1, 0), ("mountain", 2, 1)):
        assert (tmp_path / f"{name}.png").read_bytes() == png(stable.picture(seed, class_id))
    predictions = json.loads(run(rows))["predictions"]
    assert [row["class_name"] for row in predictions] == ["coast", "mountain"]
    assert "b64" in predictions[0]["image_bytes"] and newer is not stable
    assert json.loads(run(score))["outputs"] == pytest.approx([stable.pir(png(stable.picture(1, 0)))], rel=1e-6)
    assert "class_id has 99" in json.loads(run(refused))["error"]
    assert fake.requests[-4:] == [("stable", ""), ("canary", ""), ("stable", "score"), ("stable", "")]


def run_python(block, address, tmp_path, monkeypatch, capsys):
    """What a Python example prints, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    for place in ("http://localhost:8501", "grpc://localhost:8500", "localhost:8500"):
        block = block.replace(place, address if "//" in place else address.removeprefix("grpc://"))
    exec(compile(block, "README.md", "exec"), {"__name__": "example"})
    return capsys.readouterr().out


def test_the_python_example_over_rest_runs_as_it_stands(rest, tmp_path, monkeypatch, capsys):
    fake, address = rest
    said = run_python(blocks("python")[0], address, tmp_path, monkeypatch, capsys)
    label = canary.label_for("user-17", 10)
    assert (tmp_path / "first.png").read_bytes() == png(fake.versions[label].picture(0, 0))
    assert said.startswith("coast [") and said.endswith("INVALID_ARGUMENT class_id\n")


@pytest.mark.slow
def test_the_python_examples_over_grpc_run_as_they_stand(tmp_path, monkeypatch, capsys):
    fake = FakeServer()
    with serving("grpc", fake) as address:
        ours, plain = blocks("python")[1:]
        assert run_python(ours, address, tmp_path, monkeypatch, capsys) == "(300, 64, 64, 3) uint8\n"
        assert run_python(plain, address, tmp_path, monkeypatch, capsys) == "2 b'\\x89PNG'\n"
    assert {label for label, _ in fake.requests} == {"stable"} and fake.requests[-1] == ("stable", "")
