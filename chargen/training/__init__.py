"""Corpus + model -> checkpoint, with Keras' `compile`, `fit` and callbacks."""
