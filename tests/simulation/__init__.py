"""Tests of the simulator, its pictures, and the scripted expert."""
