/** One connection, as the application has it. */

import { type AbortOptions, abortable, asyncDispose, type Deferred, deferred } from './abort.js'
import { type ConnectionId, now, type StreamId } from './core.js'
import type { Engine } from './engine.js'
import { ConnectionClosedError, InvalidArgumentError, type PolypeerError, TimeoutError } from './errors.js'
import { emit, type TypedEventTarget } from './events.js'
import { errorOf } from './failures.js'
import { StreamImpl } from './stream.js'
import type { Connection, ConnectionEvents, OpenOptions, PeerInfo, Stream } from './types.js'

const TypedTarget = EventTarget as { new (): TypedEventTarget<ConnectionEvents> }

/** What a connection needs of its node. */
export interface ConnectionOwner {
  readonly engine: Engine
  /** Waits for the answer to a ping; `undefined` stands for none. */
  onPinged(ping: number, done: (micros: number | undefined) => void): void
  unref(timer: ReturnType<typeof setTimeout>): void
  /** The core's answer to the opening of a stream. */
  openStream(connection: ConnectionId, proposed: readonly string[], options?: OpenOptions): number
  /** Whether a relay limits a connection. */
  limited(connection: ConnectionId): boolean
}

export class ConnectionImpl extends TypedTarget implements Connection {
  readonly id: ConnectionId
  readonly peer: string
  readonly remoteAddress: string
  readonly direction: 'inbound' | 'outbound'
  status: 'open' | 'closing' | 'closed' = 'open'
  info: PeerInfo | undefined
  /** Why it ended, where that is known better than from the core's end of it. */
  reason: PolypeerError | undefined
  readonly #owner: ConnectionOwner
  readonly #streams = new Map<StreamId, StreamImpl>()
  /** Streams that wait for the remote to agree on a protocol. */
  readonly #opening = new Map<StreamId, { proposed: readonly string[]; opened: Deferred<Stream> }>()
  readonly #closed = deferred<void>()

  constructor(owner: ConnectionOwner, id: ConnectionId, peer: string, remote: string, inbound: boolean) {
    super()
    this.#owner = owner
    this.id = id
    this.peer = peer
    this.remoteAddress = remote
    this.direction = inbound ? 'inbound' : 'outbound'
  }

  get streams(): readonly Stream[] {
    return [...this.#streams.values()]
  }

  get direct(): boolean {
    return !/\/p2p-circuit(?!\/webrtc)/.test(this.remoteAddress)
  }

  get limited(): boolean {
    return this.#owner.limited(this.id)
  }

  async openStream(protocol: string | readonly string[], options?: OpenOptions): Promise<Stream> {
    const proposed = protocolNames(protocol)
    options?.signal?.throwIfAborted()
    if (this.status !== 'open') throw new ConnectionClosedError()
    const { engine } = this.#owner
    const id = this.#owner.openStream(this.id, proposed, options)
    if (id < 0) throw errorOf(engine.core.failure(id), proposed)
    const stream = new StreamImpl(engine, this, id, proposed[0] ?? '', 'outbound')
    this.#streams.set(id, stream)
    engine.touch()
    const opened = deferred<Stream>()
    this.#opening.set(id, { proposed, opened })
    // One protocol that the remote told us it speaks: no need to wait for its
    // word, what is written now travels with the question.
    if (proposed.length === 1 && this.info?.protocols.includes(stream.protocol) === true) {
      stream.agreeing(opened.promise)
      return stream
    }
    return abortable(opened.promise, options?.signal, (reason) => {
      this.#opening.delete(id)
      stream.abort(reason)
    })
  }

  async ping(options?: AbortOptions): Promise<number> {
    options?.signal?.throwIfAborted()
    if (this.status !== 'open') throw new ConnectionClosedError()
    const answer = deferred<number>()
    const ping = this.#owner.engine.core.raw.ping(now(), this.id)
    this.#owner.onPinged(ping, (micros) => {
      if (micros !== undefined) answer.resolve(micros / 1000)
      else answer.reject(this.status === 'open' ? new TimeoutError() : new ConnectionClosedError())
    })
    this.#owner.engine.touch()
    return abortable(answer.promise, options?.signal)
  }

  close(): Promise<void> {
    if (this.status === 'open') {
      this.status = 'closing'
      this.#owner.engine.core.raw.close(now(), this.id)
      this.#owner.engine.touch()
    }
    return this.#closed.promise
  }

  [asyncDispose](): Promise<void> {
    return this.close()
  }

  unref(timer: ReturnType<typeof setTimeout>): void {
    this.#owner.unref(timer)
  }

  forget(stream: StreamImpl): void {
    this.#streams.delete(stream.id)
  }

  stream(id: StreamId): StreamImpl | undefined {
    return this.#streams.get(id)
  }

  onInbound(id: StreamId, protocol: string): StreamImpl {
    const stream = new StreamImpl(this.#owner.engine, this, id, protocol, 'inbound')
    this.#streams.set(id, stream)
    return stream
  }

  onOpened(id: StreamId, protocol: string): void {
    const opening = this.#opening.get(id)
    const stream = this.#streams.get(id)
    if (opening === undefined || stream === undefined) return
    this.#opening.delete(id)
    stream.protocol = protocol
    opening.opened.resolve(stream)
  }

  onOpenFailed(id: StreamId, reason: (proposed: readonly string[]) => PolypeerError): void {
    const opening = this.#opening.get(id)
    this.#opening.delete(id)
    const error = reason(opening?.proposed ?? [])
    this.#streams.get(id)?.fail(error)
    opening?.opened.reject(error)
  }

  /** The core is about to forget the connection. */
  onEnding(): void {
    for (const stream of this.#streams.values()) stream.save()
  }

  onClosed(error: PolypeerError | undefined): void {
    this.status = 'closed'
    const reason = this.reason ?? new ConnectionClosedError(error?.message, { cause: error })
    for (const { opened } of this.#opening.values()) opened.reject(reason)
    this.#opening.clear()
    for (const stream of [...this.#streams.values()]) stream.onConnectionClosed(reason)
    this.#streams.clear()
    this.#closed.resolve()
    emit(this, 'close', this.reason ?? error ?? null)
  }
}

/** Checks protocol names: at least one, none empty or with a line break. */
export function protocolNames(protocol: string | readonly string[]): readonly string[] {
  const names = typeof protocol === 'string' ? [protocol] : protocol
  if (names.length === 0) throw new InvalidArgumentError('no protocol was given')
  for (const name of names) {
    if (name === '' || name.includes('\n')) {
      throw new InvalidArgumentError(`not a protocol name: ${JSON.stringify(name)}`)
    }
  }
  return names
}
