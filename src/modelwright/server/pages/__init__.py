"""The pages: rendered here, readable without scripts, charts drawn from specifications that travel with the page."""
