/** A store of records in the browser's IndexedDB. */

import { committed, openDatabase, reasonOf, settled } from '../store/idb.js'
import {
  limitsOf,
  MAX_FOUND,
  type RecordLimits,
  type RecordStore,
  RecordStoreError,
  type StoredRecord,
} from './types.js'

/** Entries, by place and name. */
const ENTRIES = 'entries'
/** Their order by the end, of all and of those at one place. */
const ENDS = 'ends'
const LATEST = 'latest'
/** How much there is, under this key. */
const TOTALS = 'totals'
const ALL = 'all'

interface Totals {
  entries: number
  bytes: number
}

/**
 * Keeps what a node keeps for others in the IndexedDB database `name` of this origin, which
 * pages that run at the same time may share.
 *
 * @example
 * ```ts
 * const node = await createNode({ dht: { recordStore: indexedDbRecordStore('my-app-records') } })
 * ```
 */
export function indexedDbRecordStore(name: string, limits: RecordLimits = {}): RecordStore {
  return new IndexedDbRecordStore(name, limits)
}

class IndexedDbRecordStore implements RecordStore {
  readonly #name: string
  readonly #limits: Totals
  #database: IDBDatabase | undefined

  constructor(name: string, limits: RecordLimits) {
    this.#name = name
    this.#limits = limitsOf(limits)
  }

  open(): Promise<void> {
    return attempt(async () => {
      const database = await openDatabase(this.#name, (fresh) => {
        const entries = fresh.createObjectStore(ENTRIES, { keyPath: ['place', 'name'] })
        entries.createIndex(ENDS, 'expires')
        entries.createIndex(LATEST, ['place', 'expires'])
        fresh.createObjectStore(TOTALS)
      })
      // A page of a newer version may want the database for itself.
      database.onversionchange = () => database.close()
      this.#database = database
    })
  }

  find(place: Uint8Array): Promise<StoredRecord[]> {
    return attempt(async () => {
      const transaction = this.#begin('readonly')
      const latest = transaction.objectStore(ENTRIES).index(LATEST)
      const at = place.slice()
      const all = IDBKeyRange.bound([at, Number.NEGATIVE_INFINITY], [at, Number.POSITIVE_INFINITY])
      const found: StoredRecord[] = []
      await walk(latest.openCursor(all, 'prev'), ({ value }) => {
        found.push(value as StoredRecord)
        return found.length < MAX_FOUND
      })
      return found
    })
  }

  write(entries: readonly StoredRecord[]): Promise<void> {
    return this.#change(async (store, totals) => {
      for (const { place, name, value, expires } of entries) {
        // Copies, since of a part of a buffer the whole would be kept.
        const entry = { place: place.slice(), name: name.slice(), value: value.slice(), expires }
        const old: StoredRecord | undefined = await settled(store.get([entry.place, entry.name]))
        count(totals, old, -1)
        count(totals, entry, 1)
        store.put(entry)
      }
    })
  }

  tidy(unixMillis: number): Promise<void> {
    return this.#change(async (store, totals) => {
      await walk(store.index(ENDS).openCursor(IDBKeyRange.upperBound(unixMillis)), (cursor) => {
        count(totals, cursor.value, -1)
        cursor.delete()
        return true
      })
    })
  }

  async close(): Promise<void> {
    this.#database?.close()
    this.#database = undefined
  }

  #begin(mode: IDBTransactionMode): IDBTransaction {
    if (this.#database === undefined) throw new RecordStoreError('the database is not open')
    return this.#database.transaction([ENTRIES, TOTALS], mode)
  }

  /** Makes all of a change or none, and keeps within the limits. */
  #change(act: (store: IDBObjectStore, totals: Totals) => Promise<void>): Promise<void> {
    return attempt(async () => {
      const transaction = this.#begin('readwrite')
      const done = committed(transaction)
      const abort = (): void => {
        try {
          transaction.abort()
        } catch {
          // It has ended by itself.
        }
      }
      // A page that is left may be kept as it stands: others would wait for it.
      addEventListener('pagehide', abort)
      try {
        await this.#within(transaction, act)
      } catch (error) {
        done.catch(() => {})
        abort()
        throw error
      } finally {
        removeEventListener('pagehide', abort)
      }
      // Without this it ends with the page.
      transaction.commit()
      await done
    })
  }

  async #within(
    transaction: IDBTransaction,
    act: (store: IDBObjectStore, totals: Totals) => Promise<void>,
  ): Promise<void> {
    const store = transaction.objectStore(ENTRIES)
    const kept: Totals | undefined = await settled(transaction.objectStore(TOTALS).get(ALL))
    const totals = kept ?? { entries: 0, bytes: 0 }
    await act(store, totals)
    const isTooMuch = (): boolean =>
      totals.entries > this.#limits.entries || totals.bytes > this.#limits.bytes
    if (isTooMuch()) {
      await walk(store.index(ENDS).openCursor(), (cursor) => {
        count(totals, cursor.value, -1)
        cursor.delete()
        return isTooMuch()
      })
    }
    transaction.objectStore(TOTALS).put(totals, ALL)
  }
}

function count(totals: Totals, entry: StoredRecord | undefined, sign: 1 | -1): void {
  if (entry === undefined) return
  totals.entries += sign
  totals.bytes += sign * entry.value.length
}

/** Goes on with a cursor as long as `visit` says so. */
function walk(
  request: IDBRequest<IDBCursorWithValue | null>,
  visit: (cursor: IDBCursorWithValue) => boolean,
): Promise<void> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => {
      const cursor = request.result
      if (cursor !== null && visit(cursor)) cursor.continue()
      else resolve()
    }
    request.onerror = () => reject(request.error)
  })
}

async function attempt<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (cause) {
    if (cause instanceof RecordStoreError) throw cause
    throw new RecordStoreError(reasonOf(cause), { cause })
  }
}
