"""Record each gated action before it is done, with its outcome; count limits and find repeats."""
