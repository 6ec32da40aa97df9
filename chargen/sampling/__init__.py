"""Predictions -> text."""
