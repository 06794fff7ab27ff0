"""Skills that were imported, and ready-made agents: looked at. Giving either is a change."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
from msgspec import structs

from ironclaw.api.endpoint import Call, Endpoint, encode
from ironclaw.api.registry import visible
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.rights import Right
from ironclaw.templates import Template, template, templates

if TYPE_CHECKING:
    from starlette.responses import Response

    from ironclaw.domain.skills import KeptSkill


class SkillOut(msgspec.Struct, kw_only=True):
    """A skill that was imported."""

    name: str
    digest: str
    """`sha256:…` of all its files and their names: what a change gives."""
    description: str
    license: str
    compatibility: str
    asks: tuple[str, ...]
    """Tools that it would use; nobody gets them by it."""
    signer: str
    """The key that signed it, in base64; empty when nobody did."""
    is_trusted: bool
    files: int
    bytes: int
    kept_ms: int
    agents: list[str]
    """Those that have it, of all that the caller may look at."""


class SkillList(msgspec.Struct):
    """Answer of the list."""

    skills: list[SkillOut]


class SkillManifestRow(msgspec.Struct):
    """A file of a skill."""

    path: str
    size: int
    sha256: str


class SkillShown(SkillOut, kw_only=True):
    """One skill with all there is to read of it."""

    metadata: dict[str, str]
    manifest: list[SkillManifestRow]
    text: str
    """Its whole `SKILL.md`."""


class TemplateOut(msgspec.Struct, kw_only=True):
    """A ready-made agent, in short."""

    name: str
    summary: str
    tools: tuple[str, ...]
    tasks: list[str]


class TemplateList(msgspec.Struct):
    """Answer of the list."""

    templates: list[TemplateOut]


class TemplateShown(msgspec.Struct, kw_only=True):
    """A ready-made agent."""

    template: Template
    persona: str
    """Its three parts as one text: what the agent would have."""


async def list_skills(call: Call) -> Response:
    """Skills, by name, the newest of a name first."""
    kept = await call.parts.house.skills()
    held = await _held(call)
    return encode(SkillList(skills=[_out(one, held) for one in kept]))


async def show_skill(call: Call) -> Response:
    """One skill, by its digest, or the newest of a name."""
    ref = call.path("skill")
    for one in await call.parts.house.skills():
        if ref in {one.name, one.digest}:
            short = structs.asdict(_out(one, await _held(call)))
            folder = one.folder
            rows = [SkillManifestRow(row.path, row.size, row.sha256) for row in folder.files]
            return encode(
                SkillShown(**short, metadata=folder.metadata, manifest=rows, text=folder.text)
            )
    raise UserError(
        Code.NOT_FOUND,
        f"There is no skill {ref[:64]!r} here.",
        hint="`ironclaw skill list` shows those there are.",
    )


async def list_templates(call: Call) -> Response:
    """Ready-made agents."""
    del call
    found = await asyncio.to_thread(templates)
    return encode(
        TemplateList(
            templates=[
                TemplateOut(
                    name=one.name,
                    summary=one.summary,
                    tools=one.tools,
                    tasks=[task.name for task in one.tasks],
                )
                for one in found
            ]
        )
    )


async def show_template(call: Call) -> Response:
    """One ready-made agent."""
    found = await asyncio.to_thread(template, call.path("template"))
    return encode(TemplateShown(template=found, persona=found.persona))


async def _held(call: Call) -> dict[str, list[str]]:
    """Names of agents that have a skill, by its digest; of those that the caller may look at."""
    seen = await visible(call)
    held: dict[str, list[str]] = {}
    for agent in await call.parts.house.agents():
        for skill in agent.skills if seen is None or agent.id in seen else ():
            held.setdefault(skill.digest, []).append(agent.name)
    return held


def _out(kept: KeptSkill, held: dict[str, list[str]]) -> SkillOut:
    folder = kept.folder
    return SkillOut(
        name=folder.name,
        digest=folder.digest,
        description=folder.description,
        license=folder.license,
        compatibility=folder.compatibility,
        asks=folder.asks,
        signer=kept.signer,
        is_trusted=kept.is_trusted,
        files=len(folder.files),
        bytes=sum(one.size for one in folder.files),
        kept_ms=kept.kept_ms,
        agents=held.get(folder.digest, []),
    )


ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/skills",
        Right.READ,
        "any",
        "List skills that were imported",
        list_skills,
        reply=SkillList,
    ),
    Endpoint(
        "GET",
        "/v1/skills/{skill}",
        Right.READ,
        "any",
        "Show a skill, by its digest, or the newest of a name",
        show_skill,
        reply=SkillShown,
    ),
    Endpoint(
        "GET",
        "/v1/templates",
        Right.READ,
        "any",
        "List ready-made agents",
        list_templates,
        reply=TemplateList,
    ),
    Endpoint(
        "GET",
        "/v1/templates/{template}",
        Right.READ,
        "any",
        "Show a ready-made agent: persona, tools, limits, tasks, what to ask people for",
        show_template,
        reply=TemplateShown,
    ),
)
