"""The procedural audiovisual scene generator: a pure function of a PRNG key."""
