"""`pir-tf sweep` whose experiments are `fake_run`: the command itself, its processes, signals and files are real."""

import functools
import sys
from pathlib import Path

from pir_tf.experiments import sweep, sweep_ray

PROGRAM = (sys.executable, str(Path(__file__).with_name("fake_run.py")))

if __name__ == "__main__":
    sweep.LocalProcesses = functools.partial(sweep.LocalProcesses, program=PROGRAM)
    sweep_ray.RayTasks = functools.partial(sweep_ray.RayTasks, program=PROGRAM[1:])
    sweep_ray._FORWARDED += ("FAKE_",)
    sys.exit(sweep.main())
