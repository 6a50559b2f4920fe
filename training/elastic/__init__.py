"""Networks of which a part is missing, without building them: to train many at once, and to measure many."""
