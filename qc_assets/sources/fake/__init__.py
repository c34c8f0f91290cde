"""A local server that speaks GitHub's public schema, to try things on."""
