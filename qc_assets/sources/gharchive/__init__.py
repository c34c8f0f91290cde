"""GH Archive's hourly files as a source."""
