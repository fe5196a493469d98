"""Labelled videos: annotations, records, caches and pipelines. numpy only: no JAX here."""
