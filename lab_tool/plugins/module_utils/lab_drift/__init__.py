"""What the module `lab_drift_evidence` is made of: one reader for each kind of thing, and the findings they make."""
