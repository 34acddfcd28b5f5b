"""Composing a config: whatever Hydra, OmegaConf or YAML raise on it becomes one message."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from omegaconf import DictConfig

from cnnexp.app.messages import in_our_words
from cnnexp.errors import CnnexpError, ConfigError


@contextmanager
def composing(compose: Callable[[], DictConfig], folders: Iterable[str] = ()) -> Iterator[None]:
    """Raise whatever goes wrong while a config is composed as ConfigError.

    Parameters
    ----------
    compose : callable
        Gives the config without overrides.
    folders : iterable of str
        Where config files lie, for the message to name the one that cannot be read.
    """
    try:
        with in_our_words(compose):
            yield
    except CnnexpError:
        raise
    except yaml.reader.ReaderError as error:
        raise ConfigError([f"{error.name}: not valid YAML: {error.reason}."]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([_not_utf8(folders, error)]) from None
    except RecursionError:
        raise ConfigError(["a config file or an override is nested too deeply."]) from None
    except MemoryError:
        raise
    except OSError as error:
        if error.errno is not None:  # of the system; OmegaConf has some of its own
            raise
        raise ConfigError([_no_mapping(folders)]) from None
    except Exception as error:
        text = " ".join(str(error).split())[:300].rstrip(".")
        raise ConfigError([f"the settings cannot be composed: {text or repr(error)}."]) from None


def _no_mapping(folders: Iterable[str]) -> str:
    """Name the config file that holds neither a mapping nor a list."""
    for folder in folders:
        for path in sorted(Path(folder).rglob("*.yaml")):
            try:
                found = yaml.safe_load(path.read_bytes())
            except (yaml.YAMLError, OSError, ValueError, RecursionError):
                continue
            if isinstance(found, (bool, int, float, bytes)):
                return f"{path}: must hold settings, as key: value. It holds {found!r:.60} alone."
    return "a config file holds a single value, where settings are expected as key: value."


def _not_utf8(folders: Iterable[str], error: UnicodeDecodeError) -> str:
    """Name the config file that is not UTF-8, the encoding of YAML here."""
    for folder in folders:
        for path in sorted(Path(folder).rglob("*.yaml")):
            try:
                path.read_text(encoding="utf-8")
            except UnicodeDecodeError as found:
                return (
                    f"{path}: byte {found.start + 1} is not UTF-8. Save the file in the encoding"
                    " UTF-8."
                )
            except OSError:
                continue
    return f"a config file is not UTF-8: {error.reason}."
