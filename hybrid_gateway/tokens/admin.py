"""Tokens in the admin: issue one, see it once, revoke it. Nothing here can show or change a secret.

``UserAdmin.actions = [log_out_everywhere]`` puts that action on a project's own users, too.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_permission_codename, get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from hybrid_gateway.tokens.models import JWTSession, Token, TokenQuerySet, TokenState
from hybrid_gateway.tokens.revocation import logout_everywhere
from hybrid_gateway.tokens.secret import check_scopes

__all__ = ["JWTSessionAdmin", "TokenAdmin", "log_out_everywhere"]

if TYPE_CHECKING:  # generic for type checkers only
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser
    from django_stubs_ext import StrOrPromise

    _ModelForm = forms.ModelForm[Token]
    _AnyAdmin = admin.ModelAdmin[Any]
else:
    _ModelForm = forms.ModelForm
    _AnyAdmin = admin.ModelAdmin


class IssueForm(_ModelForm):
    """The add form: for whom, what for, how long."""

    expires_in_days = forms.IntegerField(
        label=_("Expires in days"),
        min_value=1,
        max_value=3650,
        initial=90,
        required=False,
        help_text=_("Empty: never."),
    )

    scopes_text = forms.CharField(
        label=_("Scopes"),
        max_length=1000,
        required=False,
        help_text=_("Names between spaces, such as orders:read orders:write."),
    )

    issuer: ClassVar[AbstractBaseUser | AnonymousUser]  # the user of the request; see TokenAdmin.get_form

    class Meta:
        model = Token
        fields = ("user", "name")

    def clean_scopes_text(self) -> list[str]:
        try:
            return check_scopes(self.cleaned_data["scopes_text"].split())
        except ValueError as error:
            raise forms.ValidationError(str(error), code="not_scopes") from error

    def clean_user(self) -> AbstractBaseUser:
        # SECURITY: a token acts for its user, so the permission to add tokens alone would make everyone a superuser.
        # Who may change a user could set a password and log in as them anyway.
        user: AbstractBaseUser = self.cleaned_data["user"]
        if user != self.issuer and not _may_change_users(self.issuer):
            raise forms.ValidationError(_("You may issue tokens for yourself only."), code="not_yours")
        return user


def _user_model() -> Any:  # Any, because stubs do not know USERNAME_FIELD
    return get_user_model()


def _may_change_users(user: Any) -> bool:  # Any, because stubs know users without permissions
    options = _user_model()._meta
    return bool(user.has_perm(f"{options.app_label}.{get_permission_codename('change', options)}"))


class StateFilter(admin.SimpleListFilter):
    """By what SQL can tell of the state; a changed password it cannot."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Token]) -> list[tuple[str, StrOrPromise]]:
        return [(state.value, state.label) for state in TokenState if state in _SELECT]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Token]) -> QuerySet[Token]:
        select = _SELECT.get(self.value() or "")
        return queryset if select is None else select(queryset)


_SELECT: dict[str, Callable[..., QuerySet[Token]]] = {
    TokenState.ACTIVE: TokenQuerySet.active,
    TokenState.EXPIRED: TokenQuerySet.expired,
    TokenState.REVOKED: TokenQuerySet.revoked,
}


@admin.action(description=_("Log out everywhere"), permissions=["change"])
def log_out_everywhere(model_admin: admin.ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Any]) -> None:
    """End every token, API key, JWT and session of the selected users, or of the users of the selected tokens."""
    is_users = issubclass(queryset.model, get_user_model())
    users = {row.pk: row for row in ((entry if is_users else entry.user) for entry in queryset)}
    for user in users.values():
        # SECURITY: the permission to change tokens is not that to log a superuser out.
        if not is_users and user != request.user and not _may_change_users(request.user):
            model_admin.message_user(request, gettext("You may log out yourself only."), messages.ERROR)
            return
    for user in users.values():
        logout_everywhere(user)
        if is_users:
            model_admin.log_change(request, user, gettext("Logged out everywhere."))
    text = ngettext("%d user is logged out.", "%d users are logged out.", len(users)) % len(users)
    model_admin.message_user(request, text, messages.SUCCESS)


class _CredentialAdmin(_AnyAdmin):
    """The lists of tokens and of logins: their states, and their end."""

    list_select_related = ("user",)
    ordering = ("-pk",)
    actions = ("revoke_selected", log_out_everywhere)

    @admin.display(description=_("state"))
    def state(self, credential: Token | JWTSession) -> str:
        return str(credential.state.label)

    def _revoke(self, request: HttpRequest, *credentials: Token | JWTSession) -> None:
        for credential in credentials:
            credential.revoke()
            self.log_change(request, credential, gettext("Revoked."))


@admin.register(Token)
class TokenAdmin(_CredentialAdmin):
    """Adding a token issues it and shows its plain text once; a token's name is all that can be changed later."""

    list_display = ("user", "name", "hint", "state", "created_at", "expires_at", "last_used_at")
    list_display_links = ("user", "hint")
    list_filter = (StateFilter, "created_at")
    raw_id_fields = ("user",)
    issue_fields = ("user", "name", "expires_in_days", "scopes_text")
    fields = ("user", "name", "hint", "state", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at")
    readonly_fields = ("user", "hint", "state", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at")

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return ("name", "hint", f"user__{_user_model().USERNAME_FIELD}")

    def get_fields(self, request: HttpRequest, obj: Token | None = None) -> Any:
        return self.issue_fields if obj is None else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Token | None = None) -> Any:
        return () if obj is None else self.readonly_fields

    def get_form(
        self, request: HttpRequest, obj: Token | None = None, change: bool = False, **kwargs: object
    ) -> type[_ModelForm]:
        if obj is not None:
            return super().get_form(request, obj, change, **kwargs)

        class FormOfIssuer(IssueForm):
            issuer = request.user

        return super().get_form(request, obj, change, **{**kwargs, "form": FormOfIssuer})

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, str | list[str]]:
        return {"user": str(request.user.pk), **super().get_changeform_initial_data(request)}

    def save_model(self, request: HttpRequest, obj: Token, form: _ModelForm, change: bool) -> None:
        if change:
            # Only what the form holds: saving the rest would undo a revocation made meanwhile.
            obj.save(update_fields=["name"])
            return
        if days := form.cleaned_data["expires_in_days"]:
            obj.expires_at = obj.created_at + timedelta(days=days)
        obj.expires_at = obj.ends_at
        obj.scopes = form.cleaned_data["scopes_text"]
        plain = obj.draw_secret()
        super().save_model(request, obj, form, change)
        note = gettext("Copy the token now, it will not be shown again: {}")
        self.message_user(request, format_html(note, format_html("<code>{}</code>", plain)), messages.WARNING)

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, object],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Token | None = None,
    ) -> HttpResponse:
        context["show_revoke"] = obj is not None and obj.revoked_at is None and self.has_change_permission(request, obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def response_change(self, request: HttpRequest, obj: Token) -> HttpResponse:
        if "_revoke" not in request.POST:
            return super().response_change(request, obj)
        self._revoke(request, obj)
        self.message_user(request, gettext("The token is revoked."), messages.SUCCESS)
        return HttpResponseRedirect(request.get_full_path())

    @admin.action(description=_("Revoke selected tokens"), permissions=["change"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[Token]) -> None:
        tokens = list(queryset.filter(revoked_at=None))
        self._revoke(request, *tokens)
        text = ngettext("%d token is revoked.", "%d tokens are revoked.", len(tokens)) % len(tokens)
        self.message_user(request, text, messages.SUCCESS)


@admin.register(JWTSession)
class JWTSessionAdmin(_CredentialAdmin):
    """Logins by JWT, to look at and to end."""

    list_display = ("user", "state", "created_at", "refreshed_at", "expires_at")
    list_filter = ("created_at",)
    fields = ("user", "state", "scopes", "created_at", "refreshed_at", "expires_at", "revoked_at")
    readonly_fields = fields

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return (f"user__{_user_model().USERNAME_FIELD}",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.action(description=_("End selected logins"), permissions=["change"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[JWTSession]) -> None:
        sessions = list(queryset.filter(revoked_at=None))
        self._revoke(request, *sessions)
        text = ngettext("%d login is ended.", "%d logins are ended.", len(sessions)) % len(sessions)
        self.message_user(request, text, messages.SUCCESS)
