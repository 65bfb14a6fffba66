/** WebSocket by the package `ws`. */

import { createServer, type Server } from 'node:http'
import { type RawData, WebSocket, WebSocketServer } from 'ws'
import { type SocketAddress, tcpMultiaddr, webSocketUrl } from '../address.js'
import { TransportError } from '../errors.js'
import type { Link, LinkEvents } from '../host.js'
import { bind } from './node-tcp.js'

/** Bytes that may wait in the socket before no more is given to it. */
const HIGH_WATER_BYTES = 1024 * 1024
/** Bytes of the longest message taken: it is held in memory until it is whole, before we know the remote. */
const MAX_MESSAGE_BYTES = 1024 * 1024
/** How long, in milliseconds, a socket that we closed waits for the remote to close too. */
const LINGER_MS = 2_000

/** Opens a WebSocket connection. */
export function dialWs(address: SocketAddress, remote: string, signal: AbortSignal): Promise<Link> {
  const family = address.family.endsWith('4') ? 4 : address.family.endsWith('6') ? 6 : 0
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(webSocketUrl(address), {
      family,
      maxPayload: MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
    })
    const failed = (error: Error): void => {
      reject(new TransportError(error.message, { cause: error }))
    }
    const abort = (): void => socket.terminate()
    signal.addEventListener('abort', abort, { once: true })
    socket.once('error', failed)
    socket.once('open', () => {
      signal.removeEventListener('abort', abort)
      socket.off('error', failed)
      resolve(new WsLink(socket, remote))
    })
  })
}

/** Listens for WebSockets over HTTP; resolves once the port is ours. */
export function listenWs(address: SocketAddress, accept: (link: Link) => void): Promise<Server> {
  const http = createServer((_, response) => {
    response
      .writeHead(426, { 'content-type': 'text/plain' })
      .end('This is a libp2p peer: open a WebSocket.\n')
  })
  const sockets = new WebSocketServer({
    server: http,
    maxPayload: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
  })
  sockets.on('error', () => {})
  sockets.on('connection', (socket, request) => {
    const { remoteAddress = '', remotePort = 0 } = request.socket
    accept(new WsLink(socket, `${tcpMultiaddr(remoteAddress, remotePort)}/ws`))
  })
  return bind(http, address) as Promise<Server>
}

class WsLink implements Link {
  readonly remote: string
  readonly #socket: WebSocket
  #events: LinkEvents | undefined
  #error: Error | undefined
  #full = false

  constructor(socket: WebSocket, remote: string) {
    this.#socket = socket
    this.remote = remote
    // A remote may speak first, in one packet with its handshake: nothing is
    // read before there is somebody to read it.
    socket.pause()
  }

  get ready(): boolean {
    this.#full = this.#socket.bufferedAmount >= HIGH_WATER_BYTES
    return !this.#full
  }

  start(events: LinkEvents): void {
    this.#events = events
    const socket = this.#socket
    socket.on('message', (data: RawData, binary) => {
      if (binary && data instanceof Uint8Array) this.#events?.data(data)
      else socket.close(1003)
    })
    socket.on('error', (error) => {
      this.#error = new TransportError(error.message, { cause: error })
    })
    socket.on('close', () => this.#end())
    socket.resume()
  }

  #end(): void {
    const events = this.#events
    this.#events = undefined
    events?.end(this.#error)
  }

  send(bytes: Uint8Array): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return
    this.#socket.send(Buffer.from(bytes), { binary: true }, () => {
      if (this.#full && this.ready) this.#events?.drain()
    })
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  close(): void {
    this.#socket.close(1000)
    const timer = setTimeout(() => this.#socket.terminate(), LINGER_MS)
    timer.unref()
    this.#socket.once('close', () => clearTimeout(timer))
  }

  destroy(): void {
    this.#socket.terminate()
    this.#end()
  }
}
