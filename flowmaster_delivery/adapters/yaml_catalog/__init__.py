"""The catalog out of YAML files: the one door to ruamel.yaml.

Here: the file's form (`schema`), reading with line numbers (`documents`), faults in words
(`faults`), what must hold between entries (`checks`), and loading (`loading`). What the catalog
*means* stands in `model.catalog`; what is done with it, elsewhere.
"""

from flowmaster_delivery.adapters.yaml_catalog.loading import json_schema, load_catalog, shipped

__all__ = ["json_schema", "load_catalog", "shipped"]
