"""validate: findings by reading a model and by running it."""
