"""Pure jnp functions: spectrograms, convolutions, pooling."""
