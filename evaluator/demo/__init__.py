"""Data and candidates for the audits that ship as examples."""
