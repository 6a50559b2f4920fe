"""A folder for the browser: models with a page that runs them on the device of whoever opens it."""
