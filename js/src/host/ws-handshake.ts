/** The opening handshake of WebSockets (RFC 6455, section 4). */

import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { TransportError } from '../errors.js'

/** The longest head of a response, in bytes: proxies add headers, hence the room. */
export const MAX_HEAD_BYTES = 8 * 1024

/** What is hashed with the client's key (RFC 6455, section 1.3). */
const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** What the server proves with that it read the client's key. */
const acceptKey = (key: string): string => createHash('sha1').update(`${key}${guid}`).digest('base64')

/** What a client says to open `url`; `key` is 16 random bytes in base64. */
export function request(url: URL, key: string): string {
  return head([
    `GET ${url.pathname}${url.search} HTTP/1.1`,
    `Host: ${url.host}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Key: ${key}`,
    'Sec-WebSocket-Version: 13',
  ])
}

/** The client's side of a handshake whose request was sent. */
export class ResponseReader {
  readonly #key: string
  #head = Buffer.alloc(0)

  constructor(key: string) {
    this.#key = key
  }

  /**
   * Takes what came; once the head is whole, returns what came behind it.
   *
   * @throws {TransportError} the server opens no WebSocket.
   */
  take(bytes: Uint8Array): Uint8Array | undefined {
    this.#head = Buffer.concat([this.#head, bytes])
    const end = this.#head.indexOf('\r\n\r\n')
    if (end > MAX_HEAD_BYTES || (end < 0 && this.#head.length > MAX_HEAD_BYTES)) {
      throw new TransportError('the HTTP head of the answer is too long')
    }
    if (end < 0) return undefined
    this.#check(this.#head.toString('latin1', 0, end).split('\r\n'))
    return this.#head.subarray(end + 4)
  }

  #check([first = '', ...lines]: string[]): void {
    const status = /^HTTP\/1\.1 (\d{3})/.exec(first)?.[1]
    if (status === undefined) throw new TransportError('the answer is not HTTP/1.1')
    if (status !== '101') throw new TransportError(`the server answered ${status} instead of 101`)
    const headers = new Map<string, string>()
    for (const line of lines) {
      const colon = line.indexOf(':')
      const name = line.slice(0, colon).toLowerCase()
      if (!headers.has(name)) headers.set(name, line.slice(colon + 1).trim())
    }
    if (!lists(headers.get('upgrade'), 'websocket')) throw missing('Upgrade')
    if (!lists(headers.get('connection'), 'upgrade')) throw missing('Connection')
    if (headers.get('sec-websocket-accept') !== acceptKey(this.#key)) throw missing('Sec-WebSocket-Accept')
    // We proposed none.
    if (headers.has('sec-websocket-extensions')) throw missing('Sec-WebSocket-Extensions')
    if (headers.has('sec-websocket-protocol')) throw missing('Sec-WebSocket-Protocol')
  }
}

/** A server's answer to a request that asks for a WebSocket as it should. */
export function response({ method, headers }: IncomingMessage): string | undefined {
  const key = headers['sec-websocket-key']
  if (
    method !== 'GET' ||
    !lists(headers.upgrade, 'websocket') ||
    headers['sec-websocket-version'] !== '13' ||
    key === undefined ||
    !/^[+/0-9A-Za-z]{22}==$/.test(key)
  ) {
    return undefined
  }
  return head([
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${acceptKey(key)}`,
  ])
}

const notAWebSocket = 'This is a libp2p WebSocket address\n'

/** What an HTTP client that asks for no WebSocket gets. */
export const refusal = `${head([
  'HTTP/1.1 426 Upgrade Required',
  'Upgrade: websocket',
  'Connection: Upgrade, close',
  'Sec-WebSocket-Version: 13',
  'Content-Type: text/plain',
  `Content-Length: ${notAWebSocket.length}`,
])}${notAWebSocket}`

function head(lines: string[]): string {
  return `${lines.join('\r\n')}\r\n\r\n`
}

/** Whether the comma-separated `value` has `token`. */
const lists = (value: string | undefined, token: string): boolean =>
  value?.split(',').some((item) => item.trim().toLowerCase() === token) === true

const missing = (header: string): TransportError =>
  new TransportError(`${header} is missing in the server's answer, or wrong`)
