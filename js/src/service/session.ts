/** One session of a service, over one stream. */

import { LimitError, StreamClosedError } from '../errors.js'
import type { Connection, Stream } from '../types.js'
import { Decoder, encode } from './frames.js'
import { Queue } from './queue.js'
import { Timers } from './timers.js'
import type { Priority, ServiceSession, SessionEnd, SessionHandler } from './types.js'

/** Bytes handed to the stream before what is urgent gets its chance again. */
const BATCH_BYTES = 64 * 1024

/** What a session needs of its service. */
export interface SessionOwner {
  readonly maxMessage: number
  readonly queue: number
  readonly drop: boolean
  readonly patience: number
  /** Runs a callback about this session; whether all is well. */
  call(session: SessionImpl, callback: () => void | Promise<void>): Promise<boolean>
  received(session: SessionImpl, message: Uint8Array): Promise<boolean>
  /** The queue is full for the first time since it was empty. */
  onFull(session: SessionImpl): void
  onEnd(session: SessionImpl, end: SessionEnd): void
  unref(timer: ReturnType<typeof setTimeout>): void
}

export class SessionImpl implements ServiceSession {
  readonly connection: Connection
  readonly stream: Stream
  handler: SessionHandler = {}
  readonly #owner: SessionOwner
  readonly #queue: Queue
  readonly #timers: Timers
  #end: SessionEnd | undefined
  #writing = false
  #full = false
  #drained: (() => void)[] = []

  constructor(owner: SessionOwner, stream: Stream) {
    this.#owner = owner
    this.stream = stream
    this.connection = stream.connection
    this.#queue = new Queue(owner.queue, owner.drop)
    const notify = (token: string): void => {
      void owner.call(this, () => this.handler.notified?.(token, this))
    }
    this.#timers = new Timers(notify, (timer) => owner.unref(timer))
  }

  get peer(): string {
    return this.connection.peer
  }

  get protocol(): string {
    return this.stream.protocol
  }

  get direction(): 'inbound' | 'outbound' {
    return this.stream.direction
  }

  get open(): boolean {
    return this.#end === undefined
  }

  get queued(): number {
    return this.#queue.bytes
  }

  send(message: Uint8Array, priority: Priority = 'normal'): number {
    if (!this.open) throw new StreamClosedError('the session is over')
    if (message.length > this.#owner.maxMessage) {
      throw new LimitError(`a message of this service has ${this.#owner.maxMessage} bytes at most`)
    }
    // A copy: the caller's bytes are its own again at once.
    const dropped = this.#queue.push(message.slice(), priority)
    if (dropped !== 0 && !this.#full) {
      this.#full = true
      this.#owner.onFull(this)
    }
    if (dropped === undefined) throw new LimitError('the queue of messages for the peer is full')
    void this.#write()
    return dropped
  }

  drained(): Promise<void> {
    if (!this.open || (this.#queue.empty && !this.#writing)) return Promise.resolve()
    return new Promise((resolve) => this.#drained.push(resolve))
  }

  setTimer(token: string, ms: number): void {
    if (this.open) this.#timers.set(token, ms)
  }

  clearTimer(token: string): void {
    this.#timers.clear(token)
  }

  close(): void {
    this.finish('local')
  }

  /** Reads messages until the stream ends; each waits until the one before was dealt with. */
  async run(): Promise<void> {
    const decoder = new Decoder(this.#owner.maxMessage)
    try {
      for (let bytes = await this.stream.read(); bytes !== undefined; bytes = await this.stream.read()) {
        for (const message of decoder.push(bytes)) {
          if (!(this.open && (await this.#owner.received(this, message)))) return
        }
      }
      this.finish(decoder.between ? 'remote' : 'reset')
    } catch {
      this.finish(this.connection.status === 'closed' ? 'disconnected' : 'reset')
    }
  }

  /** Ends the session, unless it is over. */
  finish(end: SessionEnd): void {
    if (!this.open) return
    this.#end = end
    this.#timers.clearAll()
    this.#queue.clear()
    this.#wake()
    if (end === 'remote') void this.stream.close().catch(() => {})
    else this.stream.abort()
    this.#owner.onEnd(this, end)
  }

  async #write(): Promise<void> {
    if (this.#writing) return
    this.#writing = true
    // What is sent in one go goes in one go.
    await Promise.resolve()
    while (this.open && !this.#queue.empty) {
      const batch: Uint8Array[] = []
      for (let bytes = 0; bytes < BATCH_BYTES; ) {
        const message = this.#queue.shift()
        if (message === undefined) break
        bytes += message.length
        batch.push(message)
      }
      const late = setTimeout(() => this.finish('stalled'), this.#owner.patience)
      this.#owner.unref(late)
      // That the stream is over is told by the reading side.
      const written = await this.stream.write(encode(batch)).then(
        () => true,
        () => false,
      )
      clearTimeout(late)
      if (!written) break
    }
    this.#writing = false
    this.#full = false
    this.#wake()
  }

  #wake(): void {
    for (const resolve of this.#drained.splice(0)) resolve()
  }
}
