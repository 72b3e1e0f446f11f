"""Files of runs, of logged models, of whatever else lies below an experiment: names for objects, and the rights to them."""

from modelwright.experiments.artifacts.records import Entry, LeftUpload, Located, Upload, UploadPart, media_type_of
from modelwright.experiments.artifacts.service import Artifacts

__all__ = ["Artifacts", "Entry", "LeftUpload", "Located", "Upload", "UploadPart", "media_type_of"]
