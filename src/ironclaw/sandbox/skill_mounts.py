"""Skills as mounts: `/shared/skills/<name>`, read-only, each verified again before it is shown.

They are the house's own, so the rules of directories that people share do not fit them: what a
skill's mount shows is the `files` of one digest in the house's own `skills`, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.domain.model import SharedMount
from ironclaw.sandbox import nest
from ironclaw.sandbox.sharing import set_points, set_points_in_point

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ironclaw.domain.model import Skill
    from ironclaw.domain.wall import SkillShelf

POINT: Final = "skills"
"""The directory in `/shared` that they lie in."""


class NoShelf:
    """A house without any skill."""

    def verified(self, digest: str) -> Path:
        """There is none. Raises HostError (`HOST_UNSUITED`)."""
        raise HostError(
            Code.HOST_UNSUITED,
            f"There is no skill {digest} here.",
            hint="Import it: `ironclaw skill import FILE`.",
        )


def show_skill(view: Path, skill: Skill, shelf: SkillShelf) -> tuple[SharedMount, Path]:
    """Bind a skill into the view; return it as a mount, and which directory of the house it shows.

    Raises:
        HostError: `HOST_UNSUITED`: it is not what was approved any more, or cannot be bound.
    """
    files = shelf.verified(skill.digest)
    found = files.stat()
    # One that was taken away and imported again is another directory, whatever its name.
    known_as = f"{skill.digest}\0{found.st_dev}\0{found.st_ino}"
    place = nest.expose(view, files, read_only=True, known_as=known_as)
    mount = SharedMount(
        name=f"{POINT}/{skill.name}",
        path=str(place),
        device=found.st_dev,
        inode=found.st_ino,
    )
    return mount, files


def set_all_points(shared: Path, mounts: Sequence[SharedMount], skills: Sequence[Skill]) -> None:
    """Make the mount points of an agent's `shared`; those it needs no more go. Blocks.

    Raises:
        HostError: `HOST_UNSUITED`: something else has one of these names.
    """
    names = [skill.name for skill in skills]
    if (shared / POINT).is_dir():
        # What is in it has to go before it can.
        set_points_in_point(shared / POINT, names)
    set_points(shared, [*(mount.name for mount in mounts), *([POINT] if skills else [])])
    if skills:
        set_points_in_point(shared / POINT, names)
