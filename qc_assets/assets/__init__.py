"""Thin Dagster shells around sources, SQL and models."""
