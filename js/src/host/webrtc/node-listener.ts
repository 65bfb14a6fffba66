/** Listening on WebRTC direct: one UDP socket for all who dial. */

import type { RemoteInfo, Socket } from 'node:dgram'
import { TimeoutError, TransportError } from '../../errors.js'
import { MAX_DATAGRAM_BYTES, SessionLink } from './node-session.js'
import type { Stack } from './node-stack.js'
import { directMultiaddr, hasRoom, localAddress, socketText } from './node-udp.js'
import type { Direct } from './rtc.js'

/**
 * Handshakes at a time. When there are more, the oldest is given up: those who take
 * their time cannot keep the others out.
 */
const MAX_HANDSHAKES = 64
/**
 * Handshakes at a time with one address, loopback excepted, so that it takes many
 * addresses to fill {@link MAX_HANDSHAKES}.
 */
const MAX_HANDSHAKES_PER_ADDRESS = 8
/** How long ICE, DTLS and SCTP may take, in milliseconds. */
const HANDSHAKE_MS = 10_000

const encoder = new TextEncoder()

/** A bound socket and those who have come to it. */
export class DirectListener {
  readonly #socket: Socket
  /** Gives a stack that works. */
  readonly #stack: () => Stack
  readonly #accept: (direct: Direct) => void
  /** Sessions by the address of the remote. */
  readonly #sessions = new Map<string, SessionLink>()
  /** Those of them that are not open yet, the oldest first, and their hosts. */
  readonly #handshakes = new Map<SessionLink, string>()
  /** The stack that remembers strangers, and its number for this listener. */
  #strangers: { stack: Stack; listener: number } | undefined
  /** Whether it takes up nobody any more, and who waits for its end. */
  #closing = false
  #closed: (() => void) | undefined

  constructor(socket: Socket, stack: () => Stack, accept: (direct: Direct) => void) {
    this.#socket = socket
    this.#stack = stack
    this.#accept = accept
    socket.on('message', (datagram, from) => this.#sort(datagram, from))
    // Errors tell of datagrams that somebody did not take.
    socket.on('error', () => {})
  }

  /** How many handshakes are under way. */
  get handshakes(): number {
    return this.#handshakes.size
  }

  /** Takes up nobody any more; resolves when the last session has ended. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#closing = true
      this.#closed = resolve
      for (const link of [...this.#handshakes.keys()]) {
        link.giveUp(new TransportError('the listener was closed'))
      }
      this.#closeEmpty()
    })
  }

  #closeEmpty(): void {
    if (this.#closed === undefined || this.#sessions.size > 0) return
    this.#socket.close(this.#closed)
    this.#closed = undefined
  }

  /** Hands a datagram to whom it is for. */
  #sort(datagram: Uint8Array, from: RemoteInfo): void {
    const key = `${from.address} ${from.port}`
    const session = this.#sessions.get(key)
    if (session !== undefined) {
      session.handle(datagram)
    } else if (!this.#closing && datagram.length <= MAX_DATAGRAM_BYTES) {
      this.#meet(key, datagram, from)
    }
  }

  /** Answers a stranger, and takes up one who begins a handshake. */
  #meet(key: string, datagram: Uint8Array, from: RemoteInfo): void {
    const stack = this.#stack()
    if (this.#strangers?.stack !== stack) this.#strangers = { stack, listener: stack.call('rtc_listen') }
    const { listener } = this.#strangers
    const address = encoder.encode(socketText(from.address, from.port))
    stack.put(address, datagram)
    const answer = stack.call('rtc_answer', listener, address.length)
    if (answer > 0) {
      this.#send(stack.output(answer).slice(), from)
    } else {
      const number = stack.call('rtc_begin', listener, address.length)
      if (number > 0) void this.#take(key, stack, number, from)
    }
  }

  async #take(key: string, stack: Stack, number: number, from: RemoteInfo): Promise<void> {
    this.#makeRoom(from.address)
    const path = {
      send: (datagram: Uint8Array) => this.#send(datagram, from),
      close: () => {
        this.#sessions.delete(key)
        this.#handshakes.delete(link)
        this.#closeEmpty()
      },
    }
    const remote = directMultiaddr(from.address, from.port)
    const link: SessionLink = new SessionLink(stack, number, path, remote)
    this.#sessions.set(key, link)
    this.#handshakes.set(link, from.address)
    const late = setTimeout(() => link.giveUp(new TimeoutError(`${remote} takes too long`)), HANDSHAKE_MS)
    try {
      const direct = await link.opened()
      link.local = await localAddress(this.#socket, from)
      this.#handshakes.delete(link)
      this.#accept(direct)
    } catch {
      // Somebody who came and went.
    } finally {
      clearTimeout(late)
    }
  }

  /** Gives the oldest handshake up if the limits are reached, with `host` if it is that one. */
  #makeRoom(host: string): void {
    const same = [...this.#handshakes].filter(([, other]) => other === host)
    const crowded = same.length >= MAX_HANDSHAKES_PER_ADDRESS && !isLoopback(host)
    const [oldest] = crowded ? same : [...this.#handshakes]
    if (oldest !== undefined && (crowded || this.#handshakes.size >= MAX_HANDSHAKES)) {
      oldest[0].giveUp(new TransportError('given up for another one'))
    }
  }

  #send(datagram: Uint8Array, { address, port }: RemoteInfo): void {
    if (hasRoom(this.#socket)) this.#socket.send(datagram, port, address)
  }
}

const isLoopback = (host: string): boolean => host.startsWith('127.') || host === '::1'
