"""What every training here shares: the resumable fit, devices, replicas, precision, XLA, checkpoints, callbacks."""
