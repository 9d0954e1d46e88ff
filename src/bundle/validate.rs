//! Checks of `config.json` that need no host: ranges, names, contradictions.
