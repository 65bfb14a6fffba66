/**
 * The WebRTC stack, in WebAssembly: sessions by their numbers, datagrams and records
 * as bytes. See `js/rtc/src/lib.rs` for the other side.
 */

import { readFile } from 'node:fs/promises'
import { KeyError, LoadError, TransportError } from '../../errors.js'
import { Wasi } from './node-wasi.js'

interface Exports {
  readonly memory: WebAssembly.Memory
  _initialize?(): void
  rtc_input(length: number): number
  rtc_output(): number
  rtc_certificate(): number
  rtc_identity(): number
  rtc_listen(): number
  rtc_answer(listener: number, addressLength: number): number
  rtc_begin(listener: number, addressLength: number): number
  rtc_dial(version: number): number
  rtc_is_reached(session: number): number
  rtc_is_open(session: number): number
  rtc_has_room(session: number): number
  rtc_certificates(session: number): number
  rtc_end(session: number): number
  rtc_handle(session: number): void
  rtc_handle_timeout(session: number): void
  rtc_poll_timeout(session: number): number
  rtc_poll_datagram(session: number): number
  rtc_read(session: number): number
  rtc_write(session: number): void
  rtc_close(session: number): void
  rtc_abort(session: number): void
  rtc_free(session: number): void
}

type Call = Exclude<keyof Exports, 'memory' | '_initialize'>

/** How a session ended; the order is that of `rtc_end`. */
const ends = ['closed', 'vanished', 'wrong-certificate', 'failed'] as const

/** See {@link ends}. */
export interface End {
  readonly cause: (typeof ends)[number]
  readonly message: string
}

let compiled: Promise<WebAssembly.Module> | undefined

async function compile(): Promise<WebAssembly.Module> {
  try {
    const bytes = await readFile(new URL('../../../generated/rtc.wasm', import.meta.url))
    return await WebAssembly.compile(bytes)
  } catch (error) {
    compiled = undefined
    throw new LoadError('the WebRTC module could not be loaded', { cause: error })
  }
}

/** One instance of the module. What breaks it ends its sessions, and those alone. */
export class Stack {
  /** Why it answers no more, if it does not. */
  failure: TransportError | undefined
  readonly #wasi = new Wasi()
  readonly #exports: Exports
  readonly #failed = new Set<(error: TransportError) => void>()
  #memory = new Uint8Array(0)

  /**
   * What stacks are made of, read when it is first asked for.
   *
   * @throws {LoadError} it is not there, or damaged.
   */
  static load(): Promise<WebAssembly.Module> {
    compiled ??= compile()
    return compiled
  }

  constructor(module: WebAssembly.Module) {
    this.#exports = new WebAssembly.Instance(module, this.#wasi.imports).exports as unknown as Exports
    this.#wasi.attach(this.#exports.memory)
    this.#exports._initialize?.()
  }

  /** Tells `callback` when the instance breaks; call what is returned to be told no more. */
  onFailure(callback: (error: TransportError) => void): () => void {
    this.#failed.add(callback)
    return () => this.#failed.delete(callback)
  }

  /** Calls the module; 0 of one that has stopped. */
  call(name: Call, first = 0, second = 0): number {
    if (this.failure !== undefined) return 0
    try {
      return Number(this.#exports[name](first, second) ?? 0)
    } catch (error) {
      // It has met something that it was not made for: nothing of it is to be trusted.
      const said = this.#wasi.words.trim()
      this.failure = new TransportError(`the WebRTC stack stopped${said && `: ${said}`}`, { cause: error })
      for (const failed of [...this.#failed]) failed(this.failure)
      return 0
    }
  }

  /** The bytes that the last call left; they are gone with the next one. */
  output(length: number): Uint8Array {
    if (length === 0) return new Uint8Array(0)
    const at = this.call('rtc_output')
    return this.#bytes().subarray(at, at + length)
  }

  /** Writes the input of the calls to come. */
  put(...parts: readonly Uint8Array[]): void {
    const length = parts.reduce((sum, part) => sum + part.length, 0)
    let at = this.call('rtc_input', length)
    if (this.failure !== undefined) return
    const bytes = this.#bytes()
    for (const part of parts) {
      bytes.set(part, at)
      at += part.length
    }
  }

  /** A new certificate with its key, in PEM. */
  certificate(): Uint8Array {
    return this.output(this.#checked(this.call('rtc_certificate'), TransportError)).slice()
  }

  /**
   * Has listeners show the certificate in PEM; returns its multihash.
   *
   * @throws {KeyError} it is none, or its key is missing.
   */
  identity(pem: Uint8Array): Uint8Array {
    this.put(pem)
    return this.output(this.#checked(this.call('rtc_identity'), KeyError)).slice()
  }

  /** The number of a session with the listener at `address` that has this certificate. */
  dial(version: 1 | 2, certificate: Uint8Array, address: string): number {
    this.put(certificate, new TextEncoder().encode(address))
    return this.#checked(this.call('rtc_dial', version), TransportError)
  }

  /** The multihashes of the certificates of the dialer and the listener of an open session. */
  certificates(session: number): { client: Uint8Array; server: Uint8Array } {
    const both = this.output(this.call('rtc_certificates', session)).slice()
    return { client: both.subarray(0, both.length / 2), server: both.subarray(both.length / 2) }
  }

  /** How a session ended, if it has. */
  end(session: number): End | undefined {
    if (this.failure !== undefined) return { cause: 'failed', message: this.failure.message }
    const length = this.call('rtc_end', session)
    if (length === 0) return undefined
    const [kind = 0, ...text] = this.output(length)
    return { cause: ends[kind] ?? 'failed', message: new TextDecoder().decode(Uint8Array.from(text)) }
  }

  /** What a call returned, if it is no failure. */
  #checked(result: number, kind: new (message: string) => KeyError | TransportError): number {
    if (this.failure !== undefined) throw this.failure
    if (result < 0) throw new kind(new TextDecoder().decode(this.output(-result)))
    return result
  }

  /** The memory, which moves when it grows. */
  #bytes(): Uint8Array {
    const { buffer } = this.#exports.memory
    if (this.#memory.buffer !== buffer) this.#memory = new Uint8Array(buffer)
    return this.#memory
  }
}
