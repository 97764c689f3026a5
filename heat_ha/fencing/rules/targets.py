# SPDX-License-Identifier: Apache-2.0
"""What a power control switches off, in one form, however the fencing file spells it. Pure."""

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

# Names that programs of fence-agents have for one option: the first one is the usual one.
_ADDRESSES = ('ip', 'ipaddr', 'ipaddress')
_PLUGS = ('plug', 'port', 'nodename')

# Beside address and plug, the options by which one plug is not the one of the same name: it is
# behind another port of the address, or in another part of what is there.
_PARTS = {
    'datacenter', 'ipport', 'managed', 'suborg', 'switch', 'systems_uri', 'uuid',
    'vmware_datacenter',
}  # fmt: skip

# Options that say how a program talks and for how long it waits, not which host it switches.
_NOT_THE_TARGET = {
    'auth', 'cipher', 'command_prompt', 'cmd_prompt', 'community', 'debug', 'debug_file', 'delay',
    'disable_timeout', 'gnutlscli_path', 'hexadecimal_kg', 'identity_file', 'inet4_only',
    'inet6_only', 'ipmitool_path', 'lanplus', 'login', 'login_timeout', 'method', 'notls', 'passwd',
    'passwd_script', 'password', 'password_script', 'power_timeout', 'power_wait', 'privlvl',
    'quiet', 'retry_on', 'secure', 'separator', 'shell_timeout', 'snmp_auth_prot',
    'snmp_priv_passwd', 'snmp_priv_passwd_script', 'snmp_priv_prot', 'snmp_sec_level',
    'snmp_version', 'snmpget_path', 'snmpset_path', 'snmpwalk_path', 'ssh', 'ssh_options',
    'ssh_path', 'ssl', 'ssl_insecure', 'ssl_secure', 'stonith_status_sleep', 'sudo', 'sudo_path',
    'telnet_path', 'timeout', 'tls1.0', 'use_sudo', 'username', 'verbose', 'verbose_level',
}  # fmt: skip

# Of these, the ones that are texts, and those that are secret or a name to log in with.
_SECRETS = {
    'community', 'hexadecimal_kg', 'login', 'passwd', 'password', 'snmp_priv_passwd', 'username',
}  # fmt: skip
_TEXTS = {*_SECRETS, 'cmd_prompt', 'command_prompt', 'separator', 'snmp_version'}

# What tells a program of fence-agents: what its options mean is known.
_FENCE_AGENTS = 'fence_'

_UUID = re.compile(r'[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}', re.IGNORECASE)

# Ports that need not be written: of https and of IPMI.
_USUAL_PORTS = ('443', '623')


def plain_address(address: str) -> str:
    """An address as it is compared: without scheme, path, case and the port that is the usual one.

    An IPv6 address may have any of its forms, with or without brackets.
    """
    scheme, is_url, rest = address.strip().casefold().partition('://')
    whole = rest if is_url else scheme
    usual = '80' if is_url and scheme == 'http' else '443'
    host, port = _host_and_port(re.split(r'[/?#]', whole)[0].rpartition('@')[2])
    host = _plain_host(host)
    return host if port in ('', usual) else with_port(host, port)


def with_port(host: str, port: str) -> str:
    """An address with a port that is not the usual one."""
    return f'[{host}]:{port}' if ':' in host else f'{host}:{port}'


def _host_and_port(text: str) -> tuple[str, str]:
    if text.startswith('['):
        host, _bracket, rest = text[1:].partition(']')
        return host, rest.removeprefix(':')
    if text.count(':') > 1:
        # IPv6 without brackets has no port.
        return text, ''
    host, _colon, port = text.partition(':')
    return host, port


def _plain_host(host: str) -> str:
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return host.rstrip('.')
    return str(getattr(found, 'ipv4_mapped', None) or found)


def is_address(option: str) -> bool:
    """Whether an option of a program of fence-agents is the address of the power control."""
    return _plain_name(option) in _ADDRESSES


def is_secret(option: str) -> bool:
    """Whether an option of a program logs in."""
    return _plain_name(option) in _SECRETS


def may_have_a_fraction(option: str) -> bool:
    """Whether an option may be such a number as 0.5: it is no text, and does not tell the host."""
    return _plain_name(option) in _NOT_THE_TARGET - _TEXTS


def of_program(program: str, options: Mapping[Any, Any]) -> tuple[str, ...]:
    """What a program switches off: the plug at an address, or what all of its options say.

    Of a program that is not of fence-agents, any option may tell which host it switches.

    :param program: where it is.
    """
    plain = _plain_options(options)
    address, plug = (plain.get(names[0], '') for names in (_ADDRESSES, _PLUGS))
    if not program.rpartition('/')[2].startswith(_FENCE_AGENTS):
        if address and plug:
            # As a program of fence-agents, where nothing else tells two plugs apart.
            used = {_first_of(names, options) for names in (_ADDRESSES, _PLUGS)}
            rest = {k: v for k, v in options.items() if _plain_name(k) not in used}
            return (address, f'plug={plug}', *_all_options(rest))
        return (program, *_all_options(options))
    if address and plug:
        parts = (f'{key}={plain[key]}' for key in sorted(_PARTS & set(plain)))
        return (address, f'plug={plug}', *parts)
    chosen = sorted(f'{key}={value}' for key, value in plain.items() if key not in _NOT_THE_TARGET)
    return (program, *chosen)


def _first_of(names: tuple[str, ...], options: Mapping[Any, Any]) -> str:
    """By which of several names for one thing the options have it."""
    there = {_plain_name(key) for key, value in options.items() if str(value).strip()}
    return next((name for name in names if name in there), '')


def address_of_machine(options: Mapping[Any, Any]) -> str:
    """The address of a power control with one machine, as a BMC; '' where it has plugs."""
    plain = _plain_options(options)
    address, plug = (plain.get(names[0], '') for names in (_ADDRESSES, _PLUGS))
    if not address or plug:
        return ''
    port = plain.get('ipport', '')
    return address if port in ('', *_USUAL_PORTS) else with_port(address, port)


def _all_options(options: Mapping[Any, Any]) -> list[str]:
    """All options but those of the connection, as they are written."""
    return sorted(
        f'{key}={plain_address(str(value)) if is_address(key) else str(value).strip()}'
        for key, value in options.items()
        if _plain_name(key) not in _NOT_THE_TARGET
    )


def _plain_name(option: Any) -> str:
    return str(option).strip().casefold().replace('-', '_')


def _plain_options(options: Mapping[Any, Any]) -> dict[str, str]:
    """The options by their usual names; of several names for one, the first that has a value."""
    found = {_plain_name(key): _plain_value(key, value) for key, value in options.items()}
    for names in (_ADDRESSES, _PLUGS):
        values = [value for name in names if (value := found.pop(name, ''))]
        if values:
            found[names[0]] = plain_address(values[0]) if names is _ADDRESSES else values[0]
    return found


def _plain_value(option: Any, value: Any) -> str:
    """A value as it is compared. VM1 and vm1 are two plugs; a UUID is the same in any case."""
    plain = str(value).strip()
    is_name = _plain_name(option) in _PLUGS and not _UUID.fullmatch(plain)
    return plain if is_name else plain.casefold()
