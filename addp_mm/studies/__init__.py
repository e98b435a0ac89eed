"""The paper's tables, made again: settings of the sampler, ablations, robustness, few labels."""
