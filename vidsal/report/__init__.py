"""A page that shows a stored analysis, and files for video editors and spreadsheets.

The page is one HTML file that needs no network. Its parts (HTML, CSS, JavaScript) lie in the folder
`page`.
"""
