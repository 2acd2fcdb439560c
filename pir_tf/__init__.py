"""pir_tf: improve an image generator with people's reactions to its images.

The reference reproduction, in TensorFlow and Keras 3, of "Improving image generative models with human interactions".
Importing the package loads nothing heavy; each part is imported from its own module (`pir_tf.gan.acgan`, ...).
"""

__version__ = "0.1.0"
