"""Media decoding and encoding, clip sampling, annotations. numpy only: no JAX here."""
