"""Pretraining of the backbone, and the learning of one expert after another."""
