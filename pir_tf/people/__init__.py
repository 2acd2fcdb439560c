"""The loop with people: the database of their answers, the rating page and its server, the plan, and reports on raters."""
