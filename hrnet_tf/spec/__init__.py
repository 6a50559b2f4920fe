"""Networks as data: links, blocks and widths, presets and complexity."""
