"""Grams of CO2e per accepted solution, failed attempts and retries included."""

__version__ = "0.1.0"
