"""Reports of experiments: from the results in a folder to report.md, report.json and report.html."""
