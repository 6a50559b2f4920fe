"""Android phones over adb: TFLite's `benchmark_model` run and read there, and the evaluator where a Python is."""
