"""What stands between a model and somebody's money."""
