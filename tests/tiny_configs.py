"""The smallest config of every trainable family: two steps a stage, a few small scenes."""
