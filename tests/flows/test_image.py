"""Image: which digest stands for a service's source."""

from __future__ import annotations

import pytest

from flowmaster_delivery.flows.image import Source, Unresolved, label, resolve
from flowmaster_delivery.model.errors import Refused
from flowmaster_delivery.model.image import ImageRecord, Origin
from tests.flows.conftest import NOW, Platform


def _source(
    platform: Platform, environment: str, commit: str, version: str | None = None
) -> Source:
    known = platform.catalog.environments[environment]
    ref = version or known.ref.branch or "main"
    return Source(known, platform.repository, commit.ljust(40, "0"), ref, version)


def _resolve(platform: Platform, service: str, source: Source) -> ImageRecord | Unresolved:
    return resolve(platform.catalog.services[service], source, platform.reading(), NOW)


def test_a_new_source_is_what_ci_pushed_for_the_commit(platform: Platform) -> None:
    platform.start()
    head = platform.forge.push("platform", "develop", "c2", {"services/api": "api-2"})
    platform.build(head, "api")
    image = _resolve(platform, "api", _source(platform, "dev", head))
    assert isinstance(image, ImageRecord)
    assert (image.origin, image.built_from) == (Origin.BUILT, head)


def test_the_same_source_is_reused_though_ci_built_it_again(platform: Platform) -> None:
    platform.start()
    head = platform.forge.push("platform", "develop", "c2", {"services/api": "api-2"})
    platform.build(head, "api")
    platform.bring("api", "dev", head)
    merged = platform.forge.push("platform", "staging", "c3", {"services/api": "api-2"})
    platform.build(merged, "api")
    in_dev = platform.history.images("api", "dev")[0]
    image = _resolve(platform, "api", _source(platform, "staging", merged))
    assert isinstance(image, ImageRecord)
    assert (image.origin, image.digest) == (Origin.REUSED, in_dev.digest)


def test_an_image_of_a_later_commit_with_the_same_source_is_found(platform: Platform) -> None:
    platform.start()
    built = platform.forge.push("platform", "develop", "c2", {"services/api": "api-2"})
    platform.build(built, "api")
    head = platform.forge.push("platform", "develop", "c3", {"README.md": "words"})
    image = _resolve(platform, "api", _source(platform, "dev", head))
    assert isinstance(image, ImageRecord)
    assert image.built_from == built


def test_an_image_of_another_source_is_never_taken(platform: Platform) -> None:
    platform.start()
    head = platform.forge.push("platform", "develop", "c2", {"services/api": "api-2"})
    missing = _resolve(platform, "api", _source(platform, "dev", head))
    assert isinstance(missing, Unresolved)
    assert "run the pipeline of develop" in missing.why


def test_an_image_whose_label_names_another_commit_is_not_taken(platform: Platform) -> None:
    platform.start()
    head = platform.forge.push("platform", "develop", "c2", {"services/api": "api-2"})
    platform.registry.push("group/platform/api", "somebody else's commit", tag=head[:8])
    assert isinstance(_resolve(platform, "api", _source(platform, "dev", head)), Unresolved)


def test_a_release_takes_the_digest_that_was_in_staging(platform: Platform) -> None:
    commit = platform.start()
    squashed = platform.forge.push("platform", "main", "c7", {"services/api": "api-1"})
    platform.forge.trees_at[squashed] = platform.forge.trees_at[commit]
    image = _resolve(platform, "api", _source(platform, "production", squashed, "v1.1.0"))
    assert isinstance(image, ImageRecord)
    assert image.digest == platform.history.images("api", "staging")[0].digest
    assert (image.origin, image.version) == (Origin.PROMOTED, "v1.1.0")


def test_a_release_of_a_source_that_was_never_in_staging_has_no_image(platform: Platform) -> None:
    platform.start()
    head = platform.forge.push("platform", "main", "c2", {"services/api": "api-2"})
    platform.build(head, "api")
    platform.bring("api", "dev", head)
    missing = _resolve(platform, "api", _source(platform, "production", head, "v1.1.0"))
    assert isinstance(missing, Unresolved)
    assert "no image in staging" in missing.why


def test_all_services_of_a_commit_cost_one_read_of_its_trees(platform: Platform) -> None:
    commit = platform.start()
    reading = platform.reading()
    platform.forge.calls.clear()
    source = _source(platform, "dev", commit)
    for service in platform.catalog.services.values():
        resolve(service, source, reading, NOW)
    assert platform.forge.calls.count("trees platform") == 1
    assert platform.forge.calls.count("pipelines_of platform") == 1


def test_a_version_tag_never_moves_to_another_digest(platform: Platform) -> None:
    commit = platform.start()
    service = platform.catalog.services["api"]
    first = _resolve(platform, "api", _source(platform, "production", commit, "v1.1.0"))
    assert isinstance(first, ImageRecord)
    label(service, first, platform.reading())
    label(service, first, platform.reading())
    platform.registry.tags[service.image, "v1.1.0"] = platform.registry.push(service.image, "other")
    with pytest.raises(Refused, match="another digest"):
        label(service, first, platform.reading())
