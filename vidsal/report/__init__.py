"""HTML page of a stored analysis, and files for video editors and spreadsheets.

The page is one HTML file that works offline. Its parts (HTML, CSS, JavaScript) are in the folder
`page`.
"""
