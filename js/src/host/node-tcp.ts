/** TCP by `node:net`. */

import { createServer, connect as netConnect, type Server, type Socket } from 'node:net'
import { type SocketAddress, tcpMultiaddr } from '../address.js'
import { TransportError } from '../errors.js'
import type { Link } from '../host.js'
import { Reader, SocketLink } from './node-link.js'

/** Opens a TCP connection. */
export function dialTcp(address: SocketAddress, signal: AbortSignal): Promise<Link> {
  const reader = new Reader()
  const socket = connectTcp(address, reader, signal)
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => {
      reject(new TransportError(error.message, { cause: error }))
    }
    socket.once('error', failed)
    socket.once('connect', () => {
      socket.off('error', failed)
      resolve(new SocketLink(socket, { remote: remoteOf(socket), local: localOf(socket), reader }))
    })
  })
}

/** A socket on its way to `address`, read by `reader`. */
export function connectTcp(address: SocketAddress, { onread }: Reader, signal?: AbortSignal): Socket {
  const { host, port } = address
  return netConnect({
    host,
    port,
    family: familyOf(address),
    noDelay: true,
    onread,
    ...(signal === undefined ? {} : { signal }),
  })
}

/** The IP version that the address insists on; 0 for either. */
export function familyOf({ family }: SocketAddress): 0 | 4 | 6 {
  return family.endsWith('4') ? 4 : family.endsWith('6') ? 6 : 0
}

/** Listens on TCP; resolves once the port is ours. */
export function listenTcp(address: SocketAddress, accept: (link: Link) => void): Promise<Server> {
  const server = createServer({ noDelay: true }, (socket) =>
    accept(new SocketLink(socket, { remote: remoteOf(socket), local: localOf(socket) })),
  )
  return bind(server, address)
}

/** Binds `server`; an IPv6 wildcard does not take the IPv4 port too. */
export function bind(server: Server, address: SocketAddress): Promise<Server> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: address.host, port: address.port, ipv6Only: address.family === 'ip6' }, () => {
      server.off('error', reject)
      server.on('error', () => {})
      resolve(server)
    })
  })
}

/** The end of a socket that is ours. */
export const localOf = ({ localAddress = '', localPort = 0 }: Socket): string =>
  tcpMultiaddr(localAddress, localPort)

const remoteOf = ({ remoteAddress = '', remotePort = 0 }: Socket): string =>
  tcpMultiaddr(remoteAddress, remotePort)
