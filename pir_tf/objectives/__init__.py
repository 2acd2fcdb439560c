"""The simulated users' truth (3.1 to 3.3, C.4, C.5): nothing that estimates or tunes may import it."""
