"""The ACGAN without the fake-class term in the discriminator's loss (sections 2.1, C.1, C.2), and other people's generators."""
