"""The paper's evaluation over many runs: suites, sweeps, figures, claims."""
