/** Dialing with the platform's WebSocket: pages and workers. */

import { socketAddress, webSocketUrl } from '../address.js'
import { TransportError, UnsupportedError } from '../errors.js'
import type { Link, LinkEvents } from '../host.js'

/** Bytes that may wait in the socket before no more is given to it. */
const HIGH_WATER_BYTES = 1024 * 1024
/** A browser does not say when a socket has room again: how often to ask, in milliseconds. */
const POLL_MS = 4

/**
 * Opens a WebSocket to `address`.
 *
 * @throws {UnsupportedError} it is not an address of a WebSocket.
 * @throws {TransportError} there is no connection to be had; a browser does not say why.
 */
export function dialWebSocket(address: string, signal: AbortSignal): Promise<Link> {
  const parsed = socketAddress(address)
  if (parsed.transport === 'tcp') {
    throw new UnsupportedError(`a page can dial WebSocket addresses (/ws, /wss) only, not ${address}`)
  }
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(webSocketUrl(parsed))
    socket.binaryType = 'arraybuffer'
    const abort = (): void => socket.close()
    signal.addEventListener('abort', abort, { once: true })
    socket.onopen = () => {
      signal.removeEventListener('abort', abort)
      resolve(new WebSocketLink(socket, address))
    }
    socket.onerror = () => reject(new TransportError(`no WebSocket connection to ${address}`))
    socket.onclose = socket.onerror
  })
}

class WebSocketLink implements Link {
  readonly remote: string
  readonly #socket: WebSocket
  #events: LinkEvents | undefined
  #poll: ReturnType<typeof setTimeout> | undefined

  constructor(socket: WebSocket, remote: string) {
    this.#socket = socket
    this.remote = remote
  }

  get ready(): boolean {
    if (this.#socket.bufferedAmount < HIGH_WATER_BYTES) return true
    this.#poll ??= setTimeout(() => this.#drained(), POLL_MS)
    return false
  }

  #drained(): void {
    this.#poll = undefined
    // Asking sets the next poll if there is no room yet.
    if (this.#socket.readyState === WebSocket.OPEN && this.ready) this.#events?.drain()
  }

  start(events: LinkEvents): void {
    this.#events = events
    const socket = this.#socket
    socket.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (data instanceof ArrayBuffer) events.data(new Uint8Array(data))
      else socket.close(1003)
    }
    socket.onerror = null
    socket.onclose = ({ code }) => this.#end(code)
  }

  #end(code: number): void {
    clearTimeout(this.#poll)
    const events = this.#events
    this.#events = undefined
    // 1000 normal, 1005 no code, 1001 going away.
    const orderly = code === 1000 || code === 1001 || code === 1005
    events?.end(orderly ? undefined : new TransportError(`the WebSocket closed with code ${code}`))
  }

  send(bytes: Uint8Array): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(bytes as Uint8Array<ArrayBuffer>)
  }

  /** A browser takes from the network as it likes; the muxer's windows bound what comes. */
  pause(): void {}

  resume(): void {}

  close(): void {
    this.#socket.close(1000)
  }

  destroy(): void {
    this.#socket.close()
    this.#end(1000)
  }
}
