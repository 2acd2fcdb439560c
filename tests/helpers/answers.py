"""People, who fill in their template."""

import csv


def fill(path, impressions=10, positives=4):
    """Fills in a template of answers: `positives` for the first image, one more for the next, and so on, round and round."""
    with open(path, newline="") as handle:
        rows = list(csv.DictReader(handle))
    with open(path, "w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        for i, row in enumerate(rows):
            writer.writerow({**row, "impressions": impressions, "positives": (positives + i) % (impressions + 1)})
