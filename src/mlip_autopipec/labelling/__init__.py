"""From frames to labels: the labeller interface and the engines behind it."""
