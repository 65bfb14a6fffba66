/** One session of WebRTC direct with its datagrams, as a link that carries records. */

import { TimeoutError, TransportError, WrongCertificateError } from '../../errors.js'
import type { Link, LinkEvents } from '../../host.js'
import type { Stack } from './node-stack.js'
import type { Direct } from './rtc.js'

/** The longest datagram that is taken in; those of WebRTC have less than 1,300 bytes. */
export const MAX_DATAGRAM_BYTES = 2048
/** Time that timers may be early by, in milliseconds, rather than be set anew. */
const SLACK_MS = 1

/** Where the datagrams of one session go. */
export interface Path {
  send(datagram: Uint8Array): void
  /** The session is over. */
  close(): void
}

/** A session, from its first datagram to its end. */
export class SessionLink implements Link {
  readonly remote: string
  /** Our end, once a listener knows it. */
  local: string | undefined
  readonly #stack: Stack
  readonly #session: number
  readonly #path: Path
  readonly #unwatch: () => void
  #events: LinkEvents | undefined
  #paused = true
  #blocked = false
  #open = false
  #scheduled: ReturnType<typeof setImmediate> | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #deadline = Number.POSITIVE_INFINITY
  #over = false
  #error: Error | undefined
  /** Looks how far it is, until it is open. */
  #look: (() => void) | undefined

  constructor(stack: Stack, session: number, path: Path, remote: string) {
    this.#stack = stack
    this.#session = session
    this.#path = path
    this.remote = remote
    this.#unwatch = stack.onFailure((error) => this.#end(error))
    this.#touch()
  }

  /** Resolves as soon as the remote has been heard, or to `false` after so many milliseconds. */
  async heard(ms: number): Promise<boolean> {
    let timer: ReturnType<typeof setTimeout> | undefined
    const patience = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), ms)
    })
    try {
      return await Promise.race([this.#until('rtc_is_reached'), patience])
    } finally {
      clearTimeout(timer)
    }
  }

  /**
   * Resolves when there are data channels.
   *
   * @throws {WrongCertificateError} the remote is another one than its address says.
   * @throws {TimeoutError} nobody answered.
   * @throws {TransportError} what answered does not speak it.
   */
  async opened(): Promise<Direct> {
    await this.#until('rtc_is_open')
    this.#open = true
    return { link: this, ...this.#stack.certificates(this.#session) }
  }

  /** Gives it up because of `error`, unless it is open. */
  giveUp(error: Error): void {
    if (!this.#open) this.#abort(error)
  }

  #abort(error: Error): void {
    if (this.#over) return
    this.#stack.call('rtc_abort', this.#session)
    this.#transmit()
    this.#end(error)
  }

  /** Takes in a datagram of the remote. */
  handle(datagram: Uint8Array): void {
    if (this.#over || datagram.length > MAX_DATAGRAM_BYTES) return
    this.#stack.put(datagram)
    this.#stack.call('rtc_handle', this.#session)
    this.#touch()
  }

  get ready(): boolean {
    this.#blocked = !this.#is('rtc_has_room')
    return !this.#blocked
  }

  start(events: LinkEvents): void {
    this.#events = events
    this.#paused = false
    if (this.#over) this.#tell()
    else this.#touch()
  }

  send(bytes: Uint8Array): void {
    if (this.#over) return
    this.#stack.put(bytes)
    this.#stack.call('rtc_write', this.#session)
    this.#touch()
  }

  /** What is not read fills the window of SCTP, which stops the remote. */
  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#touch()
  }

  close(): void {
    this.#events = undefined
    this.#paused = true
    if (this.#over) return
    this.#stack.call('rtc_close', this.#session)
    this.#touch()
  }

  destroy(): void {
    this.#events = undefined
    this.#abort(new TransportError('the connection was closed'))
  }

  #is(what: 'rtc_is_reached' | 'rtc_is_open' | 'rtc_has_room'): boolean {
    return !this.#over && this.#stack.call(what, this.#session) !== 0
  }

  #until(what: 'rtc_is_reached' | 'rtc_is_open'): Promise<true> {
    return new Promise((resolve, reject) => {
      this.#look = () => {
        if (this.#is(what)) resolve(true)
        else if (this.#over) reject(this.#error ?? new TransportError('the remote closed'))
        else return
        this.#look = undefined
      }
      this.#look()
    })
  }

  /** There is something to do: once for all datagrams that come in one go. */
  #touch(): void {
    if (!this.#over) this.#scheduled ??= setImmediate(() => this.#turn())
  }

  /** Moves what there is: records to the core, datagrams to the remote. */
  #turn(): void {
    this.#scheduled = undefined
    while (!this.#paused && !this.#over) {
      const length = this.#stack.call('rtc_read', this.#session)
      if (length === 0) break
      this.#events?.data(this.#stack.output(length))
    }
    this.#transmit()
    this.#look?.()
    const end = this.#over ? undefined : this.#stack.end(this.#session)
    // What a reader that lags behind has not got yet comes first.
    const unread = this.#paused && this.#events !== undefined
    if (end !== undefined && !unread) this.#end(this.#errorOf(end))
    if (this.#blocked && this.ready) this.#events?.drain()
    this.#arm()
  }

  #transmit(): void {
    for (;;) {
      const length = this.#stack.call('rtc_poll_datagram', this.#session)
      if (length === 0) return
      this.#path.send(this.#stack.output(length).slice())
    }
  }

  #errorOf({ cause, message }: NonNullable<ReturnType<Stack['end']>>): Error | undefined {
    if (cause === 'closed') return undefined
    if (cause === 'vanished') return new TimeoutError(`${this.remote}: ${message}`)
    if (cause === 'wrong-certificate') return new WrongCertificateError(`${this.remote}: ${message}`)
    return new TransportError(`${this.remote}: ${message}`)
  }

  /** Sees to it that time passes. That it does too often is of no harm. */
  #arm(): void {
    if (this.#over) return
    const wait = this.#stack.call('rtc_poll_timeout', this.#session)
    const deadline = wait < 0 ? Number.POSITIVE_INFINITY : performance.now() + wait
    if (deadline >= this.#deadline - SLACK_MS) return
    clearTimeout(this.#timer)
    this.#deadline = deadline
    this.#timer = setTimeout(() => {
      this.#deadline = Number.POSITIVE_INFINITY
      this.#stack.call('rtc_handle_timeout', this.#session)
      this.#touch()
    }, Math.ceil(wait))
    this.#timer.unref()
  }

  #end(error: Error | undefined): void {
    if (this.#over) return
    this.#over = true
    this.#error = error
    clearImmediate(this.#scheduled)
    clearTimeout(this.#timer)
    this.#unwatch()
    this.#stack.call('rtc_free', this.#session)
    this.#path.close()
    this.#look?.()
    this.#tell()
  }

  #tell(): void {
    const events = this.#events
    this.#events = undefined
    events?.end(this.#error)
  }
}
