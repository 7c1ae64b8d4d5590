import importlib.util
import os
import warnings

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # TensorFlow tells standard error of every processor it meets
os.environ["CUDA_VISIBLE_DEVICES"] = ""

if importlib.util.find_spec("tensorflow"):
    with warnings.catch_warnings():
        # What their own imports deprecate is theirs to mend.
        warnings.simplefilter("ignore", DeprecationWarning)
        import keras
        import tensorflow  # noqa: F401

    keras.utils.disable_interactive_logging()
