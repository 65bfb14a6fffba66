/** IPNS: a name that is a PeerId, and a signed record of what it points to. */

import type { Core as FullCore } from '../generated/core.js'
import type { AbortOptions } from './abort.js'
import { type Core, Records } from './core.js'
import { InvalidArgumentError } from './errors.js'
import { errorOf } from './failures.js'
import { RecordError, type RecordRouting } from './routing/types.js'
import type { PeerId } from './types.js'

const LIFETIME = 48 * 3600 * 1000
const TTL = 300_000

/** What a name points to. */
export interface IpnsRecord {
  /** The name: the PeerId of the key that signed. */
  readonly name: PeerId
  /** A path, such as `/ipfs/bafy…` or `/ipns/k51…`. */
  readonly value: string
  /** The version: of two good records the one with the higher number is better. */
  readonly sequence: bigint
  /** Until when it is good. */
  readonly expires: Date
  /** How long it may be used before a newer one is looked for, in milliseconds. */
  readonly ttl: number
  /** The record as it is sent and kept. */
  readonly bytes: Uint8Array
}

/** How a record is made. */
export interface IpnsOptions {
  /** How long it is good, in milliseconds; 48 h. */
  readonly lifetime?: number | undefined
  /** How long it may be used before a newer one is looked for, in milliseconds; 5 minutes. */
  readonly ttl?: number | undefined
  /** The private key of the name, as `generateKey` makes it; the node's own. */
  readonly privateKey?: Uint8Array | undefined
}

/** Where a record is looked for or published. */
export interface IpnsRoutingOptions extends AbortOptions {
  /** A service, such as `delegatedRouting(url)`; `node.routing`, which is all that is switched on. */
  readonly routing?: RecordRouting | undefined
}

/** Names of a node, and those of others. */
export interface Ipns {
  /**
   * Makes a record. Without a `sequence` it is the name's first, 0.
   *
   * @throws {RecordError} the key cannot sign.
   * @throws {LimitError} it would be longer than 10 KiB.
   */
  sign(value: string, options?: IpnsOptions & { readonly sequence?: bigint }): IpnsRecord
  /**
   * Reads a record of `name`, whoever gave it.
   *
   * @throws {RecordError} it is not good: forged, expired, of another form.
   * @throws {InvalidAddressError} `name` is no PeerId.
   */
  verify(name: PeerId, record: Uint8Array): IpnsRecord
  /**
   * Has the name point to `value` from now on: its number is one higher than that of the
   * record that is found.
   *
   * @throws {RoutingError} the service did not answer, or not as it should.
   * @throws {UnsupportedError} nothing is switched on that keeps records.
   * @example
   * ```ts
   * await node.ipns.publish('/ipfs/bafy…')
   * await node.ipns.publish('/ipfs/bafy…', { routing: delegatedRouting('https://routing.example') })
   * ```
   */
  publish(value: string, options?: IpnsOptions & IpnsRoutingOptions): Promise<IpnsRecord>
  /**
   * What `name` points to; `undefined` if there is no record.
   *
   * @throws {RecordError} the record that was found is not good.
   * @throws {RoutingError} the service did not answer, or not as it should.
   * @throws {UnsupportedError} nothing is switched on that finds records.
   */
  resolve(name: PeerId, options?: IpnsRoutingOptions): Promise<IpnsRecord | undefined>
}

export class IpnsImpl implements Ipns {
  readonly #core: () => Core<FullCore>
  readonly #own: Uint8Array
  readonly #routing: RecordRouting

  /** `routing` is asked where none is named. */
  constructor(core: () => Core<FullCore>, own: Uint8Array, routing: RecordRouting) {
    this.#core = core
    this.#own = own
    this.#routing = routing
  }

  sign(
    value: string,
    {
      lifetime = LIFETIME,
      ttl = TTL,
      privateKey = this.#own,
      sequence = 0n,
    }: IpnsOptions & { readonly sequence?: bigint } = {},
  ): IpnsRecord {
    if (!(lifetime > 0 && ttl >= 0 && sequence >= 0n && sequence < 1n << 64n)) {
      throw new InvalidArgumentError('a record lives for some time, and its number is one of 64 bits')
    }
    const core = this.#core()
    const bytes = new TextEncoder().encode(value)
    const length = core.raw.ipns_sign(privateKey, bytes, String(sequence), Date.now() + lifetime, ttl)
    const record = this.#output(core, length).slice()
    return this.verify(this.#name(privateKey), record)
  }

  verify(name: PeerId, record: Uint8Array): IpnsRecord {
    const core = this.#core()
    const length = core.raw.ipns_verify(name, record, Date.now())
    const read = new Records(this.#output(core, length, name).slice())
    return {
      name: read.text(),
      value: read.text(),
      sequence: BigInt(read.text()),
      expires: new Date(Math.min(read.number(), 8.64e15)),
      ttl: read.number(),
      bytes: record,
    }
  }

  async publish(value: string, options: IpnsOptions & IpnsRoutingOptions = {}): Promise<IpnsRecord> {
    const { routing = this.#routing, signal, privateKey = this.#own } = options
    const name = this.#name(privateKey)
    // An expired or broken one counts for nothing.
    const old = await this.resolve(name, { routing, signal }).catch((error: unknown) => {
      if (error instanceof RecordError) return undefined
      throw error
    })
    const next = old === undefined ? 0n : old.sequence + (old.value === value ? 0n : 1n)
    const record = this.sign(value, { ...options, privateKey, sequence: next })
    await routing.putIpns(name, record.bytes, { signal })
    return record
  }

  async resolve(
    name: PeerId,
    { routing = this.#routing, signal }: IpnsRoutingOptions = {},
  ): Promise<IpnsRecord | undefined> {
    const bytes = await routing.getIpns(name, { signal })
    return bytes === undefined ? undefined : this.verify(name, bytes)
  }

  #name(privateKey: Uint8Array): PeerId {
    const core = this.#core()
    return core.text(this.#length(core, core.raw.ipns_name(privateKey)))
  }

  #output(core: Core<FullCore>, length: number, subject = ''): Uint8Array {
    return core.output(this.#length(core, length, subject))
  }

  #length(core: Core<FullCore>, length: number, subject = ''): number {
    if (length >= 0) return length
    const failure = core.failure(length)
    throw failure.cause === 'protocol' ? new RecordError(failure.message) : errorOf(failure, subject)
  }
}
