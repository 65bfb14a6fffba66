/** A link over a socket of `node:net` or `node:tls`, plain or framed. */

import type { Socket } from 'node:net'
import { OUTPUT_BYTES } from '../core.js'
import { TransportError } from '../errors.js'
import type { Link, LinkEvents } from '../host.js'
import { borrow } from './node-memory.js'

/** Bytes that may wait in the socket before no more is given to it. */
const HIGH_WATER_BYTES = 1024 * 1024
/** Bytes read from a socket in one go. */
const READ_BYTES = 256 * 1024
/** How long, in milliseconds, a socket that we closed waits for the remote to close too. */
const LINGER_MS = 2_000
/** What a framing may put before the bytes of one write; a multiple of four. */
export const HEAD_BYTES = 16

/** What Node reads into: one for all sockets, as what comes is taken at once. */
const scratch = new Uint8Array(READ_BYTES)

/** What stands between the socket and the core's bytes. */
export interface Framing {
  /**
   * Takes the frames of `bytes` apart, in place, and returns what they carry.
   *
   * @throws {TransportError} the remote broke the protocol: {@link Framing.reply} tells it.
   */
  decode(bytes: Uint8Array): Uint8Array
  /** What the last call of `decode` wants written, if anything. */
  takeReply(): Uint8Array | undefined
  /** Whether the remote has said that nothing follows. */
  readonly ended: boolean
  /**
   * Makes a frame of the `length` bytes at {@link HEAD_BYTES} of `buffer`, in
   * place, and returns it.
   */
  encode(buffer: Buffer, length: number): Uint8Array
  /** What tells the remote that nothing follows. */
  goodbye(): Uint8Array
}

/** Hands what Node reads into {@link scratch} to whoever listens. */
export class Reader {
  paused = false
  #listener: (bytes: Uint8Array) => void = () => {}

  /** What `onread` of `connect` is to be. */
  readonly onread = {
    buffer: scratch,
    callback: (length: number): boolean => {
      this.#listener(scratch.subarray(0, length))
      return !this.paused
    },
  }

  /** Sends what comes from now on to `listener`, which may change the bytes. */
  listen(listener: (bytes: Uint8Array) => void): void {
    this.#listener = listener
  }
}

/** What a {@link SocketLink} is made with. */
export interface SocketLinkOptions {
  readonly remote: string
  readonly local?: string
  readonly framing?: Framing | undefined
  /** What reads the socket, if that is not its events. */
  readonly reader?: Reader | undefined
  /** Bytes that were read already. */
  readonly early?: Uint8Array | undefined
}

/** A socket as a link. */
export class SocketLink implements Link {
  readonly remote: string
  readonly local: string | undefined
  readonly #socket: Socket
  readonly #framing: Framing | undefined
  readonly #reader: Reader | undefined
  #early: Uint8Array | undefined
  #events: LinkEvents | undefined
  #error: Error | undefined
  #lingering = false

  constructor(socket: Socket, { remote, local, framing, reader, early }: SocketLinkOptions) {
    this.#socket = socket
    this.#framing = framing
    this.#reader = reader
    this.#early = early
    this.remote = remote
    this.local = local
  }

  get ready(): boolean {
    return this.#socket.writableLength < HIGH_WATER_BYTES
  }

  start(events: LinkEvents): void {
    this.#events = events
    const socket = this.#socket
    socket.on('drain', () => this.#events?.drain())
    socket.on('error', (error) => {
      this.#error ??= new TransportError(error.message, { cause: error })
    })
    socket.on('end', () => socket.end())
    socket.on('close', () => this.#end())
    const receive = (bytes: Uint8Array): void => this.#receive(bytes)
    if (this.#reader !== undefined) this.#reader.listen(receive)
    else socket.on('data', receive)
    const early = this.#early
    this.#early = undefined
    // After the caller is done, as all news; and before any of the socket's.
    if (early !== undefined && early.length > 0) queueMicrotask(() => receive(early))
    socket.resume()
  }

  #receive(bytes: Uint8Array): void {
    const framing = this.#framing
    if (framing === undefined) {
      this.#events?.data(bytes)
      return
    }
    if (this.#error !== undefined) return
    try {
      const payload = framing.decode(bytes)
      if (payload.length > 0) this.#events?.data(payload)
    } catch (error) {
      this.#error ??= error as Error
    }
    const reply = framing.takeReply()
    // A remote that asks but does not listen gets no answers that would pile up.
    if (reply !== undefined && this.ready && this.#socket.writable) this.#socket.write(reply)
    if (framing.ended || this.#error !== undefined) this.#finish()
  }

  /** Closes after what was sent, but does not wait for the remote for long. */
  #finish(): void {
    if (this.#lingering) return
    this.#lingering = true
    this.#socket.end()
    const timer = setTimeout(() => this.#socket.destroy(), LINGER_MS)
    timer.unref()
    this.#socket.once('close', () => clearTimeout(timer))
  }

  #end(): void {
    const events = this.#events
    this.#events = undefined
    events?.end(this.#error)
  }

  send(bytes: Uint8Array): void {
    if (!this.#socket.writable) return
    const { buffer, release } = borrow(HEAD_BYTES + bytes.length, HEAD_BYTES + OUTPUT_BYTES)
    this.#socket.write(this.#framed(buffer, bytes), release)
  }

  #framed(buffer: Buffer, bytes: Uint8Array): Uint8Array {
    buffer.set(bytes, HEAD_BYTES)
    const { length } = bytes
    return this.#framing?.encode(buffer, length) ?? buffer.subarray(HEAD_BYTES, HEAD_BYTES + length)
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
    if (this.#framing !== undefined && this.#socket.writable) this.#socket.write(this.#framing.goodbye())
    // The remote may still be sending: taking that, rather than closing on it,
    // lets it read our last words.
    this.#finish()
  }

  destroy(): void {
    this.#socket.destroy()
    this.#end()
  }
}
