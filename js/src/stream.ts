/** One stream, as the application has it. */

import { type AbortOptions, abortable, asyncDispose, type Deferred, deferred } from './abort.js'
import type { ConnectionImpl } from './connection.js'
import { INPUT_BYTES, now, type StreamId } from './core.js'
import type { Engine } from './engine.js'
import { InvalidArgumentError, StreamClosedError, StreamResetError } from './errors.js'
import type { Stream } from './types.js'

/** Bytes that one read returns at most. */
const READ_BYTES = 256 * 1024
/** How long, in milliseconds, a closed stream waits for the remote to finish before it is reset. */
const LINGER_MS = 10_000

const done: Promise<void> = Promise.resolve()

export class StreamImpl implements Stream {
  readonly id: StreamId
  readonly connection: ConnectionImpl
  readonly direction: 'inbound' | 'outbound'
  protocol: string
  readonly #engine: Engine
  /** Bytes saved when the core forgot the stream. */
  #saved: Uint8Array[] = []
  #reading: Deferred<Uint8Array | undefined> | undefined
  /** The last of the writes under way; each waits for the one before. */
  #writing: Promise<void> | undefined
  #room: Deferred<void> | undefined
  /** Settles when the remote has taken the protocol, or not. */
  #agreement: Promise<void> | undefined
  #remoteFinished = false
  #finished = false
  #closing = false
  #discarding = false
  #gone = false
  #error: unknown
  #failed = false
  #linger: ReturnType<typeof setTimeout> | undefined
  #readable: ReadableStream<Uint8Array> | undefined
  #writable: WritableStream<Uint8Array> | undefined

  constructor(
    engine: Engine,
    connection: ConnectionImpl,
    id: StreamId,
    protocol: string,
    direction: 'inbound' | 'outbound',
  ) {
    this.#engine = engine
    this.connection = connection
    this.id = id
    this.protocol = protocol
    this.direction = direction
  }

  get status(): 'open' | 'closing' | 'closed' | 'reset' {
    if (this.#failed) return 'reset'
    if (this.#gone) return 'closed'
    return this.#closing ? 'closing' : 'open'
  }

  get readable(): ReadableStream<Uint8Array> {
    this.#readable ??= new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const bytes = await this.read()
          if (bytes === undefined) controller.close()
          else controller.enqueue(bytes)
        },
        cancel: () => this.#discard(),
      },
      { highWaterMark: 0 },
    )
    return this.#readable
  }

  get writable(): WritableStream<Uint8Array> {
    this.#writable ??= new WritableStream<Uint8Array>({
      write: (bytes) => this.write(bytes),
      close: () => this.closeWrite(),
      abort: (reason) => this.abort(reason),
    })
    return this.#writable
  }

  read(options?: AbortOptions): Promise<Uint8Array | undefined> {
    if (this.#reading !== undefined)
      return Promise.reject(new InvalidArgumentError('a read is under way already'))
    if (this.#discarding) return Promise.reject(new StreamClosedError())
    if (options?.signal?.aborted === true) return Promise.reject(options.signal.reason)
    const bytes = this.#take()
    if (bytes !== undefined) return Promise.resolve(bytes)
    if (this.#remoteFinished) {
      this.#settle()
      return Promise.resolve(undefined)
    }
    if (this.#failed) return Promise.reject(this.#error)
    this.#reading = deferred()
    return abortable(this.#reading.promise, options?.signal, () => {
      this.#reading = undefined
    })
  }

  /** Leaving the loop leaves the stream open. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined, undefined> {
    return {
      next: () =>
        this.read().then((value) => (value === undefined ? { value, done: true } : { value, done: false })),
    }
  }

  write(bytes: Uint8Array, options?: AbortOptions): Promise<void> {
    const signal = options?.signal
    if (signal?.aborted === true) return Promise.reject(signal.reason)
    if (this.#failed) return Promise.reject(this.#error)
    if (this.#closing) return Promise.reject(new StreamClosedError())
    const before = this.#writing
    let sent = 0
    if (before === undefined) {
      sent = this.#push(bytes, 0)
      if (sent === bytes.length) return done
    }
    const write = this.#writeRest(before, bytes, sent)
    this.#writing = write
    const clear = (): void => {
      if (this.#writing === write) this.#writing = undefined
    }
    write.then(clear, clear)
    return abortable(write, signal, (reason) => this.abort(reason))
  }

  async #writeRest(before: Promise<void> | undefined, bytes: Uint8Array, from: number): Promise<void> {
    if (before !== undefined) await before
    for (let sent = before === undefined ? from : this.#push(bytes, from); sent < bytes.length; ) {
      this.#room ??= deferred()
      await this.#room.promise
      sent = this.#push(bytes, sent)
    }
  }

  /** Gives the core what it takes of `bytes` and returns how far that went. */
  #push(bytes: Uint8Array, from: number): number {
    if (this.#failed) throw this.#error
    const { core } = this.#engine
    let sent = from
    while (sent < bytes.length) {
      const piece = bytes.subarray(sent, sent + INPUT_BYTES)
      core.put(piece)
      const taken = core.raw.write(this.connection.id, this.id, piece.length)
      sent += taken
      if (taken < piece.length) break
    }
    if (sent > from) this.#engine.touch()
    return sent
  }

  async closeWrite(): Promise<void> {
    if (this.#closing) return this.#writing
    if (this.#failed) throw this.#error
    this.#closing = true
    const before = this.#agreement ?? this.#writing
    const finish = (): void => {
      if (this.#failed) throw this.#error
      this.#engine.core.raw.finish(this.connection.id, this.id)
      this.#engine.touch()
      this.#finished = true
      this.#settle()
    }
    if (before === undefined) return finish()
    this.#writing = Promise.all([before, this.#writing]).then(finish)
    return this.#writing
  }

  /**
   * The stream is used before the remote has taken its protocol. What is written
   * goes at once, but the end waits for the remote's word: js-libp2p (3.4) loses
   * what comes together with its proposal and its end.
   */
  agreeing(opened: Promise<unknown>): void {
    const agreed = (): void => {
      this.#agreement = undefined
    }
    this.#agreement = opened.then(agreed, agreed)
  }

  async close(): Promise<void> {
    if (this.#failed || this.#gone) return
    this.#discard()
    await this.closeWrite()
    if (this.#gone || this.#linger !== undefined) return
    this.#linger = setTimeout(() => this.abort(), LINGER_MS)
    this.connection.unref(this.#linger)
  }

  abort(reason: unknown = new StreamResetError('the stream was reset by this side')): void {
    if (this.#failed || this.#gone) return
    this.#engine.core.raw.reset(now(), this.connection.id, this.id)
    this.#engine.touch()
    this.fail(reason)
  }

  async [asyncDispose](): Promise<void> {
    await this.close()
  }

  /** The core has bytes, or room, or the remote's end: whoever waits goes on. */
  on(news: 'readable' | 'writable' | 'finished' | 'reset'): void {
    if (news === 'writable') {
      const room = this.#room
      this.#room = undefined
      room?.resolve()
      return
    }
    if (news === 'reset') {
      this.fail(new StreamResetError())
      return
    }
    this.#onReadable()
    if (news === 'readable') return
    this.#remoteFinished = true
    const reading = this.#reading
    this.#reading = undefined
    reading?.resolve(undefined)
    this.#settle()
  }

  #onReadable(): void {
    if (this.#discarding) {
      while (this.#take() !== undefined);
      return
    }
    const reading = this.#reading
    if (reading === undefined) return
    const bytes = this.#take()
    if (bytes === undefined) return
    this.#reading = undefined
    reading.resolve(bytes)
  }

  /** The stream is over for `reason`: nothing of it remains in the core. */
  fail(reason: unknown): void {
    if (this.#failed || this.#gone) return
    this.#failed = true
    this.#error = reason
    const waiting = [this.#reading, this.#room]
    this.#reading = undefined
    this.#room = undefined
    for (const waiter of waiting) {
      waiter?.promise.catch(() => {})
      waiter?.reject(reason)
    }
    this.#forget()
  }

  /** Takes over what the core holds, as it is about to forget the stream. */
  save(): void {
    for (let bytes = this.#pull(); bytes !== undefined; bytes = this.#pull()) {
      if (!this.#discarding) this.#saved.push(bytes)
    }
  }

  /** The connection is over. */
  onConnectionClosed(reason: unknown): void {
    // All that the remote had to say is here: reading ends as it would have.
    if (this.#remoteFinished && this.#finished) this.#forget()
    else this.fail(reason)
  }

  #take(): Uint8Array | undefined {
    return this.#saved.shift() ?? this.#pull()
  }

  /** The next bytes that the core holds. */
  #pull(): Uint8Array | undefined {
    if (this.#failed || this.#gone) return undefined
    const bytes = this.#engine.core.read(this.connection.id, this.id, READ_BYTES)
    if (bytes !== undefined) this.#engine.touch()
    return bytes
  }

  #discard(): void {
    if (this.#discarding) return
    this.#discarding = true
    const reading = this.#reading
    this.#reading = undefined
    reading?.reject(new StreamClosedError())
    while (this.#take() !== undefined);
    this.#settle()
  }

  /** Both sides finished and nothing left to read: the stream is done. */
  #settle(): void {
    if (!this.#remoteFinished || !this.#finished || this.#gone) return
    this.save()
    this.#forget()
  }

  #forget(): void {
    this.#gone = true
    clearTimeout(this.#linger)
    this.connection.forget(this)
  }
}
