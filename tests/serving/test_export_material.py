"""What lies in export/: files that the model server can read and that fit together, and examples that run as they stand."""

import contextlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from fake_model import FakeServer, png
from fake_rest import rest_server

from pir_tf.serving import canary
from pir_tf.serving.endpoints import MAX_BATCH

EXPORT = Path(__file__).resolve().parents[2] / "export"
README = (EXPORT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    """The README's code blocks of a language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


# Files


def compose(name="compose.yaml"):
    yaml = pytest.importorskip("yaml", reason="needs PyYAML: pip install '.[test]'")
    return yaml.safe_load((EXPORT / name).read_text(encoding="utf-8"))["services"]


def flags():
    """The server's flags, as names and values."""
    words = compose()["serving"]["command"]
    assert all(re.fullmatch(r"--\w+=\S+", word) for word in words)
    return dict(word[2:].split("=", 1) for word in words)


DOCUMENTED = {
    "port",
    "rest_api_port",
    "rest_api_timeout_in_ms",
    "model_config_file",
    "model_config_file_poll_wait_seconds",
    "allow_version_labels_for_unavailable_models",
    "enable_batching",
    "batching_parameters_file",
    "monitoring_config_file",
}
"""Spelled as in the flag list of the server's main.cc (the guide has a typing mistake in one of them)."""


def test_the_servers_flags_are_spelled_as_in_its_source():
    assert flags().keys() == DOCUMENTED


def test_every_file_that_the_services_name_is_there():
    services = compose()
    mounts = dict(volume.rsplit(":", 2)[:2][::-1] for volume in services["serving"]["volumes"])
    assert mounts["/config"] == "./config" and mounts["/models"].startswith("${MODELS:?")
    named = [value for value in flags().values() if value.startswith("/config/")]
    assert len(named) == 3
    for value in named:
        assert (EXPORT / "config" / value.removeprefix("/config/")).is_file()
    assert (EXPORT / services["prometheus"]["volumes"][0].split(":")[0]).is_file()


def test_the_ports_are_those_of_the_examples_and_closed_to_other_machines():
    ports = compose()["serving"]["ports"]
    assert ports == [f"127.0.0.1:{flags()[name]}:{flags()[name]}" for name in ("port", "rest_api_port")]
    assert set(re.findall(r"localhost:(\d+)", README)) == {"8500", "8501", "9090"}


def test_the_gpu_file_changes_the_same_service():
    serving, gpu = compose()["serving"], compose("compose.gpu.yaml")
    assert gpu.keys() == {"serving"}
    assert gpu["serving"]["image"] == serving["image"] + "-gpu"
    (device,) = gpu["serving"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]


@pytest.fixture(scope="module")
def protobuf():
    pytest.importorskip("tensorflow_serving.config", reason="needs the extra [serving]: pip install '.[serving]'")
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2

    def parsed(name, message):
        return text_format.Parse((EXPORT / "config" / name).read_text(encoding="utf-8"), message)

    def built(fields, nested=()):
        """A message with fields of the server's own names and types, which its Python package doesn't bring."""
        wrappers = wrappers_pb2.DESCRIPTOR.name
        file = descriptor_pb2.FileDescriptorProto(name=f"{fields[0][0]}.proto", package="built", dependency=[wrappers])
        for title, rows in [("Message", fields), *nested]:
            message = file.message_type.add(name=title)
            for number, (name, kind) in enumerate(rows, start=1):
                field = message.field.add(name=name, number=number, label=1)
                if kind.startswith("."):
                    field.type, field.type_name = 11, kind
                else:
                    field.type = {"int64": 3, "bool": 8, "string": 9}[kind]
        pool = descriptor_pool.DescriptorPool()
        pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
        pool.Add(file)
        return message_factory.GetMessageClass(pool.FindMessageTypeByName("built.Message"))()

    return parsed, built


def test_the_models_file_gives_both_labels_to_loaded_versions(protobuf):
    from tensorflow_serving.config import model_server_config_pb2

    config = protobuf[0]("models.config", model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("landscapes", "/models/landscapes", "tensorflow")
    assert list(model.model_version_policy.specific.versions) == [1, 2]
    assert dict(model.version_labels) == {canary.STABLE: 1, canary.CANARY: 2}


def test_the_batching_file_takes_a_whole_request(protobuf):
    """Fields of `BatchingParameters` in the server's session_bundle_config.proto."""
    parsed, built = protobuf
    number = ".google.protobuf.Int64Value"
    names = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
    config = parsed("batching.config", built([(name, number) for name in names]))
    assert config.max_batch_size.value == MAX_BATCH
    assert all(getattr(config, name).value > 0 for name in names)


def test_the_monitoring_file_and_prometheus_agree_on_the_path(protobuf):
    """Fields of `MonitoringConfig` in the server's monitoring_config.proto."""
    import yaml

    parsed, built = protobuf
    inner = [("PrometheusConfig", [("enable", "bool"), ("path", "string")])]
    config = parsed("monitoring.config", built([("prometheus_config", ".built.PrometheusConfig")], inner))
    assert config.prometheus_config.enable
    (job,) = yaml.safe_load((EXPORT / "config/prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    assert job["metrics_path"] == config.prometheus_config.path
    assert job["static_configs"] == [{"targets": [f"serving:{flags()['rest_api_port']}"]}]
    assert f"http://localhost:8501{job['metrics_path']}" in README


# Examples


@pytest.fixture(scope="module")
def rest():
    fake = FakeServer()
    with rest_server(fake) as address:
        yield fake, address


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_the_curl_examples_run_as_they_stand(rest, tmp_path):
    fake, address = rest
    status, columns, rows, score, refused = blocks("sh")

    def run(block):
        block = block.replace("http://localhost:8501", address)
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block], cwd=tmp_path, capture_output=True, check=True
        ).stdout

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


def test_the_python_examples_over_grpc_run_as_they_stand(tmp_path, monkeypatch, capsys):
    pytest.importorskip("tensorflow_serving.apis", reason="needs the extra [serving]: pip install '.[serving]'")
    from fake_grpc import grpc_server

    fake = FakeServer()
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(grpc_server(fake))
        ours, plain = blocks("python")[1:]
        assert run_python(ours, address, tmp_path, monkeypatch, capsys) == "(300, 64, 64, 3) uint8\n"
        assert run_python(plain, address, tmp_path, monkeypatch, capsys) == "2 b'\\x89PNG'\n"
    assert fake.requests[-1] == ("stable", "")
    assert np.unique([label for label, _ in fake.requests]).tolist() == ["stable"]
