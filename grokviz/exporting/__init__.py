"""Networks of a run as others read them: files in the layouts of other code, and a folder that a model hub takes."""
