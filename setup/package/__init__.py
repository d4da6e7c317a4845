"""Builds dist/: what a cluster needs to run ringmill's jobs when its hosts have nothing but Java."""
