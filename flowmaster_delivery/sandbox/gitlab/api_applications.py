"""Applications that let people sign in with this GitLab: an administrator registers them."""

from __future__ import annotations

from flowmaster_delivery.sandbox.gitlab.answers import NO_CONTENT, Answer, bad, missing
from flowmaster_delivery.sandbox.gitlab.http import Call, Routes
from flowmaster_delivery.sandbox.gitlab.oauth import SCOPES, Application

routes = Routes()


@routes.on("GET", "/applications")
def applications(call: Call) -> object:
    call.need_admin()
    return call.paged(list(call.world.oauth.applications.values()), _shown)


@routes.on("POST", "/applications")
def create(call: Call) -> object:
    """The secret is told in this answer and never again."""
    call.need_admin()
    params = call.params
    name, scopes = params.need("name"), tuple(params.need("scopes").split())
    redirect_uris = tuple(params.need("redirect_uri").split())
    if not set(scopes) <= set(SCOPES):
        raise bad({"scopes": ["doesn't match configured on the server."]})
    if not all(uri.startswith(("http://", "https://")) for uri in redirect_uris):
        raise bad({"redirect_uri": ["must be an absolute URI."]})
    number = call.world.state.next_id("application")
    made, secret = call.world.oauth.register(number, name, redirect_uris, scopes)
    return Answer({**_shown(made), "secret": secret}, 201)


@routes.on("DELETE", "/applications/:id")
def delete(call: Call) -> object:
    call.need_admin()
    if not call.world.oauth.forget(call.number("id") or 0):
        raise missing("Application")
    return NO_CONTENT


def _shown(application: Application) -> dict[str, object]:
    return {
        "id": application.number,
        "application_id": application.uid,
        "application_name": application.name,
        "callback_url": "\n".join(application.redirect_uris),
        "confidential": application.confidential,
        "scopes": list(application.scopes),
    }
