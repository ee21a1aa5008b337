"""One connection: it recovers, keeps itself alive, and renews its token, until it ends."""

import asyncio
import logging
from collections.abc import Callable

from . import credentials
from .backoff import Backoff
from .errors import ConnectionEndedError, RefusedError
from .protocol import Authenticated, Goodbye, Notification, Pong, Recovered, Refused, parse
from .requests import Answer, Requests
from .session import Session
from .transport import Socket

FIRST_PING_S = 10.0  # by then a new row is in the index that deliveries read
PROBE_S = 5.0
SETTLING_S = 1.0  # posts may overtake each other
LOG = logging.getLogger("incident_websocket")


class Connection:
    """A connection of a session, opened just now. `report` is called with errors.

    `caught_up` is set when it has recovered everything, `stale` when a fresh connection should
    replace it, and `ended` at its end. `goodbye` is what the server said then.
    """

    def __init__(
        self,
        socket: Socket,
        session: Session,
        report: Callable[[Exception], object],
        token: str | None,
        get_token: credentials.GetToken | None,
    ) -> None:
        self.caught_up = asyncio.Event()
        self.stale = asyncio.Event()
        self.ended = asyncio.Event()
        self.opened_at = asyncio.get_running_loop().time()
        self.goodbye: Goodbye | None = None
        self._socket, self._session, self._report = socket, session, report
        self._expires_at, self._get_token = credentials.expiry(token), get_token
        self._requests = Requests(socket.send)
        self._wanted = asyncio.Event()  # a recovery
        self._wanted.set()
        self._suspected = asyncio.Event()  # of being dead
        self._settling: asyncio.TimerHandle | None = None
        self._known_client = asyncio.Event()
        session.merge.opened()
        self._asked = session.merge.position
        self._complete: bool | None = None  # as of the page asked for, None before it comes

    async def run(self) -> None:
        """Serve until the connection ends."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read())
                group.create_task(self._recover())
                group.create_task(self._keep_alive())
                group.create_task(self._probe())
                group.create_task(self._send_receipts())
                if self._get_token is not None:
                    group.create_task(self._renew_token(self._get_token))
        except* ConnectionEndedError as ended:
            LOG.debug("connection ended: %s", ended.exceptions[0])
        finally:
            self.ended.set()
            if self._settling is not None:
                self._settling.cancel()
            self._socket.abort()

    async def close(self) -> None:
        """Close with code 1000."""
        await self._socket.close()

    def suspect(self) -> None:
        """Check now whether the server answers: the machine may have slept."""
        self._suspected.set()

    async def _read(self) -> None:
        while True:
            text = await self._socket.receive()
            try:
                message = parse(text)
            except ValueError as error:
                self._report(error)
                continue
            if isinstance(message, Notification):
                self._take_live(message)
            elif isinstance(message, Goodbye):
                self.goodbye = message
                await self._socket.close()  # with 1000, as the server would: it is the same end
                raise ConnectionEndedError(f"goodbye: {message.reason}")
            elif message is not None:
                self._take_answer(message)

    def _take_answer(self, answer: Answer) -> None:
        if self._requests.answered(answer) and isinstance(answer, Recovered):
            # now, because live notifications may be right behind it
            self._complete = self._session.take_page(answer, self._asked)
            self._known_client.set()

    def _take_live(self, notification: Notification) -> None:
        session = self._session
        if session.inbox.full and notification.seq is not None:
            self._wanted.set()  # the recovery waits for room
            return
        known = self._known_client.is_set()
        session.inbox.put(session.merge.live(notification, known_client=known))
        self._settle()

    def _settle(self) -> None:
        """Recover what is missing before the held entries, unless it comes by itself."""

        def recover_if_missing() -> None:
            self._settling = None
            if self._session.merge.holding:
                self._wanted.set()

        if self._session.merge.holding and self._settling is None:
            spread = self._session.options.random.uniform(0, self._session.spread_s)
            loop = asyncio.get_running_loop()
            self._settling = loop.call_later(SETTLING_S + spread, recover_if_missing)

    async def _recover(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self._catch_up()
            self.caught_up.set()
            self._settle()

    async def _catch_up(self) -> None:
        """Recover page by page. Ask again for one that fails, ever more rarely; posts go on."""
        backoff = Backoff(self._session.options.random)
        while True:
            await self._session.inbox.room()
            is_last = await self._page()
            if is_last:
                return
            if is_last is None:
                await asyncio.sleep(backoff.failed(self._session.spread_s))
            else:
                backoff = Backoff(self._session.options.random)

    async def _page(self) -> bool | None:
        """Recover a page. Return whether that was all, None if it failed and may be repeated."""
        self._complete, self._asked = None, self._session.merge.position
        asked, answer = self._asked, None
        last = {"last": self._session.options.last} if asked is None else {}
        try:
            answer = await self._requests.ask("recover", after=asked, **last)
        except TimeoutError:
            await self._ping()
        if self._complete is not None:  # also if the page came only before the pong
            moved = self._session.merge.position != asked
            return self._complete if self._complete or moved else None
        if isinstance(answer, Refused) and answer.code != "try_again":
            self._report(RefusedError(f"recover: {answer.message}"))
            if asked is None or answer.code != "bad_request" or answer.n is None:
                self._session.inbox.put(self._session.merge.release())
                return True  # the server has no history
            self._session.merge.forget()
            return False
        return None

    async def _keep_alive(self) -> None:
        await asyncio.sleep(FIRST_PING_S)
        while True:
            answer = await self._ping(heads=True)
            if isinstance(answer, Pong) and self._session.merge.behind(answer.heads):
                self._wanted.set()
            jitter = self._session.options.random.uniform(0.9, 1.1)
            await asyncio.sleep(self._session.keep_alive_s * jitter)

    async def _probe(self) -> None:
        while True:
            await self._suspected.wait()
            self._suspected.clear()
            await self._ping()

    async def _ping(self, *, heads: bool = False) -> object:
        """Ping, with `heads` twice. Raise `ConnectionEndedError` if nothing answers."""
        try:
            if not heads:
                return await self._requests.ask("ping", PROBE_S)
            try:
                return await self._requests.ask("ping", heads=True)
            except TimeoutError:
                return await self._requests.ask("ping", heads=True)
        except TimeoutError as error:
            raise ConnectionEndedError(str(error)) from error

    async def _renew_token(self, get_token: credentials.GetToken) -> None:
        """Authenticate with a new token before the old one expires, or ask for a replacement."""
        while self._expires_at is not None:
            delay = credentials.renewal_delay(self._expires_at - self._session.options.now())
            if delay is None:
                return
            await asyncio.sleep(delay)
            try:
                token = await credentials.ask(get_token)
                answer = await self._requests.ask("authenticate", token=token)
            except ConnectionEndedError:
                raise
            except Exception as error:  # noqa: BLE001 - anything that `token` raises
                self._report(error)
                answer = None
            if not isinstance(answer, Authenticated):
                self.stale.set()
                return
            self._expires_at = answer.expires_at or credentials.expiry(token)

    async def _send_receipts(self) -> None:
        """Acknowledge what is finished, each until the server has answered.

        This does not wait until the consumer has caught up: the senders wait for seconds.
        """
        receipts, random = self._session.receipts, self._session.options.random
        await self._known_client.wait()
        backoff = Backoff(random)
        while True:
            seq = await receipts.next()
            if await self._acknowledged(seq):
                receipts.remove(seq)
                backoff = Backoff(random)
            else:
                receipts.postpone(seq)
                await asyncio.sleep(backoff.failed(self._session.spread_s))

    async def _acknowledged(self, seq: int) -> bool:
        """Send a receipt. Return False if there is no answer, or the server cannot take it now."""
        try:
            answer = await self._requests.ask("received", seq=seq)
        except TimeoutError:
            return False
        return not isinstance(answer, Refused) or answer.code != "try_again"
