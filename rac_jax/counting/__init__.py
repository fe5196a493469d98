"""From a file, a stream or arrays to a `CountResult`."""
