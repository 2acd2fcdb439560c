"""The fields of an experiment: a file for each section, with its checks. Nothing heavy is imported here."""

from pir_tf.config.compute import ComputeConfig
from pir_tf.config.data import NETWORK_IMAGE_SIZE, DataConfig
from pir_tf.config.estimator import EstimatorConfig
from pir_tf.config.evaluation import EvaluationConfig
from pir_tf.config.experiment import PRESETS, ExperimentConfig, changed, decisive_fields, derived_seed, flatten
from pir_tf.config.gan import GanConfig
from pir_tf.config.interactions import InteractionsConfig
from pir_tf.config.tuning import TuningConfig

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
    "changed",
    "decisive_fields",
    "derived_seed",
    "flatten",
]
