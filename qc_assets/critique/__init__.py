"""From review threads to a data set of critiques."""
