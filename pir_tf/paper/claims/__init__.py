"""The paper's claims, judged by rules."""
