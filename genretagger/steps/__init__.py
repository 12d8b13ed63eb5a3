"""The steps that `pipeline.py` puts in order, each from one value to the next."""
