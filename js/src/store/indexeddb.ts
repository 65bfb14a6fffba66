/** A peer store in the browser's IndexedDB. */

import { PeerStoreError } from '../errors.js'
import { committed, openDatabase, reasonOf, settled } from './idb.js'
import type { PeerStorage, StoreChange } from './types.js'

const STORE = 'peers'

/**
 * Keeps what is known of peers in the IndexedDB database `name` of this origin.
 * Give pages that run at the same time names of their own.
 *
 * @example
 * ```ts
 * const node = await createNode({ peerStore: indexedDbPeerStore('my-app-peers') })
 * ```
 */
export function indexedDbPeerStore(name: string): PeerStorage {
  let database: IDBDatabase | undefined
  return {
    load: () =>
      attempt(async () => {
        database = await openDatabase(name, (fresh) => fresh.createObjectStore(STORE))
        // A page of a newer version may want the database for itself.
        database.onversionchange = () => database?.close()
        const store = database.transaction(STORE, 'readonly').objectStore(STORE)
        const [keys, values] = await Promise.all([settled(store.getAllKeys()), settled(store.getAll())])
        return keys.map((key, at) => [bytes(key), bytes(values[at])] as const)
      }),
    write: (changes: readonly StoreChange[]) =>
      attempt(async () => {
        if (database === undefined) throw new PeerStoreError('the database is not open')
        const transaction = database.transaction(STORE, 'readwrite')
        const store = transaction.objectStore(STORE)
        for (const { key, value } of changes) {
          if (value === undefined) store.delete(key as Uint8Array<ArrayBuffer>)
          else store.put(value, key as Uint8Array<ArrayBuffer>)
        }
        const done = committed(transaction)
        // Without this it ends with the page.
        transaction.commit()
        await done
      }),
    async close() {
      database?.close()
      database = undefined
    },
  }
}

/** What is no bytes is an entry that the core skips. */
function bytes(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value
  return value instanceof ArrayBuffer ? new Uint8Array(value) : new Uint8Array()
}

async function attempt<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (cause) {
    if (cause instanceof PeerStoreError) throw cause
    throw new PeerStoreError(reasonOf(cause), { cause })
  }
}
