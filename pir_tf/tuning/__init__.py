"""The paper's contribution: the generator's loss with the estimated PIR as one more term (2.4)."""
