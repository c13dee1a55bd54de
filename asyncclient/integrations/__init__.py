"""One small module for each engine or framework; each needs an extra of its own."""
