/** TCP by `node:net`. */

import { createServer, connect as netConnect, type Server, type Socket } from 'node:net'
import { type SocketAddress, tcpMultiaddr } from '../address.js'
import { OUTPUT_BYTES } from '../core.js'
import { TransportError } from '../errors.js'
import type { Link, LinkEvents } from '../host.js'

/** Bytes that may wait in the socket before no more is given to it. */
const HIGH_WATER_BYTES = 1024 * 1024
/** Bytes read from a socket in one go. */
const READ_BYTES = 256 * 1024
/** Buffers for writing that are kept for the next write, for all sockets together. */
const MAX_SPARE = 16
/** How long, in milliseconds, a socket that we closed waits for the remote to close too. */
const LINGER_MS = 2_000

const spare: Buffer[] = []

/** Opens a TCP connection. */
export function dialTcp(address: SocketAddress, signal: AbortSignal): Promise<Link> {
  const reader = new Reader()
  const family = address.family.endsWith('4') ? 4 : address.family.endsWith('6') ? 6 : 0
  return new Promise((resolve, reject) => {
    const socket = netConnect({
      host: address.host,
      port: address.port,
      family,
      noDelay: true,
      signal,
      onread: { buffer: reader.buffer, callback: (length) => reader.take(length) },
    })
    const failed = (error: Error): void => {
      reject(new TransportError(error.message, { cause: error }))
    }
    socket.once('error', failed)
    socket.once('connect', () => {
      socket.off('error', failed)
      resolve(new TcpLink(socket, reader))
    })
  })
}

/** Listens on TCP; resolves once the port is ours. */
export function listenTcp(address: SocketAddress, accept: (link: Link) => void): Promise<Server> {
  const server = createServer({ noDelay: true }, (socket) => accept(new TcpLink(socket)))
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

/** Hands what Node reads into one buffer, used again and again, to the link. */
class Reader {
  readonly buffer = new Uint8Array(READ_BYTES)
  events: LinkEvents | undefined
  paused = false

  take(length: number): boolean {
    this.events?.data(this.buffer.subarray(0, length))
    return !this.paused
  }
}

class TcpLink implements Link {
  readonly remote: string
  readonly #socket: Socket
  readonly #reader: Reader | undefined
  #events: LinkEvents | undefined
  #error: Error | undefined

  constructor(socket: Socket, reader?: Reader) {
    this.#socket = socket
    this.#reader = reader
    this.remote = tcpMultiaddr(socket.remoteAddress ?? '', socket.remotePort ?? 0)
  }

  get ready(): boolean {
    return this.#socket.writableLength < HIGH_WATER_BYTES
  }

  start(events: LinkEvents): void {
    this.#events = events
    const socket = this.#socket
    socket.on('drain', () => this.#events?.drain())
    socket.on('error', (error) => {
      this.#error = new TransportError(error.message, { cause: error })
    })
    socket.on('end', () => socket.end())
    socket.on('close', () => this.#end())
    if (this.#reader !== undefined) this.#reader.events = events
    else socket.on('data', (bytes) => this.#events?.data(bytes))
    socket.resume()
  }

  #end(): void {
    const events = this.#events
    this.#events = undefined
    events?.end(this.#error)
  }

  send(bytes: Uint8Array): void {
    if (!this.#socket.writable) return
    // Small ones come from Node's own pool; for large ones memory that is
    // mapped already is much faster than new memory.
    if (bytes.length < Buffer.poolSize || bytes.length > OUTPUT_BYTES) {
      this.#socket.write(Buffer.from(bytes))
      return
    }
    const buffer = spare.pop() ?? Buffer.allocUnsafeSlow(OUTPUT_BYTES)
    buffer.set(bytes)
    this.#socket.write(buffer.subarray(0, bytes.length), () => {
      if (spare.length < MAX_SPARE) spare.push(buffer)
    })
  }

  pause(): void {
    if (this.#reader !== undefined) this.#reader.paused = true
    this.#socket.pause()
  }

  resume(): void {
    if (this.#reader !== undefined) this.#reader.paused = false
    this.#socket.resume()
  }

  close(): void {
    this.#socket.end()
    // The remote may still be sending: taking that, rather than closing on it,
    // lets it read our last words.
    const timer = setTimeout(() => this.#socket.destroy(), LINGER_MS)
    timer.unref()
    this.#socket.once('close', () => clearTimeout(timer))
  }

  destroy(): void {
    this.#socket.destroy()
    this.#end()
  }
}
