/** Reading the addresses that sockets can be made for. The core knows all others. */

import { UnsupportedError } from './errors.js'

/** What a socket needs to know of a multiaddr. */
export interface SocketAddress {
  /** A name or an IP address. */
  readonly host: string
  /** How `host` is to be read. */
  readonly family: 'ip4' | 'ip6' | 'dns' | 'dns4' | 'dns6'
  readonly port: number
  /** What runs over TCP. */
  readonly transport: 'tcp' | 'ws' | 'wss'
  /** The name for TLS, if it is not `host`. */
  readonly serverName: string | undefined
  /** The path that a WebSocket asks for. */
  readonly path: string
}

const families = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6'])

/**
 * Reads `/ip4/…/tcp/…` with what may follow: `/ws`, `/wss`, `/tls/ws`,
 * `/tls/sni/…/ws`, `/http-path/…`, `/p2p/…`.
 *
 * @throws {UnsupportedError} it is an address of another kind.
 */
export function socketAddress(address: string): SocketAddress {
  const parts = address.split('/').slice(1)
  const [family = '', host = '', tcp, port = '', ...rest] = parts
  if (!families.has(family) || tcp !== 'tcp') throw unsupported(address)
  let secure = false
  let transport: SocketAddress['transport'] = 'tcp'
  let serverName: string | undefined
  let path = '/'
  for (let at = 0; at < rest.length; at++) {
    const name = rest[at]
    if (name === 'p2p' || name === 'ipfs') at++
    else if (name === 'tls') secure = true
    else if (name === 'sni') serverName = rest[++at]
    else if (name === 'ws') transport = secure ? 'wss' : 'ws'
    else if (name === 'wss') transport = 'wss'
    else if (name === 'http-path') path = `/${decodeURIComponent(rest[++at] ?? '')}`.replace('//', '/')
    else throw unsupported(address)
  }
  if (secure && transport === 'tcp') throw unsupported(address)
  return { host, family: family as SocketAddress['family'], port: Number(port), transport, serverName, path }
}

/** The URL that a WebSocket is opened with. */
export function webSocketUrl(address: SocketAddress): string {
  const host = address.family === 'ip6' ? `[${address.host}]` : (address.serverName ?? address.host)
  return `${address.transport}://${host}:${address.port}${address.path}`
}

/** The multiaddr of an IP address and port as sockets name them. */
export function tcpMultiaddr(host: string, port: number): string {
  const zone = host.indexOf('%')
  const plain = zone < 0 ? host : host.slice(0, zone)
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain)
  if (mapped?.[1] !== undefined) return `/ip4/${mapped[1]}/tcp/${port}`
  return `/${plain.includes(':') ? 'ip6' : 'ip4'}/${plain}/tcp/${port}`
}

function unsupported(address: string): UnsupportedError {
  return new UnsupportedError(`no transport here for ${address}: TCP and WebSocket addresses can be dialed`)
}
