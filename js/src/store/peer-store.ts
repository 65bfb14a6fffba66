/** The peer store of a node: the core's, as the application has it, and its way to a storage. */

import type { Core as FullCore } from '../../generated/core.js'
import { type Core, now, Records } from '../core.js'
import { PeerStoreError } from '../errors.js'
import { errorOf } from '../failures.js'
import type {
  AddressSource,
  PeerPatch,
  PeerStorage,
  PeerStore,
  PeerTag,
  StoreChange,
  StoredAddress,
  StoredPeer,
} from './types.js'

/** The order is that of `core/store.rs`. */
const sources: readonly AddressSource[] = ['discovery', 'identify', 'dialed', 'certified', 'application']

/** As long as a record is believed if nothing else is said, in milliseconds: an hour. */
const RECORD_TTL = 3_600_000

/** The calls of the core that this needs, and a turn of the crank after them. */
export interface StoreEngine {
  readonly core: Core<FullCore>
  touch(): void
}

export class PeerStoreImpl implements PeerStore {
  readonly #engine: StoreEngine

  constructor(engine: StoreEngine) {
    this.#engine = engine
  }

  get(peer: string): StoredPeer | undefined {
    const { core } = this.#engine
    const length = core.raw.known_peer(peer)
    if (length < 0) throw errorOf(core.failure(length), peer)
    return length === 0 ? undefined : read(new Records(core.output(length).slice()))
  }

  all(): StoredPeer[] {
    const { core } = this.#engine
    return core.lines(core.raw.known_peers()).flatMap((peer) => this.get(peer) ?? [])
  }

  patch(peer: string, { addresses, metadata, tags }: PeerPatch): void {
    const { core } = this.#engine
    if (addresses !== undefined) {
      const result = core.raw.patch_addresses(addresses.join('\n'))
      if (result < 0) throw errorOf(core.failure(result), addresses)
    }
    for (const [name, value] of Object.entries(metadata ?? {})) core.raw.patch_metadata(name, value)
    for (const [name, tag] of Object.entries(tags ?? {})) {
      core.raw.patch_tag(name, tag?.value ?? -1, tag?.expires ?? Number.POSITIVE_INFINITY)
    }
    const result = core.raw.patch_peer(now(), peer)
    if (result < 0) throw errorOf(core.failure(result), peer)
    this.#engine.touch()
  }

  signedRecord(peer: string): Uint8Array | undefined {
    const { core } = this.#engine
    const length = core.raw.signed_record(peer)
    if (length < 0) throw errorOf(core.failure(length), peer)
    return length === 0 ? undefined : core.output(length).slice()
  }

  accept(record: Uint8Array, { ttl = RECORD_TTL }: { readonly ttl?: number } = {}): string {
    const { core } = this.#engine
    const length = core.raw.accept_record(now(), record, ttl)
    if (length < 0) throw errorOf(core.failure(length))
    this.#engine.touch()
    return core.lines(length)[0] ?? ''
  }

  delete(peer: string): boolean {
    const { core } = this.#engine
    const result = core.raw.delete_peer(now(), peer)
    if (result < 0) throw errorOf(core.failure(result), peer)
    this.#engine.touch()
    return result === 1
  }
}

/** The fields in the order in which `core/store.rs` writes them. */
function read(from: Records): StoredPeer {
  const peer = from.text()
  const addresses = list(
    from,
    (): StoredAddress => ({
      address: from.text(),
      source: sources[from.byte()] ?? 'discovery',
      expires: time(from.number()),
      succeeded: seen(from.number()),
      failures: from.number(),
    }),
  )
  const agent = from.text()
  const protocols = from.lines()
  const key = from.range()
  const metadata = Object.fromEntries(list(from, () => [from.text(), from.range().slice()] as const))
  const tag = (): PeerTag => ({ value: from.number(), expires: time(from.number()) })
  const tags = Object.fromEntries(list(from, () => [from.text(), tag()] as const))
  return {
    peer,
    addresses,
    agent,
    protocols,
    publicKey: key.length === 0 ? undefined : key.slice(),
    metadata,
    tags,
    lastSeen: seen(from.number()),
    successes: from.number(),
    failures: from.number(),
    stableSessions: from.number(),
    connectedMillis: from.number(),
  }
}

function list<T>(from: Records, item: () => T): T[] {
  return Array.from({ length: from.number() }, item)
}

const time = (millis: number): number | undefined =>
  millis === Number.POSITIVE_INFINITY ? undefined : millis
const seen = (millis: number): number | undefined => (millis === 0 ? undefined : millis)

/** Writes the changes of one node down in their order, and as a rule one write at a time. */
export class StoreWriter {
  readonly #storage: PeerStorage
  readonly #failed: (error: PeerStoreError) => void
  #waiting: StoreChange[] = []
  #writing: Promise<void> | undefined

  constructor(storage: PeerStorage, failed: (error: PeerStoreError) => void) {
    this.#storage = storage
    this.#failed = failed
  }

  push(change: StoreChange): void {
    this.#waiting.push(change)
    // The changes of one turn are one write.
    this.#writing ??= Promise.resolve().then(() => this.#write())
  }

  /**
   * Begins to write what waits, beside a write that may be under way: a page that goes
   * away comes back to nothing it waits for.
   */
  hurry(): void {
    if (this.#waiting.length > 0) void this.#writeWaiting()
  }

  /** Waits for what was pushed, then closes the storage. */
  async close(): Promise<void> {
    await this.#writing
    await this.#storage.close().catch((error: unknown) => this.#failed(toError(error)))
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) await this.#writeWaiting()
    this.#writing = undefined
  }

  async #writeWaiting(): Promise<void> {
    const changes = this.#waiting
    this.#waiting = []
    await this.#storage.write(changes).catch((error: unknown) => this.#failed(toError(error)))
  }
}

function toError(error: unknown): PeerStoreError {
  if (error instanceof PeerStoreError) return error
  return new PeerStoreError(error instanceof Error ? error.message : String(error), { cause: error })
}
