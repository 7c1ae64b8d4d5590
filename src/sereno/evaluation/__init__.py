"""The referee: which pixels are scored, sums that add up, and the scores that follow from them."""
