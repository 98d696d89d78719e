"""The natural pair, hibari and Moonshine: what needs the packages of the extra `natural`."""
