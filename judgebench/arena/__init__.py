"""Ratings of one's own models from pairwise judgements among them."""
