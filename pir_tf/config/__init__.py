"""The fields of an experiment: a frozen dataclass for each stage, checked when it is made. Nothing heavy is imported here."""

from pir_tf.config.experiment import (
    NETWORK_IMAGE_SIZE,
    PRESETS,
    ComputeConfig,
    DataConfig,
    EstimatorConfig,
    EvaluationConfig,
    ExperimentConfig,
    GanConfig,
    InteractionsConfig,
    TuningConfig,
    derived_seed,
    flatten,
)

__all__ = [
    "NETWORK_IMAGE_SIZE",
    "PRESETS",
    "ComputeConfig",
    "DataConfig",
    "EstimatorConfig",
    "EvaluationConfig",
    "ExperimentConfig",
    "GanConfig",
    "InteractionsConfig",
    "TuningConfig",
    "derived_seed",
    "flatten",
]
