"""The format of a published model's folder: its files, their checksums, and the schemas of what goes in and out."""
