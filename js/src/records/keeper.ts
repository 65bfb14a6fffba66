/** Has what the core keeps for others kept in a store, and looked for there. */

import type { Core as FullCore } from '../../generated/core.js'
import { type Core, now, type Records } from '../core.js'
import { type RecordStore, RecordStoreError, type StoredRecord } from './types.js'

/** How often a store is tidied, if it is written to, in milliseconds. */
const TIDY = 3_600_000
/** Entries written after which it is tidied earlier. */
const TIDY_AFTER = 4096

/** The calls of the core that this needs, and a turn of the crank after them. */
export interface KeeperEngine {
  readonly core: Core<FullCore>
  turn(): void
}

export class RecordKeeper {
  readonly #engine: KeeperEngine
  readonly #store: RecordStore
  readonly #failed: (error: RecordStoreError) => void
  #writing: Promise<void> | undefined
  #tidied = Number.NEGATIVE_INFINITY
  #written = 0
  #closed = false

  private constructor(engine: KeeperEngine, store: RecordStore, failed: (error: RecordStoreError) => void) {
    this.#engine = engine
    this.#store = store
    this.#failed = failed
  }

  /** Opens the store for a node that takes part in a DHT. */
  static async open(
    engine: KeeperEngine,
    store: RecordStore,
    failed: (error: RecordStoreError) => void,
  ): Promise<RecordKeeper> {
    await store.open()
    engine.core.raw.store_records()
    return new RecordKeeper(engine, store, failed)
  }

  /** The fields in the order in which `core/keeping.rs` writes them. */
  onOrder(kind: number, body: Records): void {
    if (kind === 120) {
      void this.#find(body.range().slice())
      return
    }
    const entries = Array.from({ length: body.number() }, () => ({
      place: body.range().slice(),
      name: body.range().slice(),
      value: body.range().slice(),
      expires: body.number(),
    }))
    this.#writing = this.#write(entries)
  }

  /** Waits for what is being written, then closes the store. */
  async close(): Promise<void> {
    // What is done makes way for what waits.
    while (this.#writing !== undefined) await this.#writing
    this.#closed = true
    await this.#try(() => this.#store.close())
  }

  async #find(place: Uint8Array): Promise<void> {
    const found = await this.#try(() => this.#store.find(place))
    if (this.#closed) return
    const { raw } = this.#engine.core
    for (const { name, value, expires } of found ?? []) raw.found(name, value, expires)
    raw.records_found(now(), place, found !== undefined)
    this.#engine.turn()
  }

  async #write(entries: readonly StoredRecord[]): Promise<void> {
    await this.#try(() => this.#store.write(entries))
    this.#written += entries.length
    if (this.#written >= TIDY_AFTER || Date.now() >= this.#tidied + TIDY) {
      this.#tidied = Date.now()
      this.#written = 0
      await this.#try(() => this.#store.tidy(Date.now()))
    }
    this.#writing = undefined
    this.#engine.core.raw.records_written(now())
    this.#engine.turn()
  }

  async #try<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work()
    } catch (cause) {
      const known = cause instanceof RecordStoreError
      this.#failed(
        known ? cause : new RecordStoreError((cause as Error)?.message ?? String(cause), { cause }),
      )
      return undefined
    }
  }
}
