"""What every training here shares: devices, replicas, precision, checkpoints, callbacks."""
