"""The sections of a report: what their templates show, worked out from the tables and the settings."""
