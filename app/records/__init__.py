"""The canonical records: what every reader yields and every upload is checked as."""
