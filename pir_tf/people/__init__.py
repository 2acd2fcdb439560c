"""The loop with people: the database of their answers, the rating page and its server, and what their answers add up to."""
