"""Images from a registry, over the distribution API: no daemon, no other program.

`pull` resolves a reference to a digest once, re-hashes everything while it streams, and leaves the
manifest in the store. TLS, except to loopback.

Source: OCI Distribution Specification 1.1, "Pull"; the anonymous token flow of Docker Registry v2.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from typing import TYPE_CHECKING, Final, NamedTuple

import httpx2
import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError
from ironclaw.image import oci
from ironclaw.image.platform import this_machine
from ironclaw.image.provision import admit_default, select
from ironclaw.image.rootfs import RootfsStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ironclaw.domain.wall import Rootfs
    from ironclaw.image.layout import ImageStore

_REFERENCE: Final = re.compile(
    r"\A(?P<host>[A-Za-z0-9.\-]+(?::[0-9]{1,5})?|\[[0-9a-fA-F:]+\](?::[0-9]{1,5})?)"
    r"/(?P<repository>[a-z0-9]+(?:[._/\-]{1,2}[a-z0-9]+){0,16})"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?\Z"
)
_ACCEPT: Final = f"{oci.MANIFEST}, {oci.INDEX}, {oci.DOCKER_MANIFEST}, {oci.DOCKER_INDEX}"
_CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')
_TIMEOUT_S: Final = 30.0
"""Seconds without a byte."""
_TOTAL_S: Final = 1800.0


class Reference(NamedTuple):
    """Where an image is."""

    host: str
    repository: str
    tag: str | None
    digest: str | None

    @property
    def base(self) -> str:
        """The repository's URL."""
        scheme = "http" if _is_loopback(self.host) else "https"
        return f"{scheme}://{self.host}/v2/{self.repository}"


class _Token(msgspec.Struct):
    token: str = ""
    access_token: str = ""


def parse_reference(text: str) -> Reference:
    """Parse `host[:port]/repository[:tag][@digest]`.

    Raises:
        UserError: `INVALID`; the host is never guessed.
    """
    found = _REFERENCE.match(text)
    if found is None or (found["tag"] is None and found["digest"] is None):
        raise UserError(
            Code.INVALID,
            f"{text[:200]!r} is not a full image reference.",
            hint="Write host/repository@sha256:…, or host/repository:tag with a trusted key.",
        )
    return Reference(found["host"], found["repository"], found["tag"], found["digest"])


class RegistryProvisioner:
    """Provisions from a registry."""

    def __init__(self, state_dir: Path, *, progress: Callable[[str], None] | None = None) -> None:
        self._store = RootfsStore(state_dir)
        self._progress = progress

    async def provision(self, reference: str) -> Rootfs:
        """Pull an image and unpack it; an image that is here already is not fetched again."""
        parsed = parse_reference(reference)
        digest = parsed.digest
        if digest is None or not await asyncio.to_thread(self._store.images.has, digest):
            digest = await pull(self._store.images, parsed, progress=self._progress)
        return await asyncio.to_thread(admit_default, self._store, digest)


async def pull(
    store: ImageStore, reference: Reference, *, progress: Callable[[str], None] | None = None
) -> str:
    """Fetch an image into the store; return its manifest's digest. Trust is decided later.

    Raises:
        HostError: `UNAVAILABLE`, `IMAGE_MISSING` or `IMAGE_BROKEN`.
    """
    timeout = httpx2.Timeout(_TIMEOUT_S)
    try:
        async with (
            asyncio.timeout(_TOTAL_S),
            # Redirects are followed: registries send blobs from elsewhere, and all is re-hashed.
            httpx2.AsyncClient(timeout=timeout, follow_redirects=True, trust_env=True) as client,
        ):
            session = _Session(client, reference)
            raw = await session.document("manifests", reference.digest or reference.tag or "")
            if reference.digest is not None and oci.digest_of(raw) != reference.digest:
                raise oci.broken("The registry sent another manifest than the one asked for.")
            if oci.is_index(raw):
                row = select(oci.parse_index(raw), architecture=this_machine().oci)
                raw = await session.document("manifests", row.digest)
                if oci.digest_of(raw) != row.digest:
                    raise oci.broken("The registry sent another manifest than its index names.")
            manifest = oci.parse_manifest(raw)
            for number, blob in enumerate((manifest.config, *manifest.layers)):
                if progress is not None:
                    progress(f"blob {number + 1} of {len(manifest.layers) + 1}, {blob.size} bytes")
                if not await asyncio.to_thread(store.has, blob.digest):
                    await session.blob(store, blob)
    except (httpx2.HTTPError, TimeoutError) as error:
        raise HostError(
            Code.UNAVAILABLE,
            f"The registry {reference.host} could not be reached.",
            hint="Check the name and the network, or import an archive: `ironclaw image import`.",
            detail=repr(error),
        ) from error
    return await asyncio.to_thread(store.put, raw)


class _Session:
    """One registry, one repository, one anonymous token."""

    def __init__(self, client: httpx2.AsyncClient, reference: Reference) -> None:
        self._client = client
        self._reference = reference
        self._headers: dict[str, str] = {}

    async def document(self, kind: str, name: str) -> bytes:
        """Fetch a manifest or index, at most its size cap."""
        url = f"{self._reference.base}/{kind}/{name}"
        body = bytearray()
        async with await self._open(url, accept=_ACCEPT) as response:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > oci.MAX_DOCUMENT_BYTES:
                    raise oci.broken("The registry sent a manifest that is too large.")
        return bytes(body)

    async def blob(self, store: ImageStore, descriptor: oci.Descriptor) -> None:
        """Stream one blob into the store."""
        url = f"{self._reference.base}/blobs/{descriptor.digest}"
        async with await self._open(url, accept="*/*") as response:
            context = store.writer(digest=descriptor.digest, limit=descriptor.size)
            writer = await asyncio.to_thread(context.__enter__)
            try:
                async for chunk in response.aiter_raw():
                    await asyncio.to_thread(writer.write, chunk)
            except BaseException as error:
                trace = error.__traceback__
                await asyncio.to_thread(context.__exit__, type(error), error, trace)
                raise
            await asyncio.to_thread(context.__exit__, None, None, None)

    async def _open(self, url: str, *, accept: str) -> _Stream:
        headers = {"Accept": accept, "Accept-Encoding": "identity", **self._headers}
        request = self._client.build_request("GET", url, headers=headers)
        response = await self._client.send(request, stream=True)
        if response.status_code == httpx2.codes.UNAUTHORIZED and not self._headers:
            challenge = response.headers.get("WWW-Authenticate", "")
            await response.aclose()
            await self._authorize(challenge)
            request.headers["Authorization"] = self._headers["Authorization"]
            response = await self._client.send(request, stream=True)
        if response.status_code != httpx2.codes.OK:
            await response.aclose()
            raise HostError(
                Code.IMAGE_MISSING,
                f"The registry {self._reference.host} answered {response.status_code}.",
                hint="Check repository, tag and digest.",
            )
        return _Stream(response)

    async def _authorize(self, challenge: str) -> None:
        """Fetch the anonymous token that the registry asks for."""
        fields = dict(_CHALLENGE.findall(challenge))
        realm = httpx2.URL(fields.get("realm", ""))
        if realm.scheme != "https" and not _is_loopback(realm.host):
            raise HostError(
                Code.UNAVAILABLE,
                f"The registry {self._reference.host} wants credentials.",
                hint="Fetch with your own tools, then `ironclaw image import FILE`.",
            )
        scope = f"repository:{self._reference.repository}:pull"
        answer = await self._client.get(
            realm, params={"service": fields.get("service", ""), "scope": scope}
        )
        try:
            token = msgspec.json.decode(answer.content[:65536], type=_Token)
        except (ValueError, RecursionError) as error:
            raise HostError(
                Code.UNAVAILABLE,
                "The registry's token is not well formed.",
                hint="Fetch with your own tools, then `ironclaw image import FILE`.",
            ) from error
        self._headers["Authorization"] = f"Bearer {token.token or token.access_token}"


class _Stream:
    """Closes a streamed response."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    async def __aenter__(self) -> httpx2.Response:
        return self._response

    async def __aexit__(self, *_: object) -> None:
        await self._response.aclose()


def _is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if re.search(r":[0-9]+\Z", host) else host
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
