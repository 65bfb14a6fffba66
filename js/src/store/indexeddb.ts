/** A peer store in the browser's IndexedDB. */

import { PeerStoreError } from '../errors.js'
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
    async load() {
      if (typeof indexedDB === 'undefined') throw new PeerStoreError('there is no IndexedDB here')
      const opening = indexedDB.open(name, 1)
      opening.onupgradeneeded = () => opening.result.createObjectStore(STORE)
      database = await settled(opening)
      // A page of a newer version may want the database for itself.
      database.onversionchange = () => database?.close()
      const store = database.transaction(STORE, 'readonly').objectStore(STORE)
      const [keys, values] = await Promise.all([settled(store.getAllKeys()), settled(store.getAll())])
      return keys.map((key, at) => [bytes(key), bytes(values[at])] as const)
    },
    async write(changes: readonly StoreChange[]) {
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
    },
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

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = (event) => {
      // Else the failed request would abort the page's error reporting too.
      event.preventDefault()
      reject(failure(request.error))
    }
  })
}

function committed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve()
    transaction.onabort = () => reject(failure(transaction.error))
  })
}

function failure(error: DOMException | null): PeerStoreError {
  return new PeerStoreError(`IndexedDB: ${error?.message ?? 'failed'}`, { cause: error })
}
