"""Class-labelled images: the embedded landscapes, a folder of photographs, or a TFDS data set."""
