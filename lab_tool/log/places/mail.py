"""A mailbox as second place: the checkpoint as an attachment, by SMTP. It can't be asked for it again."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from urllib.parse import unquote, urlsplit

from lab_tool.log.note import Checkpoint
from lab_tool.log.places import PATIENCE, Delivery, PlaceError

TEXT = """\
{checkpoint.origin}: {checkpoint.size} 条记录，{checkpoint.time}
请保留此邮件。日后用附件核对日志：lab log verify --checkpoint 附件

{checkpoint.origin}: {checkpoint.size} entries at {checkpoint.time}
Please keep this message. The attachment proves later what the log was:
lab log verify --checkpoint ATTACHMENT
"""


def send(target: str, delivery: Delivery) -> None:
    """Send to `smtp://host:port/to@example.org` (or `smtps://`). The text is signed, so it needs no secrecy."""
    url = urlsplit(target)
    to = unquote(url.path.lstrip("/"))
    if url.scheme not in ("smtp", "smtps") or not url.hostname or "@" not in to:
        raise PlaceError("not of the form smtp://host:port/to@example.org", where=target)
    connect = smtplib.SMTP_SSL if url.scheme == "smtps" else smtplib.SMTP
    try:
        message = _message(to, delivery)
        with connect(url.hostname, url.port or 0, timeout=PATIENCE) as server:
            server.send_message(message)
    except (OSError, ValueError, smtplib.SMTPException) as error:
        raise PlaceError(f"not sent: {error}", where=url.hostname) from error


def _message(to: str, delivery: Delivery) -> EmailMessage:
    checkpoint = delivery.checkpoint
    domain = checkpoint.origin.split("/")[0]
    message = EmailMessage()
    message["From"] = f"lab-log@{domain}"
    message["To"] = to
    message["Date"] = format_datetime(delivery.now)
    message["Message-ID"] = make_msgid(domain=domain)
    message["Subject"] = f"Checkpoint {checkpoint.size} {checkpoint.origin}"
    message.set_content(_text(checkpoint))
    message.add_attachment(
        checkpoint.encode(), maintype="application", subtype="octet-stream", filename=checkpoint.file_name
    )
    return message


def _text(checkpoint: Checkpoint) -> str:
    return TEXT.format(checkpoint=checkpoint)
