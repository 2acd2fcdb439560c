"""`pir-tf sweep` whose experiments are `fake_run`: the command itself, its processes, signals and files are real."""

import functools
import sys
from pathlib import Path

from pir_tf.paper import ray_workers, sweep

PROGRAM = (sys.executable, str(Path(__file__).with_name("fake_run.py")))

if __name__ == "__main__":
    sweep.LocalProcesses = functools.partial(sweep.LocalProcesses, program=PROGRAM)
    ray_workers.RayTasks = functools.partial(ray_workers.RayTasks, program=PROGRAM[1:])
    ray_workers._FORWARDED += ("FAKE_",)
    sys.exit(sweep.main())
