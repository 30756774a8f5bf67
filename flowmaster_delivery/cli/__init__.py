"""`flowmaster`: every action of the UI, and the ones that the UI cannot show."""
