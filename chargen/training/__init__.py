"""Text and options -> checkpoint: the plan of a run, the loop, and the state to resume from."""
