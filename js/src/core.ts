/**
 * The WebAssembly core as the rest of the package sees it: integers and ranges
 * of bytes go in and out, events come out as records (see `core/records.rs`).
 */

import type { Core as MiniCore } from '../generated/mini.js'

/** What every module can do; the full one can more. */
export type RawCore = Omit<MiniCore, typeof Symbol.dispose>

/** The class of a module's cores. */
export interface RawCores<Raw extends RawCore> {
  create(...options: Parameters<(typeof MiniCore)['create']>): Raw | undefined
  generate_key(seed: Uint8Array): Uint8Array | undefined
}

/** A connection's number, given by the core and never used again. */
export type ConnectionId = number
/** A stream's number, known within its connection. */
export type StreamId = number

/** Why something failed, as the core sorts it; the order is that of `core/records.rs`. */
const causes = [
  'transport',
  'timeout',
  'wrong-peer',
  'protocol',
  'not-supported',
  'reset',
  'limit',
  'closed',
  'address',
  'cancelled',
  'denied',
] as const

/** See {@link causes}. */
export type Cause = (typeof causes)[number]

/** A failure that the core tells of. */
export interface Failure {
  readonly cause: Cause
  readonly message: string
}

/** One address that a dial tried. */
export interface FailedAttempt extends Failure {
  readonly address: string
}

/** A signature that the host is to check, its algorithm not being compiled in. */
export interface VerifyRequest {
  /** libp2p's number of the key type: 0 RSA, 2 secp256k1, 3 ECDSA. */
  readonly keyType: number
  readonly publicKey: Uint8Array<ArrayBuffer>
  readonly message: Uint8Array<ArrayBuffer>
  readonly signature: Uint8Array<ArrayBuffer>
}

/** What the core tells, in the order in which it is to be done. */
export type CoreEvent =
  | { readonly type: 'dial'; readonly connection: ConnectionId; readonly address: string }
  | { readonly type: 'transmit' | 'drop'; readonly connection: ConnectionId }
  | { readonly type: 'verify'; readonly connection: ConnectionId; readonly request: VerifyRequest }
  | {
      readonly type: 'connected'
      readonly connection: ConnectionId
      readonly peer: string
      readonly inbound: boolean
      readonly remote: string
    }
  | { readonly type: 'dialed'; readonly connection: ConnectionId; readonly dial: number }
  | { readonly type: 'disconnected'; readonly connection: ConnectionId; readonly failure: Failure }
  | {
      readonly type: 'dial-failed'
      readonly dial: number
      readonly failure: Failure
      readonly attempts: readonly FailedAttempt[]
    }
  | {
      readonly type: 'stream-opened' | 'stream-inbound'
      readonly connection: ConnectionId
      readonly stream: StreamId
      readonly protocol: string
    }
  | {
      readonly type: 'stream-failed'
      readonly connection: ConnectionId
      readonly stream: StreamId
      readonly failure: Failure
    }
  | {
      readonly type: 'readable' | 'writable' | 'finished' | 'reset'
      readonly connection: ConnectionId
      readonly stream: StreamId
    }
  | {
      readonly type: 'identified'
      readonly connection: ConnectionId
      readonly peer: string
      readonly agent: string
      readonly protocols: readonly string[]
      readonly addresses: readonly string[]
      readonly observed: string
    }
  | { readonly type: 'pinged'; readonly ping: number; readonly micros: number }
  | { readonly type: 'addresses' }
  | {
      /** News of a part that not every module has; `kind` says of which. */
      readonly type: 'part'
      readonly kind: number
      readonly body: Records
    }

const decoder = new TextDecoder()

/** Bytes of the scratch that JavaScript fills in one go; longer input goes in pieces. */
export const INPUT_BYTES = 256 * 1024
/** Bytes taken for the wire in one go: what a stream takes from its writer at a time, in its frames. */
export const OUTPUT_BYTES = 260 * 1024

/** One peer in the module's memory, until {@link Core.free}. */
export class Core<Raw extends RawCore = RawCore> {
  readonly raw: Raw
  readonly #memory: WebAssembly.Memory
  #view = new Uint8Array(0)
  #input = 0

  constructor(raw: Raw, memory: WebAssembly.Memory) {
    this.raw = raw
    this.#memory = memory
  }

  /** The module's memory; growing it makes older views unusable. */
  get #bytes(): Uint8Array {
    if (this.#view.buffer !== this.#memory.buffer) this.#view = new Uint8Array(this.#memory.buffer)
    return this.#view
  }

  /** Copies `bytes`, at most {@link INPUT_BYTES}, to where the next call finds them. */
  put(bytes: Uint8Array): void {
    if (this.#input === 0) this.#input = this.raw.input(INPUT_BYTES)
    this.#bytes.set(bytes, this.#input)
  }

  /** The last call's `length` bytes of output, to be used before the next call. */
  output(length: number): Uint8Array {
    const at = this.raw.output()
    return this.#bytes.subarray(at, at + length)
  }

  /** The last call's output as text. */
  text(length: number): string {
    return decoder.decode(this.output(length))
  }

  /** The last call's output as lines. */
  lines(length: number): string[] {
    return lines(this.text(length))
  }

  /** The failure that a negative result stands for: its record's length, negated. */
  failure(result: number): Failure {
    return new Records(this.output(-result).slice()).failure()
  }

  /** A copy of what waits to be read on a stream, `max` bytes at most; it is then consumed. */
  read(connection: ConnectionId, stream: StreamId, max: number): Uint8Array<ArrayBuffer> | undefined {
    const length = Math.min(this.raw.readable(connection, stream), max)
    if (length === 0) return undefined
    const at = this.raw.output()
    const bytes = this.#bytes.slice(at, at + length) as Uint8Array<ArrayBuffer>
    this.raw.consume(connection, stream, length)
    return bytes
  }

  /** What there is to do and to tell, oldest first; empties the core's queue. */
  drain(): CoreEvent[] {
    const length = this.raw.drain(now())
    return length === 0 ? [] : new Records(this.output(length).slice()).all()
  }

  /** Gives the memory back; no call may follow. */
  free(): void {
    this.raw.free()
  }
}

/** The time for the core: microseconds from this program's start. */
export function now(): number {
  return Math.floor(performance.now() * 1000)
}

/** Tags from here on are those of parts, whose records tell their length. */
const FIRST_PART = 32

/** Reads the records that `core/records.rs` writes. */
export class Records {
  readonly #bytes: Uint8Array<ArrayBuffer>
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset)
  }

  all(): CoreEvent[] {
    const events: CoreEvent[] = []
    while (!this.done) events.push(this.#record())
    return events
  }

  failure(): Failure {
    return { cause: causes[this.byte()] ?? 'protocol', message: this.text() }
  }

  /** Whether nothing is left to read. */
  get done(): boolean {
    return this.#at >= this.#bytes.length
  }

  byte(): number {
    return this.#view.getUint8(this.#at++)
  }

  number(): number {
    const value = this.#view.getFloat64(this.#at, true)
    this.#at += 8
    return value
  }

  range(): Uint8Array<ArrayBuffer> {
    const start = this.#at + 4
    this.#at = start + this.#view.getUint32(this.#at, true)
    return this.#bytes.subarray(start, this.#at)
  }

  text(): string {
    return decoder.decode(this.range())
  }

  lines(): string[] {
    return lines(this.text())
  }

  /** The tags are those of `core/records.rs`. */
  #record(): CoreEvent {
    const tag = this.byte()
    if (tag === 10)
      return {
        type: 'dial-failed',
        dial: this.number(),
        failure: this.failure(),
        attempts: this.#attempts(),
      }
    if (tag === 17) return { type: 'pinged', ping: this.number(), micros: this.number() }
    if (tag === 18) return { type: 'addresses' }
    if (tag >= FIRST_PART) return { type: 'part', kind: tag, body: new Records(this.range()) }
    const connection = this.number()
    switch (tag) {
      case 1:
        return { type: 'dial', connection, address: this.text() }
      case 2:
        return { type: 'transmit', connection }
      case 3:
        return { type: 'drop', connection }
      case 4:
        return {
          type: 'verify',
          connection,
          request: {
            keyType: this.byte(),
            publicKey: this.range(),
            message: this.range(),
            signature: this.range(),
          },
        }
      case 5:
        return {
          type: 'connected',
          connection,
          inbound: this.byte() === 1,
          peer: this.text(),
          remote: this.text(),
        }
      case 6:
        return { type: 'disconnected', connection, failure: this.failure() }
      case 7:
        return {
          type: 'identified',
          connection,
          peer: this.text(),
          agent: this.text(),
          protocols: this.lines(),
          addresses: this.lines(),
          observed: this.text(),
        }
    }
    if (tag === 12) return { type: 'dialed', connection, dial: this.number() }
    const stream = this.number()
    switch (tag) {
      case 8:
        return { type: 'stream-opened', connection, stream, protocol: this.text() }
      case 9:
        return { type: 'stream-inbound', connection, stream, protocol: this.text() }
      case 11:
        return { type: 'stream-failed', connection, stream, failure: this.failure() }
      case 13:
        return { type: 'readable', connection, stream }
      case 14:
        return { type: 'writable', connection, stream }
      case 15:
        return { type: 'finished', connection, stream }
      default:
        return { type: 'reset', connection, stream }
    }
  }

  #attempts(): FailedAttempt[] {
    const attempts: FailedAttempt[] = []
    for (let left = this.byte(); left > 0; left--) {
      attempts.push({ address: this.text(), ...this.failure() })
    }
    return attempts
  }
}

function lines(text: string): string[] {
  return text === '' ? [] : text.split('\n')
}
